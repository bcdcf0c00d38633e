// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KVM where it runs a guest, TCG elsewhere.
//!
//! A /dev/kvm that opens proves nothing: inside some cloud machines it makes a
//! virtual machine and then cannot run one. So KVM is tried only where the CPU
//! has the extension, and believed only once the guest's agent has reported.

use std::fs::{self, OpenOptions};

use crate::cli::AccelChoice;

/// What runs the guest's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The CPU itself.
    Kvm,
    /// QEMU's translator, a host thread for each guest CPU.
    Tcg,
}

impl Accel {
    /// As reports name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }
}

/// What to start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// It.
    pub(crate) accel: Accel,
    /// Whether its first boot is a trial, with TCG to fall back on.
    pub(crate) on_trial: bool,
    /// What to tell the user.
    pub(crate) note: Option<String>,
}

/// What to start with on this machine.
pub(crate) fn choose(wish: AccelChoice) -> Choice {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    decide(
        wish,
        &cpuinfo,
        device.map(|_| ()).map_err(|e| e.to_string()),
    )
}

fn decide(wish: AccelChoice, cpuinfo: &str, device: Result<(), String>) -> Choice {
    let settled = |accel, note| Choice {
        accel,
        on_trial: false,
        note,
    };
    let tcg = |why: String| {
        let note = format!("using TCG (emulation, slower): {why}");
        settled(Accel::Tcg, Some(note))
    };
    match (wish, device) {
        (AccelChoice::Tcg, _) => settled(Accel::Tcg, None),
        (AccelChoice::Kvm, _) => settled(Accel::Kvm, None),
        (AccelChoice::Auto, Err(why)) => tcg(format!("/dev/kvm: {why}")),
        (AccelChoice::Auto, Ok(())) if !has_extension(cpuinfo) => {
            tcg("/dev/kvm is there, but the CPU has neither vmx nor svm".into())
        }
        (AccelChoice::Auto, Ok(())) => Choice {
            accel: Accel::Kvm,
            on_trial: true,
            note: None,
        },
    }
}

/// Whether the CPU's flags have a virtualisation extension.
fn has_extension(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| {
        line.split_ascii_whitespace()
            .any(|flag| flag == "vmx" || flag == "svm")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: &str = "processor\t: 0\nflags\t\t: fpu vmx sse\n";
    const WITHOUT: &str = "processor\t: 0\nflags\t\t: fpu vmx_like sse\nbugs\t: vmx\n";

    #[test]
    fn kvm_is_tried_only_with_flag_and_device_and_never_believed() {
        let choice = decide(AccelChoice::Auto, WITH, Ok(()));
        assert_eq!((choice.accel, choice.on_trial), (Accel::Kvm, true));
    }

    #[test]
    fn a_device_without_the_flag_is_not_believed_and_said_so() {
        let choice = decide(AccelChoice::Auto, WITHOUT, Ok(()));
        assert_eq!((choice.accel, choice.on_trial), (Accel::Tcg, false));
        assert!(choice.note.unwrap().contains("neither vmx nor svm"));
        let choice = decide(AccelChoice::Auto, WITH, Err("No such file".into()));
        assert!(choice.note.unwrap().contains("/dev/kvm: No such file"));
    }

    #[test]
    fn a_wish_is_followed_without_a_trial() {
        for (wish, accel) in [
            (AccelChoice::Kvm, Accel::Kvm),
            (AccelChoice::Tcg, Accel::Tcg),
        ] {
            let choice = decide(wish, WITHOUT, Err("no".into()));
            assert_eq!((choice.accel, choice.on_trial), (accel, false));
        }
    }
}
