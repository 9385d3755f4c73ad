//! Texts in the forms in which people have them: compressed, divided, piped, in folders, as records.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sandbox::{Said, Sandbox, TINY, text};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// `printf 'the cat sat on the mat .\n' | zstd -c`.
const ZST: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\xc9\x00\x00the cat sat on the mat .\n\xa3\x63\x34\xc6";

/// Trains a tiny model for one epoch.
fn train(sandbox: &Sandbox, flags: &[&str]) -> Said {
    sandbox.train(&[&TINY[..], &["--epochs", "1"], flags].concat())
}

fn tokens(sandbox: &Sandbox) -> String {
    let vocab = fs::read_to_string(sandbox.path("run/vocab.json")).unwrap();
    let vocab: serde_json::Value = serde_json::from_str(&vocab).unwrap();
    let tokens = vocab["tokens"].as_array().unwrap().iter();
    tokens.map(|token| token.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_stderr(said: &Said, expected: &str) {
    assert!(said.stderr.contains(expected), "{}", said.stderr);
}

#[test]
fn a_compressed_text_is_the_same_text() {
    let sandbox = Sandbox::with_run();
    sandbox.write("same.gz", gzip(&text(60)));
    sandbox.write("same", text(60));
    for arguments in [
        &["eval", "--model", "run"][..],
        &["score", "--model", "run"],
        &["complete", "--model", "run", "--file"],
    ] {
        let of = |name| sandbox.run(&[arguments, &[name]].concat()).success();
        let without_speed = |text: String| {
            text.lines()
                .filter(|line| !line.starts_with("speed") && !line.starts_with("text"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(without_speed(of("same.gz")), without_speed(of("same")), "{arguments:?}");
    }
    let list = text(4).lines().map(|line| format!("u\t-1\t{line}\n")).collect::<String>();
    sandbox.write("list.gz", gzip(&list));
    sandbox.write("list", list);
    let of = |name| sandbox.run(&["rescore", "--model", "run", name]).success();
    assert_eq!(of("list.gz"), of("list"));

    // Stdin too, in either format.
    let scores = |bytes: &[u8]| {
        let mut command = assert_cmd::Command::from_std(sandbox.command(&["score", "--model", "run"]));
        Said::from(command.write_stdin(bytes).output().unwrap()).success()
    };
    let one = "the cat sat on the mat .\n";
    assert_eq!(scores(&gzip(one)), scores(one.as_bytes()));
    assert_eq!(scores(ZST), scores(one.as_bytes()));
}

#[test]
fn a_compressed_corpus_is_learned_decompressed() {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt.gz", gzip(&text(100)));
    let said = train(&sandbox, &["--data", "text.txt.gz", "--tokenizer", "bytes", "--bptt", "20"]);
    let plain = Sandbox::with_text();
    let expected = train(&plain, &["--data", "text.txt", "--tokenizer", "bytes", "--bptt", "20"]);
    let last = |said: Said| said.success().lines().find(|line| line.contains("test")).map(str::to_owned);
    assert_eq!(last(said), last(expected));
}

#[test]
fn other_compressions_are_refused_by_name() {
    let sandbox = Sandbox::with_run();
    sandbox.write("text.txt.bz2", b"BZh91AY&SY....");
    for command in ["eval", "score"] {
        let said = sandbox.run(&[command, "--model", "run", "text.txt.bz2"]);
        assert_eq!(said.code, Some(1));
        assert_eq!(
            said.stderr,
            "error: `text.txt.bz2` is compressed with bzip2, which is not supported: gzip and Zstandard are\n   \
             hint: `bzip2 -dc text.txt.bz2 | rondo …` passes the text on, with `-` as the file\n"
        );
    }
    let said = train(&Sandbox::new(), &["--data", &sandbox.path("text.txt.bz2").display().to_string()]);
    check_stderr(&said, "is compressed with bzip2");
}

#[test]
fn files_of_ones_own_are_the_splits() {
    let sandbox = Sandbox::with_text();
    sandbox.write("a.txt", text(60));
    sandbox.write("b.txt", "only here\n".repeat(8));
    sandbox.write("c.txt", text(8));
    let said = train(&sandbox, &["--train", "a.txt", "text.txt", "--valid", "b.txt", "--test", "c.txt"]);
    check_stderr(&said, "valid 24, test 60 tokens");
    assert!(!tokens(&sandbox).contains("only"), "{}", tokens(&sandbox));
    // The plan names them, so that the run is evaluated and resumed with the same files.
    let evaluated = sandbox.run(&["eval", "--model", "run", "--split", "valid", "--json"]).json();
    assert_eq!(evaluated["unknown_words"], 16);
    let resumed = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]);
    resumed.success();
    sandbox.run(&["reproduce", "run", "--out", "again"]).success();
}

#[test]
fn names_of_splits_are_recognized_and_others_joined() {
    let sandbox = Sandbox::new();
    for name in ["train.txt", "val.txt", "test.txt", "a.txt"] {
        sandbox.write(name, text(60));
    }
    let said = train(&sandbox, &["--data", "train.txt", "val.txt", "test.txt"]);
    check_stderr(&said, "by file name: train train.txt, valid val.txt, test test.txt\n");
    let again = Sandbox::new();
    again.write("a.txt", text(60));
    again.write("b.txt", text(60));
    let said = train(&again, &["--data", "a.txt", "b.txt"]);
    check_stderr(&said, "2 files joined: the last 5 % and 5 % are split off for validation and test\n");
}

#[test]
fn a_valid_text_alone_is_refused() {
    let sandbox = Sandbox::with_text();
    let said = train(&sandbox, &["--valid", "text.txt"]);
    assert_eq!(said.code, Some(2));
    check_stderr(&said, "`text.valid` has no effect unless `text.train` is given");
}

#[test]
fn a_folder_of_texts_is_read_in_order_of_names() {
    let sandbox = Sandbox::new();
    sandbox.write("books/b.txt", "the last\n".repeat(20));
    sandbox.write("books/a.txt.gz", gzip(&text(60)));
    sandbox.write("books/c.md", "not a text\n");
    let said = train(&sandbox, &["--data", "books"]);
    check_stderr(
        &said,
        "2 texts of the folder, in order of their names: the last 5 % and 5 % are split off for validation and test\n",
    );
    // The test text is the end of the last file.
    sandbox.write("end.txt", "the last\n".repeat(9));
    let of = |text: &[&str]| {
        let said = sandbox.run(&[&["eval", "--model", "run", "--json"], text].concat()).json();
        (said["tokens"].clone(), said["loss"].clone())
    };
    assert_eq!(of(&["--split", "test"]), of(&["end.txt"]));
}

#[test]
fn a_text_from_stdin_is_kept_in_the_run() {
    let sandbox = Sandbox::new();
    let flags = ["train", "--threads", "1", "--out", "run", "--data", "-", "--epochs", "1"];
    let said = sandbox.run_with_stdin(&[&flags[..], &TINY].concat(), &text(100));
    check_stderr(&said, "corpus   stdin\n");
    said.success();
    assert_eq!(fs::read_to_string(sandbox.path("run/stdin-1.txt")).unwrap(), text(100));
    assert_eq!(sandbox.names(), ["run"], "no temporary file is left");
    sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]).success();
    sandbox.run(&["eval", "--model", "run", "--split", "test"]).success();
    sandbox.run(&["reproduce", "run", "--out", "again"]).success();
    // Moved, the run still finds its text.
    fs::rename(sandbox.path("run"), sandbox.path("moved")).unwrap();
    sandbox.run(&["train", "--resume", "--out", "moved", "--epochs", "3"]).success();
    sandbox.run(&["reproduce", "moved", "--out", "third"]).success();
}

#[test]
fn a_text_from_stdin_that_is_refused_leaves_nothing() {
    let sandbox = Sandbox::new();
    let flags = ["train", "--threads", "1", "--out", "run", "--data", "-", "--epochs", "1"];
    let said = sandbox.run_with_stdin(&[&flags[..], &TINY].concat(), "");
    assert_eq!(said.code, Some(1));
    check_stderr(&said, "`stdin` is empty: it contains no tokens");
    assert_eq!(sandbox.names(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_once_and_kept() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn(move || fs::write(pipe, text(100)));
    train(&sandbox, &["--data", "pipe"]).success();
    writer.join().unwrap().unwrap();
    assert_eq!(fs::read_to_string(sandbox.path("run/stdin-1.txt")).unwrap(), text(100));
    sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]).success();
}

/// The text as records.
fn records(text: &str) -> (String, String) {
    let json = |line: &str| serde_json::json!({ "id": 7, "text": line }).to_string() + "\n";
    let csv = |line: &str| format!("7,\"{line}\"\n");
    (text.lines().map(json).collect(), format!("id,text\n{}", text.lines().map(csv).collect::<String>()))
}

#[test]
fn a_field_of_records_is_the_text() {
    let sandbox = Sandbox::with_run();
    let (json, csv) = records(&text(100));
    sandbox.write("text.jsonl", json);
    sandbox.write("text.csv.gz", gzip(&csv));
    for command in ["eval", "score"] {
        let of = |name: &str, flags: &[&str]| {
            let said = sandbox.run(&[&[command, "--model", "run", "--json", name], flags].concat());
            assert!(!said.stderr.contains("note:"), "{}", said.stderr);
            let said = said.success();
            let objects = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
            let numbers =
                |object: serde_json::Value| ["loss", "log_prob", "tokens"].map(|key| object[key].clone());
            objects.map(|object| numbers(object.unwrap())).collect::<Vec<_>>()
        };
        let expected = of("text.txt", &[]);
        assert_eq!(of("text.jsonl", &["--text-field", "text"]), expected, "{command}");
        assert_eq!(of("text.csv.gz", &["--text-field", "text"]), expected, "{command}");
    }
    let new = Sandbox::new();
    let said =
        train(&new, &["--text-field", "text", "--data", &sandbox.path("text.jsonl").display().to_string()]);
    assert!(!said.stderr.contains("looks like"), "{}", said.stderr);
    said.success();
    assert_eq!(
        fs::read(new.path("run/vocab.json")).unwrap(),
        fs::read(sandbox.path("run/vocab.json")).unwrap()
    );
    // The run knows the field when its own text is evaluated.
    new.run(&["eval", "--model", "run", "--split", "test"]).success();

    let said = train(
        &Sandbox::new(),
        &["--text-field", "txt", "--data", &sandbox.path("text.jsonl").display().to_string()],
    );
    assert_eq!(said.code, Some(1));
    check_stderr(&said, "has no field `txt`: its fields are `id`, `text`; did you mean `text`?");
}

#[test]
fn what_looks_like_records_or_markers_is_noted_once() {
    let sandbox = Sandbox::with_run();
    let (json, csv) = records(&text(60));
    sandbox.write("a.jsonl", json);
    sandbox.write("a.csv", csv);
    sandbox.write("marked.txt", "<s> the cat </s>\n".repeat(40));
    sandbox.write("page.html", "<!DOCTYPE html>\n<p>the cat</p>\n".repeat(40));
    for (file, expected) in [
        (
            "a.jsonl",
            "a.jsonl` looks like JSON Lines, and is read as plain text; `--text-field text` reads only that field",
        ),
        ("a.csv", "a.csv` looks like CSV, and is read as plain text"),
        ("marked.txt", "marked.txt` contains `<s>`, `</s>` as text"),
        ("page.html", "page.html` looks like HTML or XML"),
    ] {
        for command in ["eval", "score"] {
            let said = sandbox.run(&[command, "--model", "run", file]);
            check_stderr(&said, &format!("note: `{expected}"));
            assert_eq!(said.stderr.matches("note:").count(), 1, "{}", said.stderr);
        }
        let new = Sandbox::new();
        let said = train(&new, &["--data", &sandbox.path(file).display().to_string()]);
        check_stderr(&said, expected);
        assert_eq!(said.stderr.matches("note  ").count(), 1, "{}", said.stderr);
    }
}

#[test]
fn carriage_returns_are_noted_for_characters() {
    let sandbox = Sandbox::new();
    sandbox.write("crlf.txt", text(60).replace('\n', "\r\n"));
    let said = train(&sandbox, &["--data", "crlf.txt", "--tokenizer", "chars"]);
    check_stderr(
        &said,
        "crlf.txt` has carriage returns (line ends of Windows), which are read as characters",
    );
    let said = train(&Sandbox::new(), &["--data", &sandbox.path("crlf.txt").display().to_string()]);
    assert!(!said.stderr.contains("carriage"), "{}", said.stderr);
}

#[test]
fn normalization_is_kept_with_the_model() {
    let sandbox = Sandbox::new();
    let composed = "caf\u{e9} or th\u{e9} .\n".repeat(60);
    let decomposed = composed.replace('\u{e9}', "e\u{301}");
    sandbox.write("composed.txt", &composed);
    sandbox.write("decomposed.txt", decomposed);
    train(&sandbox, &["--data", "decomposed.txt", "--normalize", "nfc"]).success();
    assert!(tokens(&sandbox).contains("caf\u{e9}"), "{}", tokens(&sandbox));
    let of = |name| {
        let said = sandbox.run(&["eval", "--model", "run", name, "--json"]).json();
        assert_eq!(said["unknown_words"], 0);
        said["loss"].clone()
    };
    assert_eq!(of("composed.txt"), of("decomposed.txt"));
    // A run continues with it, and is not given another.
    sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]).success();
    let said =
        sandbox.run(&["train", "--from", "run", "--normalize", "nfkc", "--epochs", "1", "--out", "new"]);
    check_stderr(&said, "`text.normalize` is `nfkc`, but the model to continue from has `nfc`");
    let said =
        sandbox.run(&["train", "--from", "run", "--data", "composed.txt", "--epochs", "1", "--out", "new"]);
    said.success();
    let said =
        train(&Sandbox::with_text(), &["--data", "text.txt", "--tokenizer", "bytes", "--normalize", "nfc"]);
    check_stderr(&said, "`text.normalize` has no effect unless tokens are words or characters, not bytes");
}

#[test]
fn a_word_list_is_the_vocabulary_and_kept_in_the_run() {
    let sandbox = Sandbox::with_text();
    sandbox.write("words.txt", "mat\nthe\ncat\nunseen\n");
    let said = train(&sandbox, &["--data", "text.txt", "--vocab-list", "words.txt"]);
    check_stderr(&said, "vocabulary 6\n");
    said.success();
    assert_eq!(tokens(&sandbox), "<unk> <eos> mat the cat unseen");
    fs::remove_file(sandbox.path("words.txt")).unwrap();
    sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]).success();
    sandbox.run(&["reproduce", "run", "--out", "again"]).success();
    assert!(Path::new(&sandbox.path("again/vocab-list.txt")).exists());

    sandbox.write("counts.txt", "the 12\n");
    let new = || ["--data", "text.txt", "--vocab-list"];
    let said = sandbox.run(&[&["train", "--out", "no"], &new()[..], &["counts.txt"]].concat());
    check_stderr(&said, "line 1 of the word list `");
    check_stderr(&said, "is not one token: `the 12`\n   hint: a word list has one word per line");
    let flags = ["run/vocab-list.txt", "--min-frequency", "2"];
    let said = sandbox.run(&[&["train", "--out", "no"], &new()[..], &flags].concat());
    assert_eq!(said.code, Some(2));
    check_stderr(&said, "`text.min_frequency` has no effect unless the vocabulary is built from the text");
    let said = sandbox.run(&[&["train", "--out", "no"], &new()[..], &["no.txt"]].concat());
    check_stderr(&said, "no such file or folder: `");
    assert!(!sandbox.path("no").exists());
}

#[test]
fn a_huge_vocabulary_is_warned_of_before_training() {
    let sandbox = Sandbox::new();
    let words: String = (0..210_000).map(|word| format!("w{word}\n")).collect();
    sandbox.write("words.txt", words);
    let flags = [
        "--data",
        "words.txt",
        "--hidden-size",
        "2",
        "--max-batches",
        "1",
        "--valid-fraction",
        "0",
        "--test-fraction",
        "0",
    ];
    let said = train(&sandbox, &flags);
    check_stderr(&said, "note     with a vocabulary of 210002 tokens, the run needs about ");
    check_stderr(
        &said,
        "of memory, and the softmax takes 99 % of the computation; `--softmax sampled:4096` trains with a sample of them, ",
    );
    said.success();
}
