//! `rondo eval`, `score` and `generate` with a small model.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, filters};

#[test]
fn an_evaluation_is_the_trainers() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let evaluated =
        |flags: &[&str]| sandbox.run(&[&["eval", "--model", "run", "--json"], flags].concat()).json();
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    let records: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let best = records.iter().rfind(|record| record.get("test_loss").is_some()).unwrap();
    for split in ["valid", "test"] {
        let loss = &evaluated(&["--split", split, "--threads", "1"])["loss"];
        assert_eq!(*loss, best[&format!("{split}_loss")], "{split}");
    }
    insta::assert_snapshot!(sandbox.run(&["eval", "--model", "run", "--split", "valid"]).success());
}

/// A text full of unknown words looks easy, because all of them together are one token.
#[test]
fn a_text_is_measured_with_and_without_its_unknown_words() {
    let sandbox = Sandbox::with_run();
    sandbox.write("new.txt", "the zebra sat .\n\nmr. zorro saw a cat .\n");
    let measured =
        |flags: &[&str]| sandbox.run(&[flags, &["-m", "run", "--json", "new.txt"]].concat()).json();
    let number = |measured: &Value, key: &str| measured[key].as_f64().unwrap();
    for (command, tokens) in [(&["eval"][..], 12.0), (&["score", "--summary"], 13.0)] {
        let plain = measured(command);
        for (key, expected) in [("unknown_tokens", 3), ("lines", 3), ("words", 10), ("bytes", 41)] {
            assert_eq!(plain[key], expected, "{plain}");
        }
        assert!(number(&plain, "known_loss") < number(&plain, "loss"), "{plain}");
        let shared = measured(&[command, &["--unknown-words", "1000"]].concat());
        let difference = (number(&shared, "loss") - number(&plain, "loss")) * tokens;
        assert!((difference - 3.0 * 1000f64.ln()).abs() < 1e-6, "{difference}");
        assert_eq!(shared["known_loss"], plain["known_loss"]);
    }
}

#[test]
fn texts_are_evaluated_from_files_and_stdin_alike() {
    let sandbox = Sandbox::with_run();
    let text = "the cat saw a zebra .\na dog sat .\n";
    sandbox.write("a.txt", text);
    let from_file = sandbox.run(&["eval", "-m", "run", "--json", "a.txt"]).json();
    let from_stdin = sandbox.run_with_stdin(&["eval", "-m", "run/best.safetensors", "--json"], text).json();
    assert_eq!((&from_file["tokens"], &from_file["predicted_tokens"]), (&12.into(), &11.into()));
    assert_eq!(from_file["unknown_words"], 1);
    assert_eq!(from_file["loss"], from_stdin["loss"]);
    let bits = from_file["bits_per_token"].as_f64().unwrap();
    assert!((bits * std::f64::consts::LN_2 - from_file["loss"].as_f64().unwrap()).abs() < 1e-9);

    sandbox.write("b.txt", "a dog sat .\n");
    sandbox.write("a.txt", "the cat saw a zebra .\n");
    let from_two = sandbox.run(&["eval", "-m", "run", "--json", "a.txt", "b.txt"]).json();
    assert_eq!(from_two["loss"], from_stdin["loss"]);
}

#[test]
fn a_corpus_is_evaluated_by_its_folder() {
    let sandbox = Sandbox::with_run();
    sandbox.write("mine/train.txt", "a cat\n");
    sandbox.write("mine/test.txt", "a dog saw the cat .\n");
    let said = sandbox.run(&["eval", "-m", "run", "--data", "mine", "--json"]).json();
    assert_eq!((&said["text"], &said["tokens"]), (&"mine, test".into(), &7.into()));
    let said = sandbox.run(&["eval", "-m", "run", "--data", "mine", "--split", "valid"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), "error: mine has no valid text\n"));
}

#[test]
fn sentences_are_scored_line_by_line() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let text = "the cat sat on the mat .\nmat the zebra\n\nthe cat sat";
    let scores = sandbox.run_with_stdin(&["score", "-m", "run"], text).success();
    insta::assert_snapshot!(scores);
    insta::assert_snapshot!(
        sandbox.run_with_stdin(&["score", "-m", "run", "--per-token"], "the zebra\n").success()
    );

    let log_prob =
        |line: usize| scores.lines().nth(line).unwrap().split('\t').next().unwrap().parse::<f64>().unwrap();
    assert!(log_prob(0) > log_prob(1), "{scores}");
}

#[test]
fn the_log_probabilities_of_the_tokens_add_up_to_the_sentences() {
    let sandbox = Sandbox::with_run();
    sandbox.write("a.txt", "the dog saw a zebra .\na cat .\n");
    let said = sandbox.run(&["score", "-m", "run", "--json", "--per-token", "a.txt"]).success();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["unknown_words"], &lines[1]["line"]), (2, &1.into(), &2.into()));
    for line in lines {
        let tokens = line["log_probs"].as_array().unwrap();
        let sum: f64 = tokens.iter().map(|token| token["log_prob"].as_f64().unwrap()).sum();
        assert_eq!(line["tokens"], tokens.len());
        assert!((sum - line["log_prob"].as_f64().unwrap()).abs() < 1e-9, "{line}");
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let sandbox = Sandbox::with_run();
    let generate = |flags: &[&str]| {
        let flags = [&["generate", "-m", "run", "--prefix", "the dog", "-n", "30"], flags].concat();
        sandbox.run(&flags).success()
    };
    let text = generate(&["--seed", "3"]);
    assert!(text.starts_with("the dog ") && text.ends_with('\n'), "{text}");
    assert_eq!(generate(&["--seed", "3"]), text);
    assert_ne!(generate(&["--seed", "4"]), text);
    // A sample is the same whether or not others are drawn beside it.
    let several = generate(&["--seed", "3", "--samples", "3"]);
    assert!(several.starts_with(&text), "{several}");
    assert_eq!(several.matches("----------\n").count(), 2);
}

#[test]
fn generated_text_can_be_constrained() {
    let sandbox = Sandbox::with_run();
    let generate_by = |seed: &str, flags: &[&str]| {
        let flags = [&["generate", "-m", "run", "--json", "-n", "50", "--seed", seed], flags].concat();
        sandbox.run(&flags).json()
    };
    let generate = |flags: &[&str]| generate_by("1", flags);
    let most_likely = generate(&["--temperature", "0"]);
    assert_eq!(generate_by("2", &["--temperature", "0"])["samples"], most_likely["samples"]);
    assert_eq!(generate(&["--top-k", "1"])["samples"], most_likely["samples"]);
    assert_eq!(generate(&["--top-p", "0.01"])["samples"], most_likely["samples"]);
    let wild = generate(&["--temperature", "50", "--forbid-unk"]);
    let tokens = wild["samples"][0]["tokens"].as_array().unwrap();
    assert!(tokens.len() == 50 && !tokens.contains(&"<unk>".into()));
}

#[test]
fn a_text_to_continue_may_come_from_stdin_or_a_file() {
    let sandbox = Sandbox::with_run();
    sandbox.write("start.txt", "the dog saw");
    let flags = ["generate", "-m", "run", "--seed", "1", "-n", "3"];
    let from_file = sandbox.run(&[&flags[..], &["start.txt"]].concat()).success();
    assert!(from_file.starts_with("the dog saw "), "{from_file}");
    let from_stdin = sandbox.run_with_stdin(&[&flags[..], &["-"]].concat(), "the dog saw").success();
    assert_eq!(from_stdin, from_file);
    let said = sandbox.run(&[&flags[..], &["--prefix", "the zebra"]].concat());
    assert!(
        said.stderr.contains("1 of the 2 tokens of the prompt are not in the vocabulary"),
        "{}",
        said.stderr
    );
}

#[test]
fn running_text_is_read_as_the_models_words() {
    let sandbox = Sandbox::with_run();
    let text = "The cat\nsat on the mat. A dog (a zebra)\nsaw it.\n\nThe dog";
    // The words are small ones, and so the text's become: `( zebra ) it` are unknown.
    let said = sandbox.run_with_stdin(&["eval", "-m", "run", "--tokenizer", "moses", "--json"], text).json();
    assert_eq!((&said["tokens"], &said["unknown_words"]), (&21.into(), &4.into()));
    let as_it_is = sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], text).json();
    assert_eq!((&as_it_is["tokens"], &as_it_is["unknown_words"]), (&19.into(), &7.into()));

    let read = |flags: &[&str], text| {
        sandbox.run_with_stdin(&[&["score", "-m", "run"], flags].concat(), text).success()
    };
    let moses = ["--tokenizer", "moses"];
    assert_eq!(read(&moses, "The cat sat. A dog\n\nsat.\n").lines().count(), 3, "a line for each line");
    let score = |text: &str| text.split('\t').next().unwrap().to_owned();
    let spaced = read(&[], "the cat sat on the mat .\n");
    let running = read(&moses, "The cat sat on the mat.\n");
    assert_eq!(score(&running), score(&spaced));
    assert!(running.ends_with("\tThe cat sat on the mat.\n"), "{running}");

    let flags = ["generate", "-m", "run", "--seed", "1", "-n", "1", "--json", "--prefix", "The dog saw."];
    let prefix =
        |flags: &[&str]| sandbox.run(flags).json()["samples"][0]["text"].as_str().unwrap().to_owned();
    // What was typed is printed, whatever the model reads of it.
    for flags in [&[&flags[..], &moses].concat()[..], &flags] {
        assert!(prefix(flags).starts_with("The dog saw."), "{}", prefix(flags));
    }
    let tokens = |flags: &[&str]| sandbox.run(flags).json()["samples"][0]["log_prob"].clone();
    assert_ne!(tokens(&[&flags[..], &moses].concat()), tokens(&flags));
}

#[test]
fn generated_words_are_text_unless_they_are_wanted_raw() {
    let sandbox = Sandbox::with_run();
    let flags = ["generate", "-m", "run", "--prefix", "the dog saw a cat .", "-n", "40", "--seed", "1"];
    let raw = sandbox.run(&[&flags[..], &["--raw"]].concat()).success();
    let text = sandbox.run(&flags).success();
    // The prompt is printed as it was given.
    let prompt = "the dog saw a cat .";
    let generated = text.strip_prefix(prompt).unwrap();
    assert!(raw.contains(" .\n") && generated.contains(".\n") && !generated.contains(" ."), "{raw}{text}");
    assert_eq!(raw.strip_prefix(prompt).unwrap().replace(" .", "."), generated);
}

#[test]
fn a_model_can_be_trained_on_running_text() {
    let sandbox = Sandbox::with_text();
    sandbox.write("story.txt", "The cat sat. A dog\nsaw the cat.\n\nIt's late.\n".repeat(60));
    let flags = ["--data", "story.txt", "--tokenizer", "moses", "--lowercase", "true", "--epochs", "1"];
    sandbox.train(&[&flags[..], &crate::sandbox::TINY].concat()).success();
    let said = sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], "THE CAT\nSAT.\n").json();
    assert_eq!((&said["tokens"], &said["unknown_words"]), (&5.into(), &0.into()));
    let scores = sandbox.run_with_stdin(&["score", "-m", "run"], "The cat\nsat. It's late.").success();
    assert_eq!(scores.lines().count(), 2, "{scores}");
}

#[test]
fn characters_are_tokens_like_any_others() {
    let sandbox = Sandbox::with_text();
    let flags = [
        "--data",
        "text.txt",
        "--tokenizer",
        "chars",
        "--hidden-size",
        "16",
        "--layers",
        "1",
        "--epochs",
        "1",
    ];
    sandbox.train(&flags).success();
    let said = sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], "the cat").json();
    assert_eq!((&said["unit"], &said["predicted_tokens"]), (&"character".into(), &6.into()));
    assert!(said["bits_per_character"].as_f64().unwrap() > 0.0);
    let text =
        sandbox.run(&["generate", "-m", "run", "--prefix", "the c", "-n", "5", "--seed", "1"]).success();
    let said = sandbox.run_with_stdin(&["eval", "-m", "run", "--tokenizer", "moses"], "the cat");
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("is a model of chars"), "{}", said.stderr);
    assert!(text.starts_with("the c") && text.trim_end_matches('\n').chars().count() <= 10, "{text}");
}

#[test]
fn a_reader_who_leaves_ends_the_command_quietly() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["generate", "-m", "run", "-n", "1000000", "--seed", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
