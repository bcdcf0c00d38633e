// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest as it is left: nobody runs, no disk is mounted.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process_group};

/// Who was killed lets go of its files within so many pauses.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Ends all other processes and unmounts the file systems that are on disks or
/// are the host's, so that these have all that was written.
pub(crate) fn tidy() {
    let _ = std::env::set_current_dir("/");
    // kill(2): to the group of PID 1, written -1, is to all but PID 1.
    let _ = kill_process_group(Pid::INIT, Signal::KILL);
    let mounts = fs::read("/proc/self/mounts").unwrap_or_default();
    let mut places = places(&mounts);
    // What was mounted last may be on what was before.
    places.reverse();
    for place in places {
        // What cannot be unmounted is at least written out, by the caller.
        for _ in 0..TRIES {
            match unmount(&place, UnmountFlags::empty()) {
                Err(Errno::BUSY) => thread::sleep(PAUSE),
                _ => break,
            }
        }
    }
}

/// Where disks and folders of the host are mounted, by /proc/self/mounts.
fn places(mounts: &[u8]) -> Vec<OsString> {
    let lines = mounts.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let (source, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            let wanted = source.starts_with(b"/dev/") || kind == b"9p";
            (wanted && place != b"/").then(|| OsString::from_vec(unescape(place)))
        })
        .collect()
}

/// Blank, tab, newline and backslash are written in octal (fs/seq_file.c,
/// mangle_path()).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| first == b'\\') {
            Some(byte) => {
                plain.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_the_hosts_folders_are_found_under_their_names() {
        let mounts = b"overlay / overlay rw 0 0\n\
            irqstorm.write0 /home/me/my\\040results 9p rw 0 0\n\
            tmpfs /run tmpfs rw 0 0\n\
            /dev/vda /mnt ext4 rw 0 0\nbroken\n";
        assert_eq!(places(mounts), ["/home/me/my results", "/mnt"]);
        assert_eq!(unescape(b"a\\134b\\0"), b"a\\b\\0");
    }
}
