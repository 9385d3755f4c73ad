//! `rondo eval` of a model that adapts to the text: with a neural cache, or learning on.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, filters, text};

/// `rondo eval` of the run on one thread.
fn eval(sandbox: &Sandbox, flags: &[&str]) -> crate::sandbox::Said {
    sandbox.run(&[&["eval", "--model", "run", "--threads", "1"], flags].concat())
}

fn loss(value: &Value) -> f64 {
    value["loss"].as_f64().unwrap()
}

#[test]
fn a_cache_is_evaluated_beside_the_model_alone() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    insta::assert_snapshot!(eval(&sandbox, &["--split", "valid", "--cache", "20"]).success());

    let alone = eval(&sandbox, &["text.txt", "--batch-size", "1", "--json"]).json();
    let off = eval(&sandbox, &["text.txt", "--cache", "20", "--cache-lambda", "0", "--json"]).json();
    assert_eq!((&off["loss"], &off["cache"]["loss"]), (&alone["loss"], &alone["loss"]));
    let on = eval(&sandbox, &["text.txt", "--cache", "20", "--cache-theta", "0.5", "--json"]).json();
    assert_eq!(on["loss"], alone["loss"]);
    assert_ne!(on["cache"]["loss"], alone["loss"]);
    assert_eq!((&on["cache"]["window"], &on["cache"]["theta"]), (&20.into(), &0.5.into()));
    assert_eq!(on["cache"]["lambda"], 0.1279);
}

#[test]
fn a_cache_is_tuned_on_the_validation_text_or_another() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let flags = ["--split", "test", "--cache", "20", "--tune-cache"];
    insta::assert_snapshot!(eval(&sandbox, &flags).success());

    // Words that the model does not expect after each other, again and again.
    sandbox.write("odd.txt", "mat mat the on the mat mat .\n".repeat(20));
    let flags = ["text.txt", "--cache", "20", "--tune-cache", "--tune-on", "odd.txt", "--json"];
    let said = eval(&sandbox, &flags).json();
    let cache = &said["cache"];
    assert_eq!(cache["tuned_on"], "odd.txt");
    let tried = cache["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 81);
    let perplexity = |point: &Value| point["perplexity"].as_f64().unwrap();
    let best = tried.iter().min_by(|a, b| perplexity(a).total_cmp(&perplexity(b))).unwrap();
    assert_eq!((&cache["theta"], &cache["lambda"]), (&best["theta"], &best["lambda"]));
    let point = eval(&sandbox, &["odd.txt", "--cache", "20", "--json"]).json();
    assert!(perplexity(best) <= perplexity(&point["cache"]), "{best}");
}

#[test]
fn a_model_learns_from_what_it_is_evaluated_on_and_its_file_does_not() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    let before = fs::read(sandbox.path("run/best.safetensors")).unwrap();
    insta::assert_snapshot!(eval(&sandbox, &["--split", "valid", "--dynamic", "sgd"]).success());

    sandbox.write("odd.txt", "mat mat the on the mat mat .\n".repeat(20));
    sandbox.write("other.txt", text(60));
    let alone = eval(&sandbox, &["odd.txt", "--batch-size", "1", "--json"]).json();
    for (rule, flags) in [
        ("sgd", &["--dynamic-clip-norm", "5"][..]),
        ("rms", &["--dynamic-batches", "3", "--dynamic-learning-rate", "0.002"]),
        ("rms", &["--dynamic-on", "other.txt", "--dynamic-decay", "0"]),
    ] {
        let flags = [&["odd.txt", "--dynamic", rule, "--json"], flags].concat();
        let said = eval(&sandbox, &flags).json();
        assert_eq!((&said["loss"], &said["dynamic"]["rule"]), (&alone["loss"], &rule.into()));
        assert!(loss(&said["dynamic"]) < loss(&alone), "{flags:?}: {said}");
    }
    let both = ["odd.txt", "--dynamic", "sgd", "--cache", "20", "--json"];
    let said = eval(&sandbox, &both).json();
    assert!(loss(&said["cache"]) != loss(&said["dynamic"]), "{said}");
    let flags = ["odd.txt", "--dynamic", "sgd", "--dynamic-learning-rate", "0", "--json"];
    let said = eval(&sandbox, &flags).json();
    assert!((loss(&said["dynamic"]) / loss(&alone) - 1.0).abs() < 1e-6, "{said}");
    assert_eq!(fs::read(sandbox.path("run/best.safetensors")).unwrap(), before);
}

#[test]
fn unknown_words_are_told_as_a_share() {
    let sandbox = Sandbox::with_run();
    sandbox.write("a.txt", "the cat saw a zebra .\na dog sat .\n");
    let said = eval(&sandbox, &["a.txt"]).success();
    assert!(said.contains("unknown words  1 (8.3 %)\n"), "{said}");
    assert_eq!(eval(&sandbox, &["a.txt", "--json"]).json()["unknown_share"], 1.0 / 12.0);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::with_run();
    let mut all = String::new();
    for flags in [
        &["--cache", "20", "--tune-cache", "--dynamic", "sgd"][..],
        &["--cache", "20", "--batch-size", "4"],
        &["--cache", "0"],
        &["--cache", "20", "--cache-lambda", "1"],
        &["--cache", "20", "--cache-theta", "inf"],
        &["--cache-theta", "0.5"],
        &["--cache", "20", "--tune-on", "text.txt"],
        &["--dynamic-decay", "0.5"],
        &["--dynamic", "adam"],
        &["--dynamic", "sgd", "--dynamic-on", "text.txt"],
        &["--dynamic", "sgd", "--dynamic-learning-rate", "nan"],
    ] {
        let said = eval(&sandbox, &[&["text.txt"], flags].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{flags:?}: {}", said.stderr);
        all += &format!("$ rondo eval text.txt {}\n{}\n", flags.join(" "), said.stderr);
    }
    fs::remove_file(sandbox.path("run/plan.toml")).unwrap();
    for flags in [&["--cache", "20", "--tune-cache"][..], &["--dynamic", "rms"]] {
        let said = eval(&sandbox, &[&["text.txt"], flags].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{flags:?}: {}", said.stderr);
        all += &format!("without a plan\n$ rondo eval text.txt {}\n{}\n", flags.join(" "), said.stderr);
    }
    let flags = ["text.txt", "--dynamic", "sgd", "--dynamic-learning-rate", "1e30"];
    let said = eval(&sandbox, &flags);
    assert_eq!((said.code, said.stdout.as_str()), (Some(4), ""));
    assert!(said.stderr.contains("of dynamic evaluation\n   hint: a lower"), "{}", said.stderr);
    insta::assert_snapshot!(all);
}
