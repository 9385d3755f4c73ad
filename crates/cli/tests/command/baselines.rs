//! `rondo eval --baselines`: unigram and bigram perplexities beside the model's.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A text with a word that the vocabulary lacks.
const TEXT: &str = "the cat saw a zebra .\na dog sat .\n";

fn eval(sandbox: &Sandbox, flags: &[&str]) -> crate::sandbox::Said {
    sandbox.run_with_stdin(&[&["eval", "-m", "run", "--baselines"], flags].concat(), TEXT)
}

#[test]
fn a_text_is_compared_with_the_frequencies_of_the_training_text() {
    let sandbox = Sandbox::with_run();
    let vocab: Value = serde_json::from_slice(&fs::read(sandbox.path("run/vocab.json")).unwrap()).unwrap();
    let tokens: Vec<&str> =
        vocab["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    let counts: Vec<f64> =
        vocab["counts"].as_array().unwrap().iter().map(|count| count.as_f64().unwrap()).collect();
    assert_eq!(counts.len(), tokens.len());
    let total = counts.iter().sum::<f64>() + counts.len() as f64;
    let ids = TEXT
        .lines()
        .flat_map(|line| line.split(' ').chain(["<eos>"]))
        .map(|word| tokens.iter().position(|token| *token == word).unwrap_or(0));
    // The first token is read and not predicted.
    let losses: Vec<f64> = ids.skip(1).map(|id| -((counts[id] + 1.0) / total).ln()).collect();
    let expected = losses.iter().sum::<f64>() / losses.len() as f64;

    let json = eval(&sandbox, &["--json"]).json();
    assert_eq!(json["predicted_tokens"], losses.len());
    let unigram = json["baselines"]["unigram"]["loss"].as_f64().unwrap();
    assert!((unigram - expected).abs() < 1e-9, "{unigram}, expected {expected}");
    let bigram = json["baselines"]["bigram"]["perplexity"].as_f64().unwrap();
    assert!(bigram > 1.0 && bigram < unigram.exp(), "{json}");
    let said = eval(&sandbox, &[]);
    assert_eq!(said.stderr, "");
    let row =
        format!("\nunigram        loss {unigram:.4}, perplexity {:.2}\nbigram         loss ", unigram.exp());
    let text = said.success();
    assert!(text.contains(&row), "{text}");
    // Unknown words share their probability in both.
    let shared = eval(&sandbox, &["--json", "--unknown-words", "10"]).json();
    let more = 10_f64.ln() / losses.len() as f64;
    for name in ["unigram", "bigram"] {
        let loss = |json: &Value| json["baselines"][name]["loss"].as_f64().unwrap();
        assert!((loss(&shared) - loss(&json) - more).abs() < 1e-9, "{name}: {shared}");
    }
    // With adaptation too, and only when asked for.
    let text = eval(&sandbox, &["--cache", "10"]).success();
    assert!(text.contains("\nunigram ") && text.contains("with the cache"), "{text}");
    let plain = sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], TEXT).json();
    assert!(plain.get("baselines").is_none() && plain["loss"] == json["loss"], "{plain}");
}

#[test]
fn a_training_text_that_is_gone_leaves_the_unigram() {
    let sandbox = Sandbox::with_run();
    let both = eval(&sandbox, &["--json"]).json();
    for remove in ["text.txt", "run/plan.toml"] {
        fs::remove_file(sandbox.path(remove)).unwrap();
        let said = eval(&sandbox, &["--json"]);
        assert!(
            said.stderr.starts_with("note: no bigram perplexity, which needs the training text: "),
            "{}",
            said.stderr
        );
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        let json = said.json();
        assert_eq!(json["baselines"]["unigram"], both["baselines"]["unigram"]);
        assert_eq!(json["baselines"]["bigram"], Value::Null);
    }
    let text = eval(&sandbox, &[]).success();
    assert!(text.contains("\nunigram ") && !text.contains("bigram"), "{text}");
}

#[test]
fn a_model_without_counts_needs_the_training_text_for_both() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    let vocab: Value = serde_json::from_slice(&fs::read(sandbox.path("run/vocab.json")).unwrap()).unwrap();
    assert_eq!(vocab["counts"], Value::Null);
    let eval = || sandbox.run(&["eval", "-m", "run", "--baselines", "--json", "text.txt"]);
    let json = eval().json();
    let perplexity = |name: &str| json["baselines"][name]["perplexity"].as_f64().unwrap();
    assert!(perplexity("bigram") < perplexity("unigram"), "{json}");
    let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    sandbox.write("run/plan.toml", plan.replace("text.txt", "gone.txt"));
    let said = eval();
    assert!(
        said.stderr.starts_with("note: no unigram and bigram perplexity, which needs the training text: "),
        "{}",
        said.stderr
    );
    let json = said.json();
    assert_eq!(json["baselines"], serde_json::json!({ "unigram": null, "bigram": null }));
}
