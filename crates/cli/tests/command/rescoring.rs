//! `rondo rescore` with the lists of other tools, and n-gram models in `eval`, `score` and `rescore`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Said, Sandbox, TINY};

/// Runs `rondo rescore` on a list in `list`.
fn rescore(sandbox: &Sandbox, list: &str, flags: &[&str]) -> Said {
    sandbox.write("list", list);
    sandbox.run(&[&["rescore", "-m", "run", "list"], flags].concat())
}

/// The model's log-probability of a line.
fn log_prob(sandbox: &Sandbox, line: &str) -> f64 {
    let said = sandbox.run_with_stdin(&["score", "-m", "run", "--json"], &format!("{line}\n")).json();
    said["log_prob"].as_f64().unwrap()
}

/// The likely text comes second, with the worse scores, in each format.
#[test]
fn lists_of_other_tools_are_recognized_reordered_and_written_in_their_format() {
    let sandbox = Sandbox::with_run();
    let likely = log_prob(&sandbox, "a dog saw the mat .");
    let check = |list: &str, format: &str, flags: &[&str], expected: &str| {
        for flags in [flags, &[&["--format", format], flags].concat()] {
            assert_eq!(rescore(&sandbox, list, flags).success(), expected, "{format}");
        }
    };
    check("7 mat saw dog\n7 a dog saw the mat .\n", "mikolov", &[], "7 a dog saw the mat .\n7 mat saw dog\n");
    sandbox.write("ac", "b-utt-2 12.5\nb-utt-1 12\n");
    let kaldi = "b-utt-1 mat saw dog\nb-utt-2 a dog saw the mat .\n";
    let reordered = "b-utt-2 a dog saw the mat .\nb-utt-1 mat saw dog\n";
    check(kaldi, "kaldi", &["--scores", "ac=ac"], reordered);
    check(kaldi, "kaldi", &["--scores", "ac=ac", "--weight", "ac=1000"], kaldi);
    check(kaldi, "kaldi", &["--scores", "ac=ac", "--best"], "b-utt a dog saw the mat .\n");
    let srilm = "-10 -3 3 mat saw dog\n-10.5 -3 6 a dog saw the mat .\n";
    let lm = likely / std::f64::consts::LN_10;
    let found = rescore(&sandbox, srilm, &[]).success();
    assert!(found.starts_with(&format!("-10.5 {lm:.4} 6 a dog saw the mat .\n-10 -")), "{found}");
    check(srilm, "srilm", &["--best"], "list a dog saw the mat .\n");
    let moses = "0 ||| mat saw dog ||| LM= -20 TM= -3 ||| -5.0\n0 ||| a dog saw the mat . ||| LM= -22 TM= -3 ||| -5.1\n";
    let found = rescore(&sandbox, moses, &["--weight", "2"]).success();
    let total = -5.1 + 2.0 * likely;
    let first =
        format!("0 ||| a dog saw the mat . ||| LM= -22 TM= -3 Rondo= {likely:.4} ||| {total:.4}\n0 ||| mat");
    assert!(found.starts_with(&first), "{found}");
    let jsonl = "{\"id\":\"u\",\"score\":-1,\"text\":\"mat saw dog\"}\n{\"id\":\"u\",\"score\":-1.5,\"text\":\"a dog saw the mat .\",\"x\":[1]}\n";
    let found: Value =
        serde_json::from_str(rescore(&sandbox, jsonl, &[]).success().lines().next().unwrap()).unwrap();
    assert_eq!(
        (&found["id"], &found["x"][0], &found["other_score"]),
        (&"u".into(), &1.into(), &(-1.5).into())
    );
    assert!((found["score"].as_f64().unwrap() - likely + 1.5).abs() < 1e-3, "{found}");
    let espnet = r#"{"utts": {"u": {"output": [{"rec_text": "mat saw dog<eos>", "score": -1.0}, {"rec_text": "a▁dog▁saw▁the▁mat▁.<eos>", "score": -1.5}]}}}"#;
    let found = rescore(&sandbox, espnet, &[]).json();
    assert_eq!(found["utts"]["u"]["output"][0]["other_score"], -1.5);
    assert_eq!(found["utts"]["u"]["output"].as_array().unwrap().len(), 2);

    let said = rescore(&sandbox, "u1 -1 a\n", &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    let hint = "hint: `--format` names the format of a list that cannot be recognized by its first line\n";
    assert!(
        said.stderr.starts_with("error: list, line 1: expected a hypothesis") && said.stderr.ends_with(hint)
    );
}

#[test]
fn several_scores_have_weights_by_name() {
    let sandbox = Sandbox::with_run();
    // As in a list that was once refused: a score that is impossible, and a second one.
    let list = "u1\t-2.9\t-30.2\tthe cat sat\nu1\t-inf\t-1\ta dog\nu1\t-2.8\t-30.3\tthe mat sat\n";
    let said = rescore(&sandbox, list, &["--weight", "0"]);
    let places = |stdout: &str| {
        stdout.lines().map(|line| line.split('\t').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        said.stderr,
        "note: 1 of 3 hypotheses have a score that is NaN or infinite: with a weight other than 0, they come last\n"
    );
    let said = said.success();
    assert_eq!(places(&said), ["-2.9", "-2.8", "-inf"]);
    let log_prob = log_prob(&sandbox, "the cat sat");
    assert!(said.starts_with(&format!("u1\t-2.9\t-30.2\t{log_prob:.4}\tthe cat sat\n")), "{said}");
    // What is printed is a list with three scores.
    let again = rescore(&sandbox, &said, &["-w", "0", "-w", "score3=1", "--json"]).success();
    assert_eq!(
        serde_json::from_str::<Value>(again.lines().next().unwrap()).unwrap()["scores"]
            .as_object()
            .unwrap()
            .len(),
        3
    );
    let weighed =
        |flags: &[&str]| places(&rescore(&sandbox, list, &[&["-w", "0"], flags].concat()).success());
    assert_eq!(weighed(&["-w", "score2=0"]), ["-2.8", "-2.9", "-inf"]);
    assert_eq!(weighed(&["-w", "score1=0"]), ["-inf", "-2.9", "-2.8"]);
    assert_eq!(weighed(&["-w", "score1=1", "-w", "score2=-1"]), ["-2.8", "-2.9", "-inf"]);

    let said = rescore(&sandbox, list, &["-w", "scores1=2"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    let expected = "error: no score of the list is named `scores1`; it has `score1`, `score2` and `model`\n   hint: did you mean `score1`?\n";
    assert_eq!(said.stderr, expected);
}

#[test]
fn weights_of_several_scores_are_tuned_on_references() {
    let sandbox = Sandbox::with_run();
    // The second score, in thousands, is right; the first misleads.
    let (mut list, mut reference) = (String::new(), String::new());
    for n in 0..12 {
        let (right, wrong) = ("the cat sat on the mat .", "mat the");
        list += &format!(
            "u{n}\t-{}\t-{}\t{wrong}\nu{n}\t-{}\t-{}\t{right}\n",
            1 + n % 3,
            90_000 + n,
            3 + n % 4,
            80_000 - n
        );
        reference += &format!("u{n}\t{right}\n");
    }
    sandbox.write("reference", &reference);
    let flags = ["--reference", "reference", "--best", "-w", "0", "-w", "score1=1"];
    let said = rescore(&sandbox, &list, &flags);
    let rows: Vec<Vec<&str>> = said
        .stderr
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(
        (rows[0][0], rows[0][2], rows[1][0], rows[1][2]),
        ("weight of score1", "given", "weight of score2", "tuned")
    );
    assert_eq!((rows[2][0], rows[2][1], rows[2][2]), ("weight", "0", "given"));
    assert_eq!((rows[5][0], rows[5][1]), ("word error rate after", "0.00 %"), "{}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 12);
}

/// One wrong character is not a whole wrong sentence in languages without spaces.
#[test]
fn characters_are_the_unit_of_errors_where_there_are_no_spaces() {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt", "日本語の文\n今日は雨\n今日は晴れ\n".repeat(40));
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "3"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    sandbox.write("reference", "u1\t今日は晴れ\nu2\t日本語の文\n");
    let list = "u1\t-1\t今日は晴ね\nu1\t-2\t今日は雨れ\nu2\t-1\t日本語の文\n";
    let said = |unit: &[&str]| {
        let flags = [&["--reference", "reference", "--weight", "0", "--word-bonus", "0"], unit].concat();
        rescore(&sandbox, list, &flags).stderr
    };
    let stderr = said(&["--error-rate", "characters"]);
    assert!(stderr.contains("character error rate before  10.00 %  1 errors in 10 characters\n"), "{stderr}");
    // The character that the model has not seen is counted, and the list is printed.
    assert!(stderr.ends_with("note: 1 of 3 hypotheses have a character that the model does not know: their log-probability is -inf\n"), "{stderr}");
    assert!(said(&[]).contains("word error rate before  50.00 %  1 errors in 2 words\n"));
    let first = rescore(&sandbox, list, &["--best"]).success();
    assert!(first.contains("\t今日は雨れ\n"), "{first}");
}

#[test]
fn what_is_odd_is_counted_and_no_end_of_the_job() {
    let sandbox = Sandbox::with_run();
    sandbox.write("reference", "u1\tthe cat\nu8\tx\nu9\ty\n");
    let list = "u1\tnan\tthe cat\nu1\t-1\t\nu2\tinf\ta\n";
    let said = rescore(&sandbox, list, &["--reference", "reference"]);
    let notes: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(
        notes,
        [
            "note: 1 of the 2 ids have no reference",
            "note: 2 of the 3 references have ids that are not in the list: the first is `u8` in line 2",
            "note: 2 of 3 hypotheses have a score that is NaN or infinite: with a weight other than 0, they come last",
            "note: 1 of 3 hypotheses are empty: they are scored as blank lines",
        ]
    );
    assert_eq!(said.success().lines().count(), 3);
    sandbox.write("reference", "u8\tx\n");
    let said = rescore(&sandbox, list, &["--reference", "reference"]);
    assert!(
        said.stderr.starts_with("note: no id of the list is in `reference`: no weight is tuned\n"),
        "{}",
        said.stderr
    );
    assert_eq!(said.success().lines().count(), 3);

    sandbox.write("ac", "u-1 5\nu-7 5\n");
    let said = rescore(&sandbox, "u-1 the cat\nu-2 a dog\n", &["--scores", "ac=ac"]);
    let notes = "note: 1 of 2 hypotheses have a score that is NaN or infinite: with a weight other than 0, they come last\n\
                 note: 1 scores are missing in the files of `--scores`\n\
                 note: 1 lines in the files of `--scores` have no hypothesis\n";
    assert_eq!(said.stderr, notes);
    let said = rescore(&sandbox, "0 ||| a ||| LM= 1 ||| 2\n", &["-w", "LN=3"]);
    assert_eq!(said.stderr, "note: no hypothesis has a score named `LN`\n");
    assert_eq!(said.code, Some(0));
}

#[test]
fn the_models_scores_are_written_in_the_order_of_the_list() {
    let sandbox = Sandbox::with_run();
    let expected = ["mat saw", "a dog"].map(|line| log_prob(&sandbox, line));
    rescore(&sandbox, "u-1 mat saw\nu-2 a dog\n", &["--scores-out", "lm"]).success();
    let written = std::fs::read_to_string(sandbox.path("lm")).unwrap();
    assert_eq!(written, format!("u-1 {:.4}\nu-2 {:.4}\n", -expected[0], -expected[1]));
    rescore(&sandbox, "1 mat saw\n2 x\n1 a dog\n", &["--scores-out", "lm"]).success();
    let written = std::fs::read_to_string(sandbox.path("lm")).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[2]),
        (3, &*format!("{:.4}", expected[0]), &*format!("{:.4}", expected[1]))
    );
    // They are a list's further scores.
    let flags = ["--scores", "other=lm", "-w", "0", "--json"];
    let said = rescore(&sandbox, "1 mat saw\n2 x\n1 a dog\n", &flags).success();
    assert_eq!(said.lines().count(), 3);
}

#[test]
fn lists_of_srilm_are_a_file_each() {
    let sandbox = Sandbox::with_run();
    sandbox.write("one.score", "-1 -1 2 mat saw\n-1 -1 2 a dog\n");
    sandbox.write("two.nbest", "-1 -1 2 the cat\n");
    let flags = ["rescore", "-m", "run", "one.score", "two.nbest"];
    assert_eq!(sandbox.run(&[&flags[..], &["--best"]].concat()).success(), "one a dog\ntwo the cat\n");
    let said = sandbox.run(&flags);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.starts_with("error: the lines of 2 lists of SRILM have no ids"), "{}", said.stderr);
}

/// A list is answered when the next one begins, although stdin stays open.
#[test]
fn lists_from_a_pipe_are_answered_one_by_one() {
    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["rescore", "-m", "run", "-w", "0"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    stdin.write_all(b"u1\t-2\ta dog\nu1\t-1\tthe cat\nu2\t-3\ta mat\n").unwrap();
    stdin.flush().unwrap();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!([next(), next()], ["u1\t-1.0000\tthe cat", "u1\t-2.0000\ta dog"]);
    stdin.write_all(b"u1\t-5\tthe mat\n").unwrap();
    assert_eq!(next(), "u2\t-3.0000\ta mat");
    drop(stdin);
    assert_eq!(next(), "u1\t-5.0000\tthe mat");
    let said = Said::from(child.wait_with_output().unwrap());
    assert!(said.stderr.starts_with("note: 1 lists have an id that occurred before"), "{}", said.stderr);
    assert_eq!(said.code, Some(0));
}

/// A small n-gram model, and what KenLM says about it.
fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/arpa");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn an_n_gram_model_is_interpolated_and_agrees_with_kenlm() {
    let sandbox = Sandbox::with_run();
    sandbox.write("lm.arpa", fixture("trigrams.arpa"));
    let score = |flags: &[&str], text: &str| {
        let said =
            sandbox.run_with_stdin(&[&["score", "-m", "run", "--json", "--per-token"], flags].concat(), text);
        let stderr = said.stderr.clone();
        let lines: Vec<Value> =
            said.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, stderr)
    };
    let log_probs = |line: &Value| -> Vec<f64> {
        line["log_probs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token["log_prob"].as_f64().unwrap())
            .collect()
    };
    let sentence = "the cat sat on the mat .";
    let (lines, stderr) = score(&["--ngram", "lm.arpa", "--ngram-weight", "1"], &format!("{sentence}\n"));
    let kenlm = fixture("kenlm.tsv");
    let expected = kenlm.lines().find_map(|line| line.strip_prefix(&format!("{sentence}\t"))).unwrap();
    let expected: Vec<f64> = expected.split('\t').map(|score| score.parse().unwrap()).collect();
    let found = log_probs(&lines[0]);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found / std::f64::consts::LN_10 - expected).abs() < 1e-5, "{found} {expected}");
    }
    assert_eq!(stderr, "note: 2 of the 14 words of `lm.arpa` are not in the model's vocabulary\n");

    // Probabilities are mixed.
    let (alone, _) = score(&[], &format!("{sentence}\n"));
    let (mixed, _) = score(&["--ngram", "lm.arpa", "--ngram-weight", "0.25"], &format!("{sentence}\n"));
    for ((alone, ngram), mixed) in log_probs(&alone[0]).iter().zip(&found).zip(log_probs(&mixed[0])) {
        assert!((mixed.exp() - 0.75 * alone.exp() - 0.25 * ngram.exp()).abs() < 1e-5);
    }
    let list = format!("u\t0\t{sentence}\n");
    let rescored =
        rescore(&sandbox, &list, &["--ngram", "lm.arpa", "--ngram-weight", "0.25", "--json"]).json();
    assert!(
        (rescored["lm_log_prob"].as_f64().unwrap() - mixed[0]["log_prob"].as_f64().unwrap()).abs() < 1e-4
    );
}

#[test]
fn the_weight_of_an_n_gram_model_is_tuned_on_a_text() {
    let sandbox = Sandbox::with_run();
    sandbox.write("lm.arpa", fixture("trigrams.arpa"));
    sandbox.write(
        "valid.txt",
        "the dog saw a cat .\na mat saw the old dog .\ncat saw on the mat .\n".repeat(20),
    );
    let eval = |flags: &[&str]| {
        let said = sandbox
            .run(&[&["eval", "-m", "run", "valid.txt", "--json", "--ngram", "lm.arpa"], flags].concat());
        (said.stderr.clone(), said.json())
    };
    let (stderr, tuned) = eval(&["--ngram-tune", "valid.txt"]);
    let number = |said: &Value, key: &str| said["ngram"][key].as_f64().unwrap();
    let (weight, perplexity) = (number(&tuned, "weight"), number(&tuned, "perplexity"));
    assert!(
        weight > 0.0
            && weight < 1.0
            && stderr.contains(&format!("n-gram weight {weight:.4}, tuned on valid.txt"))
    );
    for other in [0.0, weight * 0.8, (weight * 1.2).min(1.0), 1.0] {
        let (_, found) = eval(&["--ngram-weight", &other.to_string()]);
        assert!(number(&found, "perplexity") > perplexity, "{other} {weight}");
        let expected = if other == 0.0 {
            found["perplexity"].as_f64()
        } else {
            Some(number(&found, "ngram_perplexity"))
        };
        assert!(
            (0.0 < other && other < 1.0)
                || (number(&found, "perplexity") / expected.unwrap() - 1.0).abs() < 1e-4
        );
    }
    let text = sandbox.run(&["eval", "-m", "run", "valid.txt", "--ngram", "lm.arpa"]).success();
    assert!(
        text.contains("model alone") && text.contains("interpolated") && text.contains("order 3, weight 0.5")
    );
}

#[test]
fn n_gram_models_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::with_run();
    sandbox.write("lm.arpa", fixture("trigrams.arpa"));
    let check = |command: &[&str], flags: &[&str], code: i32, expected: &str| {
        let said = sandbox.run(&[command, &["-m", "run"], flags].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(code), ""), "{flags:?}: {}", said.stderr);
        assert!(said.stderr.contains(expected), "{flags:?}: {}", said.stderr);
    };
    let score = &["score"][..];
    check(
        score,
        &["--ngram", "lm.arpa", "--ngram-weight", "1.5"],
        2,
        "`ngram_weight` must be at least 0 and at most 1",
    );
    check(score, &["--ngram-weight", "0.5"], 2, "--ngram <FILE>");
    check(score, &["--ngram", "text.txt"], 1, "`text.txt`, line 100: this is not an ARPA file");
    check(score, &["--ngram", "nowhere"], 1, "no such file or folder: `nowhere`");
    check(score, &["--ngram", "lm.arpa", "--html", "page"], 2, "cannot be used with");
    check(&["eval"], &["--ngram", "lm.arpa", "--cache", "5", "text.txt"], 2, "cannot be used with");
    check(&["eval"], &["--ngram", "lm.arpa", "--dynamic", "sgd", "text.txt"], 2, "cannot be used with");
    let characters = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "1"];
    characters.train(&[&flags[..], &TINY].concat()).success();
    characters.write("lm.arpa", fixture("trigrams.arpa"));
    let said = characters.run(&["score", "-m", "run", "--ngram", "lm.arpa"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("only a model of words can be interpolated with an n-gram model"),
        "{}",
        said.stderr
    );
}
