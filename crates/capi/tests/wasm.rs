//! The example in WebAssembly scores lines as the library does.
//!
//! `RONDO_TEST_WASM` is the library that `cargo build --package rondo-capi --target wasm32-unknown-unknown` has made; the
//! test needs Node.js, and is skipped without the variable.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test fails by panicking, and says that it is skipped.

mod model;

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn web_assembly_scores_as_the_library_does() {
    let Some(library) = std::env::var_os("RONDO_TEST_WASM") else {
        eprintln!("skipped: RONDO_TEST_WASM is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = model::saved(folder.path());
    let lines = ["the cat sat on the mat", "", "a cat a cat a cat", "the zebra sat"];
    let run = |path: &std::path::Path| {
        let mut node = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/score.mjs"))
            .args([library.as_os_str(), path.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // If the program ends without reading, its error says why.
        let _ = node.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes());
        let output = node.wait_with_output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };

    let (scores, errors) = run(&path);
    assert_eq!((scores.lines().count(), &*errors), (lines.len(), ""));
    for (scored, line) in scores.lines().zip(model.score(&lines).unwrap()) {
        let (log_prob, tokens) = scored.split_once('\t').unwrap();
        let difference = log_prob.parse::<f64>().unwrap() - line.score.log_prob_sum;
        assert!(difference.abs() < 1e-5, "{scored}, expected {}", line.score.log_prob_sum);
        assert_eq!(tokens.parse::<usize>().unwrap(), line.line.ids.len());
    }

    let damaged = folder.path().join("damaged.safetensors");
    std::fs::write(&damaged, &std::fs::read(&path).unwrap()[..1000]).unwrap();
    let (scores, errors) = run(&damaged);
    assert!(scores.is_empty() && errors.starts_with("error: could not load model"), "{errors}");
}
