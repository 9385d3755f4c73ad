//! What goes wrong: one clear error, an exit code, and nothing half-written.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::{fs, thread};

use crate::sandbox::{Said, Sandbox, TINY, filters, text};

/// Fails unless training with these flags is refused without a trace.
#[track_caller]
fn check_refused(sandbox: &Sandbox, flags: &[&str], code: i32) -> String {
    let before = sandbox.names();
    let said = sandbox.train(flags);
    assert_eq!((said.code, said.stdout.as_str()), (Some(code), ""), "{}", said.stderr);
    assert_eq!(sandbox.names(), before, "nothing may be left behind");
    said.stderr
}

#[test]
fn a_missing_folder() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    insta::assert_snapshot!(check_refused(&sandbox, &["--data", "nowhere"], 1));
    insta::assert_snapshot!(check_refused(&sandbox, &["--data", "wikitext2"], 1));
}

#[test]
fn texts_that_are_none() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    sandbox.write("empty.txt", "");
    sandbox.write("binary.txt", [b"text\n\0\xff".as_slice(), &[0; 100]].concat());
    sandbox.write("latin.txt", b"caf\xe9\n");
    sandbox.write("folder/notes.md", "no text\n");
    for data in ["empty.txt", "binary.txt", "latin.txt", "folder"] {
        insta::assert_snapshot!(format!("no_text_{data}"), check_refused(&sandbox, &["--data", data], 1));
    }
}

#[test]
fn a_corpus_shorter_than_one_batch_names_what_would_fit() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    sandbox.write("text.txt", text(40));
    insta::assert_snapshot!(check_refused(
        &sandbox,
        &["--data", "text.txt", "--batch-size", "10", "--bptt", "50"],
        1
    ));
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let sandbox = Sandbox::new();
    sandbox.write("mine.toml", "[model]\nhiden_size = 3\n");
    for (name, flags) in [
        ("recipe", &["--recipe", "wikitext-standard-200"][..]),
        ("flag", &["--hiden-size", "3"]),
        ("value", &["--cell", "ltsm"]),
        ("key", &["--recipe", "mine.toml"]),
        ("corpus", &["--corpus", "sherlock"]),
        ("preset", &["--preset", "standard_lstm_lm_20"]),
        ("number", &["--layers", "two"]),
    ] {
        insta::assert_snapshot!(format!("unknown_{name}"), check_refused(&sandbox, flags, 2));
    }
    for (theirs, ours) in [("--lr", "learning-rate"), ("--nhid", "hidden-size"), ("--bptt-len", "bptt")] {
        let said = check_refused(&sandbox, &[theirs, "3"], 2);
        assert!(said.ends_with(&format!("   hint: Rondo calls it `--{ours}`\n")), "{said}");
    }
    let said = sandbox.run(&["trian"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!("unknown_command", said.stderr);
}

#[test]
fn settings_that_make_no_sense() {
    let sandbox = Sandbox::new();
    for (name, flags) in [
        ("zero", &["--batch-size", "0"][..]),
        ("negative", &["--dropout", "-1"]),
        ("without_effect", &["--momentum", "0.9"]),
        ("contradiction", &["--recipe", "ptb-rnn", "--plan", "run"]),
    ] {
        insta::assert_snapshot!(format!("senseless_{name}"), check_refused(&sandbox, flags, 2));
    }
}

#[test]
fn a_folder_that_holds_a_run_is_left_alone() {
    let sandbox = Sandbox::with_run();
    let before = fs::read(sandbox.path("run/metrics.jsonl")).unwrap();
    insta::assert_snapshot!(check_refused(&sandbox, &[&["--data", "text.txt"][..], &TINY].concat(), 1));
    assert_eq!(fs::read(sandbox.path("run/metrics.jsonl")).unwrap(), before);
}

#[test]
fn a_run_folder_that_cannot_be_made() {
    let sandbox = Sandbox::with_text();
    sandbox.write("file", "in the way");
    let flags = [&["train", "--data", "text.txt", "--out", "file/run"][..], &TINY].concat();
    let said = sandbox.run(&flags);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.starts_with("error: could not create `file/run`\n  cause: "), "{}", said.stderr);
    #[cfg(unix)] // Windows gives another cause.
    insta::assert_snapshot!(said.stderr);
    assert_eq!(sandbox.names(), ["file", "text.txt"]);
}

#[test]
fn another_vocabulary_than_the_models() {
    let sandbox = Sandbox::with_run();
    let vocab = fs::read_to_string(sandbox.path("run/vocab.json")).unwrap();
    sandbox.write("other.json", vocab.replace("\"cat\"", "\"cow\""));
    let said = sandbox.run(&["eval", "--model", "run", "--vocab", "other.json", "text.txt"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    insta::assert_snapshot!(said.stderr);

    // The model's own is in its file; the one beside it is for people.
    fs::remove_file(sandbox.path("run/vocab.json")).unwrap();
    sandbox.run(&["score", "--model", "run", "text.txt"]).success();

    let sandbox = Sandbox::with_run_of_0_1_0();
    sandbox.run(&["score", "--model", "run", "text.txt"]).success();
    fs::remove_file(sandbox.path("run/vocab.json")).unwrap();
    let said = sandbox.run(&["score", "--model", "run", "text.txt"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    insta::assert_snapshot!(said.stderr);
}

#[test]
fn model_files_that_are_none() {
    let sandbox = Sandbox::with_run();
    let model = fs::read(sandbox.path("run/best.safetensors")).unwrap();
    for (name, content) in [
        ("half", &model[..model.len() / 2]),
        ("head", &model[..100]),
        ("empty", &[]),
        ("text", b"not a model at all"),
    ] {
        sandbox.write("run/best.safetensors", content);
        for command in ["eval", "generate"] {
            let said = sandbox.run(&[command, "--model", "run"]);
            assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{name}");
            let error = "error: could not load model `run/best.safetensors`\n  cause: `run/best.safetensors` is not a \
                         valid safetensors file\n";
            assert!(said.stderr.starts_with(error), "{name}: {}", said.stderr);
            assert!(said.stderr.contains("hint: if the file is incomplete, "), "{name}: {}", said.stderr);
        }
    }
    fs::remove_file(sandbox.path("run/best.safetensors")).unwrap();
    for model in ["run", "nowhere"] {
        let said = sandbox.run(&["eval", "--model", model, "text.txt"]);
        assert_eq!(said.code, Some(1));
        insta::assert_snapshot!(format!("no_model_{model}"), said.stderr);
    }
}

#[test]
fn texts_that_cannot_be_evaluated() {
    let sandbox = Sandbox::with_run();
    let said = sandbox.run(&["eval", "--model", "run", "missing.txt"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(1), "error: no such file or folder: `missing.txt`\n")
    );
    let said = sandbox.run_with_stdin(&["eval", "--model", "run"], "");
    assert_eq!(said.code, Some(1));
    assert_eq!(
        said.stderr,
        "error: stdin has 0 tokens, too few to evaluate: the first token is only context\n"
    );
    fs::remove_file(sandbox.path("run/plan.toml")).unwrap();
    let said = sandbox.run(&["eval", "--model", "run", "--split", "test"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.stderr);
}

#[test]
fn ways_to_draw_that_there_are_none() {
    let sandbox = Sandbox::with_run();
    for flags in [["--temperature", "-1"], ["--top-p", "1.5"], ["--top-k", "x"], ["--samples", "0"]] {
        let said = sandbox.run(&[&["generate", "--model", "run"], &flags[..]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{flags:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.lines().count() == 1, "{}", said.stderr);
    }
}

#[test]
fn a_corpus_that_cannot_be_downloaded_says_what_to_put_where() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = connection
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let mut command = sandbox.command(&["train", "--corpus", "time-machine"]);
    let output = command.env("RONDO_MIRROR", format!("http://{address}")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = Said::from(output).stderr.replace(&address.to_string(), "[ADDRESS]");
    insta::assert_snapshot!(said);
}

#[test]
fn a_precision_that_the_instructions_lack_is_told_and_replaced() {
    let sandbox = Sandbox::with_run();
    let exact = sandbox.run(&["score", "--model", "run", "text.txt"]);
    let said = sandbox.run(&["score", "--model", "run", "text.txt", "--precision", "bf16"]);
    assert_eq!((said.code, said.stdout), (Some(0), exact.stdout));
    insta::assert_snapshot!(said.stderr);
}

#[test]
fn a_precision_that_there_is_not() {
    let sandbox = Sandbox::with_run();
    let said = sandbox.run(&["eval", "--model", "run", "text.txt", "--precision", "f16"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr);
}

#[test]
fn instructions_that_no_processor_has() {
    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["eval", "--model", "run", "text.txt"]);
    let said = Said::from(command.env("RONDO_CPU", "mmx").output().unwrap());
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr);
}
