//! Datasets, recipes, models, completions.

use std::fs;

use crate::sandbox::{Sandbox, filters};

#[test]
fn datasets_are_listed_with_where_they_are() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    sandbox.write("corpora/ptb/ptb.train.txt", "too short\n");
    insta::assert_snapshot!(sandbox.run(&["datasets", "--data", "corpora"]).success());

    let list = sandbox.run(&["datasets", "--json"]).json();
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|corpus| corpus["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["built-in", "wikitext-2", "ptb"]);
    assert_eq!(list[1]["files"][0]["split"], "train");
    assert!(list[1]["folder"].is_null() && list[1]["problem"].is_null());
}

#[test]
fn recipes_are_listed_with_what_was_published() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(&["recipes"]).success();
    let expected = "published  epoch 3  valid 158.4–160.7  test 146.9–148.3  four public runs";
    assert!(list.contains(expected), "{list}");
    assert!(list.contains("rondo train --recipe ptb-rnn"), "{list}");
    let expected = "band       epoch 2  valid 238.7–257.7  test 228.8–248.5  `relu`; --epochs 2";
    assert!(list.contains(expected), "{list}");

    let list = sandbox.run(&["recipes", "--json"]).json();
    let ptb = list.as_array().unwrap().iter().find(|recipe| recipe["name"] == "ptb-rnn").unwrap();
    assert_eq!(ptb["published"][1]["with"]["training.bptt"], "35");
    assert_eq!(ptb["published"][1]["valid_perplexity"], serde_json::json!([172.3, 178.5]));
    assert_eq!(ptb["verify"][1]["name"], "lstm");
    assert_eq!(ptb["verify"][1]["after_epoch"], 2);
    assert_eq!(ptb["verify"][1]["valid_perplexity"], serde_json::json!([167.1, 183.9]));
}

#[test]
fn a_recipe_is_shown_as_its_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/ptb-rnn.toml");
    let shown = Sandbox::new().run(&["recipes", "show", "ptb-rnn"]).success();
    assert_eq!(shown, fs::read_to_string(file).unwrap());

    let said = Sandbox::new().run(&["recipes", "show", "ptb-rn"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.ends_with("; did you mean `ptb-rnn`?\n"), "{}", said.stderr);
}

#[test]
fn named_models_have_their_sizes() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["models"]).success());
    let list = sandbox.run(&["models", "--vocab-size", "10", "--json"]).json();
    assert_eq!(list[0]["name"], "standard_lstm_lm_200");
    assert_eq!(list[0]["config"]["vocab_size"], 10);
}

#[test]
fn a_model_file_is_described() {
    let sandbox = Sandbox::with_run();
    insta::assert_snapshot!(sandbox.run(&["models", "run"]).success());
    let described = sandbox.run(&["models", "run/last.safetensors", "--json"]).json();
    assert_eq!(described["config"]["hidden_sizes"], serde_json::json!([16]));
    assert_eq!(described["tensors"][0]["name"], "embedding.weight");
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Sandbox::new().run(&["completions", shell]).success();
        assert!(script.contains("hidden-size") && script.contains("forbid-unk"), "{shell}");
    }
}
