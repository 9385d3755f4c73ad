//! Tables of surprisals: items in, rows out.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Sandbox, TINY, text};

/// Items with what is awkward in a table or for a tokenizer.
const AWKWARD: [&str; 12] = [
    "The cat's mat isn't a dog's",
    "He said, \"the cat\" — 'sat'",
    "well-known dash–es -- and...",
    "caf\u{e9} na\u{ef}ve e\u{301}t\u{e9}",
    "the U.S. and 1,000.5 cats.",
    "zyzzyva sat on a mat",
    "two  spaces   here ",
    "<eos> in <unk> the text",
    "",
    "the \u{1f600} \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} dog!",
    " a\u{a0}b & <b>c</b> \\t",
    "'",
];

/// A small model that reads a text with this tokenizer.
fn model_with(tokenizer: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt", text(60) + &AWKWARD[..7].join("\n") + "\n");
    let flags = ["--data", "text.txt", "--tokenizer", tokenizer, "--epochs", "1"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    sandbox
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(row: &Value, column: &str) -> usize {
    usize::try_from(row[column].as_u64().unwrap()).unwrap()
}

#[test]
fn offsets_cover_awkward_items_and_sums_are_scores() {
    for tokenizer in ["words", "moses", "chars", "bytes"] {
        let sandbox = model_with(tokenizer);
        sandbox.write("items.txt", AWKWARD.join("\n"));
        let score = rows(&sandbox.run(&["score", "-m", "run", "--json", "items.txt"]).success());
        for flags in [&[][..], &["--split-punctuation"], &["--by", "token"]] {
            let said = sandbox.run(
                &[&["surprisal", "run", "items.txt", "--format", "jsonl", "--base", "e"], flags].concat(),
            );
            let rows = rows(&said.success());
            for (item, text) in AWKWARD.iter().enumerate() {
                let what = format!("{tokenizer}, {flags:?}, {text:?}");
                let of_item: Vec<&Value> =
                    rows.iter().filter(|row| number(row, "item") == item + 1).collect();
                let characters: Vec<char> = text.chars().collect();
                let mut end = 0;
                for (place, row) in of_item.iter().enumerate() {
                    assert_eq!(number(row, "region"), place + 1, "{what}");
                    let start = number(row, "start");
                    if start >= end {
                        assert!(
                            characters[end..start].iter().all(|char| char.is_whitespace()),
                            "{what}: {row}"
                        );
                    }
                    end = number(row, "end");
                    let shown: String = characters[start..end].iter().collect();
                    if tokenizer != "bytes" || !flags.contains(&"token") {
                        assert_eq!(row["text"], shown, "{what}");
                    }
                }
                assert_eq!(end, characters.len(), "{what}");
                // Without a score there is no sum: of characters that the model does not have, or tokens of two regions.
                if of_item.iter().all(|row| !row["surprisal_nats"].is_null()) {
                    let sum: f64 = of_item.iter().map(|row| row["surprisal_nats"].as_f64().unwrap()).sum();
                    let log_prob = score[item]["log_prob"].as_f64().unwrap();
                    assert!((sum + log_prob).abs() < 1e-3, "{what}: {sum}, {log_prob}");
                } else {
                    assert!(
                        score[item]["log_prob"].is_null() || flags.contains(&"--split-punctuation"),
                        "{what}"
                    );
                }
            }
        }
    }
}

#[test]
fn other_columns_are_passed_through_and_nothing_breaks_a_row() {
    let sandbox = Sandbox::with_run();
    sandbox.write(
        "items.csv",
        "id,sentence,condition,rank\n1,\"the cat, \"\"sat\"\"\",\"a, b\",x\n2,a\tdog,c,y\n\n3,\"two\nlines\",,z\n",
    );
    let said = sandbox.run(&["surprisal", "run", "items.csv", "--text-column", "sentence"]);
    insta::assert_snapshot!(format!("{}\n{}", said.stdout, said.stderr));
    assert_eq!(said.code, Some(0));
    // As records, numbers stay numbers.
    sandbox.write(
        "items.jsonl",
        "{\"z\": 1.50, \"sentence\": \"the cat\", \"a\": [null]}\n{\"sentence\": \"a\", \"new\": 1}\n",
    );
    let said = sandbox.run(&[
        "surprisal",
        "run",
        "items.jsonl",
        "--text-column",
        "sentence",
        "--format",
        "jsonl",
        "--no-end",
    ]);
    let start = "{\"item\":1,\"z\":1.5,\"a\":[null],\"region\":1,\"text\":\"the\",\"start\":0,\"end\":3,\"tokens\":1,";
    assert!(said.stdout.starts_with(start), "{}", said.stdout);
    assert_eq!(said.stdout.lines().count(), 3);
    assert_eq!(said.stderr, "note: the field `new` is left out: the first record does not have it\n");
}

#[test]
fn context_is_not_scored_and_documents_go_on() {
    let sandbox = Sandbox::with_run();
    let surprisals = |table: &str, flags: &[&str]| {
        sandbox.write("items.tsv", table);
        let command =
            ["surprisal", "run", "items.tsv", "--text-column", "text", "--format", "jsonl", "--no-end"];
        let rows = rows(&sandbox.run(&[&command[..], flags].concat()).success());
        rows.iter().map(|row| row["surprisal_bits"].as_f64()).collect::<Vec<_>>()
    };
    let together = surprisals("text\nthe cat sat on\n", &[]);
    let apart = surprisals("before\ttext\nthe cat\tsat on\n\tthe cat\n", &["--context-column", "before"]);
    assert_eq!(apart, [&together[2..], &together[..2]].concat());
    let first = surprisals("text\nthe cat\na dog\n", &[]);
    let carried = surprisals("doc\ttext\n1\tthe cat\n1\ta dog\n2\tthe cat\n", &["--document-column", "doc"]);
    assert_eq!((&carried[..2], &carried[4..]), (&first[..2], &first[..2]));
    assert_ne!(carried[2..4], first[2..4]);
    let zero = surprisals("text\nthe cat\n", &["--start", "zero"]);
    assert!(zero[0].is_none() && zero[1].is_some());
    let unknown = |flags| surprisals("text\nthe zyzzyva\n", flags);
    let (mark, missing, share) =
        (unknown(&[]), unknown(&["--unknown", "missing"]), unknown(&["--unknown", "share:1024"]));
    assert_eq!((missing[0], missing[1]), (mark[0], None));
    assert!((share[1].unwrap() - mark[1].unwrap() - 10.0).abs() < 1e-5);
}

#[test]
fn several_models_stand_side_by_side() {
    let sandbox = Sandbox::with_run();
    let flags =
        ["train", "--threads", "1", "--out", "other", "--data", "text.txt", "--epochs", "1", "--seed", "2"];
    sandbox.run(&[&flags[..], &TINY].concat()).success();
    sandbox.write("items.txt", "the cat\n");
    let command = ["surprisal", "run", "other", "items.txt", "--ensemble", "--mean", "--format", "jsonl"];
    let rows = rows(&sandbox.run(&command).success());
    assert_eq!(rows.len(), 3);
    for row in &rows {
        let bits = |name: &str| row[format!("surprisal_bits.{name}")].as_f64().unwrap();
        let probability = |name: &str| (-bits(name)).exp2();
        let mean = (probability("run") + probability("other")) / 2.0;
        assert!((probability("ensemble") - mean).abs() < 1e-5, "{row}");
        assert!((bits("mean") - (bits("run") + bits("other")) / 2.0).abs() < 1e-5, "{row}");
        assert!(bits("low") < bits("mean") && bits("mean") < bits("high"), "{row}");
    }
    let said = sandbox.run(&["surprisal", "run", "other", "items.txt", "--states", "s.npz"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(1), "error: states can only be written for one model\n")
    );
    sandbox.run(&["surprisal", "run", "items.txt", "--states", "s.npz"]).success();
    // Four arrays of three rows: item, region, hidden_0 and cell_0 of 16 numbers.
    let size = std::fs::metadata(sandbox.path("s.npz")).unwrap().len();
    assert!((4 * 128 + 3 * (16 + 2 * 64)..2000).contains(&size), "{size}");
    let characters = model_with("chars");
    std::fs::rename(characters.path("run"), sandbox.path("characters")).unwrap();
    let said = sandbox.run(&["surprisal", "run", "characters", "items.txt", "--by", "token"]);
    let error = "error: a table by token needs models with the same tokens, and these have 11 words and ";
    assert!(said.stderr.starts_with(error), "{}", said.stderr);
    let said = sandbox.run(&["surprisal", "run", "items.txt", "--by", "character"]);
    assert!(
        said.stderr.starts_with("error: a model with the tokenizer `words` has no surprisals of characters")
    );
    let by_word = sandbox.run(&["surprisal", "run", "characters", "items.txt"]).success();
    assert!(
        by_word.starts_with("item\tregion\ttext\tstart\tend\ttokens.run\tsurprisal_bits.run\t"),
        "{by_word}"
    );
}

#[test]
fn files_have_a_column_and_no_state_crosses() {
    let sandbox = Sandbox::with_run();
    sandbox.write("a.txt", "\u{feff}the cat\r\n");
    sandbox.write("b.txt", "the cat\n");
    let text = sandbox.run(&["surprisal", "run", "a.txt", "b.txt"]).success();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[1].replace("a.txt", "b.txt").as_str()), (7, lines[4]));
    assert!(lines[0].starts_with("file\titem\tregion"));
}

#[test]
fn an_item_is_answered_before_the_next_one_comes() {
    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["surprisal", "run", "--no-end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut line = String::new();
    writeln!(stdin, "the").unwrap();
    stdout.read_line(&mut line).unwrap();
    stdout.read_line(&mut line).unwrap();
    writeln!(stdin, "cat").unwrap();
    stdout.read_line(&mut line).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let starts: Vec<String> =
        line.lines().map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(starts, ["item region text", "1 1 the", "2 1 cat"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_table_without_a_word() {
    let sandbox = Sandbox::with_run();
    sandbox.write("items.txt", text(20_000));
    for format in ["tsv", "jsonl"] {
        let mut command = sandbox.command(&["surprisal", "run", "items.txt", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{format}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("items.tsv", "doc\ttext\n1\tthe cat\n2\ta\n1\tb\n");
    sandbox.write("quotes.csv", "id,text\n1,\"a\n2,b\n");
    sandbox.write("raw.tsv", "id\ttext\n1\t\"No,\" he said.\n");
    sandbox.write("others.tsv", "id\ttext\n1\ta\n");
    sandbox.write("empty.tsv", "");
    sandbox.write("latin.txt", b"the cat\ncaf\xe9\n");
    sandbox.write("latin.csv", b"id,text\n1,\"a\nb\"\n2,caf\xe9\n");
    let error = |arguments: &[&str]| {
        let said = sandbox.run(&[&["surprisal", "run"], arguments].concat());
        assert_ne!(said.code, Some(0), "{}", said.stdout);
        said.stderr
    };
    insta::assert_snapshot!(
        [
            error(&["items.tsv"]),
            error(&["items.tsv", "--text-column", "txt"]),
            error(&["items.tsv", "--text-column", "text", "--document-column", "doc"]),
            error(&["quotes.csv", "--text-column", "text"]),
            error(&["raw.tsv", "--text-column", "text"]),
            error(&["items.tsv", "others.tsv", "--text-column", "text"]),
            error(&["items.tsv", "--text-column", "text", "--unknown", "share:0"]),
            error(&["missing.txt"]),
            error(&["empty.tsv", "--text-column", "text"]),
            error(&["latin.txt"]),
            error(&["latin.csv", "--text-column", "text"]),
            error(&["items.tsv", "--text-column", "text", "--states", "no/s.npz"]),
        ]
        .join("\n")
    );
    sandbox.run(&["surprisal", "run", "raw.tsv", "--text-column", "text", "--quoting", "none"]).success();
    let said = sandbox.run(&["surprisal", "missing", "items.tsv"]);
    assert!(said.stderr.starts_with("error: could not load model `missing`"), "{}", said.stderr);
}
