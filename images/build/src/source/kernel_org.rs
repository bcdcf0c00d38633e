// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! kernel.org's tarballs, checked against its list of checksums.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cache;
use crate::command::run_logged;
use crate::error::{Error, io_error};
use crate::progress::Progress;

use super::extract;

pub(super) fn fetch(
    base: &str,
    version: &str,
    folder: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<String, Error> {
    let major = version.split('.').next().unwrap_or(version);
    let place = format!("{}/v{major}.x", base.trim_end_matches('/'));
    let downloads = cache::scratch(folder.parent().unwrap_or(folder))?;

    progress.begin("read the checksums of kernel.org", None);
    let sums = downloads.path().join("sha256sums.asc");
    curl(&format!("{place}/sha256sums.asc"), &sums, log, |_| ())?;
    let text = fs::read(&sums).map_err(io_error("read", &sums))?;
    let newest = newest_tarball(&String::from_utf8_lossy(&text), version);
    let (expected, name) = newest.ok_or_else(|| Error::Unavailable {
        place: place.clone(),
        reason: format!("it lists no tarball of Linux {version}"),
    })?;

    progress.begin(&format!("fetch {name} of kernel.org"), Some(100));
    let tarball = downloads.path().join(&name);
    let url = format!("{place}/{name}");
    curl(&url, &tarball, log, |percent| progress.at(percent))?;
    check(&url, &tarball, &expected)?;
    extract(&tarball, folder, log, progress)?;
    Ok(format!("kernel.org {name} sha256 {expected}"))
}

fn curl(url: &str, to: &Path, log: &Path, mut on_percent: impl FnMut(u64)) -> Result<(), Error> {
    let mut command = Command::new("curl");
    command.args(["-fL", "--progress-bar", "--retry", "3"]);
    command.args(["--connect-timeout", "10", "-o"]);
    command.arg(to).arg(url);
    let what = format!("fetch {url}");
    run_logged(&what, &mut command, log, |line| {
        if let Some(percent) = percent_of(line) {
            on_percent(percent);
        }
    })
}

/// The percentage at the end of curl's bar: `#####      42.1%`.
fn percent_of(line: &str) -> Option<u64> {
    let percent = line.strip_suffix('%')?.rsplit([' ', '#']).next()?;
    percent.split('.').next()?.parse().ok()
}

/// The last point release of a version in kernel.org's list of checksums.
fn newest_tarball(sums: &str, version: &str) -> Option<(String, String)> {
    let prefix = format!("linux-{version}");
    let point = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(&prefix)?.strip_suffix(".tar.xz")?;
        match rest.strip_prefix('.') {
            Some(point) => point.parse().ok(),
            None => rest.is_empty().then_some(0),
        }
    };
    let entries = sums.lines().filter_map(|line| {
        let (sum, name) = line.split_once("  ")?;
        Some((point(name)?, sum.to_owned(), name.to_owned()))
    });
    let (_, sum, name) = entries.max_by_key(|(point, ..)| *point)?;
    Some((sum, name))
}

/// Whether a download is what its checksum says; it vanishes with its folder
/// if not.
fn check(url: &str, path: &Path, expected: &str) -> Result<(), Error> {
    let found = cache::sha256_of(path)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Checksum {
        url: url.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::progress::Silent;

    /// Serves the files of a folder over HTTP, one request a connection.
    fn serve(folder: &Path) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = folder.to_owned();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let request = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
                let (status, body) = match fs::read(folder.join(path)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let length = body.len();
                write!(connection, "HTTP/1.0 {status}\r\n").unwrap();
                write!(connection, "Content-Length: {length}\r\n\r\n").unwrap();
                connection.write_all(&body).unwrap();
            }
        });
        url
    }

    /// A place with Linux 7.2.1 in it, and the folder to fetch into.
    fn place(folder: &Path) -> (String, std::path::PathBuf) {
        let (site, tree) = (folder.join("site/v7.x"), folder.join("linux-7.2.1"));
        let into = folder.join("cache/source");
        for folder in [&site, &tree, &into] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(tree.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 2\n").unwrap();
        let tarball = site.join("linux-7.2.1.tar.xz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder).arg("-cJf").arg(&tarball);
        assert!(tar.arg("linux-7.2.1").status().unwrap().success());
        let sum = cache::sha256_of(&tarball).unwrap();
        let sums = format!("-----BEGIN-----\n{sum}  linux-7.2.1.tar.xz\n");
        fs::write(site.join("sha256sums.asc"), sums).unwrap();
        (serve(&folder.join("site")), into)
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_tarball_is_fetched_checked_and_extracted() {
        let folder = tempfile::tempdir().unwrap();
        let (url, into) = place(folder.path());
        let log = folder.path().join("log");
        let origin = fetch(&url, "7.2", &into, &log, &mut Silent).unwrap();
        assert!(
            origin.starts_with("kernel.org linux-7.2.1.tar.xz sha256 "),
            "{origin}"
        );
        assert_eq!(names_in(&into), ["Makefile"]);
        assert_eq!(names_in(&folder.path().join("cache")), ["source"]);
    }

    #[test]
    fn a_broken_download_is_told_and_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let (url, into) = place(folder.path());
        let tarball = folder.path().join("site/v7.x/linux-7.2.1.tar.xz");
        let whole = fs::read(&tarball).unwrap();
        fs::write(&tarball, &whole[..whole.len() / 2]).unwrap();
        let log = folder.path().join("log");
        let error = fetch(&url, "7.2", &into, &log, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }), "{error}");
        assert_eq!(names_in(&into), [""; 0]);
        assert_eq!(names_in(&folder.path().join("cache")), ["source"]);
    }

    #[test]
    fn a_version_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (url, into) = place(folder.path());
        let log = folder.path().join("log");
        let error = fetch(&url, "7.9", &into, &log, &mut Silent).unwrap_err();
        assert!(
            error.to_string().contains("no tarball of Linux 7.9"),
            "{error}"
        );
        let error = fetch(&url, "6.1", &into, &log, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
    }

    #[test]
    fn the_newest_point_release_is_taken() {
        let sums = "aa  linux-7.2.tar.xz\nbb  linux-7.2.9.tar.xz\ncc  linux-7.2.12.tar.xz\n\
                    dd  linux-7.20.1.tar.xz\nee  linux-7.2.13.tar.gz\n";
        let newest = newest_tarball(sums, "7.2");
        assert_eq!(newest, Some(("cc".into(), "linux-7.2.12.tar.xz".into())));
        assert_eq!(newest_tarball(sums, "7.3"), None);
    }

    #[test]
    fn the_progress_of_curl_is_read() {
        assert_eq!(percent_of("#####                     42.1%"), Some(42));
        assert_eq!(percent_of("######################## 100.0%"), Some(100));
        assert_eq!(percent_of("curl: (22) error"), None);
    }
}
