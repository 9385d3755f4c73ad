//! Approximate normalizers: fitting one, and scoring with it.

use crate::sandbox::{Sandbox, filters, text};

const FIT: [&str; 8] = ["normalizer", "fit", "run", "--frequent", "5", "--units", "8", "--threads"];

fn fitted() -> Sandbox {
    let sandbox = Sandbox::with_run();
    // The plan's text is short: fit to all of it, often.
    sandbox.run(&[&FIT[..], &["1", "--passes", "2000"]].concat()).success();
    sandbox
}

#[test]
fn a_fit_says_how_exact_it_is() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let said = sandbox.run(&[&FIT[..], &["1"]].concat()).success();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("fitted  5 tokens summed exactly, 8 units for the rest, in "), "{said}");
    assert!(
        lines[1].starts_with("error   mean ") && lines[1].ends_with(" positions of the validation text"),
        "{said}"
    );
    assert!(lines[2].ends_with("best.safetensors"), "{said}");
}

#[test]
fn approximate_scores_are_asked_for_and_come_with_their_error() {
    let sandbox = fitted();
    sandbox.write("new.txt", text(300));
    let loss = |flags: &[&str]| {
        let said = sandbox.run(&[&["eval", "-m", "run", "--json", "new.txt"], flags].concat());
        let stderr = said.stderr.clone();
        (said.json()["loss"].as_f64().unwrap(), stderr)
    };
    let ((exact, silent), (approximate, noted)) = (loss(&[]), loss(&["--approximate"]));
    assert!((exact - approximate).abs() < 0.2 && exact != approximate, "{exact} {approximate}");
    assert_eq!(silent, "");
    assert!(
        noted.starts_with("note: approximate normalizer, checked at one position in 1,000: error mean "),
        "{noted}"
    );
    let json = sandbox.run(&["eval", "-m", "run", "--json", "--approximate", "new.txt"]).json();
    assert!(json["approximate"]["error"]["positions"].as_u64().unwrap() >= 2, "{json}");

    let scores = |flags: &[&str]| {
        let said = sandbox.run(&[&["score", "-m", "run", "new.txt"], flags].concat()).success();
        let sum = |text: String| {
            text.lines().map(|line| line.split('\t').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
        };
        sum(said)
    };
    let (exact, approximate) = (scores(&[]), scores(&["--approximate"]));
    assert!((exact - approximate).abs() < 0.2 * exact.abs() && exact != approximate, "{exact} {approximate}");

    sandbox.write("lists.tsv", "1\t-2\tthe cat sat on a mat .\n1\t-2\tmat a on sat cat the .\n");
    let best = |flags: &[&str]| {
        sandbox.run(&[&["rescore", "-m", "run", "--best", "lists.tsv"], flags].concat()).success()
    };
    assert_eq!(best(&[]).split('\t').next_back(), best(&["--approximate"]).split('\t').next_back());
}

/// The states of a lattice's paths are advanced step by step, and lines are scored as a whole: the same approximation.
#[test]
fn lattices_have_approximate_scores_too() {
    let sandbox = fitted();
    sandbox.write("u.slf", "J=0 S=0 E=1 W=the\nJ=1 S=1 E=2 W=cat\nJ=2 S=1 E=2 W=mat\n");
    let lattice = |flags: &[&str]| {
        let said = sandbox.run(&[&["rescore", "-m", "run", "u.slf", "--best", "--json"], flags].concat());
        assert_eq!(
            said.stderr.contains("approximate normalizer, checked"),
            !flags.is_empty(),
            "{}",
            said.stderr
        );
        serde_json::from_str::<serde_json::Value>(&said.success()).unwrap()
    };
    let (exact, approximate) = (lattice(&[]), lattice(&["--approximate"]));
    let line = format!("{}\n", approximate["text"].as_str().unwrap());
    let flags = ["score", "-m", "run", "--json", "--approximate"];
    let score = sandbox.run_with_stdin(&flags, &line).json();
    let [exact, approximate, expected] =
        [&exact["lm_log_prob"], &approximate["lm_log_prob"], &score["log_prob"]]
            .map(|number| number.as_f64().unwrap());
    assert!(
        (approximate - expected).abs() < 1e-3 && approximate != exact,
        "{approximate} {expected} {exact}"
    );
}

#[test]
fn words_and_pairs_have_approximate_scores_too() {
    let sandbox = fitted();
    sandbox.write("new.txt", text(300));
    let bits: f64 = sandbox
        .run(&["score", "-m", "run", "--base", "2", "--approximate", "new.txt"])
        .success()
        .lines()
        .map(|line| line.split('\t').next().unwrap().parse::<f64>().unwrap())
        .sum();
    let said = sandbox.run(&["surprisal", "run", "new.txt", "--approximate", "--format", "jsonl"]);
    let notes: Vec<&str> = said.stderr.lines().collect();
    assert!(notes[0].starts_with("note: no columns `entropy` and `rank`"), "{}", said.stderr);
    assert!(notes[1].starts_with("note: approximate normalizer, checked at one position"), "{}", said.stderr);
    let rows: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum: f64 = rows.iter().map(|row| row["surprisal_bits"].as_f64().unwrap()).sum();
    assert!((sum + bits).abs() < 0.2, "{sum} {bits}");
    let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert!(!names.iter().any(|name| name.contains("rank") || name.contains("entropy")), "{names:?}");
    let exact = sandbox.run(&["surprisal", "run", "new.txt", "--format", "jsonl"]).success();
    let exact: f64 = exact
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|row| row["surprisal_bits"].as_f64().unwrap())
        .sum();
    assert!((sum - exact).abs() < 0.2 * exact && (sum - exact).abs() > 1e-3, "{sum} {exact}");

    sandbox.write("pairs.tsv", "the cat sat on the mat .\tmat the on sat cat the .\n");
    for flags in [&["--json"][..], &["--json", "--region"]] {
        let said = sandbox.run(&[&["pairs", "run", "pairs.tsv", "--approximate"], flags].concat());
        assert!(said.stderr.starts_with("note: approximate normalizer, checked"), "{}", said.stderr);
        let model = &said.json()["models"][0];
        assert!(
            model["right"] == 1 && model["approximate"]["error"]["positions"].as_u64() > Some(0),
            "{model}"
        );
    }
    let said = sandbox.run(&["compare", "run", "run/best.safetensors", "new.txt", "--approximate"]);
    let of = said.stderr.matches("note: approximate normalizer of `run/best.safetensors`, checked").count();
    assert!(of == 2 && said.stdout.contains("+0.0000 nats per token"), "{} {}", said.stdout, said.stderr);
}

#[test]
fn words_of_characters_need_the_whole_distribution() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--tokenizer", "chars", "--epochs", "1", "--hidden-size", "8"];
    sandbox.train(&flags).success();
    sandbox.run(&[&FIT[..], &["1"]].concat()).success();
    sandbox.write("new.txt", text(3));
    sandbox.write("pairs.tsv", "the cat sat on the mat .\tthe cat sat on the cat .\n");
    let errors = [
        sandbox.run(&["surprisal", "run", "new.txt", "--approximate"]).stderr,
        sandbox.run(&["pairs", "run", "pairs.tsv", "--region", "--approximate"]).stderr,
    ];
    insta::assert_snapshot!(errors.join("\n"));
    sandbox.run(&["surprisal", "run", "new.txt", "--approximate", "--by", "character"]).success();
    // The sum of a sentence does not depend on where its words end.
    let rows = sandbox.run(&["pairs", "run", "pairs.tsv", "--approximate", "--per-pair", "-"]).success();
    let scores: Vec<f64> =
        rows.lines().last().unwrap().split('\t').filter_map(|cell| cell.parse().ok()).skip(1).collect();
    let lines = sandbox.run_with_stdin(
        &["score", "-m", "run", "--approximate"],
        "the cat sat on the mat .\nthe cat sat on the cat .\n",
    );
    for (score, line) in scores.iter().zip(lines.success().lines()) {
        let expected: f64 = line.split('\t').next().unwrap().parse().unwrap();
        assert!((score - expected).abs() < 0.01, "{score} {expected}");
    }
    assert_eq!(scores.len(), 2);
}

#[test]
fn what_cannot_be_approximated_is_one_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("new.txt", text(3));
    let errors = [
        sandbox.run(&["score", "-m", "run", "--approximate", "new.txt"]).stderr,
        sandbox.run(&["eval", "-m", "run", "--approximate", "--cache", "9", "new.txt"]).stderr,
        sandbox.run(&["normalizer", "fit", "run"]).stderr,
        sandbox.run(&["normalizer", "fit", "missing"]).stderr,
    ];
    insta::assert_snapshot!(errors.join("\n"));
}
