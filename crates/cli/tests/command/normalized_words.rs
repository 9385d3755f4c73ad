//! Words in lowercase, without punctuation and numbers, and the recipe for surprisals, which reads them so.

use crate::sandbox::{SENTENCES, Said, Sandbox, TINY};

const FORM: [&str; 5] = ["--lowercase", "--punctuation", "remove", "--number-token", "<num>"];

/// A text with the words of `text.txt` as people write them, and numbers.
fn as_written() -> String {
    let sentence = |text: &str| {
        format!("\u{201c}{}!\u{201d} \u{2014} $1,{}.50\n", text.to_uppercase(), text.len() + 200)
    };
    SENTENCES.iter().map(|text| sentence(text.trim_end_matches(" ."))).collect::<String>().repeat(60)
}

#[track_caller]
fn check_stderr(said: &Said, expected: &str) {
    assert!(said.stderr.contains(expected), "{}", said.stderr);
}

#[test]
fn the_form_of_words_is_kept_with_the_model() {
    let sandbox = Sandbox::new();
    let clean: String = SENTENCES.iter().map(|text| text.replace(" .", " <num>\n")).collect();
    sandbox.write("clean.txt", clean.repeat(60));
    sandbox.write("written.txt", as_written());
    let train = |more: &[&str]| sandbox.run(&[&["train"], &TINY[..], more].concat());
    train(&[&["--epochs", "1", "--data", "written.txt", "--out", "run"], &FORM[..]].concat()).success();
    train(&["--epochs", "1", "--data", "clean.txt", "--out", "plain"]).success();
    // Both models have read the same tokens.
    let loss = |model, text| {
        let said = sandbox.run(&["eval", "--model", model, text, "--json"]).json();
        assert_eq!(said["unknown_words"], 0);
        said["loss"].clone()
    };
    assert_eq!(loss("run", "written.txt"), loss("plain", "clean.txt"));
    let arguments = ["score", "--model", "run", "--json", "--per-token", "-"];
    let scored = sandbox.run_with_stdin(&arguments, "The ZORK, 1999: a\u{a0}cat?\n--\n").success();
    let tokens = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let tokens = line["log_probs"].as_array().unwrap().iter().map(|token| token["token"].clone());
        serde_json::Value::from(tokens.collect::<Vec<_>>()).to_string()
    };
    let expected = [r#"["the","zork","<num>","a","cat","<eos>"]"#, r#"["<eos>"]"#];
    assert!(scored.lines().map(tokens).eq(expected), "{scored}");

    // A run continues with it, and is not given another.
    sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]).success();
    let said = sandbox.run(&["train", "--resume", "--out", "run", "--number-token", "N"]);
    check_stderr(&said, "`text.number_token`");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let from = |more: &[&str]| {
        sandbox.run(
            &[&["train", "--from", "run", "--data", "written.txt", "--epochs", "1", "--out", "new"], more]
                .concat(),
        )
    };
    check_stderr(
        &from(&["--punctuation", "keep"]),
        "`text.punctuation` is `keep`, but the model to continue from has `remove`",
    );
    from(&[]).success();
}

#[test]
fn a_form_that_has_no_effect_is_refused() {
    let sandbox = Sandbox::with_text();
    let said =
        sandbox.run(&["train", "--data", "text.txt", "--tokenizer", "moses", "--punctuation", "remove"]);
    check_stderr(&said, "`text.punctuation` has no effect unless `text.tokenizer` is `words`");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}

#[test]
fn the_recipe_for_surprisals_trains_on_a_text_of_ones_own() {
    let sandbox = Sandbox::new();
    sandbox.write("my.txt", as_written() + "Hapax 7!\n\n* * *\n");
    let flags =
        ["--recipe", "surprisal", "--data", "my.txt", "--out", "run", "--epochs", "1", "--max-batches", "2"];
    sandbox
        .run(
            &[&["train", "--hidden-size", "8", "--embedding-size", "8", "--threads", "1"], &flags[..]]
                .concat(),
        )
        .success();
    let vocab: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("run/vocab.json")).unwrap()).unwrap();
    let mut words: Vec<&str> =
        vocab["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    words[2..].sort_unstable();
    assert_eq!(words, ["<unk>", "<eos>", "NUM", "a", "cat", "dog", "mat", "on", "sat", "saw", "the"]);
    let scored = sandbox
        .run_with_stdin(&["score", "--model", "run", "--json", "--per-token", "-"], "Two DOGS saw 12 cats.")
        .json();
    assert_eq!(scored["unknown_tokens"], 3, "{scored}");
}
