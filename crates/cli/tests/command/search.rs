//! `rondo generate --beam`, `complete` and `rescore` with a small model.

use serde_json::Value;

use crate::sandbox::{Sandbox, TINY, filters};

/// Hypotheses of two ids, mixed: the likelier text of each is not the other system's first.
const LIST: &str = "u1\t-1.0\tthe mat sat cat\nu2\t-3.5\ta dog saw\nu1\t-1.5\tthe cat sat on the mat .\n\n\
                    u2\t-3.25\tsaw dog a the\nu1\t-9.0\ta zebra\n";
const REFERENCES: &str = "u1\tthe cat sat on the mat .\nu2\ta dog saw\n";

#[test]
fn the_most_likely_texts_are_searched_for() {
    let sandbox = Sandbox::with_run();
    let search = |flags: &[&str]| {
        sandbox
            .run(&[&["generate", "-m", "run", "--prefix", "the cat", "--raw", "--beam", "8"], flags].concat())
    };
    let text = search(&[]).success();
    assert_eq!((text.lines().count(), text.starts_with("the cat ")), (1, true), "{text}");
    assert_eq!(search(&["--samples", "3"]).success().matches("----------\n").count(), 2);

    let samples = search(&["--samples", "8", "--json", "--forbid-unk"]).json()["samples"].take();
    let samples = samples.as_array().unwrap();
    assert_eq!((samples.len(), samples[0]["text"].as_str().unwrap()), (8, text.as_str()));
    let score = |sample: &Value| sample["log_prob"].as_f64().unwrap();
    assert!(samples.is_sorted_by(|a, b| score(a) >= score(b)));
    assert!(
        samples[0]["ended"] == true && samples[0]["tokens"].as_array().unwrap().ends_with(&["<eos>".into()])
    );
    // It is the scorer's number: what the line has beyond its prefix.
    let scored = |text: &str| sandbox.run_with_stdin(&["score", "-m", "run", "--json", "--per-token"], text);
    let line = scored(&text).json();
    let tokens = line["log_probs"].as_array().unwrap().iter().skip(2);
    let sum: f64 = tokens.map(|token| token["log_prob"].as_f64().unwrap()).sum();
    assert!((sum - score(&samples[0])).abs() < 1e-4, "{sum} {}", samples[0]);

    // A beam of one takes the most likely token, as a temperature of 0 does.
    let flags = ["generate", "-m", "run", "--prefix", "a dog", "-n", "4", "--json"];
    let one = sandbox.run(&[&flags[..], &["--beam", "1"]].concat()).json();
    let most_likely = sandbox.run(&[&flags[..], &["--temperature", "0"]].concat()).json();
    assert_eq!(one["samples"][0]["tokens"], most_likely["samples"][0]["tokens"]);

    let short = search(&["--json", "--length-penalty", "0"]).json();
    let long = search(&["--json", "--length-penalty", "5"]).json();
    let len = |said: &Value| said["samples"][0]["tokens"].as_array().unwrap().len();
    assert!(len(&long) >= len(&short) && long["samples"][0]["score"] != long["samples"][0]["log_prob"]);
}

#[test]
fn words_that_may_come_are_listed() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let complete = |flags: &[&str]| sandbox.run(&[&["complete", "-m", "run"], flags].concat());
    insta::assert_snapshot!(complete(&["the cat", "--top", "2"]).success());

    let listed = |flags: &[&str]| {
        let said = complete(&[&["--json", "--top", "100"], flags].concat()).json();
        let words = said["completions"].as_array().unwrap().iter().map(|completion| {
            (completion["word"].as_str().unwrap().to_owned(), completion["probability"].as_f64().unwrap())
        });
        words.collect::<Vec<_>>()
    };
    let all = listed(&["the cat"]);
    let sum: f64 = all.iter().map(|(_, probability)| probability).sum();
    assert!((sum - 1.0).abs() < 1e-6 && all.is_sorted_by(|a, b| a.1 >= b.1), "{all:?}");
    assert!(!listed(&["the cat", "--forbid-unk"]).iter().any(|(word, _)| word == "<unk>"));
    // The words that begin so have the probability that they have among all.
    let mut expected = all.clone();
    expected.retain(|(word, _)| word.starts_with("sa"));
    assert_eq!(listed(&["the cat sa", "--partial"]), expected);
    assert_eq!(expected.len(), 2, "sat and saw");
}

#[test]
fn texts_to_complete_come_line_by_line_from_a_file_or_stdin() {
    let sandbox = Sandbox::with_run();
    let lines = "the cat\n\na dog";
    sandbox.write("texts.txt", lines);
    let from_file =
        sandbox.run(&["complete", "-m", "run", "--json", "-k", "3", "--file", "texts.txt"]).success();
    assert_eq!(
        sandbox.run_with_stdin(&["complete", "-m", "run", "--json", "-k", "3"], lines).success(),
        from_file
    );
    let texts: Vec<Value> = from_file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(texts.iter().map(|said| &said["text"]).collect::<Vec<_>>(), ["the cat", "", "a dog"]);
    assert!(texts.iter().all(|said| said["completions"].as_array().unwrap().len() == 3));
    let table = sandbox.run(&["complete", "-m", "run", "-k", "1", "the cat", "a dog"]).success();
    assert_eq!(table.matches("probability  word\n").count(), 2);
    assert!(table.starts_with("the cat\nprobability") && table.contains("\n\na dog\nprobability"), "{table}");
}

#[test]
fn characters_are_completed_to_words() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "12"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    // A text goes on where it ends: no space is added.
    for text in [&["the c"][..], &["the c", "--partial"], &["the cat"]] {
        let said = sandbox.run(&[&["complete", "-m", "run", "--json", "-k", "3"], text].concat()).json();
        assert_eq!(said["completions"][0]["word"], "cat", "{said}");
    }
    let said = sandbox.run(&["complete", "-m", "run", "--json", "-k", "3", "the cat "]).json();
    let words: Vec<_> =
        said["completions"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert!(words.contains(&"sat") || words.contains(&"saw"), "{said}");
}

#[test]
fn a_list_is_reordered() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    sandbox.write("list.tsv", LIST);
    let rescore =
        |flags: &[&str]| sandbox.run(&[&["rescore", "-m", "run", "list.tsv"], flags].concat()).success();
    insta::assert_snapshot!(rescore(&[]));
    let texts = |said: &str| -> Vec<String> {
        said.lines().map(|line| line.split('\t').next_back().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&rescore(&["--best"])), ["the cat sat on the mat .", "a dog saw"]);
    // Without the model's help it is the other system's order, ids together, and its scores.
    let without = rescore(&["--weight", "0"]);
    assert_eq!(
        texts(&without),
        ["the mat sat cat", "the cat sat on the mat .", "a zebra", "saw dog a the", "a dog saw"]
    );
    assert!(without.starts_with("u1\t-1.0000\t"), "{without}");
    let bonus = rescore(&["--weight", "0", "--word-bonus", "10", "--best"]);
    assert_eq!(texts(&bonus), ["the cat sat on the mat .", "saw dog a the"]);
}

#[test]
fn an_objects_numbers_add_up() {
    let sandbox = Sandbox::with_run();
    let list = "{\"id\":1,\"score\":-1.5,\"text\":\"the cat sat\"}\n";
    let flags = ["rescore", "-m", "run", "--json", "--weight", "0.5", "--word-bonus", "0.25"];
    let said = sandbox.run_with_stdin(&flags, list).json();
    let number = |key: &str| said[key].as_f64().unwrap();
    assert_eq!((&said["id"], number("other_score"), number("words")), (&"1".into(), -1.5, 3.0));
    assert!((number("score") - (-1.5 + 0.5 * number("lm_log_prob") + 0.75)).abs() < 1e-9, "{said}");
    let scored = sandbox.run_with_stdin(&["score", "-m", "run", "--json"], "the cat sat\n").json();
    assert!((scored["log_prob"].as_f64().unwrap() - number("lm_log_prob")).abs() < 1e-4);
}

#[test]
fn weights_are_found_by_references() {
    let sandbox = Sandbox::with_run();
    sandbox.write("list.tsv", LIST);
    sandbox.write("references.tsv", REFERENCES);
    let flags = ["rescore", "-m", "run", "list.tsv", "--reference", "references.tsv", "--best"];
    let said = sandbox.run(&flags);
    insta::assert_snapshot!(said.stderr);
    assert_eq!(said.stdout.lines().count(), 2);
    assert!(said.stdout.contains("the cat sat on the mat .") && said.stdout.contains("a dog saw\n"));

    sandbox.write("references.tsv", "u2\ta dog saw\n");
    let said = sandbox.run(&[&flags[..], &["--weight", "0"]].concat());
    assert!(said.stderr.ends_with("note: 1 of the 2 ids have no reference\n"), "{}", said.stderr);
    assert!(said.stderr.lines().next().unwrap().ends_with("  0  given"), "{}", said.stderr);
}

#[test]
fn lists_that_are_none_are_refused_by_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("list.tsv", LIST);
    let check = |list: &str, reference: Option<&str>, expected: &str| {
        sandbox.write("bad.tsv", list);
        let mut flags = vec!["rescore", "-m", "run", "bad.tsv"];
        if let Some(reference) = reference {
            sandbox.write("reference.tsv", reference);
            flags.extend(["--reference", "reference.tsv"]);
        }
        let said = sandbox.run(&flags);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
        assert_eq!(said.stderr, format!("error: {expected}\n"));
    };
    check("", None, "bad.tsv is empty: it contains no hypothesis");
    check("\n\n", None, "bad.tsv is empty: it contains no hypothesis");
    let tabs = "expected three tab-separated columns: id, score, text";
    check("u1\t-1\ta\n\nu1 -2 b\n", None, &format!("bad.tsv, line 3: {tabs}"));
    check("u1\tlow\ta\n", None, "bad.tsv, line 1: the score `low` is not a number");
    check(LIST, Some(""), "reference.tsv is empty: it contains no reference");
    check(LIST, Some("u1 a\n"), "reference.tsv, line 1: expected two tab-separated columns: id, text");
    check(LIST, Some("u1\ta\nu1\tb\n"), "reference.tsv, line 2: second reference for the id `u1`");
    for flags in
        [&["rescore", "-m", "run", "nowhere.tsv"][..], &["complete", "-m", "run", "--file", "nowhere.tsv"]]
    {
        let said = sandbox.run(flags);
        let expected = (Some(1), "error: no such file or folder: `nowhere.tsv`\n");
        assert_eq!((said.code, said.stderr.as_str()), expected);
    }
}

#[test]
fn searches_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::with_run();
    for (flags, expected) in [
        (
            &["generate", "--beam", "2", "--samples", "3"][..],
            "`--samples` is 3, but `--beam` finds at most 2",
        ),
        (&["generate", "--beam", "2", "--length-penalty", "-1"], "`length_penalty` must be at least 0"),
        (&["generate", "--beam", "2", "--temperature", "0.5"], ""),
        (&["generate", "--length-penalty", "1"], ""),
        (&["generate", "--beam", "0"], ""),
        (&["complete", "--top", "0", "the"], "cannot complete `the`\n  cause: `top` must be at least 1"),
        (&["complete", "--file", "a", "b"], ""),
    ] {
        let said = sandbox.run(&[flags, &["--model", "run"]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{flags:?}: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("error: {expected}")), "{flags:?}: {}", said.stderr);
    }
}
