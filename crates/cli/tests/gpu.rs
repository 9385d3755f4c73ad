//! The command on a GPU: these tests are skipped where there is none, unless `RONDO_TEST_GPU` is set.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

fn rondo(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(cargo_bin("rondo"));
    command.current_dir(folder).args(arguments.split(' ')).env_remove("RONDO_DEVICE");
    command.output().unwrap()
}

fn succeeds(folder: &Path, arguments: &str) -> String {
    let output = rondo(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The last line that a failing command prints.
fn failure(folder: &Path, arguments: &str) -> String {
    let output = rondo(folder, arguments);
    assert!(!output.status.success(), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Whether there is a GPU.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn has_gpu() -> bool {
    let devices: Value = serde_json::from_str(&succeeds(Path::new("."), "devices --json")).unwrap();
    let is_there = !devices["gpus"].as_array().unwrap().is_empty();
    assert!(is_there || std::env::var_os("RONDO_TEST_GPU").is_none(), "{devices}");
    if !is_there {
        eprintln!("skipped: no GPU was found");
    }
    is_there
}

/// Small enough for a GPU of software.
const SMALL: &str = "--hidden-size 16 --layers 1 --batch-size 8 --bptt 10 --max-steps 30 --epochs 1 --quiet";

#[test]
fn a_model_is_trained_and_used_on_a_gpu_and_goes_on_on_the_cpu() {
    if !has_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeeds(at, &format!("train --device gpu --out on-gpu {SMALL}"));
    succeeds(at, &format!("train --out on-cpu {SMALL}"));
    let loss = |arguments: &str| -> f64 {
        let found: Value = serde_json::from_str(&succeeds(at, arguments)).unwrap();
        found["perplexity"].as_f64().unwrap().ln()
    };
    let on_gpu = loss("eval --model on-gpu --split test --device gpu --json");
    let on_cpu = loss("eval --model on-gpu --split test --json");
    assert!((on_gpu - on_cpu).abs() < 1e-5, "{on_gpu} and {on_cpu}");
    let trained_on_cpu = loss("eval --model on-cpu --split test --json");
    assert!((on_gpu - trained_on_cpu).abs() < 1e-3, "{on_gpu} and {trained_on_cpu}");
    // The same tokens are drawn: from the same random numbers, and nearly the same probabilities.
    let text = |device: &str| {
        succeeds(at, &format!("generate --model on-gpu --tokens 30 --seed 1 --device {device}"))
    };
    assert_eq!(text("gpu").split_whitespace().next(), text("cpu").split_whitespace().next());
    succeeds(at, "train --resume --out on-gpu --device cpu --max-steps 40 --epochs 2 --quiet");
    let provenance = std::fs::read_to_string(at.join("on-gpu/provenance.json")).unwrap();
    let provenance: Value = serde_json::from_str(&provenance).unwrap();
    assert!(provenance["device"].as_str().unwrap().starts_with("gpu:0 ("), "{provenance}");
    assert!(provenance["resumptions"][0]["device"].as_str().unwrap().starts_with("cpu ("), "{provenance}");
}

#[test]
fn what_a_gpu_cannot_do_is_refused_in_one_line() {
    if !has_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = failure(
        folder.path(),
        &format!("train --device gpu --softmax adaptive:10,20 --tied false --out run {SMALL}"),
    );
    assert!(refused.contains("an adaptive softmax is not available on a GPU yet"), "{refused}");
    let refused = failure(folder.path(), &format!("train --device gpu:99 --out run {SMALL}"));
    assert!(refused.contains("there is no GPU 99"), "{refused}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn an_unknown_device_is_refused_and_auto_is_any() {
    let folder = tempfile::tempdir().unwrap();
    let refused = failure(folder.path(), "train --device cuda --out run");
    assert!(refused.contains("expected `cpu`, `gpu`, `gpu:N` or `auto`"), "{refused}");
    succeeds(folder.path(), &format!("train --device auto --out run {SMALL}"));
}
