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
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../train/recipes/ptb-rnn.toml");
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
fn a_model_file_names_the_order_of_its_gates() {
    let sandbox = Sandbox::with_text();
    for (cell, gates) in
        [("gru", "r (reset), z (update), n (new)"), ("lstm", "i (input), f (forget), g (cell), o (output)")]
    {
        let flags = ["--data", "text.txt", "--cell", cell, "--hidden-size", "6", "--embedding-size", "5"];
        let more =
            ["--batch-size", "4", "--bptt", "8", "--max-batches", "1", "--epochs", "1", "--layers", "1"];
        let out = format!("{cell}-run");
        sandbox.run(&[&["train", "--out", &out], &flags[..], &more].concat()).success();
        let described = sandbox.run(&["models", &out]).success();
        assert!(described.contains(&format!("\ngates        {gates}, in this order\n")), "{described}");
        for name in ["rnn.0.weight_ih", "rnn.0.weight_hh", "rnn.0.bias_ih", "rnn.0.bias_hh"] {
            let line = described.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            assert!(line.ends_with(", gates stacked"), "{line}");
        }
        let json = sandbox.run(&["models", &out, "--json"]).json();
        let letters: Vec<_> = gates.split(", ").map(|gate| &gate[..1]).collect();
        assert_eq!(json["tensors"][1]["gates"], serde_json::json!(letters));
        assert_eq!(json["tensors"][0]["gates"], serde_json::json!([]));
    }
}

#[test]
fn a_preset_is_described() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["models", "awd_lstm_lm_1150"]).success());
    let described =
        sandbox.run(&["models", "standard_lstm_lm_200", "--vocab-size", "10000", "--json"]).json();
    assert_eq!(
        (&described["config"]["vocab_size"], &described["parameters"]),
        (&10_000.into(), &2_653_200.into())
    );

    let said = sandbox.run(&["models", "standard_lstm_lm_20"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("did you mean `standard_lstm_lm_200`?"), "{}", said.stderr);
    let said = Sandbox::with_run().run(&["models", "run", "--vocab-size", "10"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("the model in `run` has its own vocabulary"), "{}", said.stderr);
}

#[test]
fn words_with_similar_embeddings_are_listed() {
    let sandbox = Sandbox::with_run();
    let one = sandbox.run(&["neighbors", "run", "cat", "--top", "3"]).success();
    let lines: Vec<_> = one.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "similarity  word"));
    assert!(!one.contains("cat"), "{one}");

    let two = sandbox.run(&["neighbors", "run", "cat", "dog", "--top", "3"]).success();
    assert!(two.starts_with(&format!("cat\n{one}\ndog\nsimilarity  word\n")), "{two}");

    let json = sandbox.run(&["neighbors", "run", "cat", "--top", "3", "--json"]).json();
    let neighbors = json["neighbors"].as_array().unwrap();
    assert_eq!((json["word"].as_str(), neighbors.len()), (Some("cat"), 3));
    assert!(lines[1].ends_with(neighbors[0]["word"].as_str().unwrap()), "{json}");
    let similarities: Vec<f64> = neighbors.iter().map(|one| one["similarity"].as_f64().unwrap()).collect();
    assert!(
        similarities.is_sorted_by(|a, b| a >= b) && similarities.iter().all(|one| one.abs() <= 1.0 + 1e-9)
    );
}

#[test]
fn neighbors_of_unknown_words_and_of_one_hot_models_are_refused() {
    let sandbox = Sandbox::with_run();
    let said = sandbox.run(&["neighbors", "run", "cat", "dgo"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert!(
        said.stderr.contains("`dgo` is not in the model's vocabulary; the most similar"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("`dog`"), "{}", said.stderr);

    let flags =
        ["train", "--out", "one-hot", "--data", "text.txt", "--input", "one-hot", "--hidden-size", "6"];
    let more = ["--batch-size", "4", "--bptt", "8", "--max-batches", "1", "--epochs", "1", "--layers", "1"];
    sandbox.run(&[&flags[..], &more].concat()).success();
    let said = sandbox.run(&["neighbors", "one-hot", "cat"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("the model has no embedding: its input is one-hot"), "{}", said.stderr);
    let described = sandbox.run(&["models", "one-hot"]).success();
    assert!(described.contains("a row for each token, gates side by side"), "{described}");

    let flags = ["train", "--out", "untied", "--data", "text.txt", "--tied", "false", "--hidden-size", "6"];
    sandbox.run(&[&flags[..], &more].concat()).success();
    assert_eq!(sandbox.run(&["neighbors", "untied", "cat", "-k", "2"]).success().lines().count(), 3);
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Sandbox::new().run(&["completions", shell]).success();
        assert!(script.contains("hidden-size") && script.contains("forbid-unk"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["man", "pages"]).success(), "");
    for page in ["rondo.1", "rondo-train.1", "rondo-recipes-show.1", "rondo-completions.1"] {
        let page = fs::read_to_string(sandbox.path("pages").join(page)).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{page}");
    }
    let train = fs::read_to_string(sandbox.path("pages/rondo-train.1")).unwrap();
    assert!(train.contains("hidden\\-size"), "{train}");
    assert!(!sandbox.path("pages/rondo-man.1").exists());
}
