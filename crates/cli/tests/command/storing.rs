//! `rondo models --to` and `rondo quantize`: the format of weights; `--mmap`.

use std::fs;

use crate::sandbox::{Sandbox, TINY, text};

const TO_BF16: [&str; 6] = ["models", "run", "--to", "bf16", "--out", "half.safetensors"];

#[test]
fn a_model_in_half_the_space_has_almost_the_same_perplexity() {
    let sandbox = Sandbox::with_run();
    sandbox.write("new.txt", text(50));
    let said = sandbox.run(&TO_BF16);
    assert!(said.stderr.starts_with("wrote `half.safetensors` with bf16 weights: "), "{}", said.stderr);
    said.success();
    let size = |name: &str| fs::metadata(sandbox.path(name)).unwrap().len();
    let parameters = sandbox.run(&["models", "run", "--json"]).json()["parameters"].as_u64().unwrap();
    let saved = size("run/best.safetensors") - size("half.safetensors");
    // A parameter takes two bytes less; the header says that they do.
    assert!(saved.abs_diff(2 * parameters) < 64, "{saved} of {parameters}");
    let about = sandbox.run(&["models", "half.safetensors"]).success();
    assert!(about.lines().any(|line| line.split_whitespace().eq(["weights", "bf16"])), "{about}");

    let loss = |model: &str| {
        sandbox.run(&["eval", "-m", model, "--json", "new.txt"]).json()["loss"].as_f64().unwrap()
    };
    let (exact, rounded) = (loss("run"), loss("half.safetensors"));
    assert!(exact != rounded && ((exact - rounded).exp() - 1.0).abs() < 1e-3, "{exact} {rounded}");
    for arguments in [
        &["score", "-m", "half.safetensors", "new.txt"][..],
        &["generate", "-m", "half.safetensors", "--tokens", "3"],
        &["surprisal", "half.safetensors", "new.txt"],
        &["filter", "half.safetensors", "new.txt"],
        &["complete", "-m", "half.safetensors", "the cat"],
        &["neighbors", "half.safetensors", "cat"],
    ] {
        let said = sandbox.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
    }

    // What is bf16 already is exact: with 32 bits and back it is the same file.
    let to = |model: &str, format: &str, out: &str| {
        sandbox.run(&["models", model, "--to", format, "--out", out]).success();
        fs::read(sandbox.path(out)).unwrap()
    };
    let half = fs::read(sandbox.path("half.safetensors")).unwrap();
    to("half.safetensors", "f32", "whole.safetensors");
    assert_eq!(size("whole.safetensors"), size("run/best.safetensors"));
    assert_eq!(loss("whole.safetensors"), rounded);
    assert_eq!(to("whole.safetensors", "bf16", "again.safetensors"), half);
    assert_eq!(to("half.safetensors", "bf16", "again.safetensors"), half);
}

#[test]
fn a_quantized_model_is_used_like_any_other_but_not_trained() {
    let sandbox = Sandbox::with_run();
    sandbox.write("new.txt", text(50));
    let said = sandbox.run(&["quantize", "run"]);
    let wrote = "wrote `run/best-int8.safetensors` with int8 weights: ";
    assert!(said.stderr.starts_with(wrote), "{}", said.stderr);
    said.success();
    let about = sandbox.run(&["models", "run/best-int8.safetensors"]).success();
    assert!(about.lines().any(|line| line.split_whitespace().eq(["weights", "int8"])), "{about}");

    let loss = |model: &str| {
        sandbox.run(&["eval", "-m", model, "--json", "new.txt"]).json()["loss"].as_f64().unwrap()
    };
    let (exact, rounded) = (loss("run"), loss("run/best-int8.safetensors"));
    assert!(exact != rounded && ((exact - rounded).exp() - 1.0).abs() < 1e-2, "{exact} {rounded}");
    for arguments in [
        &["score", "-m", "run/best-int8.safetensors", "new.txt"][..],
        &["generate", "-m", "run/best-int8.safetensors", "--tokens", "3"],
        &["generate", "-m", "run/best-int8.safetensors", "--tokens", "3", "--mmap", "--precision", "bf16"],
        &["surprisal", "run/best-int8.safetensors", "new.txt"],
        &["filter", "run/best-int8.safetensors", "new.txt"],
        &["complete", "-m", "run/best-int8.safetensors", "the cat"],
        &["neighbors", "run/best-int8.safetensors", "cat"],
        &["eval", "-m", "run/best-int8.safetensors", "new.txt", "--dynamic", "sgd"],
    ] {
        let said = sandbox.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
    }

    // The same file from the format, the other command, and what was read from it.
    let quantized = fs::read(sandbox.path("run/best-int8.safetensors")).unwrap();
    for arguments in [
        &["models", "run", "--to", "int8"][..],
        &["quantize", "run", "--to", "int8"],
        &["quantize", "run/best-int8.safetensors"],
    ] {
        sandbox.run(&[arguments, &["--out", "again.safetensors"]].concat()).success();
        assert!(fs::read(sandbox.path("again.safetensors")).unwrap() == quantized, "{arguments:?}");
    }

    let said = sandbox.run(&["train", "--from", "run/best-int8.safetensors", "--out", "on"]);
    let itself = ["quantize", "again.safetensors", "--out", "again.safetensors"];
    let named = sandbox.run(&["quantize", "again.safetensors", "--to", "bf16"]);
    assert!(sandbox.path("again-bf16.safetensors").exists(), "{}", named.stderr);
    assert_eq!(said.code, Some(2));
    let refused = "cannot be trained further: its weights are int8";
    let hint = "`--from` takes the model that it was made from";
    assert!(said.stderr.contains(refused) && said.stderr.contains(hint), "{}", said.stderr);
    let said = sandbox.run(&itself);
    assert!(said.stderr.contains("would be replaced by itself with other weights"), "{}", said.stderr);
    assert!(!sandbox.path("on").exists());
}

#[test]
fn what_cannot_be_stored_is_one_line() {
    let sandbox = Sandbox::with_run();
    let checkpoint = fs::read_dir(sandbox.path("run")).unwrap().find_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.starts_with("checkpoint").then_some(format!("run/{name}"))
    });
    let checkpoint = checkpoint.unwrap();
    let to = |model: &str, rest: &[&str]| {
        let said = sandbox.run(&[&["models", model, "--to", "bf16"], rest].concat());
        assert_ne!(said.code, Some(0));
        said.stderr
    };
    let out = ["--out", "out.safetensors"];
    let errors = [
        to("run", &["--out", "run/best.safetensors"]),
        to(&checkpoint, &out).replace(&checkpoint, "run/checkpoint.safetensors"),
        to("awd_lstm_lm_600", &out),
        to("missing.safetensors", &out),
        to("run", &[]),
        sandbox.run(&["models", "run", "--out", "out.safetensors"]).stderr,
    ];
    insta::assert_snapshot!(errors.join("\n"));
    assert!(!sandbox.path("out.safetensors").exists());
}

/// The best weights that a run reloads are those it had, not rounded ones.
#[test]
fn a_run_does_not_resume_from_rounded_weights() {
    let sandbox = Sandbox::with_text();
    let flags = [&TINY[..], &["--data", "text.txt", "--epochs", "2"]].concat();
    sandbox.train(&flags).success();
    sandbox.run(&TO_BF16).success();
    fs::copy(sandbox.path("half.safetensors"), sandbox.path("run/best.safetensors")).unwrap();
    let said = sandbox.train(&["--resume", "--epochs", "3", "--reload-best", "true"]);
    assert_ne!(said.code, Some(0));
    let refused = "cannot turn on `optimization.reload_best`: the weights of the best epoch, ";
    assert!(said.stderr.contains(refused), "{}", said.stderr);
}

#[test]
fn a_mapped_model_gives_the_same_results() {
    let sandbox = Sandbox::with_run();
    sandbox.write("new.txt", text(50));
    for arguments in [
        &["score", "-m", "run", "new.txt"][..],
        &["surprisal", "run", "new.txt"],
        &["generate", "-m", "run", "--tokens", "5", "--seed", "1"],
        &["filter", "run", "new.txt"],
    ] {
        let read = sandbox.run(arguments).success();
        assert_eq!(sandbox.run(&[arguments, &["--mmap"]].concat()).success(), read, "{arguments:?}");
    }
    sandbox.write("empty.safetensors", "");
    for file in ["empty.safetensors", "new.txt", "absent.safetensors"] {
        let read = sandbox.run(&["score", "-m", file, "new.txt"]);
        let mapped = sandbox.run(&["score", "--mmap", "-m", file, "new.txt"]);
        assert_eq!((mapped.code, mapped.stderr), (read.code, read.stderr));
    }
}
