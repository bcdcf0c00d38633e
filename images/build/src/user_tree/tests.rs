// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Trees of a few lines, with a make of their own.

use super::*;
use crate::choice::{KernelChoice, resolve};
use crate::progress::Silent;
use crate::spec::Catalogue;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// "Builds" an image with the header's magic and a release, and the module.
const MAKEFILE: &str = "
bzImage:
\tmkdir -p arch/x86/boot
\tsh image.sh > arch/x86/boot/bzImage
\techo made >> count
modules modules_prepare:
\tif [ -n \"$(M)\" ]; then cat $(M)/main.c > $(M)/irqstorm_probe.ko; fi
olddefconfig:
\tcp .config .config.new
\tsed /LOST/d .config.new > .config
tinyconfig:
\techo CONFIG_TINY=y > .config
.PHONY: bzImage modules modules_prepare
";

/// HdrS at 0x202, and the release at 0x80 + 0x200.
const IMAGE: &str = r"head -c 514 /dev/zero; printf HdrS; head -c 8 /dev/zero; printf '\200\0'
head -c 112 /dev/zero; printf '7.2.0+ (a@b)'; head -c 64 /dev/zero";

struct Fixture {
    folder: tempfile::TempDir,
    images: Images,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(&folder.path().join("cache"), folder.path());
        let fixture = Fixture { folder, images };
        fixture.write("linux/Makefile", MAKEFILE);
        fixture.write("linux/image.sh", IMAGE);
        fixture.write("linux/arch/x86/Kconfig", "");
        fixture.write("linux/include/linux/blk_types.h", "BIO_COMPLETE_IN_TASK");
        fixture
    }

    fn configured() -> Fixture {
        let fixture = Fixture::new();
        let base = include_str!("../../../kernels/base.config");
        fixture.write("linux/.config", &format!("{base}CONFIG_STACKTRACE=y\n"));
        fixture
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("linux").canonicalize().unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn build(&self) -> Result<BuiltKernel, Error> {
        build(&self.images, &self.tree(), &mut Silent)
    }

    fn configure(&self, fragment: &str) -> Result<Configured, Error> {
        self.write("fragment", fragment);
        let fragment = self.folder.path().join("fragment");
        configure(&self.images, &self.tree(), &fragment, &mut Silent)
    }
}

#[test]
fn a_folder_that_is_no_tree_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let refusal = || {
        resolve(&Catalogue::default(), &path)
            .unwrap_err()
            .to_string()
    };
    assert!(refusal().contains("without a Makefile"), "{}", refusal());
    fs::write(folder.path().join("Makefile"), "").unwrap();
    assert!(refusal().contains("no tree of Linux"), "{}", refusal());
}

#[test]
fn a_tree_is_made_each_time_and_tells_what_it_is() {
    let fixture = Fixture::configured();
    let path = fixture.tree().display().to_string();
    let choice = resolve(&Catalogue::default(), &path).unwrap();
    assert_eq!(choice, KernelChoice::Tree(fixture.tree()));
    let built = fixture.build().unwrap();
    assert_eq!(built.release.as_deref(), Some("7.2.0+"));
    assert_eq!(built.has_flag, Some(true));
    let key = built.key;
    fixture.write("linux/image.sh", &IMAGE.replace("7.2.0+", "7.2.1+"));
    fixture.write("linux/include/linux/blk_types.h", "BIO_FLAG_LAST");
    let built = fixture.build().unwrap();
    assert_eq!(built.release.as_deref(), Some("7.2.1+"));
    assert_eq!(built.has_flag, Some(false));
    assert_ne!(built.key, key);
    assert_eq!(fixture.read("linux/count").lines().count(), 2);
}

#[test]
fn a_tree_without_a_configuration_says_which_command_makes_one() {
    let error = Fixture::new().build().unwrap_err().to_string();
    assert!(error.contains("irqstorm kernel config /"), "{error}");
    assert!(error.contains("O="), "{error}");
}

#[test]
fn options_that_are_missing_are_named_before_anything_is_made() {
    let fixture = Fixture::configured();
    let config = fixture.read("linux/.config");
    fixture.write(
        "linux/.config",
        &config.replace("VIRTIO_BLK=y", "VIRTIO_BLK=m"),
    );
    let error = fixture.build().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::MissingOptions { .. }), "{text}");
    assert!(text.contains("not built in: VIRTIO_BLK;"), "{text}");
    assert!(!fixture.tree().join("count").exists());
}

#[test]
fn a_build_that_fails_shows_its_first_error_and_where_the_rest_is() {
    let fixture = Fixture::configured();
    fixture.write(
        "linux/Makefile",
        "bzImage modules:\n\t@echo block/bio.c:7:1: error: unknown type; seq 200; exit 1\n",
    );
    let error = fixture.build().unwrap_err();
    let text = error.to_string();
    let Error::TreeBuild { log, .. } = error else {
        panic!("{text}");
    };
    assert!(text.contains("block/bio.c:7:1: error: unknown"), "{text}");
    assert!(!text.contains("\n100\n"), "{text}");
    assert!(text.contains(&log.display().to_string()), "{text}");
    assert!(fs::read_to_string(log).unwrap().contains("\n200\n"));
}

#[test]
fn a_tree_that_somebody_makes_is_left_alone() {
    let fixture = Fixture::configured();
    let makefile = format!("{MAKEFILE}\nwait:\n\t@echo waiting; read line\n");
    fixture.write("linux/Makefile", &makefile);
    let mut other = Command::new("make")
        .arg("wait")
        .current_dir(fixture.tree())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 7];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut said).unwrap();
    let refused = fixture.build().unwrap_err().to_string();
    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(
        refused.contains(&format!("process {}", other.id())),
        "{refused}"
    );
    fixture.build().unwrap();
}

#[test]
fn the_probe_follows_its_sources_into_a_folder_that_stays() {
    let fixture = Fixture::configured();
    let built = fixture.build().unwrap();
    fixture.write("probe/main.c", "one");
    fixture.write("probe/Kbuild", "");
    let sources = fixture.folder.path().join("probe");
    let module = || {
        let path = fixture.images.build_probe(&built, &sources, &mut Silent);
        path.unwrap()
    };
    let first = module();
    assert_eq!(fs::read_to_string(&first).unwrap(), "one");
    // Written only if it has changed: make goes by the time of a change.
    let copy = first.with_file_name("main.c");
    let readonly = std::fs::Permissions::from_mode(0o444);
    fs::set_permissions(&copy, readonly).unwrap();
    let before = fs::metadata(&copy).unwrap().modified().unwrap();
    assert_eq!(module(), first);
    assert_eq!(fs::metadata(&copy).unwrap().modified().unwrap(), before);
    fs::remove_file(&copy).unwrap();
    fixture.write("probe/main.c", "two");
    assert_eq!(fs::read_to_string(module()).unwrap(), "two");
}

#[test]
fn a_tree_without_a_configuration_gets_the_labs() {
    let fixture = Fixture::new();
    let base = include_str!("../../../kernels/base.config");
    let fragment = format!("{base}CONFIG_STACKTRACE=y\n");
    let configured = fixture.configure(&fragment).unwrap();
    assert_eq!(configured.before, None);
    assert_eq!(
        fixture.read("linux/.config"),
        format!("CONFIG_TINY=y\n{fragment}")
    );
    fixture.build().unwrap();
}

#[test]
fn a_configuration_gets_what_it_lacks_and_is_kept() {
    let fixture = Fixture::configured();
    let own = fixture
        .read("linux/.config")
        .replace("CONFIG_VIRTIO_BLK=y", "CONFIG_VIRTIO_BLK=m");
    fixture.write("linux/.config", &own);
    let fragment = "CONFIG_VIRTIO_BLK=y\nCONFIG_LOST=y\nCONFIG_SMP=y\nCONFIG_HZ_250=y\n";
    let configured = fixture.configure(fragment).unwrap();
    assert_eq!(configured.added, ["VIRTIO_BLK"]);
    assert_eq!(configured.lost, ["LOST"]);
    assert_eq!(fs::read_to_string(configured.before.unwrap()).unwrap(), own);
    fixture.build().unwrap();
    let again = fixture.configure("CONFIG_VIRTIO_BLK=y\n").unwrap();
    assert_eq!((again.added.len(), again.before), (0, None));
}
