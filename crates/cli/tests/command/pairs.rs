//! `rondo pairs` with a bigram model, whose answers are known.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::bigram;
use crate::sandbox::{Sandbox, filters};

const MODEL: &str = "bigram.safetensors";

/// A sandbox with the model, 200 pairs and a suite.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    bigram::model().save(sandbox.path(MODEL)).unwrap();
    for name in ["agreement.jsonl", "number.json"] {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infer/tests/fixtures/pairs");
        sandbox.write(name, fs::read(kept.join(name)).unwrap());
    }
    sandbox
}

fn pairs(sandbox: &Sandbox, arguments: &[&str]) -> crate::sandbox::Said {
    sandbox.run(&[&["pairs", MODEL], arguments].concat())
}

#[test]
fn accuracies_are_listed_by_group_with_a_column_for_each_model() {
    let sandbox = sandbox();
    insta::assert_snapshot!(pairs(&sandbox, &["agreement.jsonl"]).success());
    fs::copy(sandbox.path(MODEL), sandbox.path("same.safetensors")).unwrap();
    let two = pairs(&sandbox, &["same.safetensors", "agreement.jsonl", "--region"]).success();
    let adjacent = "\nadjacent                     40  100.0 % (91.2 to 100.0)  100.0 % (91.2 to 100.0)\n";
    assert!(two.contains(adjacent) && two.contains("  same.safetensors\n"), "{two}");

    let found = pairs(&sandbox, &["agreement.jsonl", "--json", "--region"]).json();
    assert_eq!((&found["pairs"], &found["scope"]), (&200.into(), &"region".into()));
    let model = &found["models"][0];
    assert_eq!(
        (&model["accuracy"], &model["tests"], &model["same_tokens"]),
        (&0.625.into(), &200.into(), &40.into())
    );
    let groups: Vec<_> = model["groups"].as_array().unwrap().iter().map(|group| &group["accuracy"]).collect();
    assert_eq!(groups, [&json!(1.0), &json!(0.0), &json!(1.0), &json!(0.5), &json!(null)]);
}

#[test]
fn each_pair_has_a_row() {
    let sandbox = sandbox();
    sandbox.write("pairs.tsv", "the king sleeps .\tthe king sleep .\nthe \"unicorn\" .\tthe gryphon .\n");
    let rows = pairs(&sandbox, &["pairs.tsv", "--per-pair", "-"]).success();
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    let columns = ["model", "line", "group", "good", "bad", "log_prob_good", "log_prob_bad", "result"];
    assert_eq!(rows[0], columns);
    assert_eq!(rows[1][..5], [MODEL, "1", "", "the king sleeps .", "the king sleep ."]);
    assert_eq!(rows[2][..5], [MODEL, "2", "", "\"the \"\"unicorn\"\" .\"", "the gryphon ."]);
    assert_eq!([rows[1][7], rows[2][7]], ["right", "same_tokens"]);
    let (sleeps, sleep, unknown) = ("the king sleeps .", "the king sleep .", "the <unk> .");
    for (row, sentences) in rows[1..].iter().zip([[sleeps, sleep], [unknown, unknown]]) {
        for (found, sentence) in row[5..7].iter().zip(sentences) {
            let (found, expected) = (found.parse::<f64>().unwrap(), bigram::log_prob(sentence));
            assert!((found - expected).abs() < 1e-5, "{found}, {expected}");
        }
    }

    let said = pairs(&sandbox, &["agreement.jsonl", "--per-pair", "rows.tsv"]);
    assert_eq!(said.stderr, "wrote `rows.tsv`\n");
    let rows = fs::read_to_string(sandbox.path("rows.tsv")).unwrap();
    assert_eq!((rows.lines().count(), rows.matches("\tsame_tokens\n").count()), (201, 40));
    let piped =
        sandbox.run_with_stdin(&["pairs", MODEL, "-"], "the king sleeps .\tthe king sleep .\n").success();
    assert!(piped.contains("\nall        1  100.0 % (20.7 to 100.0)\n"), "{piped}");
}

#[test]
fn predictions_of_a_suite_are_listed_with_the_items_in_which_they_hold() {
    let sandbox = sandbox();
    insta::assert_snapshot!(pairs(&sandbox, &["number.json"]).success());
    let rows = pairs(&sandbox, &["number.json", "--per-pair", "-"]).success();
    let second = "7\t2\t(3;%mismatch_modifier%) > (3;%match_modifier%)\tright\n";
    assert_eq!((rows.lines().count(), rows.contains(second)), (41, true), "{rows}");
    let found = pairs(&sandbox, &["number.json", "--json"]).json();
    assert_eq!((&found["suite"], &found["items"]), (&"number".into(), &8.into()));
    let second = &found["models"][0]["predictions"][1];
    assert_eq!(
        (&second["accuracy"], &second["right"], &second["tests"]),
        (&0.25.into(), &2.into(), &8.into())
    );
}

#[test]
fn what_is_wrong_with_a_file_is_one_line() {
    let sandbox = sandbox();
    let _filters = filters(&sandbox);
    let suite = fs::read_to_string(sandbox.path("number.json")).unwrap();
    for (name, text) in [
        ("field.jsonl", "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\n{\"sentence_good\": \"a\"}\n"),
        ("text.jsonl", "{\"sentence_good\": \"a\", \"sentence_bad\": 3}\n"),
        ("columns.csv", "id,good,bad\n1,a,b\n"),
        ("row.tsv", "a\tb\nc\n"),
        ("array.json", "[{\"sentence_good\": \"a\"}]\n"),
        ("damaged.json", "{\n\"meta\": {},\n\"items\": [\n"),
        ("formula.json", &suite.replacen(" > ", " >> ", 1)),
        ("empty.tsv", ""),
    ] {
        sandbox.write(name, text);
        let said = pairs(&sandbox, &[name]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        insta::assert_snapshot!(format!("no_pairs_{name}"), said.stderr);
    }
    let said = pairs(&sandbox, &["agreement.jsonl", "--group", "uid"]);
    let expected = "error: line 1 of `agreement.jsonl` has no field `uid`: its fields are `sentence_good`, `sentence_bad`, \
                    `UID`, `pairID`; did you mean `UID`?\n";
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), expected));
}
