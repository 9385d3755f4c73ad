//! What the world does to a run: full and read-only disks, failing writes, a second process.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::interruption::signaled_at;
use crate::resume::outcome;
use crate::sandbox::{Said, Sandbox, TINY, checkpoints};

const LOGGED: [&str; 8] =
    ["--data", "text.txt", "--epochs", "12", "--log-every", "1", "--checkpoint-every", "20steps"];

/// The same run with nothing in its way, and how large a checkpoint in the middle of it is.
fn undisturbed(sandbox: &Sandbox) -> u64 {
    let whole = [&["train", "--threads", "1", "-q", "--out", "whole"][..], &LOGGED, &TINY].concat();
    sandbox.run(&whole).success();
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    let last = checkpoints(&sandbox.path("whole")).pop().unwrap();
    // Only its records grow.
    size(&last) - size(&sandbox.path("whole/metrics.jsonl")) / 2
}

#[track_caller]
fn check_stopped(said: &Said, cause: &str) {
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    let error = &said.stderr[said.stderr.find("error: ").unwrap()..];
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("error: the run in `") && lines[0].ends_with("` has stopped"), "{error}");
    assert!(lines[1].starts_with("  cause: could not write `"), "{error}");
    assert!(lines[2].starts_with(&format!("  cause: {cause}")), "{error}");
    assert!(lines[3].starts_with("   hint: after fixing this, `rondo train --resume --out "), "{error}");
    assert!(lines[3].contains("` resumes from step "), "{error}");
}

#[test]
fn a_write_that_fails_in_the_middle_leaves_the_checkpoints_before_it() {
    let sandbox = Sandbox::with_text();
    let blocks = undisturbed(&sandbox) / 512;
    // The shell sees to it that no file grows beyond the limit; the write that would is an error then.
    let train = [&["train", "--threads", "1", "--out", "run"][..], &LOGGED, &TINY].concat();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    let said = Said::from(sandbox.through(command, &train).output().unwrap());
    check_stopped(&said, "File too large");
    assert_eq!(checkpoints(&sandbox.path("run")).len(), 2);
    let names = fs::read_dir(sandbox.path("run")).unwrap().map(|file| file.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".partial")));

    sandbox.run(&["train", "-q", "--resume", "--out", "run"]).success();
    assert!(outcome(&sandbox.path("run")) == outcome(&sandbox.path("whole")));
}

/// A file system of its own, gone with the value.
struct Disk(PathBuf);

impl Disk {
    /// Of so many bytes; none where that is not allowed.
    fn new(path: PathBuf, bytes: u64) -> Option<Disk> {
        fs::create_dir(&path).unwrap();
        let disk = Disk(path);
        disk.mount(&format!("size={bytes}")).then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_full_disk_ends_a_run_and_with_room_it_goes_on() {
    let sandbox = Sandbox::with_text();
    undisturbed(&sandbox);
    let files =
        fs::read_dir(sandbox.path("whole")).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    // What the whole run leaves has room, but not a third checkpoint on its way beside the other two.
    let room: u64 = files.map(|bytes| bytes.next_multiple_of(4096)).sum();
    let Some(disk) = Disk::new(sandbox.path("disk"), 4 * room) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    fs::write(sandbox.path("disk/hog"), vec![0; 3 * room as usize]).unwrap();
    let train = [&["train", "--threads", "1", "--out", "disk/run"][..], &LOGGED, &TINY].concat();
    let said = sandbox.run(&train);
    check_stopped(&said, "No space left on device");
    fs::remove_file(sandbox.path("disk/hog")).unwrap();
    sandbox.run(&["train", "-q", "--resume", "--out", "disk/run"]).success();
    assert!(outcome(&sandbox.path("disk/run")) == outcome(&sandbox.path("whole")));
    drop(disk);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_and_nothing_is_changed() {
    let sandbox = Sandbox::with_text();
    let Some(disk) = Disk::new(sandbox.path("disk"), 10_000_000) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    sandbox
        .run(
            &[&["train", "-q", "--out", "disk/run", "--data", "text.txt", "--epochs", "1"][..], &TINY]
                .concat(),
        )
        .success();
    let before = outcome(&sandbox.path("disk/run"));
    assert!(disk.mount("remount,ro"));
    let said = sandbox.run(&["train", "--resume", "--out", "disk/run", "--epochs", "2"]);
    assert_eq!(said.code, Some(3));
    assert_eq!(
        said.stderr,
        "error: could not open `disk/run/.lock`\n  cause: Read-only file system (os error 30)\n"
    );
    let said = sandbox.run(&[&["train", "--out", "disk/other", "--data", "text.txt"][..], &TINY].concat());
    assert_eq!(
        said.stderr,
        "error: could not create `disk/other`\n  cause: Read-only file system (os error 30)\n"
    );
    assert!(outcome(&sandbox.path("disk/run")) == before);
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let sandbox = Sandbox::with_text();
    let endless = ["train", "-q", "--data", "text.txt", "--out", "run", "--epochs", "1000000"];
    let mut first = sandbox.command(&[&endless[..], &TINY].concat());
    let mut first = first.stdout(Stdio::null()).spawn().unwrap();
    let run = sandbox.path("run");
    while !run.exists() || checkpoints(&run).is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = sandbox.run(&["train", "--resume", "--out", "run"]);
    assert_eq!(said.code, Some(3));
    assert_eq!(
        said.stderr,
        format!("error: `run` is in use by another process (process id {})\n", first.id())
    );
    first.kill().unwrap();
    first.wait().unwrap();
    // A process that was killed has nothing any more.
    let said = signaled_at(&sandbox, &["train", "--resume", "--out", "run"], "resumed  at epoch ", &["-INT"]);
    assert_eq!(said.code, Some(130), "{}", said.stderr);
}

/// A clock that is an hour earlier each time it is asked for the time of day.
const JUMPING_CLOCK: &str = "
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <time.h>
    int clock_gettime(clockid_t id, struct timespec *time) {
        static int (*real)(clockid_t, struct timespec *);
        static int asked;
        if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, \"clock_gettime\");
        int result = real(id, time);
        if (id == CLOCK_REALTIME) time->tv_sec -= 3600 * ++asked;
        return result;
    }
";

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let sandbox = Sandbox::with_text();
    undisturbed(&sandbox);
    sandbox.write("clock.c", JUMPING_CLOCK);
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(sandbox.path("clock.so")).arg(sandbox.path("clock.c"));
    if !compile.arg("-ldl").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler here");
        return;
    }
    for arguments in [&["--out", "run", "--epochs", "5"][..], &["--out", "run", "--epochs", "12", "--resume"]]
    {
        let resumes = arguments.contains(&"--resume");
        let settings = if resumes { vec![] } else { [&LOGGED[..2], &LOGGED[4..], &TINY].concat() };
        let mut command = sandbox.command(&[&["train", "--threads", "1"], arguments, &settings].concat());
        let said = Said::from(command.env("LD_PRELOAD", sandbox.path("clock.so")).output().unwrap());
        said.success();
    }
    assert!(outcome(&sandbox.path("run")) == outcome(&sandbox.path("whole")));
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    let elapsed = metrics.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["elapsed_s"].as_f64().unwrap()
    });
    let elapsed: Vec<f64> = elapsed.collect();
    assert!(elapsed.is_sorted() && elapsed[0] >= 0.0 && elapsed.last().unwrap() < &600.0, "{elapsed:?}");
    // It did jump: the two beginnings lie hours apart.
    let provenance = fs::read_to_string(sandbox.path("run/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(provenance["started_unix_s"].as_f64().unwrap() < now - 3000.0);
}
