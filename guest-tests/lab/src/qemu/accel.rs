// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! KVM where it runs a guest, TCG elsewhere.
//!
//! A /dev/kvm that opens proves nothing: inside some cloud machines it makes a
//! virtual machine and then cannot run one. So KVM is tried only where the CPU
//! has the extension, and believed only once the guest's agent has reported.

use std::fs::{self, OpenOptions};

use super::version::Version;
use crate::cli::AccelChoice;

/// What runs the guest's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The CPU itself.
    Kvm,
    /// QEMU's translator, a host thread for each guest CPU.
    Tcg,
    /// QEMU's translator, all guest CPUs by turns on one host thread.
    TcgByTurns,
}

impl Accel {
    /// As reports name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg | Accel::TcgByTurns => "tcg",
        }
    }
}

/// The oldest QEMU whose translator is trusted with a thread for each CPU.
/// With 7.2, one guest in a hundred died of "Oops: int3" at code that the
/// kernel had just patched on another CPU: the translation of the breakpoint
/// had outlived it. On one thread nothing is translated while it is written.
const PARALLEL_TCG: Version = Version::new(8, 1);

/// What to start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// It.
    pub(crate) accel: Accel,
    /// If its first boot is a trial: what to fall back on.
    pub(crate) fallback: Option<Accel>,
    /// What to tell the user.
    pub(crate) note: Option<String>,
}

/// What to start with on this machine and with this QEMU.
pub(crate) fn choose(wish: AccelChoice, qemu: Version) -> Choice {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let device = device.map(|_| ()).map_err(|e| e.to_string());
    decide(wish, qemu, &cpuinfo, device)
}

fn decide(wish: AccelChoice, qemu: Version, cpuinfo: &str, device: Result<(), String>) -> Choice {
    let translator = match qemu >= PARALLEL_TCG {
        true => Accel::Tcg,
        false => Accel::TcgByTurns,
    };
    let settled = |accel, note| Choice {
        accel,
        fallback: None,
        note,
    };
    let tcg = |why: String| {
        let note = format!("using TCG (emulation, slower): {why}");
        settled(translator, Some(note))
    };
    match (wish, device) {
        (AccelChoice::Tcg, _) => settled(translator, None),
        (AccelChoice::Kvm, _) => settled(Accel::Kvm, None),
        (AccelChoice::Auto, Err(why)) => tcg(format!("/dev/kvm: {why}")),
        (AccelChoice::Auto, Ok(())) if !has_extension(cpuinfo) => {
            tcg("/dev/kvm is there, but the CPU has neither vmx nor svm".into())
        }
        (AccelChoice::Auto, Ok(())) => Choice {
            accel: Accel::Kvm,
            fallback: Some(translator),
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

    const NEW: Version = Version::new(10, 0);

    #[test]
    fn an_old_translator_takes_the_cpus_by_turns() {
        for wish in [AccelChoice::Tcg, AccelChoice::Auto] {
            let choice = decide(wish, Version::new(7, 2), WITHOUT, Ok(()));
            assert_eq!(choice.accel, Accel::TcgByTurns);
        }
    }

    #[test]
    fn kvm_is_tried_only_with_flag_and_device_and_never_believed() {
        let choice = decide(AccelChoice::Auto, NEW, WITH, Ok(()));
        assert_eq!(
            (choice.accel, choice.fallback),
            (Accel::Kvm, Some(Accel::Tcg))
        );
    }

    #[test]
    fn a_device_without_the_flag_is_not_believed_and_said_so() {
        let choice = decide(AccelChoice::Auto, NEW, WITHOUT, Ok(()));
        assert_eq!((choice.accel, choice.fallback), (Accel::Tcg, None));
        assert!(choice.note.unwrap().contains("neither vmx nor svm"));
        let choice = decide(AccelChoice::Auto, NEW, WITH, Err("No such file".into()));
        assert!(choice.note.unwrap().contains("/dev/kvm: No such file"));
    }

    #[test]
    fn a_wish_is_followed_without_a_trial() {
        for (wish, accel) in [
            (AccelChoice::Kvm, Accel::Kvm),
            (AccelChoice::Tcg, Accel::Tcg),
        ] {
            let choice = decide(wish, NEW, WITHOUT, Err("no".into()));
            assert_eq!((choice.accel, choice.fallback), (accel, None));
        }
    }
}
