//! Run folders that somebody else has made, or damaged: the answer or the error that is expected, never a panic, in little
//! memory, and with nothing left next to them.

use std::ops::Range;
use std::process::Command;

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

/// How a command must end.
#[derive(Clone, Copy, Debug)]
enum End<'a> {
    /// With a result.
    Answer,
    /// With this exit code, no result, and an error that has this text.
    Error(i32, &'a str),
}
use End::{Answer, Error};

impl End<'_> {
    fn is_of(self, said: &Said) -> bool {
        let calm = !said.stderr.contains("panicked");
        calm && match self {
            Answer => said.code == Some(0) && !said.stdout.is_empty(),
            Error(code, text) => {
                said.code == Some(code) && said.stdout.is_empty() && said.stderr.contains(text)
            }
        }
    }
}

/// Fails unless each use ends like this, and leaves nothing behind.
#[track_caller]
fn check(sandbox: &Sandbox, expected: End<'_>) {
    check_each(sandbox, |_| expected);
}

/// As [`check`], each use in its own way.
#[track_caller]
fn check_each<'a>(sandbox: &Sandbox, expected: impl Fn(&[&str]) -> End<'a>) {
    sandbox.write("list.tsv", LIST);
    let before = sandbox.names();
    let mut wrong = String::new();
    for command in USES {
        let (said, expected) = (in_little_memory(sandbox, command), expected(command));
        if !expected.is_of(&said) {
            wrong += &format!("{command:?} should end in {expected:?}: {said:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(sandbox.names(), before);
}

/// What a process may have in all, in kB: several times what the uses take of a model that is what it says.
const MEMORY: usize = 200_000;

/// Runs the command where memory is little: what would take more ends in an abort.
fn in_little_memory(sandbox: &Sandbox, command: &[&str]) -> Said {
    // Each thread has memory of its own.
    let command = [command, &["--threads", "1"]].concat();
    if !cfg!(target_os = "linux") {
        return sandbox.run(&command);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY} || exit 99; exec \"$@\""), "sh"]);
    Said::from(sandbox.through(shell, &command).output().unwrap())
}

/// Whether the use reads the plan of the run.
fn reads_plan(command: &[&str]) -> bool {
    command[0] == "eval"
}

/// Whether the use reads the run's own validation text.
fn reads_text_of_plan(command: &[&str]) -> bool {
    command.contains(&"--split")
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

/// The name of the tensor that holds the codec.
const CODEC: &str = "rondo.codec";

/// Where the bytes of a tensor are among the numbers.
fn range(tensor: &Value) -> Range<usize> {
    let [start, end] = [0, 1].map(|index| tensor["data_offsets"][index].as_u64().unwrap() as usize);
    start..end
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
        change_model(&sandbox, |header, numbers| {
            let mut changed = 0;
            for (name, tensor) in header.as_object().unwrap() {
                if name != "__metadata__" && name != CODEC {
                    let bytes = &mut numbers[range(tensor)];
                    bytes.as_chunks_mut().0.fill(number.to_le_bytes());
                    changed += bytes.len();
                }
            }
            assert!(changed > 0);
        });
        check(&sandbox, Error(1, "the model's logits are NaN or infinite"));
    }
}

#[test]
fn a_model_that_claims_more_than_it_has_is_refused_before_memory_is_taken() {
    let sandbox = Sandbox::with_run();
    set_vocab_size(&sandbox, 1 << 40);
    check(&sandbox, Error(1, "tensor `"));

    let sandbox = Sandbox::with_run();
    set_vocab_size(&sandbox, u64::MAX);
    check(&sandbox, Error(1, "give more parameters than memory can hold"));

    let sandbox = Sandbox::with_run();
    let mut model = std::fs::read(sandbox.path("run/best.safetensors")).unwrap();
    model[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    sandbox.write("run/best.safetensors", model);
    check(&sandbox, Error(1, "`run/best.safetensors` is not a valid safetensors file"));
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
    check(&sandbox, Error(1, "`run/vocab.json` has 21 tokens, but the model has 19"));
}

#[test]
fn a_tokenizer_that_there_is_not_is_named() {
    for (tokenizer, expected) in [
        ("", Error(1, "`tokenizer`")),
        ("{}", Error(1, "`tokenizer`")),
        (r#"{"kind":"words","eos":3}"#, Error(1, "`tokenizer`")),
    ] {
        let sandbox = Sandbox::with_run_of_0_1_0();
        set_metadata(&sandbox, "tokenizer", tokenizer);
        check(&sandbox, expected);
    }
    // Another tokenizer than the model's is one all the same, but its line end is no token to begin a text with.
    for tokenizer in [r#"{"kind":"words","eos":"\u0000"}"#, r#"{"kind":"chars"}"#, r#"{"kind":"bytes"}"#] {
        let sandbox = Sandbox::with_run_of_0_1_0();
        set_metadata(&sandbox, "tokenizer", tokenizer);
        check_each(&sandbox, |command| match command[0] {
            "generate" => Error(2, "the prefix is empty"),
            _ => Answer,
        });
    }
}

#[test]
fn a_codec_that_is_none_is_named() {
    for (from, to) in [("words", "wordy"), ("{", "["), ("\"cat\"", "\"dog\""), ("\"cat\"", "\"\u{ff}at\"")] {
        let sandbox = Sandbox::with_run();
        let mut changed = false;
        change_model(&sandbox, |header, numbers| {
            let codec = &mut numbers[range(&header[CODEC])];
            let from = from.as_bytes();
            let at = codec.windows(from.len()).position(|found| found == from).unwrap();
            codec[at..at + from.len()]
                .copy_from_slice(&to.chars().map(|char| char as u8).collect::<Vec<_>>());
            changed = true;
        });
        assert!(changed);
        check(&sandbox, Error(1, "run/best.safetensors`"));
    }
}

#[test]
fn a_plan_of_monstrous_sizes_costs_no_memory() {
    let sandbox = Sandbox::with_run();
    let plan = std::fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    let with = |keys: &[&str], size: i64| -> String {
        let mut changed = 0;
        let line = |line: &str| match line.split_once(" = ") {
            Some((key, _)) if keys.contains(&key) => {
                changed += 1;
                format!("{key} = {size}\n")
            }
            _ => format!("{line}\n"),
        };
        let plan = plan.lines().map(line).collect();
        assert!(changed >= keys.len());
        plan
    };
    // As many elements as take a multiple of the memory that there is, and more than any machine has.
    for size in [1 << 28, i64::MAX] {
        let sizes = ["bptt", "batch_size", "length", "epochs", "threads", "embedding_size", "hidden_size"];
        sandbox.write("run/plan.toml", with(&sizes[..5], size));
        check(&sandbox, Answer);
        sandbox.write("run/plan.toml", with(&sizes, size));
        check(&sandbox, Answer);
    }
    for plan in ["\u{feff}[model]\n", "[training]\nthreads = 0", "[model]\nhidden_size = \"200\"\n"] {
        sandbox.write("run/plan.toml", plan);
        check(&sandbox, Answer);
    }
    let unreadable = [
        (b"\0".as_slice(), Error(2, "`run/plan.toml`, line 1: ")),
        (b"[evaluation]\nbptt = 0\n", Error(2, "`evaluation.bptt` must be at least 1")),
        (b"[text]\n# \xFF\n", Error(1, "run/plan.toml`")),
    ];
    for (plan, expected) in unreadable {
        sandbox.write("run/plan.toml", plan);
        check_each(&sandbox, |command| if reads_plan(command) { expected } else { Answer });
    }
    // A text that is none is missed by whoever reads it.
    sandbox.write("empty.txt", "");
    let data = format!("[text]\ndata = ['{}']\n", sandbox.path("empty.txt").display());
    for (plan, expected) in [
        (
            "[text]\nvalid_fraction = 2\n",
            Error(2, "`text.valid_fraction` must be at least 0 and less than 1"),
        ),
        (data.as_str(), Error(1, "empty.txt` is empty")),
    ] {
        sandbox.write("run/plan.toml", plan);
        check_each(&sandbox, |command| if reads_text_of_plan(command) { expected } else { Answer });
    }
}

/// A model of a later version of Rondo can be used as long as its own file can be read.
#[test]
fn a_plan_of_a_later_version_does_not_prevent_using_the_model() {
    let sandbox = Sandbox::with_run();
    let plan = std::fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    let without_speed = |text: &str| {
        let (before, _) = text.split_once("speed ").unwrap();
        before.to_owned()
    };
    let eval = USES[1];
    let expected = without_speed(&sandbox.run(eval).success());
    let later = plan.replace("[model]\n", "[model]\nattention_heads = 4\n") + "\n[federation]\nservers = 3\n";
    let later = later.replace("optimizer = \"adam\"", "optimizer = \"lion\"");
    assert!(later.contains("lion"));
    sandbox.write("run/plan.toml", later);
    check(&sandbox, Answer);
    let said = sandbox.run(eval);
    assert_eq!(without_speed(&said.stdout), expected);
    assert_eq!(
        said.stderr,
        "note: unknown settings in `plan.toml` are ignored: `federation.servers`, `model.attention_heads`, \
         `optimization.optimizer`\n"
    );
    // Training with settings that are not known would be something else.
    let said = sandbox.run(&["train", "--resume", "--out", "run"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`run/plan.toml`, line "), "{}", said.stderr);
}

#[test]
fn a_vocabulary_that_is_none_is_named() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    for vocab in [b"\xFF".as_slice(), b"", b"{", &[b'['; 100_000], b"\0\0"] {
        sandbox.write("run/vocab.json", vocab);
        let said = sandbox.run(&["eval", "--model", "run", "text.txt"]);
        assert!(Error(1, "run/vocab.json`").is_of(&said), "{said:?}");
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
            let said = sandbox.run(&["plot", "run"]);
            assert_eq!(said.code, Some(0), "{said:?}");
            let picture = std::fs::read_to_string(sandbox.path("plot.svg")).unwrap();
            assert!(picture.trim_end().ends_with("</svg>"), "{picture}");
            std::fs::remove_file(sandbox.path("plot.svg")).unwrap();
        }
    }
}

/// What a file says must not move the cursor, or color the screen, of whoever reads the error.
#[test]
fn an_error_shows_control_characters_and_does_not_send_them() {
    let sandbox = Sandbox::with_run();
    sandbox.write("list.tsv", "u1\t\u{1b}[31mred\u{7}\ta\n");
    let said = sandbox.run(&["rescore", "--model", "run", "list.tsv"]);
    assert_eq!(said.stderr, "error: list.tsv, line 1: the score `\\u{1b}[31mred\\u{7}` is not a number\n");
}
