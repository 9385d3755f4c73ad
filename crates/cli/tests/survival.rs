//! Kills the real command at random moments, resumes it each time, and holds the end against an undisturbed run.
//!
//! `RONDO_KILLS` says how often to kill it, 100 times unless told. What it came to is printed:
//! `cargo test -p rondo-cli --test survival -- --nocapture`.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Runs that keep much that must not be lost: moments, an average, the best weights, shuffled and random batches.
const RUNS: [&[&str]; 3] = [
    &["--optimizer", "adam", "--learning-rate", "0.01", "--reload-best", "--batch-order", "shuffled"],
    &[
        "--optimizer",
        "sgd",
        "--momentum",
        "0.5",
        "--learning-rate",
        "2",
        "--averaging",
        "asgd",
        "--averaging-after",
        "2",
    ],
    &[
        "--cell",
        "gru",
        "--optimizer",
        "adamw",
        "--learning-rate",
        "0.01",
        "--variable-bptt",
        "--dropout-weights",
        "0.2",
    ],
];

const FLAGS: [&str; 18] = [
    "--data",
    "text.txt",
    "--hidden-size",
    "48",
    "--layers",
    "2",
    "--batch-size",
    "4",
    "--bptt",
    "9",
    "--epochs",
    "8",
    "--log-every",
    "5",
    "--checkpoint-every",
    "6steps",
    "--threads",
    "1",
];

/// The command in `folder`, with the same numbers on every processor.
fn rondo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rondo"));
    command.args(arguments).current_dir(folder).env("RONDO_CPU", "portable");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// All that a run leaves but what a clock said: its records, its models, its vocabulary.
fn outcome(run: &Path) -> (Vec<serde_json::Value>, Vec<Vec<u8>>) {
    let timeless = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_s"));
        record
    };
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let files = ["best.safetensors", "last.safetensors", "vocab.json"];
    (metrics.lines().map(timeless).collect(), files.map(|name| fs::read(run.join(name)).unwrap()).to_vec())
}

fn holds(folder: &Path, is: impl Fn(&str) -> bool) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.flatten().any(|file| is(&file.file_name().to_string_lossy()))
}

#[test]
fn a_run_survives_being_killed_at_any_moment() {
    let kills: usize = std::env::var("RONDO_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sentences =
        ["the cat sat on the mat .", "a dog sat on a mat .", "the dog saw a cat .", "a cat saw the dog ."];
    let text: String = sentences.iter().cycle().take(300).map(|sentence| format!("{sentence}\n")).collect();
    fs::write(folder.join("text.txt"), text).unwrap();
    let begun = Instant::now();
    let mut expected = vec![];
    let mut undisturbed_s = 0.0_f64;
    for (number, flags) in RUNS.iter().enumerate() {
        let name = format!("whole-{number}");
        let started = Instant::now();
        let said = rondo(folder, &[&["train", "--out", &name][..], &FLAGS, flags].concat()).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        undisturbed_s = undisturbed_s.max(started.elapsed().as_secs_f64());
        expected.push(outcome(&folder.join(name)));
    }

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut killed, mut in_writes, mut before_checkpoints, mut ends) = (0, 0, 0, 0);
    while killed < kills {
        let which = ends % RUNS.len();
        let run = folder.join(format!("run-{ends}"));
        let out = run.file_name().unwrap().to_str().unwrap();
        loop {
            let begin = [&["train", "--out", out][..], &FLAGS, RUNS[which]].concat();
            let resume = ["train", "--resume", "--out", out];
            let arguments = if run.join("plan.toml").exists() { &resume[..] } else { &begin };
            let mut child = rondo(folder, arguments).spawn().unwrap();
            let moment = Duration::from_secs_f64(rng.random_range(0.0..0.4 * undisturbed_s));
            let deadline = Instant::now() + moment;
            while killed < kills && Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            if killed == kills || child.try_wait().unwrap().is_some() {
                let said = child.wait_with_output().unwrap();
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                break;
            }
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap();
            if !said.status.success() {
                killed += 1;
                in_writes += usize::from(holds(&run, |name| name.ends_with(".partial")));
                before_checkpoints += usize::from(!holds(&run, |name| name.starts_with("checkpoint-")));
            }
        }
        assert!(
            outcome(&run) == expected[which],
            "{}: another end than the undisturbed run's",
            run.display()
        );
        assert!(!holds(&run, |name| name.ends_with(".partial")));
        ends += 1;
    }
    println!(
        "{killed} kills, {killed} exact resumes: {ends} runs ended exactly like the undisturbed run, in every bit; \
         {in_writes} kills in the middle of writing a file, {before_checkpoints} before the first checkpoint; {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}
