// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Why a posted patch makes no kernel.

/// Each message says what to do, and reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// What was given is no patch, or a damaged one.
    #[error("read patch {name}: {reason}")]
    Unreadable {
        /// What was given.
        name: String,
        /// Why not, with the line if there is one.
        reason: String,
    },
    /// A series that is not whole, or more than one.
    #[error("put the patches of {name} in order: {reason}")]
    Series {
        /// What was given.
        name: String,
        /// What is missing or too much.
        reason: String,
    },
    /// A kernel that takes no patches.
    #[error(
        "patch {kernel}: only kernels by name are built here; apply the patch to your own tree \
         and build that, or name a kernel of 'irqstorm list'"
    )]
    NotOurs {
        /// The kernel, as it was given.
        kernel: String,
    },
    /// A patch that does not fit the kernel.
    #[error(
        "apply {patch} to {kernel}: {file}: {reason}\nnothing was changed. Take the kernel that \
         it was made for (--kernel, see 'irqstorm list'), or give the patches that it builds on \
         first (--patch again)"
    )]
    DoesNotApply {
        /// Which of what was given.
        patch: String,
        /// The kernel and where its source came from.
        kernel: String,
        /// The file that it failed on.
        file: String,
        /// What the file has instead.
        reason: String,
    },
}
