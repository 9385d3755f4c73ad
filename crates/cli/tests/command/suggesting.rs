//! `rondo complete` with a user's preferences, and `rondo eval --keystrokes`.

use crate::sandbox::Sandbox;

/// The words that are listed after a text.
fn words(sandbox: &Sandbox, text: &str, flags: &[&str]) -> Vec<String> {
    let flags = [&["complete", "-m", "run", "--json", "-k", "100", text], flags].concat();
    let json = sandbox.run(&flags).json();
    let words = json["completions"].as_array().unwrap().iter();
    words.map(|word| word["word"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_wanted_words_are_listed() {
    let sandbox = Sandbox::with_run();
    sandbox.write("no.txt", "cat\n\nzebra\n");
    let all = words(&sandbox, "the", &[]);
    let wanted = words(&sandbox, "the", &["--words-only", "--exclude", "no.txt"]);
    let expected: Vec<&String> =
        all.iter().filter(|word| !["cat", ".", "<unk>", "<eos>"].contains(&word.as_str())).collect();
    assert_eq!(wanted.iter().collect::<Vec<_>>(), expected);
    assert_eq!(all.len() - wanted.len(), 4, "{all:?}");
}

#[test]
fn words_at_the_start_of_a_sentence_have_a_capital_letter() {
    let sandbox = Sandbox::with_run();
    let plain = words(&sandbox, "the cat sat . ", &["--words-only", "--partial"]);
    let capital = words(&sandbox, "The cat sat . ", &["--words-only", "--partial", "--capitalize"]);
    assert_eq!(capital.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>(), plain);
    assert!(capital.iter().all(|word| word.starts_with(char::is_uppercase)), "{capital:?}");
    let begun = words(&sandbox, "the C", &["--partial", "--capitalize"]);
    assert!(begun.contains(&"Cat".to_owned()), "{begun:?}");
}

#[test]
fn words_of_the_users_own_are_listed_and_learned() {
    let sandbox = Sandbox::with_run();
    sandbox.write("own.txt", "zebra\t3\ncat\n");
    sandbox.write("diary.txt", "A zebra, a zebra!\n");
    let flags = ["--partial", "--user-words", "own.txt", "--user-weight", "0.9"];
    assert_eq!(words(&sandbox, "the z", &["--partial"]), Vec::<String>::new());
    assert_eq!(words(&sandbox, "the z", &flags), ["zebra"]);
    assert_eq!(words(&sandbox, "the", &flags[1..])[0], "zebra");
    assert_eq!(words(&sandbox, "the z", &["--partial", "--learn", "diary.txt"]), ["zebra"]);
    sandbox.write("own.txt", "cat\nzebra\tmany\n");
    let said = sandbox.run(&["complete", "-m", "run", "the", "--user-words", "own.txt"]);
    assert_eq!(
        said.stderr,
        "error: own.txt, line 2\n  cause: `many` is no weight: a line is a word, a tab and a number above 0\n"
    );
    sandbox.write("own.txt", "cat\t0\n");
    let said = sandbox.run(&["complete", "-m", "run", "the", "--user-words", "own.txt"]);
    assert_eq!(
        said.stderr,
        "error: own.txt, line 1\n  cause: the weight of `cat` must be above 0 and finite, but is 0\n"
    );
}

#[test]
fn an_evaluation_says_how_many_keystrokes_are_saved() {
    let sandbox = Sandbox::with_run();
    let text = "the cat sat .\na dog sat zebra .\n";
    let eval = |flags: &[&str]| {
        sandbox.run_with_stdin(&[&["eval", "-m", "run", "--keystrokes"], flags].concat(), text)
    };
    let json = eval(&["--json"]).json();
    let keystrokes = &json["keystrokes"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    // The words with a space each; the period is typed, and the unknown word is left out.
    let characters = "the cat sat . a dog sat . ".len() as f64;
    assert_eq!(number(&keystrokes["characters"]), characters);
    for (key, value) in [("words", 8), ("unknown_tokens", 1), ("suggestions", 3)] {
        assert_eq!(keystrokes[key], value, "{key}");
    }
    for typed in [keystrokes, &keystrokes["by_frequency"]] {
        let keys = number(&typed["keys"]);
        assert!((8.0..characters).contains(&keys), "{json}");
        assert!((number(&typed["saved"]) - (1.0 - keys / characters)).abs() < 1e-12);
    }
    // With all words suggested, each is one key, except that the period is a key and a space.
    let all = eval(&["--json", "--suggestions", "1000"]).json();
    assert_eq!(all["keystrokes"]["keys"], 6 + 2 * 2);
    sandbox.write("no.txt", "cat\n");
    let without = eval(&["--json", "--suggestions", "1000", "--exclude", "no.txt"]).json();
    assert_eq!(without["keystrokes"]["keys"], 6 + 2 * 2 + 3);
    let saved = 100.0 * number(&keystrokes["saved"]);
    let said = eval(&[]).success();
    assert!(said.contains(&format!("\nkeystrokes     {saved:.2} % saved: ")), "{said}");
    assert!(said.contains("\nby frequency   "), "{said}");
    for flags in [&["--suggestions", "3"][..], &["--keystrokes", "--cache", "9"]] {
        assert_eq!(sandbox.run(&[&["eval", "-m", "run"], flags].concat()).code, Some(2));
    }
}
