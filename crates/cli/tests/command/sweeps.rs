//! `rondo runs`, groups of runs in `rondo plot`, `rondo train --json`, `summary.json`.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, TINY, filters};

/// Trains a tiny model with more flags, and returns what is printed as JSON.
fn train(sandbox: &Sandbox, out: &str, flags: &[&str]) -> Value {
    let always =
        ["train", "--json", "-q", "--threads", "1", "--data", "text.txt", "--epochs", "2", "--out", out];
    sandbox.run(&[&always[..], &TINY, flags].concat()).json()
}

/// Two cells and two seeds.
fn sweep() -> Sandbox {
    let sandbox = Sandbox::with_text();
    for cell in ["lstm", "gru"] {
        for seed in ["1", "2"] {
            let out = format!("runs/{cell}-{seed}");
            train(&sandbox, &out, &["--cell", cell, "--seed", seed, "--max-batches", "4"]);
        }
    }
    sandbox
}

#[test]
fn a_run_tells_what_was_changed_and_what_came_out() {
    let sandbox = Sandbox::with_text();
    let told = train(&sandbox, "run", &["--cell", "gru", "--seed", "3", "--weight-decay", "0"]);
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("run/summary.json")).unwrap()).unwrap();
    for (key, value) in summary.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    let text = std::path::absolute(sandbox.path("text.txt")).unwrap().display().to_string();
    let mut changed = summary["changed"].clone();
    // The number of threads is a default on a machine with one processor.
    changed.as_object_mut().unwrap().remove("training.threads");
    assert_eq!(
        changed,
        json!({
            "text.data": [text],
            "model.cell": "gru",
            "model.dropout": 0.0,
            "model.hidden_size": 16,
            "model.layers": 1,
            "optimization.learning_rate": 0.02,
            "optimization.optimizer": "adam",
            "training.batch_size": 4,
            "training.bptt": 8,
            "training.epochs": 2,
            "training.seed": 3,
        })
    );
    let with = |keys: [&str; 4]| keys.map(|key| &summary[key]);
    assert_eq!(
        with(["status", "seed", "epochs", "planned_epochs"]),
        [&json!("finished"), &json!(3), &json!(2), &json!(2)]
    );
    assert_eq!((&summary["model"]["cell"], &summary["model"]["hidden_sizes"]), (&json!("gru"), &json!([16])));
    assert!(summary["recipe"].is_null() && summary["parameters"].as_u64().unwrap() > 1000);

    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    let records: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (epoch, record) in [("best", &told["best_epoch"]), ("last", &json!(2))] {
        let record = records
            .iter()
            .find(|other| other["epoch"] == *record && other["valid_loss"].is_number())
            .unwrap();
        for key in ["epoch", "step", "valid_loss", "valid_perplexity"] {
            assert_eq!(summary[epoch][key], record[key], "{epoch} {key}");
        }
        assert_eq!(summary[epoch]["train_loss"], record["epoch_loss"], "{epoch}");
    }
    assert_eq!(summary["best"]["test_loss"], told["test_loss"]);
    for key in ["started_unix_s", "elapsed_s", "training_s", "tokens_per_s"] {
        assert!(summary[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(summary["training_s"].as_f64() <= summary["elapsed_s"].as_f64());
}

#[test]
fn changes_are_from_the_recipe_and_kept_when_a_run_is_resumed() {
    let sandbox = Sandbox::new();
    let summary = |flags: &[&str]| {
        sandbox.run(&[&["train", "-q", "--out", "run"][..], flags].concat()).success();
        let text = fs::read_to_string(sandbox.path("run/summary.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    // The seed is the recipe's.
    let first = summary(&["--hidden-size", "8", "--epochs", "1", "--max-batches", "3", "--seed", "1"]);
    assert_eq!(first["recipe"], "built-in");
    let changed = json!({ "model.hidden_size": 8, "training.epochs": 1, "training.max_batches": 3 });
    assert_eq!(first["changed"], changed);
    let again = summary(&["--resume"]);
    assert_eq!(
        (&again["changed"], &again["recipe"], &again["best"]),
        (&changed, &first["recipe"], &first["best"])
    );
    let longer = summary(&["--resume", "--epochs", "2"]);
    assert_eq!(longer["changed"]["training.epochs"], 2);
    assert_eq!((&longer["recipe"], &longer["epochs"]), (&json!("built-in"), &json!(2)));
    assert_eq!(longer["started_unix_s"], first["started_unix_s"]);
}

#[test]
fn runs_are_a_table_with_the_settings_that_differ() {
    let sandbox = sweep();
    let _filters = filters(&sandbox);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+\.\d\d", "[N.NN]");
    settings.add_filter(r" +\[", " [");
    settings.bind(|| insta::assert_snapshot!(sandbox.run(&["runs"]).success()));

    let json = sandbox.run(&["runs", "--json"]).json();
    let names: Vec<&str> = json.as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gru-1", "gru-2", "lstm-1", "lstm-2"]);
    assert_eq!((&json[0]["settings"]["model.cell"], &json[0]["status"]), (&json!("gru"), &json!("finished")));

    let csv = |flags: &[&str]| sandbox.run(&[&["runs", "--csv", "--columns"][..], flags].concat()).success();
    let table = csv(&["name,cell,seed,training.epochs", "--sort", "seed", "--descending"]);
    let expected =
        "name,cell,seed,training.epochs\ngru-2,gru,2,2\nlstm-2,lstm,2,2\ngru-1,gru,1,2\nlstm-1,lstm,1,2\n";
    assert_eq!(table, expected);
    let perplexity = |name: usize| json[name]["best"]["valid_perplexity"].as_f64().unwrap();
    let order = csv(&["name", "--sort", "valid-perplexity"]);
    let mut by_perplexity: Vec<usize> = (0..4).collect();
    by_perplexity.sort_by(|&a, &b| perplexity(a).total_cmp(&perplexity(b)));
    let expected: String = by_perplexity.iter().map(|&run| format!("{}\n", names[run])).collect();
    assert_eq!(order, format!("name\n{expected}"));
    assert_eq!(
        sandbox.run(&["runs", "--json", "--columns", "cell", "runs/gru-1"]).json(),
        json!([{ "cell": "gru" }])
    );
}

#[test]
fn groups_have_means_and_intervals_over_seeds() {
    let sandbox = sweep();
    // A run with another setting is a group of its own; one that has not finished is in none.
    train(&sandbox, "runs/wide", &["--hidden-size", "24", "--max-batches", "4"]);
    fs::create_dir(sandbox.path("runs/begun")).unwrap();
    fs::copy(sandbox.path("runs/gru-1/plan.toml"), sandbox.path("runs/begun/plan.toml")).unwrap();
    let said = sandbox.run(&["runs", "--group-by", "cell", "--json"]);
    assert_eq!(said.stderr, "note: only finished runs are grouped, not begun (interrupted)\n");
    let groups = said.json();
    let names: Vec<_> = groups.as_array().unwrap().iter().map(|group| group["runs"].clone()).collect();
    assert_eq!(names, [json!(["gru-1", "gru-2"]), json!(["lstm-1", "lstm-2"]), json!(["wide"])]);
    let runs = sandbox.run(&["runs", "--json"]).json();
    let perplexities: Vec<f64> =
        [1, 2].iter().map(|&run| runs[run]["best"]["test_perplexity"].as_f64().unwrap()).collect();
    let (mean, half) =
        ((perplexities[0] + perplexities[1]) / 2.0, (perplexities[0] - perplexities[1]).abs() / 2.0);
    let told = &groups[0]["test_perplexity"];
    assert!((told["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    // s / √2 is half of the difference, and t is 12.7062.
    assert!((told["ci95"].as_f64().unwrap() / half - 12.7062).abs() < 1e-3);
    assert!(groups[2]["test_perplexity"]["ci95"].is_null());

    let table = sandbox.run(&["runs", "--group-by", "cell"]).success();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["cell", "hidden_size", "runs", "valid_perplexity", "valid_ci95", "test_perplexity", "test_ci95"]
    );
    assert_eq!((&lines[1][..3], lines[1][4]), (&["gru", "16", "2"][..], "±"));
    assert_eq!((&lines[3][..3], lines[3][4]), (&["lstm", "24", "1"][..], "-"));
    let csv = ["runs", "--csv", "--group-by", "hidden-size", "--columns", "hidden_size,cell,names"];
    assert_eq!(
        sandbox.run(&csv).success(),
        "hidden_size,cell,names\n16,gru,gru-1 gru-2\n16,lstm,lstm-1 lstm-2\n24,lstm,wide\n"
    );

    let said = sandbox.run(&["plot", "runs", "--group-by", "cell", "--out", "groups.svg"]);
    assert!(said.stderr.ends_with("\nwrote `groups.svg`\n"), "{}", said.stderr);
    let picture = fs::read_to_string(sandbox.path("groups.svg")).unwrap();
    for text in ["cell gru, hidden_size 16: 2 runs", "cell lstm, hidden_size 24: 1 run", "95 % confidence"] {
        assert!(picture.contains(text), "{text} is missing");
    }
    assert!(picture.contains("<polygon"));
}

#[test]
fn what_cannot_be_listed_is_said_in_a_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("bad/plan.toml", "[model\n");
    sandbox.write("cut/plan.toml", "[model]\n");
    sandbox.write("cut/summary.json", "{\"status\": ");
    sandbox.write("half/metrics.jsonl", "{\"epoch\":1,\"step\":1}\n");
    // A plan of a newer version has settings that this one does not know.
    let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    sandbox.write("run/plan.toml", format!("{plan}\n[quantum]\nbits = 3\n"));
    let said = sandbox.run(&["runs", ".", "--columns", "name,status,quantum.bits"]);
    assert_eq!(
        said.stderr,
        "skipped: line 1 of `./bad/plan.toml` is not valid TOML: unclosed table, expected `]`\n\
         skipped: `./cut/summary.json` is not a valid summary file: EOF while parsing a value at line 1 column 11\n\
         skipped: `./half` is not a run folder: `plan.toml` not found\n"
    );
    assert_eq!(said.success(), "name  status    quantum.bits\nrun   finished             3\n");

    let mut refusals = String::new();
    for flags in [
        &["--sort", "valid_perplexty", "run"][..],
        &["--columns", "zzz", "run"],
        &["--group-by", "hidensize", "run"],
        &["--group-by", "seed", "run"],
        &["--csv", "--json", "run"],
        &["cut"],
        &["nowhere"],
        &[],
    ] {
        let said = sandbox.run(&[&["runs"], flags].concat());
        refusals += &format!(
            "$ rondo runs {}\n[{}]\n{}{}\n",
            flags.join(" "),
            said.code.unwrap(),
            said.stdout,
            said.stderr
        );
    }
    insta::assert_snapshot!(refusals);
}

#[test]
fn runs_of_version_0_1_0_are_listed() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    let table = sandbox.run(&["runs", "run", "--csv", "--columns", "name,status,epochs,cell,rondo"]);
    assert_eq!(table.code, Some(2));
    let columns = "name,status,epochs,planned_epochs,cell,seed,valid_loss,parameters";
    let table = sandbox.run(&["runs", "run", "--csv", "--columns", columns]).success();
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    let losses = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["valid_loss"].as_f64());
    let best = losses.fold(f64::INFINITY, f64::min);
    assert_eq!(table, format!("{columns}\nrun,finished,4,4,lstm,1,{best},\n"));
    let group = sandbox.run(&["runs", "run", "--group-by", "cell"]).success();
    assert!(group.lines().nth(1).unwrap().starts_with("lstm     1 "), "{group}");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_and_a_failed_one_have_their_status() {
    let sandbox = Sandbox::with_text();
    let endless =
        ["train", "--data", "text.txt", "--out", "runs/endless", "--epochs", "1000000", "--log-every", "1"];
    let said =
        crate::interruption::signaled_at(&sandbox, &[&endless[..], &TINY].concat(), "epoch 3/", &["-INT"]);
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    let flags = ["train", "-q", "--data", "text.txt", "--out", "runs/failed"];
    let diverging =
        ["--cell", "rnn_relu", "--clip-norm", "0", "--optimizer", "sgd", "--learning-rate", "1e30"];
    let said = sandbox.run(&[&flags[..], &TINY, &diverging].concat());
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    let runs = sandbox.run(&["runs", "--json"]).json();
    assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("interrupted"), &json!("failed")));
    assert!(runs[0]["epochs"].as_u64().unwrap() >= 2 && runs[0]["best"]["train_loss"].is_number());
    assert!(said.stderr.contains(runs[1]["error"].as_str().unwrap()), "{}", said.stderr);
}

#[test]
fn of_repeated_flags_the_last_counts_and_lists_grow() {
    let sandbox = Sandbox::with_text();
    let repeated = [
        "--seed",
        "5",
        "--hidden-size",
        "8",
        "--seed",
        "6",
        "--sample-prefix",
        "the",
        "--sample-prefix",
        "a",
    ];
    let told = train(&sandbox, "run", &[&repeated[..], &["-q"]].concat());
    assert_eq!(
        (&told["changed"]["training.seed"], &told["changed"]["model.hidden_size"]),
        (&json!(6), &json!(8))
    );
    assert_eq!(told["changed"]["sample.prefix"], json!(["the", "a"]));
}
