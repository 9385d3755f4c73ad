//! Tokenizers in files: trained here, or of other tools.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sandbox::Sandbox;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers").join(name)
}

/// A folder with a text and a tokenizer that was trained on it.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("text.txt", "the unhappy cat walks to the lowest house, unhappily\n".repeat(200));
    let said = sandbox.run(&["tokenizer", "train", "text.txt", "--vocab-size", "280"]).success();
    assert_eq!(said, "tokenizer.json: 280 tokens\n");
    sandbox
}

/// What the command says as it fails.
#[track_caller]
fn fail(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let said = sandbox.run(arguments);
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
    said.stderr
}

const TRAIN: [&str; 12] = [
    "train",
    "--data",
    "text.txt",
    "--hidden-size",
    "8",
    "--epochs",
    "1",
    "--threads",
    "1",
    "--out",
    "run",
    "--tokenizer",
];

#[test]
fn a_trained_tokenizer_trains_a_model_that_every_command_uses() {
    let sandbox = trained();
    sandbox.run(&[&TRAIN[..], &["tokenizer.json"]].concat()).success();
    // The model is self-contained, and the run has a copy of the tokenizer.
    fs::remove_file(sandbox.path("tokenizer.json")).unwrap();
    fs::remove_file(sandbox.path("run/vocab.json")).unwrap();
    sandbox.write("lines.txt", "the cat\n\nunhappy 🦀 x\n");
    let scored = sandbox.run(&["score", "-m", "run", "--per-token", "lines.txt"]).success();
    assert!(scored.contains("\tĠcat\n") && scored.contains("\tĊ\n"), "{scored}");
    let table = sandbox.run(&["surprisal", "run", "lines.txt"]).success();
    assert!(table.lines().any(|line| line.contains("unhappy")), "{table}");
    let evaluated = sandbox.run(&["eval", "-m", "run", "lines.txt"]).success();
    assert!(evaluated.contains("unknown words  0\n"), "{evaluated}");
    let generated = sandbox
        .run(&["generate", "-m", "run", "--tokens", "9", "--temperature", "0.01", "--prefix", "the cat"])
        .success();
    assert!(generated.starts_with("the cat"), "{generated}");
    let completed = sandbox.run(&["complete", "-m", "run", "the cat wa"]).success();
    assert!(completed.contains(" walks\n"), "{completed}");
    let filtered = sandbox.run(&["filter", "run", "lines.txt", "--max-perplexity", "1e300"]).success();
    assert_eq!(filtered, "the cat\n\nunhappy 🦀 x\n");
}

#[test]
fn a_run_resumes_with_its_copy_and_is_fine_tuned_without_it() {
    let sandbox = trained();
    let flags = ["tokenizer.json", "--max-steps", "5"];
    sandbox.run(&[&TRAIN[..], &flags].concat()).success();
    fs::remove_file(sandbox.path("tokenizer.json")).unwrap();
    fs::rename(sandbox.path("run"), sandbox.path("moved")).unwrap();
    sandbox.run(&["train", "--resume", "--out", "moved", "--max-steps", "9"]).success();
    let again = ["train", "--from", "moved", "--data", "text.txt", "--epochs", "1", "--max-steps", "3"];
    sandbox.run(&[&again[..], &["--out", "tuned"]].concat()).success();
    let said = fail(&sandbox, &[&again[..], &["--tokenizer", "tokenizer.json"]].concat());
    assert!(said.contains("`text.tokenizer` has no effect unless"), "{said}");
    fs::remove_dir_all(sandbox.path("moved")).unwrap();
    assert_eq!(sandbox.run(&["score", "-m", "tuned", "text.txt"]).success().lines().count(), 200);
}

#[test]
fn tokenizers_of_other_tools_are_used() {
    for file in ["word_piece.json", "unigram.json", "sp_unigram.model", "sp_bytes.model"] {
        let sandbox = trained();
        sandbox.write(file, fs::read(golden(file)).unwrap());
        sandbox.run(&[&TRAIN[..], &[file, "--max-steps", "5"]].concat()).success();
        let table = sandbox.run(&["surprisal", "run", "text.txt"]).success();
        assert!(table.contains("\tlowest\t"), "{file}: {}", &table[..table.len().min(400)]);
        sandbox.run(&["generate", "-m", "run", "--tokens", "5"]).success();
    }
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let sandbox = trained();
    sandbox.write("broken.json", &fs::read(golden("unigram.json")).unwrap()[..3000]);
    sandbox.write("text.model", "no model");
    let cases: [(&[&str], &str); 6] = [
        (&["broken.json"], "broken.json` is not a tokenizer that Rondo can read: EOF while parsing"),
        (&["text.model"], "text.model` is not a tokenizer that Rondo can read: model parse error"),
        (&["missing.json"], "missing.json`"),
        (&["bpe"], "expected `words`, `moses`, `chars`, `bytes`, or a file such as `tokenizer.json`"),
        (&["tokenizer.json", "--min-frequency", "3"], "`text.min_frequency` has no effect unless"),
        (&["tokenizer.json", "--vocab-list", "text.txt"], "`text.vocab_list` has no effect unless"),
    ];
    for (flags, expected) in cases {
        let said = fail(&sandbox, &[&TRAIN[..], flags].concat());
        assert!(said.contains(expected), "{said}");
        assert!(!sandbox.path("run").exists(), "{flags:?}");
    }
    let said = fail(&sandbox, &["tokenizer", "train", "text.txt"]);
    assert!(said.starts_with("error: `tokenizer.json` already exists\n"), "{said}");
    let said = fail(&sandbox, &["tokenizer", "train", "text.txt", "--out", "a.json", "--vocab-size", "20"]);
    assert!(said.contains("has no room for its 256 special tokens"), "{said}");
    let said = fail(&sandbox, &["tokenizer", "train", "missing.txt", "--out", "a.json"]);
    assert!(said.contains("no such file or folder: `missing.txt`"), "{said}");
    let left = sandbox.names();
    assert!(left.iter().all(|name| !name.starts_with(".tokenizer")), "{left:?}");
}

#[test]
fn a_model_of_another_tool_is_converted_with_its_tokenizer() {
    let sandbox = trained();
    sandbox.run(&[&TRAIN[..], &["tokenizer.json", "--max-steps", "5"]].concat()).success();
    sandbox.run(&["convert", "run", "--to", "pytorch", "--out", "torch"]).success();
    let flags = ["convert", "torch/model.pt", "--tokenizer", "torch/tokenizer.json", "--out", "again"];
    let said = sandbox.run(&flags).success();
    assert!(said.contains("tokenizer      subwords\nline end       Ċ\n"), "{said}");
    let scores = |model: &str| sandbox.run(&["score", "-m", model, "text.txt"]).success();
    assert_eq!(scores("again"), scores("run"));
    sandbox.write("other.json", fs::read(golden("unigram.json")).unwrap());
    let said = fail(&sandbox, &["convert", "torch/model.pt", "--tokenizer", "other.json", "--out", "b"]);
    assert!(said.contains("the vocabulary of `other.json` has 188 tokens, but the model has 280"), "{said}");
}
