//! Ctrl-C: what there is is saved.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::sandbox::{Said, Sandbox, TINY};

/// Starts the command, sends it signals when it prints a line with `sign`, and returns what it said.
pub(crate) fn signaled_at(sandbox: &Sandbox, arguments: &[&str], sign: &str, signals: &[&str]) -> Said {
    signaled(sandbox.command(arguments), sign, signals)
}

/// The same for any command, such as a shell that becomes the command.
pub(crate) fn signaled(mut command: Command, sign: &str, signals: &[&str]) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    while !stderr.lines().next_back().unwrap_or_default().contains(sign) {
        assert!(lines.read_line(&mut stderr).unwrap() > 0, "no `{sign}` in:\n{stderr}");
    }
    for (number, signal) in signals.iter().enumerate() {
        let killed = Command::new("kill").args([signal, &*child.id().to_string()]).status().unwrap();
        // By the second it may have ended already.
        assert!(killed.success() || number > 0);
    }
    lines.read_to_string(&mut stderr).unwrap();
    let output = child.wait_with_output().unwrap();
    Said { stdout: String::from_utf8(output.stdout).unwrap(), stderr, code: output.status.code() }
}

/// Trains without end, interrupts the run when it prints a line with `sign`, and returns what it said.
fn interrupted_at(sandbox: &Sandbox, sign: &str) -> Said {
    let endless = ["train", "--data", "text.txt", "--out", "run", "--epochs", "1000000", "--log-every", "1"];
    signaled_at(sandbox, &[&endless[..], &TINY].concat(), sign, &["-INT"])
}

#[test]
fn an_interrupted_run_keeps_its_best_model() {
    let sandbox = Sandbox::with_text();
    let said = interrupted_at(&sandbox, "epoch 3/");
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(said.stderr.contains("\ninterrupted in epoch "), "{}", said.stderr);
    assert!(
        said.stdout.contains("\nbest   epoch ") && said.stdout.contains("\ntest   loss "),
        "{}",
        said.stdout
    );
    let evaluated = sandbox.run(&["eval", "-m", "run", "--split", "valid", "--json"]).json();
    let loss = format!("valid  loss {:.4},", evaluated["loss"].as_f64().unwrap());
    assert!(said.stdout.contains(&loss), "{loss} in {}", said.stdout);
}

#[test]
fn a_run_interrupted_in_its_first_epoch_has_a_model_all_the_same() {
    let sandbox = Sandbox::with_text();
    let said = interrupted_at(&sandbox, "batch 2/");
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    sandbox.run(&["models", "run/best.safetensors"]).success();
    sandbox.run(&["models", "run/last.safetensors"]).success();
}
