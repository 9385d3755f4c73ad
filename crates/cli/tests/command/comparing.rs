//! `rondo compare`.

use crate::bigram;
use crate::sandbox::{Said, Sandbox, TINY, filters};

/// A sandbox with two models of the same words, one of which is trained longer, one of characters, and a text.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_run();
    let train = |flags: &[&str]| {
        let fixed = ["train", "--threads", "1", "--data", "text.txt", "--quiet"];
        sandbox.run(&[&fixed[..], &TINY, flags].concat()).success()
    };
    train(&["--out", "longer", "--epochs", "8"]);
    train(&["--out", "characters", "--epochs", "1", "--tokenizer", "chars"]);
    sandbox.write("test.txt", "the cat sat on a mat .\na dog saw the cat .\n\na zebra saw a dog .\n");
    sandbox
}

fn compare(sandbox: &Sandbox, arguments: &[&str]) -> Said {
    sandbox.run(&[&["compare", "--threads", "1"], arguments].concat())
}

#[test]
fn two_models_are_compared_by_their_tokens_or_by_words() {
    let sandbox = sandbox();
    let _filters = filters(&sandbox);
    let said = compare(&sandbox, &["run", "longer", "test.txt"]);
    assert_eq!(said.stderr, "");
    insta::assert_snapshot!(said.success());

    let found = compare(&sandbox, &["run", "longer", "test.txt", "--json"]).json();
    assert_eq!((&found["unit"], &found["lines"], &found["units"]), (&"token".into(), &4.into(), &23.into()));
    assert_eq!((&found["resamples"], &found["models"][0]["unknown_tokens"]), (&10_000.into(), &1.into()));
    // The loss is that of `rondo score`.
    let summary =
        sandbox.run(&["score", "-m", "longer", "--threads", "1", "--summary", "--json", "test.txt"]).json();
    let (loss, scored) = (&found["models"][1]["loss"], &summary["loss"]);
    assert!((loss.as_f64().unwrap() - scored.as_f64().unwrap()).abs() < 1e-6, "{loss} {scored}");
    let seeded =
        |seed: &str| compare(&sandbox, &["run", "longer", "test.txt", "--json", "--seed", seed]).json();
    assert_eq!(seeded("1"), found);
    assert_ne!(seeded("2")["b_is_better"], found["b_is_better"]);

    let said = compare(&sandbox, &["run", "characters", "test.txt"]);
    insta::assert_snapshot!(said.stderr);
    insta::assert_snapshot!(said.success());
    let unknown = compare(&sandbox, &["run", "run", "test.txt", "--unknown-words", "100", "--json"]).json();
    let more =
        unknown["models"][0]["nll_sum"].as_f64().unwrap() - found["models"][0]["nll_sum"].as_f64().unwrap();
    assert!((more - 100f64.ln()).abs() < 1e-6, "{more}");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let sandbox = Sandbox::new();
    bigram::model().save(sandbox.path("a.safetensors")).unwrap();
    sandbox.write("empty.txt", "");
    let said = compare(&sandbox, &["a.safetensors", "a.safetensors", "empty.txt"]);
    let expected = "error: there is nothing to compare: no line has tokens that both models can score\n";
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), expected));
    let said = compare(&sandbox, &["a.safetensors"]);
    let expected = "error: the following required arguments were not provided: `<B>`\n";
    assert_eq!((said.code, said.stderr.as_str()), (Some(2), expected));

    let sandbox = self::sandbox();
    let said = compare(&sandbox, &["run", "characters", "test.txt", "--by", "token"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.stderr);
}
