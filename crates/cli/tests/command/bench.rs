//! `rondo bench`: what it prints, never how fast it was.

use serde_json::{Value, json};

use crate::sandbox::{Said, Sandbox};

/// A measurement of no more than a moment.
const TINY: [&str; 13] = [
    "bench",
    "--threads",
    "1",
    "--rounds",
    "2",
    "--repeats",
    "2",
    "--hidden-size",
    "8",
    "--vocab-size",
    "50",
    "--bptt",
    "4",
];

fn bench(flags: &[&str]) -> Said {
    Sandbox::new().run(&[&TINY[..], flags].concat())
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn a_training_workload_is_one_line_of_json() {
    let said = bench(&["--workload", "W1", "--batch-size", "3", "--json", "--profile"]);
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
    let found = said.json();
    for key in [
        "train_tok_s",
        "eval_tok_s",
        "gen_tok_s",
        "train_ms",
        "train_gflops",
        "eval_gflops",
        "fma_peak_gflops",
        "multiplication_peak_gflops",
        "share_of_fma_peak",
        "eval_share_of_fma_peak",
        "copy_gb_s",
        "parameters",
    ] {
        assert!(is_positive(&found[key]), "{key}: {found}");
    }
    if cfg!(target_os = "linux") {
        assert!(is_positive(&found["peak_rss_mib"]), "{found}");
    }
    for (key, expected) in [
        ("workload", json!("W1")),
        ("threads", json!(1)),
        ("instructions", json!("portable")),
        ("precision", json!("f32")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("streams", json!(1)),
        ("batch_size", json!(3)),
        ("bptt", json!(4)),
        ("vocab_size", json!(50)),
        ("cell", json!("lstm")),
        ("embedding_size", json!(8)),
        ("hidden_sizes", json!([8, 8])),
        ("tied", json!(true)),
        ("dropout", json!({ "input": 0.2, "between": 0.2, "output": 0.2, "locked": false })),
        ("clip_norm", json!(0.25)),
    ] {
        assert_eq!(found[key], expected, "{key}");
    }
    let rounds = found["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        for key in ["train_tok_s", "eval_tok_s", "gen_tok_s", "fma_peak_gflops", "copy_gb_s"] {
            assert!(is_positive(&round[key]), "{key}: {round}");
        }
    }
    for profile in ["profile", "eval_profile", "gen_profile"] {
        let part = &found[profile]["recurrence forward"];
        assert!(is_positive(&part["ms"]) && is_positive(&part["share"]), "{profile}: {found}");
    }
    assert!(is_positive(&found["profile"]["optimizer"]["ms"]), "{found}");
}

#[test]
fn what_is_not_measured_has_no_number() {
    let found = bench(&["--workload", "W8:W6", "--streams", "3", "--layers", "1", "--json"]).json();
    assert!(is_positive(&found["gen_tok_s"]) && found["streams"] == 3, "{found}");
    for key in ["train_tok_s", "eval_tok_s", "train_ms", "train_gflops", "share_of_fma_peak", "profile"] {
        assert!(found[key].is_null(), "{key}: {found}");
    }
    let found = bench(&["--workload", "w5", "--phase", "train,eval", "--json"]).json();
    assert!(found["gen_tok_s"].is_null() && found["embedding_size"].is_null(), "{found}");
    assert!(is_positive(&found["train_tok_s"]) && is_positive(&found["eval_tok_s"]), "{found}");
}

#[test]
fn without_json_there_is_a_table() {
    let said = bench(&["--workload", "W4", "--profile", "--phase", "train", "--phase", "generate"]);
    let expected = "W4: rnn_relu 2 × 8, embedding 8, tied, dropout 0.2 input, 0.2 between, 0.2 output, 50 tokens, \
                    on cpu (portable, 1 thread)\n";
    assert_eq!(said.stderr, expected);
    let table = said.success();
    let header: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["tokens/s", "ms", "GFLOP/s", "of", "FMA", "peak"]);
    let begins = |start: &str| table.lines().any(|line| line.starts_with(start));
    for start in [
        "train, per step",
        "generate, 1 in parallel",
        "FMA peak ",
        "median of 2 rounds on cpu (portable, 1 thread); a step is 32 × 4 tokens",
        "decoder backward",
        "optimizer",
        "generate, per step",
        "sample",
    ] {
        assert!(begins(start), "no line begins with `{start}`:\n{table}");
    }
    assert!(!begins("evaluate"), "{table}");
}

#[test]
fn what_cannot_be_measured_is_wrong_usage() {
    for (name, flags) in [
        ("workload", &["--workload", "W9"][..]),
        ("phase", &["--workload", "W8:W1", "--phase", "train"]),
        ("size", &["--workload", "W1", "--batch-size", "99999999"]),
    ] {
        let said = bench(flags);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{name}: {}", said.stderr);
        insta::assert_snapshot!(format!("not_measured_{name}"), said.stderr);
    }
    for flags in [&["--workload", "W1", "--seconds", "1"][..], &["--workload", "W1", "--phase", "rest"], &[]]
    {
        assert_eq!(bench(flags).code, Some(2), "{flags:?}");
    }
}
