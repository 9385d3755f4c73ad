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
