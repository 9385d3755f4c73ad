//! `rondo eval --top-k` and `rondo score --max-rank`: how high the tokens of a text rank.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A text with a word that the vocabulary lacks.
const TEXT: &str = "the cat saw a zebra .\na dog sat .\nthe cat sat .\n";

/// The ranks of the tokens of each line as `rondo score` finds them, with those of unknown tokens.
fn scored(sandbox: &Sandbox) -> Vec<Vec<(u64, bool)>> {
    let flags = ["score", "-m", "run", "--max-rank", "3", "--per-token", "--json"];
    let said = sandbox.run_with_stdin(&flags, TEXT).success();
    let token = |token: &Value| (token["rank"].as_u64().unwrap(), token["unknown"] == true);
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["log_probs"].as_array().unwrap().iter().map(token).collect()
    };
    said.lines().map(line).collect()
}

#[test]
fn lines_with_unlikely_tokens_are_flagged() {
    let sandbox = Sandbox::with_run();
    let unlikely = |limit| {
        let tokens = scored(&sandbox).into_iter();
        let count = |line: Vec<(u64, bool)>| {
            line.iter().filter(|(rank, is_unknown)| *is_unknown || *rank > limit).count() as u64
        };
        tokens.map(count).collect::<Vec<_>>()
    };
    // The word `zebra` is unlikely even if all tokens are among the most likely ones.
    assert_eq!(unlikely(1000), [1, 0, 0]);
    for limit in [1, 3, 1000] {
        let limit_text = limit.to_string();
        let said = sandbox.run_with_stdin(&["score", "-m", "run", "--max-rank", &limit_text], TEXT);
        let flagged = unlikely(limit).iter().filter(|count| **count > 0).count();
        let have = if flagged == 1 { "has" } else { "have" };
        assert_eq!(
            said.stderr,
            format!(
                "note: {flagged} of 3 lines {have} a token that is not among the {limit} most likely ones\n"
            )
        );
        let text = said.success();
        let columns: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let counts: Vec<u64> = columns.iter().map(|line| line[3].parse().unwrap()).collect();
        assert_eq!(counts, unlikely(limit));
        let lines: Vec<&str> = columns.iter().map(|line| line[4]).collect();
        assert_eq!(lines, TEXT.lines().collect::<Vec<_>>());
    }
    let plain = sandbox.run_with_stdin(&["score", "-m", "run"], TEXT);
    assert_eq!((plain.stderr.as_str(), plain.stdout.lines().next().unwrap().split('\t').count()), ("", 4));
}

#[test]
fn an_evaluation_says_how_often_the_next_token_is_among_the_likeliest() {
    let sandbox = Sandbox::with_run();
    let eval = |flags: &[&str]| {
        sandbox.run_with_stdin(&[&["eval", "-m", "run", "--top-k", "3,1,20"], flags].concat(), TEXT)
    };
    let json = eval(&["--json"]).json();
    let (ranks, plain) =
        (&json["ranks"], sandbox.run_with_stdin(&["eval", "-m", "run", "--json"], TEXT).json());
    let loss = |json: &Value| json["loss"].as_f64().unwrap();
    assert!((loss(&json) - loss(&plain)).abs() < 1e-5, "{json}");
    assert_eq!(ranks["tokens"], json["predicted_tokens"]);
    let accuracy = |ranks: &Value, k: &str| ranks["accuracy"][k].as_f64().unwrap();
    let all = ["1", "3", "20"].map(|k| accuracy(ranks, k));
    assert!(all.is_sorted() && all[0] > 0.0 && all[2] < 1.0, "{ranks}");
    let reciprocal = ranks["mean_reciprocal_rank"].as_f64().unwrap();
    assert!(reciprocal > all[0] && reciprocal < 1.0, "{ranks}");
    // The first token of the text is read and not predicted; the fifth word of the first line is unknown.
    let positions = ranks["by_position"].as_array().unwrap();
    let tokens: Vec<u64> = positions.iter().map(|sums| sums["tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens[..8], [2, 3, 3, 3, 3, 1, 1, 0]);
    assert!(accuracy(&positions[4], "20") < 1.0, "{ranks}");
    assert_eq!(positions[19]["and_later"], true);
    let text = eval(&[]).success();
    assert!(text.contains(&format!("\naccuracy at 3         {:.2} %\n", 100.0 * all[1])), "{text}");
    assert!(text.contains(&format!("\nmean reciprocal rank  {reciprocal:.4}\n")), "{text}");
    let table = text.split_once("\n\n").unwrap().1;
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["position", "tokens", "at", "1", "at", "3", "at", "20", "reciprocal", "rank"]);
    assert_eq!(table.lines().count(), 8, "{text}");
}

#[test]
fn excluded_words_make_way_and_are_never_found() {
    let sandbox = Sandbox::with_run();
    sandbox.write("words.txt", "<eos>\n<unk>\nzebra\n\ncat\n");
    let eval = |flags: &[&str]| {
        sandbox.run_with_stdin(&[&["eval", "-m", "run", "--json", "--top-k", "1,1000"], flags].concat(), TEXT)
    };
    let all = eval(&[]).json();
    let said = eval(&["--exclude", "words.txt"]);
    assert_eq!(said.stderr, "note: 1 of 4 words in `words.txt` is not in the model's vocabulary\n");
    let without = said.json();
    let found = |json: &Value| {
        let ranks = &json["ranks"];
        (ranks["accuracy"]["1000"].as_f64().unwrap() * ranks["tokens"].as_f64().unwrap()).round()
    };
    // Three line ends and two cats.
    assert_eq!(found(&all) - found(&without), 5.0);
    assert_eq!(all["loss"], without["loss"]);
}

#[test]
fn ranks_of_adapted_models_are_refused() {
    let sandbox = Sandbox::with_run();
    for flags in [&["--top-k", "0"][..], &["--top-k", "3", "--cache", "9"], &["--exclude", "words.txt"]] {
        let said = sandbox.run_with_stdin(&[&["eval", "-m", "run"], flags].concat(), TEXT);
        assert_eq!(said.code, Some(2), "{flags:?}: {}", said.stderr);
    }
    let said = sandbox.run_with_stdin(&["score", "-m", "run", "--max-rank", "0"], TEXT);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}
