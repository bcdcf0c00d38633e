// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is to be executed: words, environment, folder.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use irqstorm_agent::program::{Execute, Raw};
use irqstorm_agent::protocol::{MAX_LINE, ToAgent};

use crate::cli::{DiskKind, ExecArguments};
use crate::failure::{Failure, io_failure};
use crate::terminal;

/// Of the user's environment, what concerns neither a session nor a service of
/// this machine; and all that begins with `LC_`.
const KEPT: [&str; 16] = [
    "COLORTERM",
    "COLUMNS",
    "EDITOR",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LESS",
    "LINES",
    "NO_COLOR",
    "PAGER",
    "PATH",
    "SHELL",
    "TERM",
    "TERMINFO",
    "TZ",
    "VISUAL",
];

/// Where programs for root are; a user's PATH may lack them.
const FOR_ROOT: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The PATH of who has none.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The shell of who has none.
const USUAL_SHELL: &str = "/bin/sh";

/// Everything that the agent has to know.
pub(super) fn order(arguments: &ExecArguments) -> Result<Execute, Failure> {
    let command = match arguments.shell {
        true => vec![variable("SHELL").unwrap_or_else(|| USUAL_SHELL.into())],
        false => arguments.command.clone(),
    };
    let order = Execute {
        command: command.into_iter().map(Raw::from).collect(),
        environment: environment(&arguments.env, arguments.machine.disk)?,
        folder: Raw::from(folder(arguments.folder.as_deref())?.into_os_string()),
        writable: writable(&arguments.write_to)?,
        terminal: (arguments.shell || arguments.tty).then(terminal::window),
    };
    check_length(&order)?;
    Ok(order)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The program's environment: what is kept, what was asked for, and who and
/// where it is.
fn environment(more: &[OsString], disk: DiskKind) -> Result<Vec<(Raw, Raw)>, Failure> {
    let is_kept =
        |name: &OsStr| KEPT.iter().any(|kept| name == *kept) || name.as_bytes().starts_with(b"LC_");
    let mut all: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| is_kept(name))
        .collect();
    let path = variable("PATH").unwrap_or_else(|| USUAL_PATH.into());
    let mut set = |name: &OsStr, value: OsString| {
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value));
    };
    set("PATH".as_ref(), for_root(path));
    for (name, value) in [
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("IRQSTORM_DISK", disk.guest_path()),
    ] {
        set(name.as_ref(), value.into());
    }
    for word in more {
        let (name, value) = named(word)?;
        set(&name, value);
    }
    all.sort();
    let raw = all.into_iter();
    Ok(raw
        .map(|(name, value)| (name.into(), value.into()))
        .collect())
}

/// A variable as --env names it.
fn named(word: &OsStr) -> Result<(OsString, OsString), Failure> {
    let bytes = word.as_bytes();
    let refuse = |reason: &str| Failure::BadArgument {
        what: format!("--env {}", word.display()),
        reason: reason.to_owned(),
    };
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(0) => Err(refuse("it has no name; NAME or NAME=VALUE is wanted")),
        Some(end) => {
            let (name, value) = bytes.split_at(end);
            let value = value.get(1..).unwrap_or_default();
            let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Ok((own(name), own(value)))
        }
        None if bytes.is_empty() => Err(refuse("it has no name; NAME or NAME=VALUE is wanted")),
        None => match std::env::var_os(word) {
            Some(value) => Ok((word.to_owned(), value)),
            None => Err(refuse("there is no such variable here; give NAME=VALUE")),
        },
    }
}

/// A PATH on which programs for root are found too.
fn for_root(path: OsString) -> OsString {
    let mut path = path.into_vec();
    for folder in FOR_ROOT {
        let known = path
            .split(|&byte| byte == b':')
            .any(|part| part == folder.as_bytes());
        if !known {
            path.push(b':');
            path.extend(folder.as_bytes());
        }
    }
    OsString::from_vec(path)
}

/// Where it runs: $PWD where that is the current directory, since it says by
/// what way the user came there.
fn folder(wanted: Option<&Path>) -> Result<PathBuf, Failure> {
    let here =
        std::env::current_dir().map_err(io_failure("find", "the current directory".as_ref()))?;
    if let Some(wanted) = wanted {
        return Ok(here.join(wanted));
    }
    let logical = variable("PWD").map(PathBuf::from);
    let same = |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|p| p == here);
    Ok(logical.filter(same).unwrap_or(here))
}

/// Folders that there are, by paths that hold anywhere.
fn writable(folders: &[PathBuf]) -> Result<Vec<Raw>, Failure> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let refuse = |reason: String| Failure::BadArgument {
            what: format!("--write-to {}", folder.display()),
            reason,
        };
        let path = folder
            .canonicalize()
            .map_err(|error| refuse(format!("{error}; make the folder first")))?;
        let meta = fs::metadata(&path).map_err(io_failure("look at", &path))?;
        if !meta.is_dir() {
            return Err(refuse("it is no folder; name the one that it is in".into()));
        }
        if path == Path::new("/") {
            return Err(refuse(
                "all of this machine is too much; name a folder".into(),
            ));
        }
        if !found.contains(&path) {
            found.push(path);
        }
    }
    // One within another is mounted after it.
    found.sort();
    Ok(found
        .into_iter()
        .map(|path| path.into_os_string().into())
        .collect())
}

fn check_length(order: &Execute) -> Result<(), Failure> {
    let line = serde_json::to_string(&ToAgent::Execute(order.clone()));
    let length = line.map_or(usize::MAX, |line| line.len());
    if length < MAX_LINE {
        return Ok(());
    }
    Err(Failure::BadArgument {
        what: "the command".into(),
        reason: format!(
            "with its environment it has {length} bytes on its way to the guest, and there is room for {MAX_LINE}; put it into a script"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_programs_are_on_the_path_once() {
        let path = for_root("/bin:/usr/sbin".into());
        assert_eq!(path, "/bin:/usr/sbin:/usr/local/sbin:/sbin");
        assert_eq!(for_root(path.clone()), path);
    }

    #[test]
    fn variables_are_named_with_or_without_their_value() {
        let both = named("A=b=c".as_ref()).unwrap();
        assert_eq!(both, ("A".into(), "b=c".into()));
        let raw = named(OsStr::from_bytes(b"A=\xff")).unwrap();
        assert_eq!(raw.1.as_bytes(), b"\xff");
        assert_eq!(named("PATH".as_ref()).unwrap().1, variable("PATH").unwrap());
        for wrong in ["", "=x", "IRQSTORM_NO_SUCH"] {
            assert!(named(wrong.as_ref()).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn the_session_of_the_user_stays_here() {
        let all = environment(&["DISPLAY=:0".into()], DiskKind::Nvme).unwrap();
        let value = |name: &str| {
            let found = all.iter().find(|(known, _)| known.to_text() == name);
            found.map(|(_, value)| value.to_text())
        };
        assert_eq!(value("USER").unwrap(), "root");
        assert_eq!(value("DISPLAY").unwrap(), ":0");
        assert_eq!(value("IRQSTORM_DISK").unwrap(), "/dev/nvme0n1");
        assert!(value("PATH").unwrap().contains("/usr/sbin"));
        // Of those that cargo sets.
        assert_eq!(value("CARGO_MANIFEST_DIR"), None);
    }

    #[test]
    fn folders_to_write_to_have_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let inner = path.join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(path.join("file"), "").unwrap();
        let found = writable(&[inner.clone(), path.clone(), inner.clone()]).unwrap();
        let expected = [path.clone(), inner].map(|path| Raw::from(path.into_os_string()));
        assert_eq!(found, expected);
        for (wrong, word) in [("missing", "make"), ("file", "no folder")] {
            let failure = writable(&[path.join(wrong)]).unwrap_err().to_string();
            assert!(failure.contains(word), "{failure}");
        }
        assert!(writable(&["/".into()]).is_err());
    }
}
