//! Texts as they come: line ends of other systems, byte-order marks, other encodings, no text at all.

use crate::sandbox::{Said, Sandbox, TINY, text};

/// How each command is given the file `odd.txt`, which has a word that is no UTF-8 in its second line.
const READERS: [&[&str]; 7] = [
    &["train", "--threads", "1", "--out", "new", "--epochs", "1", "--data", "odd.txt"],
    &["eval", "--model", "run", "odd.txt"],
    &["eval", "--model", "run", "--data", "odd.txt", "--split", "valid"],
    &["score", "--model", "run", "odd.txt"],
    &["complete", "--model", "run", "--file", "odd.txt"],
    &["generate", "--model", "run", "--tokens", "2", "--seed", "1", "odd.txt"],
    &["rescore", "--model", "run", "odd.txt"],
];

/// A text of enough lines for every reader; as hypotheses, where that is what is read.
fn odd(reader: &[&str], word: &[u8]) -> Vec<u8> {
    let mut lines = text(60);
    if reader[0] == "rescore" {
        lines = lines.lines().map(|line| format!("u1\t-1\t{line}\n")).collect();
    }
    let (first, others) = lines.split_once('\n').unwrap();
    [
        first.as_bytes(),
        b"\n",
        others.split_once(" .").unwrap().0.as_bytes(),
        b" ",
        word,
        b"\n",
        others.as_bytes(),
    ]
    .concat()
}

fn read(sandbox: &Sandbox, reader: &[&str], flags: &[&str]) -> Said {
    let sizes: &[&str] = if reader[0] == "train" { &TINY } else { &[] };
    sandbox.run(&[reader, sizes, flags].concat())
}

/// Fails unless every reader refuses a text with this word, in one line that has `expected` and its place.
#[track_caller]
fn check_refused(word: &[u8], expected: &str) {
    let sandbox = Sandbox::with_run();
    for reader in READERS {
        let odd = odd(reader, word);
        sandbox.write("odd.txt", &odd);
        let byte = odd.windows(word.len()).position(|part| part == word).unwrap() + 3;
        let said = read(&sandbox, reader, &[]);
        let error = format!("odd.txt` {expected} at offset {byte} (line 2)");
        assert_eq!(said.code, Some(1), "{reader:?}: {}", said.stderr);
        assert!(said.stderr.contains(&error), "{reader:?}: {}", said.stderr);
        assert_eq!(said.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1);

        if reader[0] == "score" {
            // The line is printed as it is; JSON cannot hold the bytes.
            let said = sandbox.command(&[reader, &["--lossy"]].concat()).output().unwrap();
            let line = [word, b"\n"].concat();
            assert!(said.status.success() && said.stdout.windows(line.len()).any(|part| part == line));
            let json = read(&sandbox, reader, &["--lossy", "--json"]).success();
            let line: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
            let expected = String::from_utf8_lossy(word);
            assert!(line["text"].as_str().unwrap().ends_with(&*expected), "{line}");
            continue;
        }
        let read = read(&sandbox, reader, &["--lossy"]);
        assert_eq!(read.code, Some(0), "{reader:?}: {}", read.stderr);
        if ["complete", "rescore"].contains(&reader[0]) {
            assert!(read.stdout.contains("caf\u{fffd}"), "{reader:?}: {}", read.stdout);
        }
        if reader[0] == "train" {
            let note = "invalid sequences replaced by U+FFFD in ";
            assert!(read.stderr.contains(note), "{}", read.stderr);
        }
    }
}

#[test]
fn text_that_is_not_utf8_has_its_place_told_or_is_replaced() {
    check_refused(b"caf\xE9", "is not UTF-8 text: invalid byte");
}

#[test]
fn a_binary_file_is_told_by_its_first_nul_byte_or_is_replaced() {
    check_refused(b"caf\0", "looks like a binary file: NUL byte");
}

#[test]
fn the_models_own_file_is_no_text() {
    let sandbox = Sandbox::with_run();
    for command in ["eval", "score"] {
        let said = sandbox.run(&[command, "--model", "run", "run/best.safetensors"]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        // Which of them comes first depends on the length of its header.
        let errors =
            ["is not UTF-8 text: invalid byte at offset ", "looks like a binary file: NUL byte at offset "];
        let begins = |error| said.stderr.starts_with(&format!("error: `run/best.safetensors` {error}"));
        assert!(errors.into_iter().any(begins), "{}", said.stderr);
    }
}

/// What an editor of Windows makes of a text is the same text, and so is what another leaves out at its end.
#[test]
fn byte_order_marks_and_line_ends_change_nothing_for_words() {
    let sandbox = Sandbox::with_run();
    let plain = text(60);
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    for command in ["eval", "score"] {
        let given = |text: &str| {
            sandbox.write("same.txt", text);
            let said = sandbox.run(&[command, "--model", "run", "same.txt"]).success();
            said.lines().filter(|line| !line.starts_with("speed")).collect::<Vec<_>>().join("\n")
        };
        let expected = given(&plain);
        assert_eq!(given(&windows), expected, "{command}");
        assert_eq!(given(plain.trim_end()), expected, "{command}");
    }
    for (command, flag) in [("complete", "--file"), ("generate", "--seed=1")] {
        // A prompt is printed as it was given.
        let of = |name| sandbox.run(&[command, "--model", "run", flag, name]).success().replace('\r', "");
        let given = |text: &str| {
            sandbox.write("same.txt", text);
            of("same.txt")
        };
        assert_eq!(given("\u{feff}the cat\r\n"), given("the cat\n"), "{command}");
    }
}

/// A model of bytes reads any file at all, and gives it back.
#[test]
fn bytes_are_what_they_are() {
    let sandbox = Sandbox::new();
    sandbox.write("any.bin", [&[0, 0xFF, b'\r', b'\n', 0xEF, 0xBB, 0xBF][..]; 60].concat());
    let said =
        sandbox.train(&[&["--data", "any.bin", "--tokenizer", "bytes", "--epochs", "1"][..], &TINY].concat());
    said.success();
    let evaluated = sandbox.run(&["eval", "--model", "run", "any.bin", "--json"]).json();
    assert_eq!(evaluated["unknown_words"], 0);
}
