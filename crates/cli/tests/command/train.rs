//! `rondo train`, from flags to the files of a run.

use std::fs;

use crate::sandbox::{Sandbox, TINY, filters, text};

#[test]
fn a_run_says_what_it_does_and_leaves_its_files() {
    let sandbox = Sandbox::with_text();
    let _filters = filters(&sandbox);
    let flags = ["--data", "text.txt", "--epochs", "2", "--log-every", "10"];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    insta::assert_snapshot!(said.stderr);
    insta::assert_snapshot!(said.success());
    for file in
        ["plan.toml", "vocab.json", "best.safetensors", "last.safetensors", "metrics.jsonl", "curve.svg"]
    {
        assert!(sandbox.path("run").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_sampled_softmax_says_that_training_losses_are_its_own() {
    let sandbox = Sandbox::with_text();
    let _filters = filters(&sandbox);
    let flags = ["--data", "text.txt", "--epochs", "2", "--log-every", "10", "--softmax", "sampled:4"];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    insta::assert_snapshot!(said.stderr);
    insta::assert_snapshot!(said.success());
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("epoch_loss") && !metrics.contains("epoch_perplexity"), "{metrics}");

    let errors = [
        &["--softmax", "sampled:0"][..],
        &["--softmax", "half"],
        &["--sampler", "log-uniform"],
        &["--softmax", "sampled:4", "--sampler", "unigram:2"],
    ]
    .map(|flags| sandbox.run(&[&["train", "--data", "text.txt"][..], flags].concat()).stderr);
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn the_result_is_a_json_object_if_asked_for() {
    let sandbox = Sandbox::with_text();
    let said =
        sandbox.train(&[&["--data", "text.txt", "--epochs", "3", "--json", "--quiet"][..], &TINY].concat());
    assert_eq!(said.stderr, "");
    let result = said.json();
    assert_eq!((&result["run"], &result["interrupted"]), (&"run".into(), &false.into()));
    assert!(result["best_epoch"].as_u64().unwrap() >= 1);
    let (loss, perplexity) =
        (result["valid_loss"].as_f64().unwrap(), result["valid_perplexity"].as_f64().unwrap());
    assert!((loss.exp() - perplexity).abs() < 1e-9 * perplexity);
    assert!(perplexity < 8.0, "{perplexity}");
}

/// Version 0.1.0 printed the speed of training next to a time that included evaluation.
#[test]
fn tokens_seconds_and_tokens_per_second_agree() {
    let sandbox = Sandbox::with_text();
    let flags = [&["--data", "text.txt", "--epochs", "3", "--quiet"][..], &TINY].concat();
    let text = sandbox.train(&flags).success();
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("speed")).take(2).collect();
    let numbers = |line: &str| -> Vec<f64> {
        line.split_whitespace().filter_map(|word| word.replace([',', ':'], "").parse().ok()).collect()
    };
    let [speed, tokens, seconds] = numbers(lines[0])[..] else { panic!("{text}") };
    let [total_speed, total_seconds] = numbers(lines[1])[..] else { panic!("{text}") };
    // Seconds are printed with four decimals, and a fast machine needs only a few thousandths.
    let agree = |speed: f64, seconds: f64| (speed * seconds - tokens).abs() < 0.01 * tokens + 0.5e-4 * speed;
    assert!(agree(speed, seconds) && agree(total_speed, total_seconds), "{text}");
    assert!(total_seconds > seconds, "{text}");

    let json =
        sandbox.run(&[&["train", "--json", "--threads", "1", "--out", "json"], &flags[..]].concat()).json();
    let number = |key: &str| json[key].as_f64().unwrap();
    for (speed, seconds) in [("training_tokens_per_s", "training_s"), ("tokens_per_s", "elapsed_s")] {
        assert!((number(speed) * number(seconds) / number("tokens") - 1.0).abs() < 1e-9, "{json}");
    }
}

#[test]
fn a_run_is_repeated_from_its_folder() {
    let sandbox = Sandbox::with_text();
    sandbox.train(&[&["--data", "text.txt", "--epochs", "2"][..], &TINY].concat()).success();
    sandbox.run(&["train", "--plan", "run", "--out", "again"]).success();
    let model = |run: &str| fs::read(sandbox.path(run).join("best.safetensors")).unwrap();
    assert!(model("run") == model("again"));
}

#[test]
fn runs_are_numbered_below_their_recipes_or_corpus_name() {
    let sandbox = Sandbox::new();
    sandbox.write("poems/train.txt", text(20));
    sandbox.write("mine.toml", "[training]\nepochs = 1\n");
    for recipe in [&[][..], &[], &["--recipe", "mine.toml"]] {
        let flags = [&["train", "-q", "--data", "poems", "--epochs", "1"][..], recipe, &TINY].concat();
        sandbox.run(&flags).success();
    }
    let mut runs: Vec<_> =
        fs::read_dir(sandbox.path("runs")).unwrap().map(|run| run.unwrap().file_name()).collect();
    runs.sort();
    assert_eq!(runs, ["mine-1", "poems-1", "poems-2"]);
}

#[test]
fn the_built_in_language_needs_no_flags_and_is_compared_with_the_truth() {
    let sandbox = Sandbox::new();
    let _filters = filters(&sandbox);
    let said =
        sandbox.train(&["--epochs", "1", "--max-batches", "5", "--hidden-size", "8", "--log-every", "0"]);
    let result = said.success();
    let table = result.split("\n\n").nth(1).unwrap().to_owned() + "\n";
    insta::assert_snapshot!(table);
    assert!(result.contains("\nSamples:\n"), "{result}");
}

#[test]
fn a_recipe_reads_the_texts_it_is_given_instead_of_its_corpus() {
    let sandbox = Sandbox::new();
    for split in ["train", "valid", "test"] {
        sandbox.write(&format!("mine/{split}.txt"), text(40));
    }
    let flags =
        ["--recipe", "wikitext2-standard-200", "--data", "mine", "--epochs", "1", "--hidden-size", "8"];
    let said = sandbox.train(&[&flags[..], &["--batch-size", "2", "--bptt", "5"]].concat());
    assert!(said.stderr.contains("reading it as your own text"), "{}", said.stderr);
    assert!(said.stderr.contains("train 300, valid 300, test 300 tokens"), "{}", said.stderr);
    said.success();
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_step() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--epochs", "3", "--optimizer", "sgd", "--learning-rate", "1e30"];
    let flags = [&flags[..], &["--clip-norm", "0", "--cell", "rnn_relu", "--batch-size", "4", "--bptt", "8"]]
        .concat();
    let said = sandbox.train(&flags);
    assert_eq!(said.code, Some(4));
    assert!(
        said.stderr.contains("\nerror: the run in `run` has diverged; it has no checkpoint\n"),
        "{}",
        said.stderr
    );
    let error = said.stderr.lines().find(|line| line.starts_with("  cause: ")).unwrap();
    assert!(error.contains(" at step ") && error.contains("(epoch 1)"), "{error}");
    assert!(!sandbox.path("run/best.safetensors").exists());
}

#[test]
fn samples_are_shown_if_asked_for() {
    let sandbox = Sandbox::with_text();
    let flags =
        ["--data", "text.txt", "--epochs", "2", "--sample-prefix", "the dog", "a", "--sample-length", "3"];
    let said = sandbox.train(&[&flags[..], &TINY].concat());
    for prefix in ["the dog", "a"] {
        assert_eq!(said.stderr.matches(&format!("\n  sample   {prefix} ")).count(), 2, "{}", said.stderr);
    }
    said.success();
}
