//! `rondo score`: one line in, one record out, for every tokenizer; bases of logarithms; the page of surprisals.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, TINY, text};

/// Lines with everything that could break a record, or be taken for something else.
const AWKWARD: [&str; 14] = [
    "the cat sat",
    "",
    "  two  spaces ",
    "   ",
    "\ta\tcat\t",
    "the <eos> cat",
    "<unk>",
    "isn't \"it\" 'so'",
    "U.S. caf\u{e9} \u{2014} \u{1f600}",
    "The cat sat. A dog saw it! \\n",
    "&amp; <b>a</b>",
    "<eos>",
    "a\u{301}\u{a0}b",
    "a dog",
];

/// Flags that train a model of each kind of tokens.
const TOKENIZERS: [&[&str]; 6] = [
    &[],
    &["--blank-lines", "skip"],
    &["--tokenizer", "moses"],
    &["--tokenizer", "moses", "--lowercase", "true"],
    &["--tokenizer", "chars"],
    &["--tokenizer", "bytes"],
];

fn trained(flags: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with_text();
    let data = ["--data", "text.txt", "--epochs", "1", "--quiet"];
    sandbox.train(&[&data[..], flags, &TINY].concat()).success();
    sandbox
}

fn objects(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_has_its_record_in_order_with_its_text_for_every_tokenizer() {
    for flags in TOKENIZERS {
        let sandbox = trained(flags);
        sandbox.write("one.txt", AWKWARD.join("\n"));
        // A carriage return is a character like any other to a model of characters.
        let end = if flags.contains(&"chars") || flags.contains(&"bytes") { "\n" } else { "\r\n" };
        sandbox.write("two.txt", AWKWARD.join(end) + end);
        let score = |flags: &[&str]| sandbox.run(&[&["score", "-m", "run"], flags].concat()).success();
        let said = score(&["one.txt", "two.txt"]);
        assert!(!said.contains("-0.0000"), "{flags:?}: {said}");
        let records: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(records.len(), 2 * AWKWARD.len(), "{flags:?}");
        for (record, (file, line)) in records
            .iter()
            .zip(["one.txt", "two.txt"].iter().flat_map(|file| AWKWARD.iter().map(move |line| (file, line))))
        {
            assert_eq!(record.len(), 5, "{flags:?}: {record:?}");
            assert_eq!((record[0], record[4]), (*file, &*line.replace('\t', "\\t")), "{flags:?}");
            // Whatever precedes a line, its score is the same.
            let first = &records[AWKWARD.iter().position(|other| other == line).unwrap()];
            assert_eq!(record[1..], first[1..], "{flags:?}");
        }
        let said = score(&["--json", "--per-token", "one.txt", "two.txt"]);
        assert!(!said.contains(":-0.0,") && !said.contains(":-0.0}"), "{flags:?}: {said}");
        let lines = (1..=AWKWARD.len()).cycle().zip(AWKWARD.iter().cycle());
        for (place, (object, (number, line))) in objects(&said).iter().zip(lines).enumerate() {
            assert_eq!((&object["line"], &object["text"]), (&number.into(), &(*line).into()), "{flags:?}");
            assert_eq!(object["file"], ["one.txt", "two.txt"][place / AWKWARD.len()]);
            let tokens = object["log_probs"].as_array().unwrap();
            if object["log_prob"].is_null() {
                assert!(object["missing"].as_array().is_some_and(|missing| !missing.is_empty()), "{object}");
                continue;
            }
            assert_eq!(tokens.len(), object["tokens"].as_u64().unwrap() as usize, "{flags:?}");
            let sum: f64 = tokens.iter().map(|token| token["log_prob"].as_f64().unwrap()).sum();
            assert!((sum - object["log_prob"].as_f64().unwrap()).abs() < 1e-4, "{object}");
        }
    }
}

#[test]
fn a_blank_line_has_the_probability_of_its_end_or_1() {
    for (flags, tokens) in [(&[][..], 1), (&["--blank-lines", "skip"], 0), (&["--tokenizer", "chars"], 1)] {
        let sandbox = trained(flags);
        let json = sandbox.run_with_stdin(&["score", "-m", "run", "--json"], "\n").json();
        assert_eq!((&json["tokens"], &json["text"]), (&tokens.into(), &"".into()), "{flags:?}");
        let log_prob = json["log_prob"].as_f64().unwrap();
        assert!(if tokens == 0 { log_prob.to_bits() == 0 } else { log_prob < 0.0 }, "{json}");
    }
}

/// More lines than are read at a time.
#[test]
fn a_long_text_keeps_its_order() {
    let sandbox = Sandbox::with_run();
    let lines: Vec<String> =
        text(5000).lines().zip(1..).map(|(line, number)| format!("{line} {number}")).collect();
    let said =
        sandbox.run_with_stdin(&["score", "-m", "run", "--batch-size", "100"], &lines.join("\n")).success();
    let found: Vec<&str> = said.lines().map(|record| record.rsplit('\t').next().unwrap()).collect();
    assert_eq!(found, lines);
}

#[test]
fn log_probabilities_have_the_base_that_is_asked_for() {
    let sandbox = Sandbox::with_run();
    let score = |flags: &[&str]| {
        sandbox.run_with_stdin(&[&["score", "-m", "run"], flags].concat(), "the cat sat .\na dog\n").success()
    };
    let nats = objects(&score(&["--json", "--per-token"]));
    assert_eq!(nats[0]["base"], "e");
    for (base, factor) in [("2", std::f64::consts::LOG2_E), ("10", std::f64::consts::LOG10_E), ("e", 1.0)] {
        let found = objects(&score(&["--json", "--per-token", "--base", base]));
        for (found, nats) in found.iter().zip(&nats) {
            assert_eq!(found["base"], base);
            let close = |found: &Value, nats: &Value| {
                let expected = nats.as_f64().unwrap() * factor;
                assert!((found.as_f64().unwrap() - expected).abs() < 1e-9, "{found}, expected {expected}");
            };
            close(&found["log_prob"], &nats["log_prob"]);
            for (found, nats) in
                found["log_probs"].as_array().unwrap().iter().zip(nats["log_probs"].as_array().unwrap())
            {
                close(&found["log_prob"], &nats["log_prob"]);
            }
        }
        let columns = score(&["--base", base]);
        let first: f64 = columns.split('\t').next().unwrap().parse().unwrap();
        assert!((first - found[0]["log_prob"].as_f64().unwrap()).abs() < 1e-4, "{columns}");
        // The sum of all lines too; its loss stays in nats.
        let sum: f64 = found.iter().map(|line| line["log_prob"].as_f64().unwrap()).sum();
        let summary: Value = serde_json::from_str(&score(&["--summary", "--json", "--base", base])).unwrap();
        assert!((summary["log_prob"].as_f64().unwrap() - sum).abs() < 1e-4, "{summary}");
        let loss = -summary["log_prob"].as_f64().unwrap() / factor / summary["tokens"].as_f64().unwrap();
        assert!((summary["loss"].as_f64().unwrap() - loss).abs() < 1e-9, "{summary}");
        let summary = score(&["--summary", "--base", base]);
        assert!(summary.contains(&format!("log-probability  {sum:.4} (base {base})\n")), "{summary}");
    }
    let said = sandbox.run(&["score", "-m", "run", "--base", "3"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}

/// The lines of a page, without markup.
fn page_lines(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| line.starts_with("<li"));
    let plain = |line: &str| {
        let mut text = String::new();
        let mut parts = line.split('<');
        text.extend(parts.next());
        text.extend(parts.filter_map(|part| part.split_once('>')).map(|(_, text)| text));
        text
    };
    lines.map(plain).collect()
}

#[test]
fn the_page_has_a_line_for_each_line_of_the_text() {
    let sandbox = Sandbox::new();
    sandbox.write("train.txt", "The cat sat on the mat. A dog saw it. ".repeat(60));
    let data = ["--data", "train.txt", "--tokenizer", "moses", "--epochs", "1", "--quiet"];
    sandbox.train(&[&data[..], &TINY].concat()).success();
    sandbox.write("one.txt", "the cat\nsat on. A dog saw it.\n\nthe dog");
    let flags = ["score", "-m", "run", "--html", "page.html", "one.txt"];
    assert_eq!(sandbox.run(&flags).success(), "");
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    // This tokenizer skips blank lines, so there is nothing to show of one.
    assert_eq!(
        page_lines(&page),
        ["the cat \u{23ce}", "sat on . A dog saw it . \u{23ce}", "", "the dog \u{23ce}"]
    );
    // The tokens are those of the records.
    let records = objects(&sandbox.run(&["score", "-m", "run", "--json", "one.txt"]).success());
    let tokens: u64 = records.iter().map(|record| record["tokens"].as_u64().unwrap()).sum();
    assert!(page.contains(&format!(" {tokens} tokens")), "{page}");
}

#[test]
fn the_page_shows_lines_with_characters_that_the_vocabulary_lacks() {
    let sandbox = trained(&["--tokenizer", "chars"]);
    sandbox.write("one.txt", "the cat\nth\u{e9} <b>\na dog\n");
    let html = |flags: &[&str]| {
        sandbox.run(&[&["score", "-m", "run", "--html", "page.html", "one.txt"], flags].concat())
    };
    let said = html(&[]);
    assert_eq!(
        said.stderr,
        "wrote `page.html`\nnote: 1 line has characters that the model's vocabulary does not contain, and probability 0\n"
    );
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert_eq!(page_lines(&page), ["the cat\u{23ce}", "th\u{e9} &lt;b&gt;\u{23ce}", "a dog\u{23ce}"]);
    assert!(
        page.contains("title=\"\u{e9}&#10;not in the vocabulary&#10;not read: the line has probability 0\"")
    );
    assert_eq!(html(&["--strict"]).code, Some(1));
}

#[test]
fn no_state_crosses_from_one_file_to_the_next_on_the_page() {
    let sandbox = Sandbox::with_run();
    sandbox.write("one.txt", "the cat sat on the mat .\n");
    sandbox.write("two.txt", "the dog saw a cat .\na dog\n");
    let page = |flags: &[&str]| {
        sandbox.run(&[&["score", "-m", "run", "--html", "page.html"], flags].concat()).success();
        let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
        page.lines().filter(|line| line.starts_with("<li")).map(str::to_owned).collect::<Vec<_>>()
    };
    let alone = page(&["--carry-state", "two.txt"]);
    assert_eq!(page(&["--carry-state", "one.txt", "two.txt"])[1..], alone);
    // It does cross from one line to the next.
    let fresh = page(&["two.txt"]);
    assert!(fresh[0] == alone[0] && fresh[1] != alone[1], "{alone:?}");
}
