// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Nothing that a benchmark has started outlives it.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// After which a test has failed: no test passes by this.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_benchmark_that_is_told_to_end_takes_its_servers_along() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        // A device that never listens, and says who it is.
        let (device, said) = (folder.path().join("device"), folder.path().join("pid"));
        let script = format!("#!/bin/sh\necho $$ >{}\nexec sleep 600\n", said.display());
        fs::write(&device, script).unwrap();
        fs::set_permissions(&device, Permissions::from_mode(0o755)).unwrap();
        let mut bench = Command::new(env!("CARGO_BIN_EXE_irqstorm-bench"))
            .arg("--device")
            .arg(&device)
            .args(["--store", "null", "--time", "10"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = || fs::read_to_string(&said).unwrap_or_default();
        wait_for("no device was started", || pid().ends_with('\n'));
        kill_process(Pid::from_child(&bench), signal).unwrap();
        assert!(!bench.wait().unwrap().success());
        let process = format!("/proc/{}", pid().trim());
        assert!(!Path::new(&process).exists(), "the device is still there");
    }
}
