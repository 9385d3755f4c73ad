//! Lines as independent texts: one record for each, whatever is in it; answers as they come; models of lines.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::sandbox::{Sandbox, TINY};

/// A model of characters, without an unknown token.
fn of_characters() -> Sandbox {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "2"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    sandbox
}

/// The columns of each record.
fn records(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split('\t').collect()).collect()
}

#[test]
fn each_line_gives_a_record_with_the_line_as_it_is() {
    let awkward = [
        "the  cat   sat",
        "",
        " \ta dog\t",
        "The cat's \"mat\" isn't",
        "the <eos> cat <unk>",
        "a cat . a dog . the mat",
        "<eos>",
    ];
    for model in [Sandbox::with_run(), of_characters()] {
        // Without an unknown token, characters that are not in the text have probability 0.
        let said = model.run_with_stdin(&["score", "-m", "run"], &awkward.join("\n"));
        let text = said.success();
        let found = records(&text);
        assert_eq!(found.len(), awkward.len(), "{text}");
        for (record, line) in found.iter().zip(awkward) {
            assert_eq!(record.len(), 4, "{record:?}");
            assert_eq!(record[3], line.replace('\t', "\\t"));
            assert!(!record[0].starts_with("-0.0000"), "{record:?}");
        }
        let said = model.run_with_stdin(&["score", "-m", "run", "--json"], &awkward.join("\r\n")).success();
        let json: Vec<serde_json::Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let texts: Vec<&str> = json.iter().map(|record| record["text"].as_str().unwrap()).collect();
        assert_eq!(texts, awkward);
    }
    // The line end within a line is a word that is not known, and so is the unknown token.
    let sandbox = Sandbox::with_run();
    let said =
        sandbox.run_with_stdin(&["score", "-m", "run", "--json", "--per-token"], "the <eos> cat <unk>\n");
    let json = said.json();
    assert_eq!((&json["unknown_tokens"], &json["tokens"]), (&2.into(), &5.into()), "{json}");
    let unknown: Vec<_> =
        json["log_probs"].as_array().unwrap().iter().map(|token| token["unknown"] == true).collect();
    assert_eq!(unknown, [false, true, false, true, false]);
}

#[test]
fn running_text_is_scored_line_by_line() {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt", "The cat sat on the mat. A dog saw it. ".repeat(60));
    sandbox
        .train(&[&["--data", "text.txt", "--tokenizer", "moses", "--epochs", "1"][..], &TINY].concat())
        .success();
    // Without a period, with two sentences, blank.
    let lines = "the cat\nsat on the mat\nThe cat sat. A dog saw it.\n\nthe dog";
    let text = sandbox.run_with_stdin(&["score", "-m", "run"], lines).success();
    let found: Vec<&str> = records(&text).iter().map(|record| record[3]).collect();
    assert_eq!(found, ["the cat", "sat on the mat", "The cat sat. A dog saw it.", "", "the dog"]);
}

#[test]
fn an_unknown_character_does_not_end_the_job() {
    let sandbox = of_characters();
    let lines = "the cat\nthe \u{e9}t\u{e9}\na dog\n";
    let said = sandbox.run_with_stdin(&["score", "-m", "run"], lines);
    let records = records(&said.stdout);
    assert_eq!((records.len(), said.code), (3, Some(0)));
    assert_eq!((records[1][0], records[1][2]), ("-inf", "2"));
    assert!(
        records[0][0].parse::<f64>().unwrap().is_finite()
            && records[2][0].parse::<f64>().unwrap().is_finite()
    );
    assert_eq!(
        said.stderr,
        "note: 1 lines have characters that the model's vocabulary does not contain, and probability 0\n"
    );
    let json = sandbox.run_with_stdin(&["score", "-m", "run", "--json"], "\u{e9}").json();
    assert_eq!((&json["log_prob"], &json["missing"][0]), (&serde_json::Value::Null, &"\u{e9}".into()));
    let said = sandbox.run_with_stdin(&["score", "-m", "run", "--strict"], lines);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stdout.lines().count(), 1);
    assert!(
        said.stderr.starts_with("error: stdin, line 2: `\u{e9}` is not in the model's vocabulary"),
        "{}",
        said.stderr
    );
}

#[test]
fn several_files_are_named_and_no_state_crosses_from_one_to_the_next() {
    let sandbox = Sandbox::with_run();
    sandbox.write("one.txt", "the cat sat on the mat .\na dog\n");
    sandbox.write("two.txt", "the dog saw a cat .\n");
    let score =
        |flags: &[&str]| sandbox.run(&[&["score", "-m", "run", "--carry-state"], flags].concat()).success();
    let both = score(&["one.txt", "two.txt"]);
    let records = records(&both);
    assert_eq!(records.iter().map(|record| record[0]).collect::<Vec<_>>(), ["one.txt", "one.txt", "two.txt"]);
    assert_eq!(format!("{}\n", records[2][1..].join("\t")), score(&["two.txt"]));
}

/// A program at the other end of the pipe sends a line only after the answer to the one before.
#[test]
fn a_line_from_a_pipe_is_answered_before_the_next_one_comes() {
    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["score", "-m", "run"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for line in ["the cat", "a dog saw", ""] {
        writeln!(to, "{line}").unwrap();
        let mut answer = String::new();
        from.read_line(&mut answer).unwrap();
        assert!(answer.ends_with(&format!("\t{line}\n")), "{answer}");
    }
    drop(to);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_model_of_lines_is_trained_evaluated_and_continued() {
    let sandbox = Sandbox::new();
    let names = ["anna", "bernard", "charlotte", "daniel", "eva", "frederick", "greta"];
    sandbox.write(
        "names.txt",
        names.iter().cycle().take(280).map(|name| format!("{name}\n")).collect::<String>(),
    );
    let flags = [
        "--data",
        "names.txt",
        "--tokenizer",
        "chars",
        "--reset-state",
        "line",
        "--shuffle-lines",
        "--epochs",
        "6",
    ];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    assert!(said.stderr.contains(" steps, independent lines in random order; seed 1"), "{}", said.stderr);
    said.success();
    let plan = std::fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    assert!(plan.contains("reset_state = \"line\"") && plan.contains("split = \"random-lines\""), "{plan}");
    // The perplexity of a text is that of its lines, in any order.
    let eval = |text: &str| {
        sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], text).json()["loss"].as_f64().unwrap()
    };
    assert!((eval("anna\neva\ngreta\n") - eval("greta\nanna\neva\n")).abs() < 1e-6);
    let scores = sandbox.run_with_stdin(&["score", "-m", "run"], "anna\neva\ngreta\n").success();
    let sum: f64 = records(&scores).iter().map(|record| record[0].parse::<f64>().unwrap()).sum();
    let tokens = "anna\neva\ngreta\n".len() as f64;
    assert!((sum + tokens * eval("anna\neva\ngreta\n")).abs() < 1e-3);
    for adapting in [&["--cache", "50"][..], &["--dynamic", "sgd"]] {
        let said = sandbox.run(&[&["eval", "-m", "run", "names.txt"], adapting].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains("was trained on independent lines"), "{}", said.stderr);
    }
    // Fine-tuning keeps the unit, unless the settings say otherwise.
    sandbox
        .run(&["train", "-q", "--from", "run", "--data", "names.txt", "--epochs", "1", "--out", "more"])
        .success();
    let plan = std::fs::read_to_string(sandbox.path("more/plan.toml")).unwrap();
    assert!(plan.contains("reset_state = \"line\""), "{plan}");
}
