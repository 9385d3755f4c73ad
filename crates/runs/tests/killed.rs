//! A process that is killed while it writes leaves no partial file in a run's folder for long.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rondo_runs::{RunFolder, write_atomically};

/// Set for the process that is killed: the file it writes.
const TARGET: &str = "RONDO_TEST_TARGET";

/// Runs in the process that is killed; does nothing in the test's own process.
#[test]
fn dies_while_it_writes() {
    if let Some(target) = env::var_os(TARGET) {
        let _ = write_atomically(Path::new(&target), |to| {
            to.write_all(b"half of the")?;
            to.flush()?;
            std::process::abort()
        });
    }
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn the_next_lock_removes_what_a_killed_process_left() {
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path().join("run"), "plan").unwrap();
    fs::write(folder.vocab(), "old").unwrap();
    for target in [folder.vocab(), folder.plan(), folder.best_model()] {
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "dies_while_it_writes", "--nocapture"])
            .env(TARGET, &target)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success());
        let partial: Vec<String> =
            names(folder.path()).into_iter().filter(|name| name.ends_with(".partial")).collect();
        assert_eq!(partial.len(), 1, "the file that was being written is there: {:?}", names(folder.path()));
        drop(folder.lock().unwrap());
        assert_eq!(names(folder.path()), [".lock", "plan.toml", "vocab.json"]);
    }
    assert_eq!(fs::read_to_string(folder.vocab()).unwrap(), "old");
    assert_eq!(fs::read_to_string(folder.plan()).unwrap(), "plan");
}
