//! Runs that diverge, learn nothing, or end early: what they say, and with which exit code they end.

use crate::sandbox::{Said, Sandbox, TINY, filters, text};

/// A ReLU network whose hidden state grows until it is infinite: not in two batches, but in the validation text.
const GROWING: [&str; 25] = [
    "--data",
    "text",
    "--cell",
    "rnn_relu",
    "--hidden-size",
    "24",
    "--layers",
    "1",
    "--dropout",
    "0",
    "--init-recurrent",
    "normal:1.5",
    "--epochs",
    "1",
    "--max-batches",
    "2",
    "--batch-size",
    "1",
    "--bptt",
    "7",
    "--optimizer",
    "sgd",
    "--learning-rate",
    "20",
    "--quiet",
];

/// A sandbox with a text and a validation text.
fn with_validation() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("text/train.txt", text(100));
    sandbox.write("text/valid.txt", text(100));
    sandbox
}

/// The flags for a tiny model, with another learning rate.
fn tiny(learning_rate: &'static str) -> Vec<&'static str> {
    TINY.iter().map(|&flag| if flag == "0.02" { learning_rate } else { flag }).collect()
}

/// The lines of stderr that contain this.
fn lines<'a>(said: &'a Said, part: &str) -> Vec<&'a str> {
    said.stderr.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn a_validation_loss_that_is_not_finite_ends_the_run_and_says_what_to_do() {
    let sandbox = with_validation();
    let _filters = filters(&sandbox);
    let said = sandbox.train(&GROWING);
    assert_eq!((said.code, said.stdout.as_str()), (Some(4), ""));
    insta::assert_snapshot!(said.stderr);

    // With each way to handle it, there is no usable model in the end.
    for (on_nan, cause) in [
        (
            "skip",
            "  cause: none of the 1 epochs had a finite loss on the validation text, so no model was saved",
        ),
        ("rollback", "  cause: the validation loss became "),
    ] {
        let said = sandbox.run(&[&["train", "--on-nan", on_nan, "--out", on_nan][..], &GROWING].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(4), ""), "{on_nan}");
        assert_eq!(lines(&said, cause).len(), 1, "{}", said.stderr);
        let checkpoint = format!("error: the run in `{on_nan}` has diverged; its last checkpoint is ");
        assert_eq!(lines(&said, &checkpoint).len(), 1, "{}", said.stderr);
    }
    // The last model of the run that skipped the evaluation is there, but gives no numbers.
    for command in [
        &["eval", "--model", "skip/last.safetensors", "text/valid.txt"][..],
        &["eval", "--model", "skip/last.safetensors", "--json", "text/valid.txt"],
        &["score", "--carry-state", "--model", "skip/last.safetensors", "text/valid.txt"],
    ] {
        let said = sandbox.run(command);
        assert_eq!(said.code, Some(1), "{command:?}: {said:?}");
        assert!(!said.stdout.to_lowercase().contains("nan") && !said.stdout.contains("null"), "{said:?}");
        assert_eq!(lines(&said, "error: the model's logits are NaN or infinite").len(), 1, "{said:?}");
        assert_eq!(lines(&said, "hint: train it again with a lower `--learning-rate`").len(), 1, "{said:?}");
    }
}

#[test]
fn the_advice_for_a_diverged_run_works() {
    let sandbox = with_validation();
    let flags = ["--data", "text", "--epochs", "1", "--quiet", "--cell", "rnn_relu", "--hidden-size", "16"];
    let flags =
        [&flags[..], &["--batch-size", "4", "--bptt", "8", "--learning-rate", "1e30", "--clip-norm", "0"]];
    let said = sandbox.train(&flags.concat());
    assert_eq!(said.code, Some(4), "{said:?}");
    let hint = lines(&said, "hint: ")[0];
    let command = hint.split('`').nth(1).unwrap().strip_prefix("rondo ").unwrap();
    let flags: Vec<&str> = command.split(' ').collect();
    let said = sandbox.run(&[&flags[..], &["--quiet", "--out", "again"]].concat());
    assert!(said.success().contains("\nbest   epoch 1\n"), "{command}");
}

#[test]
fn a_loss_above_that_of_a_uniform_guess_is_told_once_and_not_praised() {
    let sandbox = with_validation();
    let flags = ["--data", "text", "--init-embedding", "normal:30", "--epochs", "3", "--log-every", "0"];
    let said = sandbox.train(&[&flags[..], &tiny("1e-4")].concat());
    let warnings = lines(&said, "warning  ");
    assert_eq!(warnings.len(), 1, "{}", said.stderr);
    for part in
        ["stays above 2.3979, the loss of a uniform guess among 11 tokens", "learning rate of 0.0001", "0.25"]
    {
        assert!(warnings[0].contains(part), "{}", warnings[0]);
    }
    assert_eq!(lines(&said, "saved, but worse than a uniform guess").len(), 3, "{}", said.stderr);
    assert_eq!(lines(&said, "best so far").len(), 0, "{}", said.stderr);
    assert!(said.success().contains("\nbest   epoch 3, worse than a uniform guess\n"));
}

#[test]
fn lines_of_a_diverged_run_stay_in_their_columns() {
    let sandbox = with_validation();
    let flags = ["--data", "text", "--init-embedding", "normal:1e6", "--epochs", "2", "--log-every", "10"];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    let perplexities = lines(&said, "  perplexity ");
    let end = |line: &&str| {
        let (before, after) = line.split_once("  perplexity ").unwrap();
        let width = after.chars().take_while(|&char| char == ' ').count();
        before.len() + width + after.trim_start().split(' ').next().unwrap().len()
    };
    for part in ["batch ", "train ", "valid "] {
        let of_kind: Vec<_> = perplexities.iter().filter(|line| line.contains(part)).collect();
        assert!(of_kind.len() >= 2, "{}", said.stderr);
        assert!(of_kind.iter().all(|line| end(line) == end(of_kind[0])), "{}", said.stderr);
    }
    assert!(perplexities.iter().any(|line| line.contains("e6")), "{}", said.stderr);
    said.success();
}

#[test]
fn a_run_that_ends_early_says_why() {
    let sandbox = with_validation();
    // Steps this small change nothing, so no epoch after the first improves.
    let flags = [&["--data", "text", "--epochs", "9"][..], &tiny("1e-30")].concat();
    let said = sandbox.train(&[&flags[..], &["--early-stopping", "2"]].concat());
    let plan = lines(&said, "; seed 1, early stopping after 2 evaluations without improvement");
    assert_eq!(plan.len(), 1, "{}", said.stderr);
    let reason = "no improvement in the last 2 evaluations";
    assert_eq!(lines(&said, &format!("ended after epoch 3/9: {reason}")).len(), 1, "{}", said.stderr);
    assert!(said.success().contains(&format!("\nended  early: {reason}\n")));

    let flags = [&flags[..], &["--min-learning-rate", "1e-31", "--json", "--out", "rate"]].concat();
    let said = sandbox.run(&[&["train"][..], &flags].concat());
    assert_eq!(
        lines(&said, "ended after epoch 3/9: the learning rate would be ").len(),
        1,
        "{}",
        said.stderr
    );
    assert_eq!(said.json()["end"], "min-learning-rate");
    // A run that has ended as planned is finished, so it can be compared.
    sandbox.run(&["reproduce", "rate", "--out", "again"]).success();
}
