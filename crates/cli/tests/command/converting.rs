//! `rondo convert`: models of other tools give their numbers, and models of Rondo are written for them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sandbox::{Sandbox, filters};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/convert").join(name)
}

/// A folder with files of other tools.
fn with_files(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.write(name, fs::read(golden(name)).unwrap());
    }
    sandbox
}

const CELLS: [&str; 4] = ["rnn_tanh", "rnn_relu", "lstm", "gru"];

/// Converts the files of a list that satisfy `wanted`, and compares what `rondo score` says about its text.
fn check(list: &str, vocab: &str, wanted: impl Fn(&str) -> bool) {
    let list: Value = serde_json::from_str(&fs::read_to_string(golden(list)).unwrap()).unwrap();
    let mut count = 0;
    for case in list["cases"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        if !wanted(file) {
            continue;
        }
        count += 1;
        let sandbox = with_files(&[file, vocab]);
        let mut flags = vec!["convert", file, "--out", "new", "--vocab-list", vocab, "--tokenizer", "words"];
        if case["ask_cell"] == true {
            flags.extend(["--cell", case["cell"].as_str().unwrap()]);
        }
        let report = sandbox.run(&[&flags[..], &["--json"]].concat()).json();
        assert_eq!(report["names"], case["scheme"], "{file}");
        assert_eq!((&report["config"]["cell"], &report["config"]["tied"]), (&case["cell"], &case["tied"]));
        sandbox.write("text.txt", list["text"].as_str().unwrap());
        let scored = sandbox.run(&["score", "-m", "new", "--per-token", "--json", "text.txt"]).json();
        let found: Vec<f64> = log_probs(&scored);
        let expected: Vec<f64> =
            case["log_probs"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        assert_eq!(found.len(), expected.len(), "{file}: {scored}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{file}: {found}, not {expected}");
        }
    }
    assert_eq!(count, 2 * CELLS.len());
}

/// The log-probabilities of the tokens of a line.
fn log_probs(scored: &Value) -> Vec<f64> {
    let tokens = scored["log_probs"].as_array().unwrap();
    tokens.iter().map(|token| token["log_prob"].as_f64().unwrap()).collect()
}

#[test]
fn every_cell_of_pytorch_gives_its_log_probabilities() {
    check("torch.json", "words.txt", |file| file.starts_with("wlm_"));
}

#[test]
fn every_cell_of_mxnet_gives_its_log_probabilities() {
    check("mxnet.json", "gluon.json", |file| file.starts_with("standard_") && !file.contains("collected"));
}

#[test]
fn a_conversion_says_what_it_found() {
    let sandbox = with_files(&["awd.pt", "words.txt"]);
    let _filters = filters(&sandbox);
    let flags = ["convert", "awd.pt", "--out", "new", "--vocab-list", "words.txt", "--tokenizer", "words"];
    insta::assert_snapshot!(sandbox.run(&flags).success());
    let again = sandbox.run(&flags);
    assert_eq!(again.code, Some(1));
    assert_eq!(
        again.stderr,
        "error: `new/best.safetensors` already exists\n   hint: `--out` names another folder\n"
    );
}

#[test]
fn the_vocabulary_of_a_corpus_needs_no_tokenizer() {
    let sandbox = with_files(&["wlm_gru_untied.pt"]);
    let text = "the cat sat on a mat\na dog saw the <unk> .\n";
    for name in ["train", "valid", "test"] {
        sandbox.write(&format!("corpus/{name}.txt"), text);
    }
    let flags = ["convert", "wlm_gru_untied.pt", "--out", "new", "--vocab-from-corpus", "corpus"];
    let said = sandbox.run(&flags).success();
    assert!(said.contains("vocabulary     11 tokens\ntokenizer      words\nline end       <eos>"), "{said}");
    assert!(sandbox.run(&["eval", "-m", "new", "corpus/test.txt"]).success().contains("perplexity"));
    sandbox.run(&["generate", "-m", "new", "--tokens", "5"]).success();
}

#[test]
fn what_cannot_be_converted_says_why_and_what_to_do() {
    let sandbox = with_files(&[
        "legacy.pt",
        "script.pt",
        "transformer.pt",
        "residuals.pt",
        "wlm_rnn_tanh_tied.pt",
        "wlm_lstm_tied.pt",
        "words.txt",
    ]);
    sandbox.write("broken.pt", &fs::read(golden("wlm_lstm_tied.pt")).unwrap()[..3000]);
    sandbox.write("notes.pt", "not a model");
    sandbox.write("short.txt", "<eos>\nthe\n");
    let mut all = String::new();
    let cases: [&[&str]; 12] = [
        &["legacy.pt"],
        &["script.pt"],
        &["transformer.pt"],
        &["residuals.pt"],
        &["broken.pt"],
        &["notes.pt"],
        &["missing.pt"],
        &["wlm_rnn_tanh_tied.pt"],
        &["wlm_lstm_tied.pt"],
        &["wlm_lstm_tied.pt", "--vocab-list", "words.txt"],
        &["wlm_lstm_tied.pt", "--vocab-list", "short.txt", "--tokenizer", "words"],
        &["wlm_lstm_tied.pt", "--cell", "gru"],
    ];
    for flags in cases {
        let said = sandbox.run(&[&["convert", "--out", "new"], flags].concat());
        all += &format!("$ {}\nexit code {}\n{}\n", flags.join(" "), said.code.unwrap(), said.stderr);
    }
    assert!(!sandbox.path("new").exists());
    let _filters = filters(&sandbox);
    insta::assert_snapshot!(all);
}

#[test]
fn a_run_is_written_for_other_tools_and_read_again() {
    let sandbox = Sandbox::with_run();
    let said = sandbox.run(&["convert", "run", "--to", "pytorch", "--out", "torch"]).success();
    assert_eq!(said, "torch/model.pt\ntorch/config.json\ntorch/model.py\n");
    let config: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("torch/config.json")).unwrap()).unwrap();
    let words: Vec<&str> =
        config["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    sandbox.write("words.txt", words.join("\n"));
    let flags = ["torch/model.pt", "--vocab-list", "words.txt", "--tokenizer", "words", "--out", "again"];
    sandbox.run(&[&["convert"], &flags[..]].concat()).success();
    let scores = |model: &str| sandbox.run(&["score", "-m", model, "--per-token", "text.txt"]).success();
    assert_eq!(scores("run"), scores("again"));

    for (format, file) in [("onnx", "model.onnx"), ("onnx-rescoring", "rescoring.onnx")] {
        let said = sandbox.run(&["convert", "run", "--to", format, "--out", format]).success();
        assert_eq!(said, format!("{format}/{file}\n{format}/tokens.txt\n"));
    }
    // Both in one folder, in 8 bits.
    for format in ["onnx", "onnx-rescoring"] {
        sandbox.run(&["convert", "run", "--to", format, "--int8", "--out", "both"]).success();
    }
    let len = |file: &str| fs::metadata(sandbox.path(file)).unwrap().len();
    assert!(len("both/model.onnx") < len("onnx/model.onnx") && sandbox.path("both/rescoring.onnx").exists());
    let flags =
        ["train", "--data", "text.txt", "--tokenizer", "chars", "--hidden-size", "8", "--max-steps", "2"];
    sandbox.run(&[&flags[..], &["--out", "chars"]].concat()).success();
    let said = sandbox.run(&["convert", "chars", "--to", "onnx", "--out", "of-chars"]);
    assert!(
        said.stderr.contains("note: no tokens.txt") && said.stdout == "of-chars/model.onnx\n",
        "{said:?}"
    );
    let refused = sandbox.run(&["convert", "run", "--to", "pytorch", "--int8", "--out", "none"]);
    assert!(
        refused.stderr.contains("a model with 8-bit weights cannot be written for PyTorch"),
        "{refused:?}"
    );
    let refused = sandbox.run(&["convert", "run/best.safetensors", "--out", "new"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("is a model of Rondo already"), "{}", refused.stderr);
}
