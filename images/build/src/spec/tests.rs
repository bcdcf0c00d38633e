// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kernels, mutants and configurations out of a folder of theirs.

use super::*;

/// A kernel, one that patches it and has a mutant, one on top of that, and
/// two configurations, the second with a patch.
fn catalogue(folder: &Path) -> Catalogue {
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for kernel in ["7.2", "7.2+x"] {
        write(
            &format!("{kernel}/kernel.toml"),
            "description = \"a kernel\"\nversion = \"7.2\"\nconfig = [\"base.config\"]\n",
        );
    }
    write("7.2+x/patches/1.patch", "");
    write("7.2+x/patches/2.patch", "");
    write("7.2+x/patches/README.md", "no patch");
    write("7.2+x/mutants/never-defers.patch", "");
    write(
        "7.2+x/kernel.toml",
        "description = \"a kernel\"\nversion = \"7.2\"\nconfig = [\"base.config\"]\n\
         variants = [\"odd\"]\n[mutants.never-defers]\nclaim = 1\nbreaks = \"all\"\nconfigs = [\"odd\"]\n",
    );
    write(
        "7.2+y/kernel.toml",
        "description = \"another\"\nbase = \"7.2+x\"\n",
    );
    write("7.2+y/patches/1.patch", "");
    write("configs/debug.config", "# It checks a lot.\nCONFIG_A=y\n");
    write("configs/odd.config", "CONFIG_B=y\n");
    write("configs/odd.patch", "");
    read_all(folder).unwrap()
}

fn names_of(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| file_name(path)).collect()
}

#[test]
fn kernels_come_by_name_each_with_its_mutants() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let names: Vec<&str> = catalogue
        .kernels
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    assert_eq!(names, ["7.2", "7.2+x", "7.2+x~never-defers", "7.2+y"]);
    let mutant = catalogue.find("7.2+x~never-defers").unwrap();
    assert_eq!(
        names_of(&mutant.patches),
        ["1.patch", "2.patch", "never-defers.patch"]
    );
}

#[test]
fn a_mutant_knows_what_it_breaks_and_no_other_kernel_breaks_anything() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let found = catalogue.find("7.2+x~never-defers:debug").unwrap();
    let mutant = found.mutant.unwrap();
    assert_eq!((mutant.claim, mutant.breaks.as_str()), (1, "all"));
    assert_eq!(mutant.configs, ["odd"]);
    assert_eq!(catalogue.find("7.2+x").unwrap().variants, ["odd"]);
    assert!(catalogue.find("7.2+y").unwrap().variants.is_empty());
    for sound in ["7.2", "7.2+x", "7.2+y", "7.2+x:odd"] {
        assert_eq!(catalogue.find(sound).unwrap().mutant, None, "{sound}");
    }
}

#[test]
fn a_mutant_and_its_description_need_each_other() {
    let folder = tempfile::tempdir().unwrap();
    catalogue(folder.path());
    let refused = || read_all(folder.path()).unwrap_err().to_string();
    let patch = folder.path().join("7.2+x/mutants/other.patch");
    fs::write(&patch, "").unwrap();
    let error = refused();
    assert!(error.contains("no [mutants.other]"), "{error}");
    fs::rename(&patch, patch.with_file_name("odd")).unwrap();
    fs::remove_file(patch.with_file_name("never-defers.patch")).unwrap();
    let error = refused();
    assert!(error.contains("no mutants/never-defers.patch"), "{error}");
}

#[test]
fn a_kernel_on_another_has_its_patches_first_and_none_of_its_mutants() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let kernel = catalogue.find("7.2+y").unwrap();
    assert_eq!(kernel.version, "7.2");
    assert_eq!(kernel.description, "another");
    assert_eq!(names_of(&kernel.config), ["base.config"]);
    let of_base = &catalogue.find("7.2+x").unwrap().patches;
    assert_eq!(kernel.patches[..2], of_base[..]);
    assert_eq!(
        kernel.patches[2..],
        [folder.path().join("7.2+y/patches/1.patch")]
    );
    assert_eq!(catalogue.find("7.2+y~never-defers"), None);
}

#[test]
fn descriptions_that_make_no_kernel_are_refused_with_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    catalogue(folder.path());
    for (rest, said) in [
        ("base = \"7.9\"", "base = \"7.9\""),
        ("base = \"7.2+y\"", "no kernel that has no base"),
        ("base = \"bad\"", "no kernel that has no base"),
        ("base = \"7.2\"\nversion = \"7.2\"", "either base, or"),
        ("version = \"7.2\"", "both of version and config"),
        ("version = \"7.2\"\nconfigs = []", "configs"),
    ] {
        let bad = folder.path().join("bad/kernel.toml");
        fs::create_dir_all(bad.parent().unwrap()).unwrap();
        fs::write(&bad, format!("description = \"x\"\n{rest}\n")).unwrap();
        let error = read_all(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("bad/kernel.toml") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn a_configuration_adds_its_fragment_and_patch_after_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let plain = catalogue.find("7.2").unwrap();
    let debug = catalogue.find("7.2:debug").unwrap();
    assert_eq!(debug.name, "7.2:debug");
    assert_eq!(debug.description, "a kernel; It checks a lot.");
    assert_eq!(names_of(&debug.config), ["base.config", "debug.config"]);
    assert_eq!(debug.patches, plain.patches);
    let both = catalogue.find("7.2+x~never-defers:odd:debug").unwrap();
    assert_eq!(
        names_of(&both.config),
        ["base.config", "odd.config", "debug.config"]
    );
    assert_eq!(
        names_of(&both.patches),
        ["1.patch", "2.patch", "never-defers.patch", "odd.patch"]
    );
}

#[test]
fn names_of_which_a_part_is_unknown_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    for name in [
        "7.3",
        "7.2:",
        "7.2:fast",
        "7.3:debug",
        "7.2:debug~never-defers",
    ] {
        assert_eq!(catalogue.find(name), None, "{name}");
    }
    assert_eq!(
        catalogue.names(),
        "7.2, 7.2+x, 7.2+x~never-defers, 7.2+y; to each may be appended: :debug, :odd"
    );
}
