// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a kernel has to have built in for the lab: options, and a reading of
//! `.config`.

use std::collections::BTreeMap;

/// Without one of these no guest boots, or no agent reports.
const BOOTS: &[&str] = &[
    "64BIT",
    "SMP",
    "PRINTK",
    "FUTEX",
    "EPOLL",
    "BINFMT_ELF",
    "BLK_DEV_INITRD",
    "RD_GZIP",
    "PROC_FS",
    "SYSFS",
    "TMPFS",
    "DEVTMPFS",
    "TTY",
    "SERIAL_8250",
    "SERIAL_8250_CONSOLE",
    "ACPI",
    "PCI",
    "PCI_MSI",
    "VIRTIO_PCI",
    "VIRTIO_BLK",
    "VIRTIO_CONSOLE",
];

/// Without one of these there is no probe, or it sees nothing.
const PROBES: &[&str] = &[
    "MODULES",
    "MODULE_UNLOAD",
    "KALLSYMS",
    "KPROBES",
    "STACKTRACE",
    "BLK_DEV_IO_TRACE",
];

/// Members of choices, limits, and what only makes our own kernels small: a
/// configuration that somebody has made keeps its own.
const NOT_MERGED: &[&str] = &[
    "KERNEL_GZIP",
    "NR_CPUS",
    "PREEMPT",
    "HZ_250",
    "NO_HZ_IDLE",
    "EXPERT",
    "IRQ_TIME_ACCOUNTING",
];

/// The options of a configuration, by name without `CONFIG_`.
#[derive(Debug, Default)]
pub(super) struct Options(BTreeMap<String, String>);

impl Options {
    pub(super) fn parse(text: &str) -> Options {
        let option = |line: &str| {
            let (name, value) = line.trim().strip_prefix("CONFIG_")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Options(text.lines().filter_map(option).collect())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|has| has == value)
    }

    /// Whether an option is built in.
    pub(super) fn has(&self, name: &str) -> bool {
        self.is(name, "y")
    }

    /// How many are to be modules.
    pub(super) fn modules(&self) -> usize {
        self.0.values().filter(|value| *value == "m").count()
    }

    /// What the lab needs and this does not have.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let needed = BOOTS.iter().chain(PROBES).copied();
        needed.filter(|name| !self.has(name)).collect()
    }

    /// Of a fragment, what this does not have and can have beside its own.
    pub(super) fn to_merge(&self, fragment: &Options) -> Vec<String> {
        let wanted = fragment.0.iter().filter(|(_, value)| *value == "y");
        wanted
            .map(|(name, _)| name)
            .filter(|name| !NOT_MERGED.contains(&name.as_str()) && !self.has(name))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_not_built_in() {
        let options =
            Options::parse("CONFIG_SMP=y\nCONFIG_VIRTIO_BLK=m\n# CONFIG_PCI is not set\n");
        let missing = options.missing();
        assert!(!missing.contains(&"SMP"), "{missing:?}");
        assert!(missing.contains(&"VIRTIO_BLK") && missing.contains(&"PCI"));
        assert_eq!(options.modules(), 1);
    }

    #[test]
    fn a_merge_takes_what_is_missing_and_leaves_choices() {
        let own = Options::parse("CONFIG_SMP=y\nCONFIG_HZ_1000=y\nCONFIG_MD=m\n");
        let fragment = Options::parse(
            "CONFIG_SMP=y\nCONFIG_HZ_250=y\nCONFIG_MD=y\nCONFIG_VT=n\nCONFIG_NR_CPUS=64\n",
        );
        assert_eq!(own.to_merge(&fragment), ["MD"]);
    }

    #[test]
    fn the_labs_own_configuration_has_all_that_is_needed() {
        let text = include_str!("../../../kernels/base.config");
        // What others select, or what is there unless it is turned off.
        let implied = ["STACKTRACE"];
        let missing = Options::parse(text).missing();
        let missing: Vec<_> = missing
            .iter()
            .filter(|name| !implied.contains(name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
