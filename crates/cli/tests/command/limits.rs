//! Settings that no machine can satisfy: an error in one line, and nothing left behind.

use crate::sandbox::{Said, Sandbox};

/// Fails unless training with these flags is refused as wrong usage, in one line with these parts, before a folder is
/// created.
#[track_caller]
fn check_refused(flags: &[&str], expected: &[&str]) {
    let sandbox = Sandbox::with_text();
    let base = ["train", "--out", "run", "--data", "text.txt", "--batch-size", "4", "--bptt", "8"];
    check_said(&sandbox, &sandbox.run(&[&base, flags].concat()), expected);
}

#[track_caller]
fn check_said(sandbox: &Sandbox, said: &Said, expected: &[&str]) {
    assert_eq!(said.code, Some(2), "{said:?}");
    let errors: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", said.stderr);
    for part in expected {
        assert!(errors[0].contains(part), "{}, expected `{part}`", said.stderr);
    }
    assert_eq!(sandbox.names(), ["text.txt"]);
}

#[test]
fn a_model_larger_than_memory_is_refused_with_both_numbers() {
    check_refused(
        &["--hidden-size", "1000000"],
        &["the run needs about ", " TB of memory, but only ", " can be used (", "reduce `model.hidden_size`"],
    );
    check_refused(&["--hidden-size", "1000000000000000"], &["`hidden_sizes` and the other sizes give more"]);
    check_refused(&["--embedding-size", "10000000000"], &["reduce `model.embedding_size`"]);
}

#[test]
fn numbers_beyond_the_limits_are_refused_by_name() {
    check_refused(&["--layers", "1025"], &["`model.layers` must be from 1 to 1024, but is 1025"]);
    check_refused(&["--layers", "9223372036854775807"], &["`model.layers` must be from 1 to 1024"]);
    check_refused(&["--threads", "1025"], &["1024"]);
    check_refused(&["--epochs", "18446744073709551615"], &["`--epochs ", "at most 9223372036854775807"]);
    let sizes = vec!["1"; 1025];
    let flags = [&["--hidden-sizes"], sizes.as_slice()].concat();
    check_refused(&flags, &["`hidden_sizes` must have at most 1024 layers, but has 1025"]);
}

#[test]
fn sizes_of_other_commands_are_refused_too() {
    let sandbox = Sandbox::with_run();
    let largest = i64::MAX.to_string();
    for (command, expected) in [
        (&["generate", "--model", "run", "--beam", &largest, "--tokens", "30"][..], "reduce the beam size"),
        (
            &["generate", "--model", "run", "--threads", "1025"],
            "1025 threads are more than the maximum of 1024",
        ),
        (&["models", "--vocab-size", &largest], "`vocab_size` and the other sizes give more parameters"),
        (&["models", "awd_lstm_lm_600", "--vocab-size", &largest], "`vocab_size` and the other sizes"),
        (
            &["bench", "--workload", "W1", "--hidden-size", "1000000"],
            "reduce the sizes or the number of streams",
        ),
        (&["bench", "--workload", "W1", "--batch-size", "1048576", "--bptt", "1048576"], "reduce the sizes"),
        (&["bench", "--workload", "W1", "--layers", "1025"], "must have at most 1024 layers"),
        (&["bench", "--workload", "W1", "--streams", &largest], "or the number of streams"),
    ] {
        let said = sandbox.run(command);
        assert_eq!(said.code, Some(2), "{command:?}: {said:?}");
        assert!(said.stderr.contains(expected), "{command:?}: {}", said.stderr);
    }
    for command in [
        &["eval", "--model", "run", "--batch-size", &largest, "--bptt", &largest, "text.txt"][..],
        &["eval", "--model", "run", "--dynamic", "sgd", "--dynamic-bptt", &largest, "text.txt"],
        &["eval", "--model", "run", "--cache", &largest, "text.txt"],
        &["score", "--model", "run", "--batch-size", &largest, "text.txt"],
        &["complete", "--model", "run", "--top", &largest, "the"],
        &["neighbors", "run", "cat", "--top", &largest],
    ] {
        sandbox.run(command).success();
    }
}

#[test]
fn more_than_64_layers_are_trained() {
    let sandbox = Sandbox::with_text();
    let flags = ["--layers", "70", "--hidden-size", "4", "--batch-size", "2", "--bptt", "4", "--epochs", "1"];
    let more = ["--max-batches", "2", "--dropout-weights", "0.1", "--data", "text.txt"];
    sandbox.train(&[&flags[..], &more].concat()).success();
    let said = sandbox.run(&["generate", "--model", "run", "--tokens", "3", "--seed", "1"]);
    said.success();
}

/// The command with a limit on its address space, in kilobytes.
#[cfg(target_os = "linux")]
fn limited(sandbox: &Sandbox, kilobytes: usize, arguments: &[&str]) -> Said {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"")]);
    Said::from(sandbox.through(shell, arguments).output().unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_on_the_address_space_is_respected() {
    let sandbox = Sandbox::with_text();
    let train = |size: &str, kilobytes| {
        let flags = ["train", "--data", "text.txt", "--threads", "1", "--out", "run", "--hidden-size", size];
        limited(
            &sandbox,
            kilobytes,
            &[&flags[..], &["--batch-size", "4", "--max-batches", "1", "--epochs", "1"]].concat(),
        )
    };
    check_said(
        &sandbox,
        &train("2000", 400_000),
        &["the run needs about ", " can be used (`ulimit -v`): reduce "],
    );
    train("16", 400_000).success();
}

#[test]
#[cfg(target_os = "linux")]
fn a_model_file_larger_than_memory_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("large.safetensors", "");
    // A file of no content, which takes no space on the disk.
    let file = std::fs::File::options().write(true).open(sandbox.path("large.safetensors")).unwrap();
    file.set_len(1 << 40).unwrap();
    let said = limited(&sandbox, 400_000, &["models", "large.safetensors"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("needs about 1.1 TB of memory, but only "), "{}", said.stderr);
}

/// Tokens are printed one by one: a line of a million characters takes no more than some tens of megabytes.
#[test]
#[cfg(target_os = "linux")]
fn a_long_line_needs_little_memory() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "1", "--hidden-size", "4"];
    sandbox.train(&flags).success();
    let line = "the cat sat on a mat . ".repeat(1_000_000 / 23);
    sandbox.write("long.txt", &line);
    let score = ["score", "-m", "run", "long.txt", "--threads", "1", "--json", "--per-token"];
    let said = limited(&sandbox, 150_000, &score);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["log_probs"].as_array().unwrap().len(), line.len() + 1);
}
