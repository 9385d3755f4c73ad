//! On Windows, a file that another program has open is waited for, and does not end a run if it is only to be removed.

#![cfg(windows)] // Other systems replace and remove files that are open.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs::{self, File, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rondo_runs::metrics::{MetricsLog, Record};
use rondo_runs::{CheckpointWriter, RunFolder, write_atomically};

/// Opens a file as most programs do: others may read and write it, but not rename or remove it.
fn in_use(path: &Path) -> File {
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    OpenOptions::new().read(true).share_mode(READ | WRITE).open(path).unwrap()
}

#[test]
fn a_file_that_is_read_for_a_moment_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    fs::write(&path, "old").unwrap();
    let reader = in_use(&path);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(reader);
    });
    write_atomically(&path, |to| to.write_all(b"new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_stays_open_is_an_error_and_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    fs::write(&path, "old").unwrap();
    let _reader = in_use(&path);
    let error = write_atomically(&path, |to| to.write_all(b"new")).unwrap_err().to_string();
    assert_eq!(error, format!("could not write `{}`", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_checkpoint_that_is_read_is_removed_later() {
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
    let mut writer = CheckpointWriter::open(&folder).unwrap();
    let mut write = || writer.write(|to| to.write_all(b"content")).unwrap();
    write();
    let reader = in_use(&folder.checkpoints().unwrap()[0]);
    write();
    write();
    assert_eq!(folder.checkpoints().unwrap().len(), 3);
    drop(reader);
    write();
    assert_eq!(folder.checkpoints().unwrap().len(), 2);
}

#[test]
fn an_event_file_that_is_read_does_not_keep_a_run_from_resuming() {
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
    let mut log = MetricsLog::create(&folder, 1e9).unwrap();
    log.write(&Record { epoch: 1, step: 1, ..Record::default() }).unwrap();
    let content = log.content().unwrap();
    drop(log);
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_event_file = |path: &std::path::PathBuf| path.to_string_lossy().contains("tfevents");
    let events: Vec<_> = files.filter(is_event_file).collect();
    let _tensorboard = in_use(&events[0]);
    drop(MetricsLog::resume(&folder, &content, 1e9).unwrap());
    assert!(events[0].exists());
    assert_eq!(fs::read(folder.metrics()).unwrap(), content);
}
