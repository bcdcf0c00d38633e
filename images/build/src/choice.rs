// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What `--kernel` may name: a kernel of ours, a tree of the user's, or a bare
//! image; and what the latter tells about itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::KeyBuilder;
use crate::error::{Error, io_error};
use crate::kernel::{BuiltKernel, ModuleTree};
use crate::spec::{Catalogue, KernelSpec};
use crate::user_tree;

/// What `--kernel` named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelChoice {
    /// A kernel of `images/kernels`.
    Named(KernelSpec),
    /// A tree of the user's, or its objects' folder: made before it is booted.
    Tree(PathBuf),
    /// An image alone: no module can be built for it.
    Image(PathBuf),
}

/// Makes sense of what the user named.
pub(crate) fn resolve(known: &Catalogue, argument: &str) -> Result<KernelChoice, Error> {
    if let Some(spec) = known.find(argument) {
        return Ok(KernelChoice::Named(spec));
    }
    let path = expand_home(argument);
    if path.is_dir() {
        return resolve_tree(&path);
    }
    if path.is_file() {
        return match is_bzimage(&path)? {
            true => Ok(KernelChoice::Image(absolute(&path)?)),
            false => Err(Error::NotAKernel {
                path,
                reason: "it is a file, and no bzImage; give arch/x86/boot/bzImage of a built tree"
                    .into(),
            }),
        };
    }
    Err(Error::UnknownKernel {
        name: argument.to_owned(),
        known: known.names(),
    })
}

fn expand_home(argument: &str) -> PathBuf {
    match (argument.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(argument),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(io_error("find", path))
}

fn resolve_tree(path: &Path) -> Result<KernelChoice, Error> {
    user_tree::check(path)?;
    Ok(KernelChoice::Tree(absolute(path)?))
}

/// Whether a file has the magic of Documentation/arch/x86/boot.rst: "HdrS" at
/// offset 0x202.
fn is_bzimage(path: &Path) -> Result<bool, Error> {
    Ok(header_of(path)?.get(0x202..0x206) == Some(b"HdrS"))
}

fn header_of(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let file = fs::File::open(path).map_err(io_error("open", path))?;
    let mut header = Vec::new();
    file.take(64 * 1024)
        .read_to_end(&mut header)
        .map_err(io_error("read", path))?;
    Ok(header)
}

/// The release string of an image: its offset is at 0x20e of the header, less
/// 0x200 (boot.rst, kernel_version).
pub(crate) fn release_of(image: &Path) -> Result<Option<String>, Error> {
    let header = header_of(image)?;
    let Some(&[low, high]) = header.get(0x20e..0x210) else {
        return Ok(None);
    };
    let start = usize::from(u16::from_le_bytes([low, high])) + 0x200;
    let text = header.get(start..).unwrap_or_default();
    let text: Vec<u8> = text
        .iter()
        .copied()
        .take_while(|&b| b != 0 && b != b' ')
        .collect();
    Ok(String::from_utf8(text).ok().filter(|text| !text.is_empty()))
}

pub(crate) fn from_image(path: &Path) -> Result<BuiltKernel, Error> {
    let mut key = KeyBuilder::default();
    key.add_file(path)?;
    Ok(BuiltKernel {
        name: path.display().to_string(),
        key: key.finish(),
        bzimage: path.to_owned(),
        config: None,
        release: release_of(path)?,
        origin: format!("image {}", path.display()),
        has_flag: None,
        modules: ModuleTree::None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> KernelSpec {
        KernelSpec {
            name: name.into(),
            description: String::new(),
            version: "7.2".into(),
            config: Vec::new(),
            patches: Vec::new(),
            variants: Vec::new(),
            mutant: None,
        }
    }

    fn known(names: &[&str]) -> Catalogue {
        Catalogue {
            kernels: names.iter().map(|name| spec(name)).collect(),
            configs: Vec::new(),
        }
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_what_there_is() {
        let known = known(&["7.2+v4", "7.3"]);
        let error = resolve(&known, "7.4").unwrap_err().to_string();
        assert!(
            error.contains("'7.4'") && error.contains("7.2+v4, 7.3"),
            "{error}"
        );
    }

    #[test]
    fn names_come_before_paths() {
        let known = known(&["7.3"]);
        assert_eq!(
            resolve(&known, "7.3").unwrap(),
            KernelChoice::Named(spec("7.3"))
        );
    }

    #[test]
    fn an_image_is_known_by_its_header_and_tells_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinuz");
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e] = 0x80;
        image[0x280..0x28d].copy_from_slice(b"7.1.0-x (a@b)");
        fs::write(&path, image).unwrap();
        let choice = resolve(&Catalogue::default(), &path.display().to_string()).unwrap();
        assert!(matches!(choice, KernelChoice::Image(_)));
        assert_eq!(release_of(&path).unwrap().as_deref(), Some("7.1.0-x"));
        fs::write(&path, "text").unwrap();
        let error = resolve(&Catalogue::default(), &path.display().to_string())
            .unwrap_err()
            .to_string();
        assert!(error.contains("bzImage"), "{error}");
    }
}
