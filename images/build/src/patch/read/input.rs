// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The bytes of what was given: a file, a compressed one, or stdin.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::patch::error::PatchError;

/// The largest patch that is read, in bytes: whole trees of drivers are less.
pub(super) const MOST_BYTES: u64 = 32 << 20;

/// Stands for stdin.
const STDIN: &str = "-";

/// What to call an argument: its file's name, or stdin.
pub(super) fn name_of(argument: &Path) -> String {
    if argument == Path::new(STDIN) {
        return "stdin".into();
    }
    let name = argument.file_name().unwrap_or(argument.as_os_str());
    let name = name.to_string_lossy();
    let plain = name.chars().filter(|c| !c.is_control());
    plain.take(64).collect()
}

/// The text of an argument.
pub(super) fn read(argument: &Path) -> Result<Vec<u8>, PatchError> {
    let refuse = |reason: String| PatchError::Unreadable {
        name: argument.display().to_string(),
        reason,
    };
    let bytes = if argument == Path::new(STDIN) {
        bounded(std::io::stdin().lock())
    } else {
        let file = File::open(argument).map_err(|e| refuse(e.to_string()))?;
        let is_folder = file.metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder {
            return Err(refuse(
                "it is a folder; give its files, each with --patch".into(),
            ));
        }
        bounded(file)
    };
    text_of(bytes.map_err(refuse)?).map_err(refuse)
}

/// The text that bytes are, unpacked if they are compressed.
fn text_of(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let bytes = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => bounded(MultiGzDecoder::new(bytes.as_slice()))?,
        false => bytes,
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".into());
    }
    if bytes.contains(&0) {
        return Err("it is binary, or UTF-16; a patch is plain text".into());
    }
    let bytes = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .map(<[u8]>::to_vec)
        .unwrap_or(bytes);
    let begin = bytes.trim_ascii_start();
    let begin = begin[..begin.len().min(15)].to_ascii_lowercase();
    if begin.starts_with(b"<!doctype html") || begin.starts_with(b"<html") {
        return Err("it is a page of HTML; take the message as text ('raw' in an archive)".into());
    }
    Ok(bytes)
}

fn bounded(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut from = from.take(MOST_BYTES + 1);
    let read = from.read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if from.limit() == 0 {
        return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_compressed_text_is_unpacked() {
        assert_eq!(text_of(packed(b"diff\n")).unwrap(), b"diff\n");
        assert_eq!(text_of(b"\xef\xbb\xbfdiff\n".to_vec()).unwrap(), b"diff\n");
    }

    #[test]
    fn what_is_no_text_is_refused_with_what_it_is() {
        let bomb = packed(&vec![b'x'; usize::try_from(MOST_BYTES).unwrap() + 1]);
        for (bytes, said) in [
            (bomb, "larger than 32 MiB"),
            (b"\x1f\x8bdamaged".to_vec(), ""),
            (b"\x7fELF\0".to_vec(), "binary"),
            (b" \n".to_vec(), "empty"),
            (b"\n<!DOCTYPE html>".to_vec(), "HTML"),
        ] {
            let error = text_of(bytes).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn files_that_never_end_and_folders_are_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("/dev/zero: it is larger"), "{error}");
        let error = read(Path::new("/tmp")).unwrap_err().to_string();
        assert!(error.contains("each with --patch"), "{error}");
        let error = read(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent: No such file"), "{error}");
    }
}
