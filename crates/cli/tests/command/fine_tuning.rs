//! `rondo train --from` and `rondo recipes verify`: what is done with a run that is there.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// The lines of a text about other animals, in the sentences of the first.
fn other_text() -> String {
    text(60).replace("cat", "owl").replace("dog", "fox")
}

fn vocabulary(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(sandbox.path(run).join("vocab.json")).unwrap()).unwrap()
}

#[test]
fn training_goes_on_with_another_text_by_the_models_own_settings() {
    let sandbox = Sandbox::with_run();
    sandbox.write("other.txt", other_text());
    let flags = ["train", "--from", "run", "--data", "other.txt", "--epochs", "3", "--out", "on"];
    let said = sandbox.run(&flags);
    for line in ["fine-tuned from ", "out-of-vocabulary words in ", "before     valid", "epoch 3/3  valid"] {
        assert!(said.stderr.contains(line), "{line:?} in {}", said.stderr);
    }
    said.success();
    // With its counts, those of the text that the vocabulary was made from.
    assert_eq!(vocabulary(&sandbox, "on"), vocabulary(&sandbox, "run"));
    let plan = fs::read_to_string(sandbox.path("on/plan.toml")).unwrap();
    assert!(plan.contains("optimizer = \"adam\"") && plan.contains("hidden_size = 16"), "{plan}");
    let eval = |model: &str| {
        let said = sandbox.run(&["eval", "--model", model, "other.txt", "--json", "-q"]);
        said.json()["perplexity"].as_f64().unwrap()
    };
    assert!(eval("on") < eval("run"));
    // The plan repeats the run.
    sandbox.run(&["train", "-q", "--plan", "on", "--out", "again"]).success();
    let model = |run: &str| fs::read(sandbox.path(run).join("best.safetensors")).unwrap();
    assert!(model("on") == model("again"));
}

#[test]
fn new_words_are_added_if_asked_for() {
    let sandbox = Sandbox::with_run();
    sandbox.write("other.txt", other_text());
    let flags = ["train", "-q", "--from", "run", "--extend-vocab", "--data", "other.txt", "--out", "on"];
    sandbox.run(&flags).success();
    let tokens = |run| vocabulary(&sandbox, run)["tokens"].as_array().unwrap().clone();
    let (old, new) = (tokens("run"), tokens("on"));
    assert_eq!(new[..old.len()], old);
    let counts = |run| vocabulary(&sandbox, run)["counts"].as_array().unwrap().clone();
    assert_eq!(counts("on")[..old.len()], counts("run"));
    assert!(counts("on")[old.len()..].iter().all(|count| count.as_u64().unwrap() > 10));
    let mut added: Vec<&str> = new[old.len()..].iter().filter_map(Value::as_str).collect();
    added.sort_unstable();
    assert_eq!(added, ["fox", "owl"]);
    let candidates = sandbox.run(&["complete", "--model", "on", "--json", "the"]).success();
    assert!(candidates.contains("owl") && candidates.contains("fox"), "{candidates}");
    sandbox.run(&["train", "-q", "--plan", "on/plan.toml", "--out", "again"]).success();
    let model = |run: &str| fs::read(sandbox.path(run).join("best.safetensors")).unwrap();
    assert!(model("on") == model("again"));
}

#[test]
fn without_a_text_training_goes_on_with_the_models_own() {
    let sandbox = Sandbox::with_run();
    let said =
        sandbox.run(&["train", "--from", "run/best.safetensors", "--epochs", "1", "--averaging", "asgd"]);
    assert!(
        said.stderr.contains("text.txt") && said.stderr.contains("; averaged weights, current weights "),
        "{}",
        said.stderr
    );
    said.success();
}

#[test]
fn what_a_model_is_not_cannot_be_asked_of_it() {
    let sandbox = Sandbox::with_run();
    let refused = |flags: &[&str], code, expected: &str| {
        let said = sandbox.run(&[&["train", "-q", "--data", "text.txt"][..], flags].concat());
        assert_eq!((said.code, said.stderr.lines().next()), (Some(code), Some(expected)));
    };
    let nothing = format!("error: could not load model `{}`", sandbox.path("nothing").display());
    refused(&["--from", "nothing"], 1, &nothing);
    refused(
        &["--from", "run", "--hidden-size", "17"],
        2,
        "error: `model.hidden_sizes` is `17`, but the model to continue from has `16`",
    );
    refused(
        &["--extend-vocab"],
        2,
        "error: `training.extend_vocab` has no effect unless `training.from` names a model",
    );
    assert_eq!(sandbox.names(), ["run", "text.txt"]);
}

#[test]
fn a_run_is_verified_against_its_own_recipe_only() {
    let sandbox = Sandbox::with_run();
    let refused = |name: &str, expected: &str| {
        let said = sandbox.run(&["recipes", "verify", name, "--run", "run"]);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    };
    refused("built-in", "the recipe `built-in` states no perplexities to verify");
    refused(
        "ptb-rnn",
        "the run `run` does not follow the recipe: `text.corpus` is unset, but `ptb` in the recipe",
    );
}

#[test]
fn a_recipe_is_run_with_the_seed_and_bands_that_are_asked_for() {
    let sandbox = Sandbox::new();
    for split in ["train", "valid", "test"] {
        sandbox.write(&format!("mine/{split}.txt"), text(200));
    }
    let verify = |flags: &[&str]| sandbox.run(&[&["recipes", "verify", "ptb-rnn", "-q"], flags].concat());
    // The run is prepared, and refused before it trains, since it is not on the recipe's corpus.
    for (band, cell) in [("lstm", "lstm"), ("relu", "rnn_relu")] {
        let said = verify(&["--data", "mine", "--seed", "7", "--band", band, "--out", band]);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains("`text.corpus` is unset"), "{}", said.stderr);
        let plan = fs::read_to_string(sandbox.path(band).join("plan.toml")).unwrap();
        assert!(plan.contains("seed = 7\n") && plan.contains(&format!("cell = \"{cell}\"\n")), "{plan}");
        assert!(!sandbox.path(band).join("best.safetensors").exists());
    }

    let said = verify(&["--data", "mine", "--band", "gru"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("no band `gru`, expected one of `lstm`, `relu`"), "{}", said.stderr);
    let said = verify(&["--run", "lstm", "--seed", "1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("cannot be used with"), "{}", said.stderr);
}
