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
        "note: 1 line has characters that the model's vocabulary does not contain, and probability 0\n"
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
fn a_text_with_an_unknown_character_has_no_completions() {
    let sandbox = of_characters();
    let said = sandbox.run_with_stdin(&["complete", "-m", "run", "--json"], "the c\n\u{e9}t\u{e9}\na d\n");
    assert_eq!(said.code, Some(0));
    let answers: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = answers.iter().map(|answer| answer["completions"].as_array().unwrap().is_empty());
    assert_eq!(found.collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(answers[1]["text"], "\u{e9}t\u{e9}");
    let note =
        "note: no completions for 1 text with characters that the model's vocabulary does not contain\n";
    assert_eq!(said.stderr, note);
}

#[test]
fn an_unknown_character_is_left_out_of_an_evaluation() {
    let sandbox = of_characters();
    let eval = |text: &str, flags: &[&str]| {
        sandbox.run_with_stdin(&[&["eval", "-m", "run", "--json"], flags].concat(), text)
    };
    let said = eval("the c\u{e9}at\n", &[]).json();
    let without = eval("the cat\n", &["--strict"]).json();
    assert_eq!((&said["unknown_words"], &said["left_out"]), (&1.into(), &true.into()));
    assert_eq!((&said["tokens"], &said["loss"]), (&without["tokens"], &without["loss"]));
    assert_eq!(said["unknown_share"], 1.0 / 9.0);
    assert_eq!(without["left_out"], false);
    let said = sandbox.run_with_stdin(&["eval", "-m", "run"], "the c\u{e9}at\n").success();
    assert!(said.contains("unknown words  1 (11.1 %), left out: their probability is 0\n"), "{said}");
    // A part of a text that is divided is read in the same way.
    sandbox.write("other.txt", "the c\u{e9}at\n".repeat(40));
    let divided = |flags: &[&str]| {
        sandbox.run(
            &[&["eval", "-m", "run", "--data", "other.txt", "--split", "test", "--json"], flags].concat(),
        )
    };
    let said = divided(&[]).json();
    assert_eq!((&said["unknown_words"], &said["left_out"]), (&2.into(), &true.into()), "{said}");
    assert_eq!(said["tokens"], 16);
    let strict = divided(&["--strict"]);
    assert_eq!(strict.code, Some(1));
    assert!(strict.stderr.contains("out-of-vocabulary token `\u{e9}` on line 1 of"), "{}", strict.stderr);
    let strict = eval("the c\u{e9}at\n", &["--strict"]);
    assert_eq!(strict.code, Some(1));
    let error =
        "error: out-of-vocabulary token `\u{e9}` on line 1 of `stdin`: the vocabulary has no unknown token\n";
    assert!(strict.stderr.starts_with(error), "{}", strict.stderr);
}

/// Texts such as DNA have no line ends, so a model of them cannot begin with one.
#[test]
fn the_commands_to_try_work_for_a_model_without_line_ends() {
    let sandbox = Sandbox::new();
    sandbox.write("dna.txt", "GATTACA".repeat(100));
    let flags = ["--data", "dna.txt", "--tokenizer", "chars", "--epochs", "1"];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    assert!(said.stderr.contains(" generate --model run --prefix G --samples 3\n"), "{}", said.stderr);
    said.success();
    let text = sandbox.run(&["generate", "-m", "run", "--prefix", "G", "--tokens", "6"]).success();
    assert!(text.starts_with('G') && text.trim_end().len() == 7, "{text}");
    let said = sandbox.run_with_stdin(&["score", "-m", "run"], "GATT\nACA\n").success();
    // The first character of a line is read, but nothing precedes it that could predict it.
    assert_eq!(records(&said).iter().map(|record| record[1]).collect::<Vec<_>>(), ["3", "2"]);
}

#[test]
fn without_line_ends_a_text_begins_with_a_frequent_character() {
    let sandbox = Sandbox::new();
    sandbox.write("dna.txt", "GATTACA".repeat(100));
    let flags = ["--data", "dna.txt", "--tokenizer", "chars", "--epochs", "1"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    let generate = |flags: &[&str]| sandbox.run(&[&["generate", "-m", "run", "-n", "6"], flags].concat());
    let text = generate(&["--seed", "3"]).success();
    assert!(text.len() == 7 && text.trim_end().chars().all(|char| "ACGT".contains(char)), "{text}");
    assert_eq!(generate(&["--seed", "3"]).success(), text);
    let first = |seed: u32| generate(&["--seed", &seed.to_string()]).success().chars().next().unwrap();
    let mut firsts: Vec<char> = (0..40).map(first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 1, "{firsts:?}");
    // The most frequent character begins a text of the most likely ones, with its frequency in the training text.
    let greedy = generate(&["--temperature", "0", "--json"]).json()["samples"][0].clone();
    assert_eq!((&greedy["tokens"][0], greedy["tokens"].as_array().unwrap().len()), (&"A".into(), 6));
    let frequency = greedy["log_probs"][0].as_f64().unwrap().exp();
    assert!((frequency - 3.0 / 7.0).abs() < 1e-3, "{greedy}");
    assert_eq!(greedy["text"].as_str().unwrap(), generate(&["--temperature", "0"]).success().trim_end());
    // What begins a text can also end it.
    let ended = generate(&["--until", "A", "--temperature", "0", "--json"]).json();
    assert_eq!(ended["samples"][0]["stop"], serde_json::json!({ "reason": "token", "token": "A" }));
    let answers = sandbox
        .run_with_stdin(&["generate", "-m", "run", "--prompts", "-", "-n", "4", "--seed", "1"], "GA\n\nT\n")
        .success();
    assert_eq!(answers.lines().map(str::len).collect::<Vec<_>>(), [6, 4, 5]);
    // Beam search needs a prompt.
    let said = sandbox.run(&["generate", "-m", "run", "--beam", "2"]);
    assert!(said.code != Some(0) && said.stderr.contains("`--prefix TEXT`"), "{}", said.stderr);
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
    for command in ["score", "complete"] {
        let mut program = sandbox.command(&[command, "-m", "run", "--json"]);
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        for line in ["the cat", "a dog saw", ""] {
            writeln!(to, "{line}").unwrap();
            let mut answer = String::new();
            from.read_line(&mut answer).unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["text"], line);
        }
        drop(to);
        assert!(child.wait().unwrap().success());
    }
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
    assert!(said.stderr.contains("text: random lines, 5 % and 5 % of it, are split off"), "{}", said.stderr);
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

#[test]
fn lines_are_generated_one_per_line_and_none_twice() {
    let sandbox = Sandbox::with_run();
    let lines = |flags: &[&str]| sandbox.run(&[&["generate", "-m", "run", "--seed", "3"], flags].concat());
    let ten = lines(&["--lines", "10"]).success();
    assert_eq!(ten.lines().count(), 10);
    assert!(ten.lines().all(|line| line.split(' ').count() < 30), "{ten}");
    // A line does not depend on how many there are, and they are in order.
    assert!(lines(&["--lines", "100"]).success().starts_with(&ten));
    let unique = lines(&["--lines", "30", "--unique"]).success();
    let mut different: Vec<&str> = unique.lines().collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 30);
    let said = lines(&["--lines", "4", "--tokens", "2"]);
    assert_eq!(said.stdout.lines().count(), 4);
    assert_eq!(said.stderr, "note: 4 lines were cut off after 2 tokens (--tokens)\n");
    let said = lines(&["--lines", "400", "--unique", "--temperature", "0"]);
    assert_eq!(said.stdout.lines().count(), 1);
    assert!(
        said.stderr.starts_with("note: only 1 different lines were found among 20000"),
        "{}",
        said.stderr
    );
}

#[test]
fn texts_end_where_they_are_told_to_and_say_why() {
    let sandbox = Sandbox::with_run();
    let generate = |flags: &[&str]| {
        let said = sandbox.run(&[&["generate", "-m", "run", "--seed", "3", "--json"], flags].concat()).json();
        said["samples"][0].clone()
    };
    let whole = generate(&["-n", "40"]);
    assert_eq!(whole["stop"], serde_json::json!({ "reason": "length" }));
    assert_eq!(whole["log_probs"].as_array().unwrap().len(), 40);
    let line = generate(&["--until", "line-end"]);
    assert_eq!(line["stop"], serde_json::json!({ "reason": "token", "token": "<eos>" }));
    let text = line["text"].as_str().unwrap();
    assert!(whole["text"].as_str().unwrap().starts_with(text) && !text.contains('\n'));
    let token = generate(&["--until", "cat", "--until", "dog"]);
    assert_eq!(token["stop"]["reason"], "token");
    let string = generate(&["--stop", "t sa"]);
    assert_eq!(string["stop"], serde_json::json!({ "reason": "string", "string": "t sa" }));
    assert!(!string["text"].as_str().unwrap().contains("t sa"));
    let without = generate(&["--logit-bias", "cat:-1000", "--logit-bias", "dog:-1000", "-n", "200"]);
    assert!(!without["text"].as_str().unwrap().contains("cat"));
    for (flags, error) in [
        (&["--until", "zebra"][..], "error: `--until`: the model's vocabulary has no token `zebra`"),
        (&["--logit-bias", "cat"], "error: `--logit-bias` must be a token and a number"),
        (&["--stop", ""], "error: "),
    ] {
        let said = sandbox.run(&[&["generate", "-m", "run"], flags].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.starts_with(error), "{}", said.stderr);
    }
}

#[test]
fn each_prompt_is_answered_on_its_line() {
    let sandbox = Sandbox::with_run();
    let prompts = "the cat\nThe Zork\n\na dog";
    let said = sandbox
        .run_with_stdin(&["generate", "-m", "run", "--prompts", "-", "--seed", "3"], prompts)
        .success();
    let answers: Vec<&str> = said.lines().collect();
    assert_eq!(answers.len(), 4);
    for (answer, prompt) in answers.iter().zip(prompts.lines()) {
        assert!(answer.starts_with(prompt), "{answer}");
    }
    sandbox.write("prompts.txt", prompts);
    let json = sandbox
        .run(&[
            "generate",
            "-m",
            "run",
            "--prompts",
            "prompts.txt",
            "--seed",
            "3",
            "--samples",
            "2",
            "--json",
        ])
        .success();
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 8);
    assert_eq!((&objects[2]["prompt"], &objects[3]["prompt"]), (&"The Zork".into(), &"The Zork".into()));
    assert!(objects.iter().all(|object| object["log_prob"].is_f64()));
    // A character that the vocabulary lacks does not end the job.
    let said =
        of_characters().run_with_stdin(&["generate", "-m", "run", "--prompts", "-"], "the c\n\u{e9}\na");
    assert_eq!((said.stdout.lines().count(), said.code), (3, Some(0)));
    assert!(said.stderr.contains("note: 1 prompt has characters"), "{}", said.stderr);
}

#[test]
fn the_line_end_at_the_end_of_stdin_is_not_part_of_the_prompt() {
    let sandbox = Sandbox::with_run();
    let generate = |text: &str| {
        sandbox.run_with_stdin(&["generate", "-m", "run", "--seed", "3", "-n", "5", "-"], text).success()
    };
    assert_eq!(generate("the cat\n"), generate("the cat"));
    assert_ne!(generate("the cat\n\n"), generate("the cat"));
}

#[test]
fn a_model_of_bytes_continues_any_bytes() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "bytes", "--vocab-from", "all", "--epochs", "1"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    sandbox.write("prompt.bin", b"the \xff\xfe c");
    let said = sandbox.command(&["generate", "-m", "run", "prompt.bin"]).output().unwrap();
    assert!(said.status.success() && said.stdout.starts_with(b"the \xff\xfe c"), "{said:?}");
    let said = sandbox.run(&["complete", "-m", "run", "--file", "prompt.bin", "--json", "-k", "1"]).json();
    assert_eq!(
        (&said["text"], said["completions"].as_array().unwrap().len()),
        (&"the \u{fffd}\u{fffd} c".into(), 1)
    );
    assert!(said["completions"][0]["word"].as_str().unwrap().starts_with('c'), "{said}");
}
