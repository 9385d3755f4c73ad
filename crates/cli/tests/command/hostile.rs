//! Run folders that somebody else has made, or damaged: an error or an answer, never a panic, and nothing beside them.

use serde_json::{Value, json};

use crate::sandbox::{Said, Sandbox};

/// How a model is used: each of these reads the run folder.
const USES: [&[&str]; 7] = [
    &["eval", "--model", "run", "text.txt"],
    &["eval", "--model", "run", "--split", "valid"],
    &["score", "--model", "run", "text.txt"],
    &["complete", "--model", "run", "the cat"],
    &["generate", "--model", "run", "--tokens", "5", "--seed", "1"],
    &["generate", "--model", "run", "--tokens", "5", "--beam", "2"],
    &["rescore", "--model", "run", "list.tsv"],
];

const LIST: &str = "u1\t-1\tthe cat\nu1\t-2\ta dog\n";

/// Fails unless each use ends in an answer or an error, and in an error that has `expected` if that is not empty.
#[track_caller]
fn check(sandbox: &Sandbox, expected: &str) {
    sandbox.write("list.tsv", LIST);
    let before = sandbox.names();
    for command in USES {
        let said = sandbox.run(command);
        check_said(&said, expected, command);
        assert!(said.code != Some(0) || expected.is_empty(), "{command:?}: {}", said.stdout);
    }
    assert_eq!(sandbox.names(), before);
}

#[track_caller]
fn check_said(said: &Said, expected: &str, command: &[&str]) {
    assert!(matches!(said.code, Some(0..=2)), "{command:?}: {said:?}");
    assert!(!said.stderr.contains("panicked"), "{command:?}: {}", said.stderr);
    assert!(said.code == Some(0) || said.stderr.contains(expected), "{command:?}: {}", said.stderr);
}

/// Takes the model file apart into header and numbers, lets `change` alter them, and puts it together again: without its
/// checksum, which would tell, and which files of earlier versions do not have.
fn change_model(sandbox: &Sandbox, change: impl FnOnce(&mut Value, &mut Vec<u8>)) {
    let bytes = std::fs::read(sandbox.path("run/best.safetensors")).unwrap();
    let (len, rest) = bytes.split_at(8);
    let (header, numbers) = rest.split_at(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let (mut header, mut numbers): (Value, _) = (serde_json::from_slice(header).unwrap(), numbers.to_vec());
    header["__metadata__"].as_object_mut().unwrap().remove("sha256").unwrap();
    change(&mut header, &mut numbers);
    let header = header.to_string();
    let len = (header.len() as u64).to_le_bytes();
    sandbox.write("run/best.safetensors", [len.as_slice(), header.as_bytes(), &numbers].concat());
}

fn set_metadata(sandbox: &Sandbox, key: &str, value: &str) {
    change_model(sandbox, |header, _| header["__metadata__"][key] = Value::from(value));
}

fn set_vocab_size(sandbox: &Sandbox, vocab_size: u64) {
    change_model(sandbox, |header, _| {
        let config = &mut header["__metadata__"]["config"];
        let mut changed: Value = serde_json::from_str(config.as_str().unwrap()).unwrap();
        changed["vocab_size"] = json!(vocab_size);
        *config = Value::from(changed.to_string());
    });
}

#[test]
fn a_model_of_no_numbers_gives_an_error_and_no_panic() {
    for number in [f32::NAN, f32::INFINITY, 3e38] {
        let sandbox = Sandbox::with_run();
        change_model(&sandbox, |_, numbers| {
            for bytes in numbers.as_chunks_mut().0 {
                *bytes = number.to_le_bytes();
            }
        });
        check(&sandbox, "");
    }
}

#[test]
fn a_model_that_claims_more_than_it_has_is_refused_before_memory_is_taken() {
    let sandbox = Sandbox::with_run();
    set_vocab_size(&sandbox, 1 << 40);
    check(&sandbox, "tensor `");

    let sandbox = Sandbox::with_run();
    set_vocab_size(&sandbox, u64::MAX);
    check(&sandbox, "give more parameters than memory can hold");

    let sandbox = Sandbox::with_run();
    let mut model = std::fs::read(sandbox.path("run/best.safetensors")).unwrap();
    model[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    sandbox.write("run/best.safetensors", model);
    check(&sandbox, "`run/best.safetensors` is not a valid safetensors file");
}

/// The fingerprint says which vocabulary a file claims, and not how many tokens its model has been made for.
#[test]
fn a_vocabulary_of_another_size_than_the_models_is_refused() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    let vocab = std::fs::read_to_string(sandbox.path("run/vocab.json")).unwrap();
    sandbox.write("run/vocab.json", vocab.replace("\"cat\"", "\"cat\",\n    \"one\",\n    \"more\""));
    let said = sandbox.run(&["eval", "--model", "run", "text.txt"]);
    let fingerprint = said.stderr.split("its fingerprint is ").nth(1).unwrap().split(',').next().unwrap();
    set_metadata(&sandbox, "vocab_fingerprint", fingerprint);
    check(&sandbox, "`run/vocab.json` has 21 tokens, but the model has 19");
}

#[test]
fn a_tokenizer_that_there_is_not_is_named() {
    for (tokenizer, expected) in [
        ("", "`tokenizer`"),
        ("{}", "`tokenizer`"),
        (r#"{"kind":"words","eos":3}"#, "`tokenizer`"),
        (r#"{"kind":"words","eos":"\u0000"}"#, ""),
        (r#"{"kind":"chars"}"#, ""),
        (r#"{"kind":"bytes"}"#, ""),
    ] {
        let sandbox = Sandbox::with_run_of_0_1_0();
        set_metadata(&sandbox, "tokenizer", tokenizer);
        check(&sandbox, expected);
    }
}

#[test]
fn a_codec_that_is_none_is_named() {
    for (from, to) in [("words", "wordy"), ("{", "["), ("\"cat\"", "\"dog\""), ("\"cat\"", "\"\u{ff}at\"")] {
        let sandbox = Sandbox::with_run();
        let mut changed = false;
        change_model(&sandbox, |header, numbers| {
            let offsets = &header["rondo.codec"]["data_offsets"];
            let [start, end] = [0, 1].map(|index| offsets[index].as_u64().unwrap() as usize);
            let codec = &mut numbers[start..end];
            let from = from.as_bytes();
            let at = codec.windows(from.len()).position(|found| found == from).unwrap();
            codec[at..at + from.len()]
                .copy_from_slice(&to.chars().map(|char| char as u8).collect::<Vec<_>>());
            changed = true;
        });
        assert!(changed);
        check(&sandbox, "");
        let said = sandbox.run(&["eval", "--model", "run", "text.txt"]);
        assert!(said.stderr.contains("run/best.safetensors`"), "{to}: {said:?}");
    }
}

#[test]
fn a_plan_of_monstrous_sizes_costs_no_memory() {
    let sandbox = Sandbox::with_run();
    let plan = std::fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    let line = |line: &str| match line.split_once(" = ") {
        Some((key @ ("bptt" | "batch_size" | "length" | "epochs" | "threads" | "hidden_size"), _)) => {
            format!("{key} = {}\n", i64::MAX)
        }
        _ => format!("{line}\n"),
    };
    sandbox.write("run/plan.toml", plan.lines().map(line).collect::<String>());
    check(&sandbox, "");
    let others = ["\u{feff}[model]\n", "\0", "[text]\ndata = [\"/dev/null\"]\n", "[training]\nthreads = 0"];
    for plan in others {
        sandbox.write("run/plan.toml", plan);
        check(&sandbox, "");
    }
    sandbox.write("run/plan.toml", b"[text]\n# \xFF\n");
    check(&sandbox, "run/plan.toml`");
}

#[test]
fn a_vocabulary_that_is_none_is_named() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    for vocab in [b"\xFF".as_slice(), b"", b"{", &[b'['; 100_000], b"\0\0"] {
        sandbox.write("run/vocab.json", vocab);
        let said = sandbox.run(&["eval", "--model", "run", "text.txt"]);
        assert_eq!(said.code, Some(1));
        check_said(&said, "run/vocab.json`", &[]);
    }
}

#[test]
fn metrics_of_any_numbers_are_drawn() {
    let sandbox = Sandbox::with_run();
    let numbers = ["0", "-1", "1e308", "-1e308", "1e-320", "null", "5"];
    let record = |(index, number): (usize, &&str)| {
        let step = if index % 2 == 0 { 0 } else { u64::MAX };
        format!(
            "{{\"epoch\":{index},\"step\":{step},\"interval_loss\":{number},\"moving_loss\":{number},\
             \"epoch_loss\":{number},\"unclipped_gradient_norm_mean\":{number},\"valid_loss\":{number},\
             \"valid_perplexity\":{number},\"elapsed_s\":{number}}}\n"
        )
    };
    for from in 0..numbers.len() {
        for to in from + 1..=numbers.len() {
            let records: String = numbers[from..to].iter().enumerate().map(record).collect();
            sandbox.write("run/metrics.jsonl", records);
            let command = ["plot", "run"];
            check_said(&sandbox.run(&command), "", &command);
        }
    }
}

/// What a file says must not move the cursor, or color the screen, of whoever reads the error.
#[test]
fn an_error_shows_control_characters_and_does_not_send_them() {
    let sandbox = Sandbox::with_run();
    sandbox.write("list.tsv", "u1\t\u{1b}[31mred\u{7}\ta\n");
    let said = sandbox.run(&["rescore", "--model", "run", "list.tsv"]);
    assert_eq!(
        said.stderr,
        "error: list.tsv, line 1: the score `\\u{1b}[31mred\\u{7}` is not a finite number\n"
    );
}
