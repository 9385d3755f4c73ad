//! What scripts rely on: exit codes, ignored hang-ups, a stdout that is full or closed, and data as they are.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::interruption::{signaled, signaled_at};
use crate::sandbox::{Said, Sandbox, TINY};

/// Commands that print, with and without a model.
const PRINTING: [&[&str]; 12] = [
    &["--help"],
    &["--version"],
    &["train", "--help-all"],
    &["train", "--version"],
    &["help", "eval"],
    &["completions", "zsh"],
    &["recipes"],
    &["recipes", "--json"],
    &["datasets"],
    &["models"],
    &["runs", "run"],
    &["score", "-m", "run", "text.txt"],
];

/// A shell that runs `script`, in which `"$@"` is the command.
fn in_shell(sandbox: &Sandbox, script: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    sandbox.through(shell, arguments)
}

/// Fails unless all commands name stdout, with this cause and the exit code of the environment.
#[track_caller]
fn check_refused(redirection: &str, cause: &str) {
    let sandbox = Sandbox::with_run();
    for arguments in PRINTING {
        let command = format!("exec \"$@\" {redirection}");
        let said = Said::from(in_shell(&sandbox, &command, arguments).output().unwrap());
        let expected = format!("error: could not write to stdout\n  cause: {cause}\n");
        assert_eq!((said.code, said.stderr.as_str()), (Some(3), &*expected), "{arguments:?}");
    }
}

#[test]
fn a_full_stdout_is_an_error_that_names_it() {
    check_refused("> /dev/full", "No space left on device (os error 28)");
}

#[test]
fn a_closed_stdout_is_an_error_that_names_it() {
    check_refused(">&-", "Bad file descriptor (os error 9)");
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let sandbox = Sandbox::with_run();
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sandbox.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = Said::from(output);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_run_is_saved_even_if_its_result_cannot_be_printed() {
    let sandbox = Sandbox::with_text();
    let flags = [&["train", "-q", "--data", "text.txt", "--out", "run", "--epochs", "1"][..], &TINY].concat();
    let mut command = sandbox.command(&flags);
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stdout(full).stderr(Stdio::null()).status().unwrap().code(), Some(3));
    sandbox.run(&["models", "run/best.safetensors"]).success();
}

#[test]
fn the_version_is_printed_after_a_subcommand_too() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(&["--version"]).success();
    assert!(version.starts_with("rondo "), "{version}");
    for arguments in
        [&["train", "--version"][..], &["recipes", "show", "-V"], &["eval", "-m", "x", "--version"]]
    {
        assert_eq!(sandbox.run(arguments).success(), version);
    }
}

/// Whether the tests themselves are run under `nohup`. Shells cannot undo that.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

/// The flags of a run of so many epochs that prints each batch.
fn training(epochs: &str) -> Vec<&str> {
    let flags = ["train", "--data", "text.txt", "--out", "run", "--log-every", "1", "--epochs", epochs];
    [&flags[..], &TINY].concat()
}

#[test]
fn a_hangup_that_the_parent_ignores_stays_ignored() {
    for starter in ["exec \"$@\"", "exec setsid \"$@\"", "exec nohup \"$@\""] {
        let sandbox = Sandbox::with_text();
        let command = in_shell(&sandbox, &format!("trap '' HUP; {starter}"), &training("30"));
        let said = signaled(command, "epoch 3/", &["-HUP"]);
        assert!(!said.stderr.contains("interrupted"), "{starter}: {}", said.stderr);
        assert!(said.success().contains("\nbest   epoch "), "{starter}");
    }
}

#[test]
fn a_hangup_that_is_not_ignored_stops_and_saves_a_run() {
    if ignores_hangups() {
        eprintln!("skipped: the tests are run with hang-ups ignored");
        return;
    }
    let sandbox = Sandbox::with_text();
    // A terminal that closes sends it twice.
    let said = signaled_at(&sandbox, &training("1000000"), "epoch 3/", &["-HUP", "-HUP"]);
    assert_eq!(said.code, Some(129), "{}", said.stderr);
    assert!(said.stdout.contains("\nbest   epoch "), "{}", said.stdout);
}

/// Runs a shell command on a terminal and returns the bytes that the terminal receives on stdout.
fn on_a_terminal(sandbox: &Sandbox, command: &str) -> Vec<u8> {
    let rondo = env!("CARGO_BIN_EXE_rondo");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{rondo} {command} 2> /dev/null"), "/dev/null"]);
    sandbox.prepared(script).output().unwrap().stdout
}

#[test]
fn control_characters_of_a_text_reach_files_but_no_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt", "a\u{1b}[31mb\u{9b}1m\u{7}c\n".repeat(100));
    let flags =
        ["train", "-q", "--tokenizer", "chars", "--data", "text.txt", "--out", "run", "--epochs", "1"];
    sandbox.run(&[&flags[..], &TINY].concat()).success();
    let generate = ["generate", "-m", "run", "--tokens", "1", "--seed", "1", "--prefix"];
    let prefix = "\u{1b}[31m\u{9b}1m\u{7}";
    let piped = sandbox.run(&[&generate[..], &[prefix]].concat()).success();
    assert!(piped.starts_with(prefix), "{piped:?}");

    let received = on_a_terminal(&sandbox, &format!("{} '{prefix}'", generate.join(" ")));
    let received = String::from_utf8(received).unwrap();
    assert!(received.starts_with("\\u{1b}[31m\\u{9b}1m\\u{7}"), "{received:?}");
    // The terminal itself adds carriage returns.
    let controls = received.chars().filter(|char| char.is_control() && !matches!(char, '\r' | '\n'));
    assert_eq!(controls.count(), 0, "{received:?}");

    // Samples of a run are printed to stderr.
    let said =
        sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2", "--sample-prefix", "a\u{1b}["]);
    let sample = said.stderr.lines().find(|line| line.starts_with("  sample ")).unwrap_or_default();
    assert!(sample.contains("a\\u{1b}["), "{}", said.stderr);
    assert!(!said.stderr.contains('\u{1b}'));
}
