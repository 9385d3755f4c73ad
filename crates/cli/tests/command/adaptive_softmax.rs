//! `--softmax adaptive:…`: a model with an adaptive softmax, from training to generation.

use std::fs;

use crate::sandbox::{Sandbox, TINY, text};

/// One with the run of a model that was trained for two epochs.
fn trained(order: &str) -> Sandbox {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--epochs", "2", "--softmax", "adaptive:4,8", "--vocab-order", order];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    assert!(said.stderr.contains(", adaptive softmax at 4, 8"), "{}", said.stderr);
    said.success();
    sandbox
}

#[test]
fn a_model_is_trained_resumed_evaluated_and_generates() {
    for order in ["frequency", "first-appearance"] {
        let sandbox = trained(order);
        let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
        assert!(plan.contains("softmax = \"adaptive:4,8\"") && plan.contains("tied = false"), "{plan}");
        sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "12", "-q"]).success();
        let evaluated = sandbox.run(&["eval", "-m", "run", "text.txt", "--json", "-q"]).json();
        let (loss, tokens) = (evaluated["loss"].as_f64().unwrap(), evaluated["tokens"].as_f64().unwrap());
        assert!(loss < 0.7, "{order}: {loss}");

        let scored = sandbox.run(&["score", "-m", "run", "--carry-state", "text.txt"]).success();
        let log_prob = |line: &str| line.split('\t').next().unwrap().parse::<f64>().unwrap();
        let sum: f64 = scored.lines().map(log_prob).sum();
        assert!((sum / tokens + loss).abs() < 0.02, "{order}: {sum} of {tokens}, {loss}");

        let generated = sandbox.run(&["generate", "-m", "run", "--prefix", "the dog", "-n", "30"]).success();
        assert!(generated.starts_with("the dog"), "{generated}");
        let candidates = sandbox.run(&["complete", "-m", "run", "--json", "the"]).success();
        assert!(candidates.contains("\"dog\"") && candidates.contains("\"cat\""), "{candidates}");
        let table = sandbox.run(&["models", "run"]).success();
        assert!(table.contains("decoder.tails.1.projection  [1, 16]"), "{table}");
    }
}

#[test]
fn new_words_join_the_last_cluster() {
    let sandbox = trained("first-appearance");
    sandbox.write("other.txt", text(60).replace("cat", "owl").replace("dog", "fox"));
    let flags = ["train", "-q", "--from", "run", "--extend-vocab", "--data", "other.txt", "--out", "on"];
    sandbox.run(&[&flags[..], &["--epochs", "12"]].concat()).success();
    let evaluated = sandbox.run(&["eval", "-m", "on", "other.txt", "--json", "-q"]).json();
    assert!(evaluated["loss"].as_f64().unwrap() < 0.7, "{evaluated}");
}

#[test]
fn what_does_not_fit_an_adaptive_softmax_is_refused() {
    let sandbox = trained("frequency");
    let new = [&["train", "--data", "text.txt"][..], &TINY].concat();
    let errors = [
        (&["--softmax", "adaptive:8,4"][..], "for `--softmax <SOFTMAX>`: expected increasing"),
        (
            &["--softmax", "adaptive:4", "--tied", "true"],
            "error: `tied` cannot be on with an adaptive softmax",
        ),
        (
            &["--softmax", "adaptive:4,90"],
            "error: `softmax` must have cutoffs below the vocabulary size (11)",
        ),
        (
            &["--softmax", "adaptive:2,4,8"],
            "error: `softmax` has 3 cutoffs, but the last hidden size (16) is enough for 2",
        ),
    ];
    for (flags, expected) in errors {
        let said = sandbox.run(&[&new[..], flags].concat());
        assert!(said.stderr.contains(expected), "{flags:?}: {}", said.stderr);
        assert_ne!(said.code, Some(0));
    }
    for (flags, expected) in [
        (&["train", "--resume", "--out", "run", "--softmax", "full"][..], "cannot change `model.softmax`"),
        (&["train", "--from", "run", "--data", "text.txt", "--softmax", "sampled:4"], "`model.softmax`"),
        (
            &["normalizer", "fit", "run", "--frequent", "5", "--units", "8"],
            "not those of an adaptive softmax",
        ),
    ] {
        let said = sandbox.run(flags);
        assert!(said.stderr.contains(expected), "{flags:?}: {}", said.stderr);
        assert_ne!(said.code, Some(0));
    }
}
