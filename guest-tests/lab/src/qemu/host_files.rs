// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a program of the host needs of the machine: the host's files over 9p,
//! and a port for each of its streams.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use irqstorm_agent::program::{FILES_TAG, STREAM_PORTS, writable_tag};

use super::arguments::{Line, port, socket};
use super::version::has_device;
use crate::failure::Failure;

/// The device through which the guest sees the host's files.
const DEVICE: &str = "virtio-9p-pci";

/// The host's files and a program's streams.
#[derive(Clone, Debug)]
pub(crate) struct HostFiles {
    /// Folders that can be written; everything else can be read.
    pub(crate) writable: Vec<PathBuf>,
    /// The sockets of the program's input, output and errors: QEMU listens.
    pub(crate) streams: [PathBuf; 3],
}

impl HostFiles {
    pub(super) fn arguments(&self, line: &mut Line) {
        share(line, "files", Path::new("/"), FILES_TAG, true);
        for (place, folder) in self.writable.iter().enumerate() {
            let tag = writable_tag(place);
            share(line, &format!("write{place}"), folder, &tag, false);
        }
        for (path, name) in self.streams.iter().zip(STREAM_PORTS) {
            // An id may have no dots in it.
            let id = name.replace('.', "-");
            line.option("-chardev", socket(&id, path, true));
            line.option("-device", port(&id, name));
        }
    }
}

/// A folder under a tag. Inode numbers are made anew, since a host's file
/// systems may each have the same ones.
fn share(line: &mut Line, id: &str, folder: &Path, tag: &str, read_only: bool) {
    let mut option = OsString::from(format!("local,id={id},path="));
    option.push(doubled(folder.as_os_str()));
    option.push(",security_model=none,multidevs=remap");
    if read_only {
        option.push(",readonly=on");
    }
    line.option("-fsdev", option);
    line.option("-device", format!("{DEVICE},fsdev={id},mount_tag={tag}"));
}

/// A comma in a path is doubled, as QEMU has it.
fn doubled(path: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

/// Sees to it that a QEMU can share files: it can be built without.
pub(crate) fn check_sharing(qemu: &Path) -> Result<(), Failure> {
    if has_device(qemu, DEVICE)? {
        return Ok(());
    }
    Err(Failure::Qemu {
        path: qemu.to_owned(),
        reason: format!(
            "it has no {DEVICE}, through which the guest sees this machine's files: it was built without --enable-virtfs"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(writable: &[&OsStr]) -> Vec<OsString> {
        let files = HostFiles {
            writable: writable.iter().map(PathBuf::from).collect(),
            streams: ["/r/in", "/r/out", "/r/err"].map(PathBuf::from),
        };
        let mut line = Line::default();
        files.arguments(&mut line);
        line.into_words()
    }

    #[test]
    fn only_what_was_named_can_be_written() {
        let folder = OsStr::from_bytes(b"/home/a,b/\xff x");
        let line = arguments(&[folder]);
        let shares: Vec<_> = line
            .iter()
            .filter(|word| word.as_bytes().starts_with(b"local,"))
            .collect();
        assert_eq!(shares.len(), 2);
        let root = shares[0].to_str().unwrap();
        assert!(
            root.contains("path=/,") && root.ends_with("readonly=on"),
            "{root}"
        );
        let other = shares[1].as_bytes();
        let path = b"path=/home/a,,b/\xff x,";
        assert!(other.windows(path.len()).any(|part| part == path));
        assert!(!other.ends_with(b"readonly=on"));
    }

    #[test]
    fn every_stream_has_a_port_that_the_agent_looks_for() {
        let line = arguments(&[]).join(OsStr::new(" "));
        let line = line.to_str().unwrap();
        for name in STREAM_PORTS {
            assert!(line.contains(&format!(",name={name}")), "{line}");
        }
        assert!(line.contains("path=/r/err,server=on,wait=off"), "{line}");
    }

    #[test]
    fn a_qemu_without_9p_is_named() {
        let failure = check_sharing(Path::new("true")).unwrap_err().to_string();
        for word in ["virtio-9p-pci", "--enable-virtfs", "--qemu"] {
            assert!(failure.contains(word), "{failure}");
        }
    }
}
