//! The command in several processes, which `mpirun` starts: they give what one process gives, and none of them hangs when
//! another one fails.

#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const RONDO: &str = env!("CARGO_BIN_EXE_rondo");

/// A small model and a text that takes some seconds.
const TRAIN: &[&str] = &[
    "train",
    "--hidden-size",
    "48",
    "--layers",
    "1",
    "--batch-size",
    "8",
    "--bptt",
    "10",
    "--epochs",
    "2",
    "--max-batches",
    "150",
    "--log-every",
    "1",
    "--threads",
    "1",
];

/// The command in `size` processes; one is started without `mpirun`.
fn rondo(size: usize, folder: &Path) -> Command {
    let mut command = if size == 1 { Command::new(RONDO) } else { Command::new("mpirun") };
    if size > 1 {
        command.args(["--oversubscribe", "-n", &size.to_string(), RONDO]);
    }
    command.current_dir(folder).env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command
}

fn run(size: usize, folder: &Path, args: &[&str]) -> Output {
    rondo(size, folder).args(args).output().expect("`mpirun` starts")
}

#[track_caller]
fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The training losses of a run, batch by batch.
fn losses(run: &Path) -> Vec<f64> {
    let records = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    records.lines().filter_map(|line| record(line)["interval_loss"].as_f64()).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        // Five significant digits in the first 100 steps; rounding errors grow from step to step.
        let tolerance = if at < 100 { 1e-5 } else { 1e-2 };
        assert!((found - expected).abs() < tolerance * expected, "{at}: {found}, expected {expected}");
    }
}

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn processes_train_evaluate_and_score_as_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(&run(1, folder, &with(TRAIN, &["--out", "one"])));
    let expected = losses(&folder.join("one"));
    assert_eq!(expected.len(), 300);
    for (size, out, softmax) in [(2, "two", "full"), (4, "four", "full"), (2, "sampled", "sampled:20")] {
        let stdout = succeed(&run(size, folder, &with(TRAIN, &["--out", out, "--softmax", softmax])));
        assert_eq!(stdout.matches("test").count().min(1), 1, "one process prints: {stdout}");
        if softmax == "full" {
            assert_close(&losses(&folder.join(out)), &expected);
        }
    }
    let provenance: Value =
        serde_json::from_slice(&fs::read(folder.join("four/provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["processes"], 4);

    // Some lines of the training text are enough.
    let lines: String = (0..500).map(|i| format!("the cat saw dog {i} and the bird\n")).collect();
    fs::write(folder.join("text.txt"), lines).unwrap();
    let eval = ["eval", "--model", "one", "--quiet", "--json", "--threads", "1", "text.txt"];
    let number = |text: &str, key: &str| serde_json::from_str::<Value>(text).unwrap()[key].as_f64().unwrap();
    let one = succeed(&run(1, folder, &eval));
    for size in [2, 4] {
        let several = succeed(&run(size, folder, &eval));
        for key in ["loss", "tokens"] {
            let (found, expected) = (number(&several, key), number(&one, key));
            assert!((found - expected).abs() < 1e-6 * expected, "{key}: {found}, expected {expected}");
        }
    }
    let score = ["score", "--model", "one", "--threads", "1", "--batch-size", "7", "text.txt", "text.txt"];
    let one = succeed(&run(1, folder, &score));
    for size in [2, 3] {
        assert!(succeed(&run(size, folder, &score)) == one, "{size} processes");
    }
    let summary = with(&score, &["--summary", "--json"]);
    assert_eq!(
        number(&succeed(&run(3, folder, &summary)), "tokens"),
        number(&succeed(&run(1, folder, &summary)), "tokens")
    );
}

#[test]
fn what_one_process_does_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            &["generate", "--model", "none"][..],
            "error: `rondo generate` runs in one process, but 2 have been started\n   hint: start it without `mpirun`; `train`, `eval` and `score` run in several processes\n",
        ),
        (
            &["score", "--model", "none"],
            "error: `-` works in one process only, but several have been started\n   hint: save the text to a file that all processes can read\n",
        ),
        (
            &["train", "--data", "-"],
            "error: `-` can be read by one process only: save the text to a file that all processes can read\n",
        ),
        (
            &["train", "--batch-size", "1"],
            "error: a batch of 1 sequences cannot be divided among 2 processes in 1 parts each: increase `training.batch_size`, or reduce `training.accumulate` or the number of processes\n",
        ),
    ] {
        let output = run(2, folder.path(), args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}");
        // The same error of another process is not repeated.
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    }
}

/// Starts a run in two processes, which `mpirun` lets save for some seconds, and waits for its first checkpoint. Its batches are slow enough to be interrupted.
fn started(folder: &Path, out: &str, patience_s: u32, more: &[&str]) -> std::process::Child {
    let args = with(TRAIN, &["--out", out, "--checkpoint-every", "20steps", "--hidden-size", "128"]);
    let args = with(&args, more);
    let mut command = rondo(2, folder);
    command.env("OMPI_MCA_odls_base_sigkill_timeout", patience_s.to_string());
    let child = command.args(args).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.join(out).is_dir()
        || !fs::read_dir(folder.join(out))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("checkpoint-"))
    {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
        thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Sends a signal, by the shell, which every system has.
fn signal(name: &str, process: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap().success());
}

/// The process ids of the ranks of a job.
fn ranks_of(mpirun: u32) -> Vec<String> {
    let children = format!("/proc/{mpirun}/task/{mpirun}/children");
    fs::read_to_string(children).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_killed_process_ends_the_job_and_the_run_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(&run(2, folder, &with(TRAIN, &["--out", "whole", "--hidden-size", "128"])));
    let child = started(folder, "killed", 1, &[]);
    let ranks = ranks_of(child.id());
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    let begun = Instant::now();
    signal("KILL", &ranks[1]);
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("signal 9"), "{output:?}");
    succeed(&run(2, folder, &["train", "--resume", "--out", "killed"]));
    assert_eq!(losses(&folder.join("killed")), losses(&folder.join("whole")));
    for file in ["best.safetensors", "last.safetensors"] {
        let [found, expected] = ["killed", "whole"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(found == expected, "{file}");
    }
}

#[test]
fn a_terminated_job_saves_once_and_resumes_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let child = started(folder, "stopped", 4, &["--epochs", "100", "--max-batches", "0", "--log-every", "0"]);
    signal("TERM", &child.id().to_string());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{stderr}");
    assert_eq!(stderr.matches("interrupted").count(), 1, "{stderr}");
    let summary = fs::read(folder.join("stopped/summary.json")).unwrap();
    let steps = serde_json::from_slice::<Value>(&summary).unwrap()["steps"].as_u64().unwrap();
    let (resume, most) = (["train", "--resume", "--out", "stopped", "--json"], (steps + 20).to_string());
    let result = succeed(&run(1, folder, &with(&resume, &["--max-steps", &most])));
    assert_eq!(serde_json::from_str::<Value>(&result).unwrap()["steps"], steps + 20);
}
