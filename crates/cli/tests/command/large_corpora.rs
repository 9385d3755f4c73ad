//! `rondo datasets generate`, `rondo train --ids-dir` and `--count-memory`.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, TINY};

/// The only file of this name in the folders of `ids`.
fn stored(sandbox: &Sandbox, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(sandbox.path("ids")).into_iter().flatten().flatten();
    let path = |folder: &str| sandbox.path(&format!("ids/{folder}/{name}"));
    entries.map(|entry| path(entry.file_name().to_str().unwrap())).find(|path| path.exists())
}

fn train(sandbox: &Sandbox, out: &str, flags: &[&str]) -> crate::sandbox::Said {
    let run = ["train", "--threads", "2", "--max-steps", "5", "--out", out];
    sandbox.run(&[&run[..], &TINY, flags].concat())
}

#[test]
fn a_generated_corpus_has_its_size_and_is_not_overwritten() {
    let sandbox = Sandbox::new();
    let generate = |out: &str, seed: &str| {
        let size = ["--tokens", "20k", "--vocab", "300", "--topics", "3"];
        sandbox.run(&[&["datasets", "generate", "--out", out, "--seed", seed][..], &size].concat())
    };
    let said = generate("one", "1").success();
    let tokens: Vec<u64> =
        said.lines().map(|line| line.split(['\t', ' ']).nth(1).unwrap().parse().unwrap()).collect();
    assert!((20_000..20_040).contains(&tokens[0]) && (10_000..10_040).contains(&tokens[1]), "{said}");
    generate("same", "1").success();
    generate("other", "2").success();
    let text = |folder: &str| fs::read(sandbox.path(folder).join("train.txt")).unwrap();
    assert!(text("one") == text("same") && text("one") != text("other"));
    let again = generate("one", "1");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.starts_with("error: `one/train.txt` already exists\n"), "{}", again.stderr);
    let wrong = sandbox.run(&["datasets", "generate", "--tokens", "many", "--out", "x"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("expected a number, such as `500k`, `20M` or `1G`"), "{}", wrong.stderr);
}

#[test]
fn ids_are_used_again_and_a_note_says_so() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--ids-dir", "ids"];
    let first = train(&sandbox, "first", &flags);
    assert!(!first.stderr.contains("tokenized"), "{}", first.stderr);
    first.success();
    let second = train(&sandbox, "second", &flags);
    assert!(second.stderr.contains("note     the texts are already tokenized, in `"), "{}", second.stderr);
    second.success();
    let ids = stored(&sandbox, "ids.bin").unwrap();
    fs::write(&ids, &fs::read(&ids).unwrap()[4..]).unwrap();
    let third = train(&sandbox, "third", &flags);
    let note = format!("note     `{}` is made again: it is damaged\n", ids.display());
    assert!(third.stderr.contains(&note), "{}", third.stderr);
    third.success();
    let weights = ["first", "second", "third"].map(|run| {
        let model = sandbox.run(&["eval", "-m", run, "--json", "text.txt"]).json();
        model["loss"].as_f64().unwrap()
    });
    assert!(weights.iter().all(|loss| *loss == weights[0]), "{weights:?}");
}

#[test]
fn sizes_are_checked_and_a_folder_that_cannot_be_written_is_one_error() {
    let sandbox = Sandbox::with_text();
    let wrong = train(&sandbox, "run", &["--data", "text.txt", "--count-memory", "5"]);
    assert!(wrong.stderr.contains("expected a size, such as `500MB` or `2GB`, or 0"), "{}", wrong.stderr);
    let used = train(&sandbox, "run", &["--data", "text.txt", "--ids-dir", "text.txt"]);
    assert_eq!(used.code, Some(1));
    assert!(used.stderr.starts_with("error: could not write `"), "{}", used.stderr);
    assert!(!sandbox.path("run").exists());
    // More words than fit.
    let words: String =
        (0..2000).map(|i| format!("word{i}{}", if i % 8 == 7 { "\n" } else { " " })).collect();
    fs::write(sandbox.path("words.txt"), words).unwrap();
    let little = train(&sandbox, "run", &["--data", "words.txt", "--count-memory", "1kB"]);
    assert!(little.stderr.contains("`--count-memory` was not enough for all tokens"), "{}", little.stderr);
    little.success();
}

#[test]
fn a_process_that_is_killed_while_it_tokenizes_is_continued() {
    let sandbox = Sandbox::new();
    let size = ["--tokens", "20M", "--vocab", "20000", "--quiet"];
    sandbox.run(&[&["datasets", "generate", "--out", "big"][..], &size].concat()).success();
    let flags = ["--data", "big", "--ids-dir", "ids", "--softmax", "sampled:50", "--sample-prefix", ""];
    let arguments =
        [&["train", "--out", "run", "--max-steps", "5", "--evaluation-every", "9"][..], &flags].concat();
    let mut command = sandbox.command(&[&arguments[..], &TINY].concat());
    let mut killed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while stored(&sandbox, "work/journal.json").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300) && killed.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let continued = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&continued.stderr);
    assert!(stderr.contains("note     tokenizing continues after "), "{stderr}");
    assert!(continued.status.success(), "{stderr}");
    let ids = fs::read(stored(&sandbox, "ids.bin").unwrap()).unwrap();
    fs::remove_dir_all(sandbox.path("ids")).unwrap();
    fs::remove_dir_all(sandbox.path("run")).unwrap();
    assert!(command.output().unwrap().status.success());
    assert!(fs::read(stored(&sandbox, "ids.bin").unwrap()).unwrap() == ids, "the ids differ");
}
