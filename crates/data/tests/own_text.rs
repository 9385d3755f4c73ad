//! Agreement with NLTK (sentences) and sacremoses (tokenization and detokenization) on books.
//!
//! The expected outputs and the script that made them are described in `golden/README.md`, section *Own text*.
//! Whole books are read from `../shared/data` next to the checkout; NLTK's pretrained tables, which are not part
//! of it, from the folder in `PUNKT_TAB`.

#![allow(clippy::unwrap_used)] // A test fails by panicking.
#![allow(clippy::print_stderr)] // A skipped test must say so, and the rates are what one wants to know.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use rondo_data::Joints;
use rondo_data::moses::{detokenize, tokenize};
use rondo_data::sentences::Punkt;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn golden(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/own_text")).join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A text of the public corpora, or `None` with a message if it does not exist.
fn book(path: &str) -> Option<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if !path.exists() {
        eprintln!("skipped: there is no text at `{}`", path.display());
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap().replace("\r\n", "\n"))
}

const TIME_MACHINE: &str = "time-machine/timemachine-gutenberg.txt";
const SHAKESPEARE: &str = "tiny-shakespeare/input.txt";

#[test]
fn scripts_with_combining_signs_are_tokenized_as_by_sacremoses() {
    let lines = golden("scripts.tsv");
    let differing: Vec<String> = lines
        .lines()
        .filter_map(|line| {
            let [sentence, expected, dashed] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let tokens = |joints| tokenize(sentence, joints).join(" ");
            let found = [tokens(Joints::Keep), tokens(Joints::Dashes)];
            (found != [expected, dashed]).then(|| format!("{found:?}, expected {expected:?} and {dashed:?}"))
        })
        .collect();
    assert_eq!(differing, [""; 0]);
    assert_eq!(lines.lines().count(), 88);
}

fn sha(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ends(punkt: &Punkt, text: &str) -> Vec<usize> {
    punkt.ranges(text).into_iter().map(|range| range.end).collect()
}

/// The F1 score (harmonic mean of precision and recall) of the sentence ends.
fn agreement(what: &str, found: &[usize], expected: &[usize]) -> f64 {
    let of: HashSet<_> = expected.iter().collect();
    let common = found.iter().filter(|end| of.contains(end)).count();
    let rate = 2.0 * common as f64 / (found.len() + expected.len()) as f64;
    eprintln!("{what}: {common} ends agree of {} and {}: F1 {rate:.5}", found.len(), expected.len());
    rate
}

struct Line {
    end: usize,
    tokens: usize,
    hashes: Vec<String>,
}

fn lines(name: &str) -> Vec<Line> {
    let line = |line: &str| {
        let mut cells = line.split('\t');
        let mut number = || cells.next().unwrap().parse().unwrap();
        let (end, tokens) = (number(), number());
        Line { end, tokens, hashes: cells.map(str::to_owned).collect() }
    };
    golden(name).lines().map(line).collect()
}

#[test]
fn passages_have_the_sentences_tokens_and_text_of_the_golden() {
    let golden: Value = serde_json::from_str(&golden("sentences.json")).unwrap();
    let mut count = 0;
    for passage in golden["passages"].as_array().unwrap() {
        let sentences = passage["sentences"].as_array().unwrap();
        let expected: Vec<_> = sentences.iter().map(|sentence| sentence["text"].as_str().unwrap()).collect();
        let found: Vec<_> = Punkt::english().split(passage["text"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
        for sentence in sentences {
            let tokens = tokenize(sentence["text"].as_str().unwrap(), Joints::Dashes);
            assert_eq!(tokens.join(" "), sentence["tokens"].as_str().unwrap());
            assert_eq!(detokenize(&tokens), sentence["detokenized"].as_str().unwrap());
            count += 1;
        }
    }
    assert!(count > 200, "{count} sentences");
}

#[test]
fn the_built_in_english_splits_the_time_machine_as_nltk_does() {
    let Some(text) = book(TIME_MACHINE) else { return };
    let expected: Vec<_> = lines("time-machine.tsv").iter().map(|line| line.end).collect();
    assert!(agreement("built-in English", &ends(Punkt::english(), &text), &expected) >= 0.98);
}

/// The algorithm alone: with the same tables, it makes the same decisions.
#[test]
fn with_nltks_tables_every_sentence_agrees() {
    let Some(text) = book(TIME_MACHINE) else { return };
    let Some(folder) = std::env::var_os("PUNKT_TAB") else {
        eprintln!("skipped: PUNKT_TAB names no folder with NLTK's tables");
        return;
    };
    let expected: Vec<_> = lines("time-machine.tsv").iter().map(|line| line.end).collect();
    let punkt = Punkt::read_tables(folder).unwrap();
    assert_eq!(agreement("NLTK's English", &ends(&punkt, &text), &expected), 1.0);
    // These tables represent NLTK on a text that was not used to write the built-in lists.
    let Some(text) = book(SHAKESPEARE) else { return };
    let (built_in, expected) = (ends(Punkt::english(), &text), ends(&punkt, &text));
    assert!(agreement("built-in English, Tiny Shakespeare", &built_in, &expected) >= 0.98);
}

#[test]
fn training_learns_what_nltk_learns_and_splits_the_same() {
    for (name, path) in [("time-machine", TIME_MACHINE), ("tiny-shakespeare", SHAKESPEARE)] {
        let Some(text) = book(path) else { continue };
        let golden: Value = serde_json::from_str(&golden(&format!("{name}.trained.json"))).unwrap();
        let punkt = Punkt::train(&text);
        let words = |key: &str| -> BTreeSet<String> {
            golden[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            punkt.abbreviations.iter().cloned().collect::<BTreeSet<_>>(),
            words("abbreviations"),
            "{name}"
        );
        assert_eq!(punkt.starters.iter().cloned().collect::<BTreeSet<_>>(), words("starters"), "{name}");
        let pairs: BTreeSet<(String, String)> =
            serde_json::from_value(golden["collocations"].clone()).unwrap();
        assert_eq!(punkt.collocations.iter().cloned().collect::<BTreeSet<_>>(), pairs, "{name}");

        let mut seen: Vec<_> =
            punkt.orthography.iter().map(|(word, set)| format!("{word}\t{}", set.0)).collect();
        seen.sort_unstable();
        assert_eq!(golden["orthography"]["words"], seen.len(), "{name}");
        assert_eq!(golden["orthography"]["sha256"], sha(&seen.join("\n")), "{name}");

        let ends: Vec<_> = ends(&punkt, &text).iter().map(usize::to_string).collect();
        assert_eq!(golden["sentence_ends"]["sentences"], ends.len(), "{name}");
        assert_eq!(golden["sentence_ends"]["sha256"], sha(&ends.join("\n")), "{name}");
    }
}

/// The fraction of the expected tokens in lines (of one sentence, or of 40) that agree completely.
#[test]
fn tokens_and_joined_text_of_books_are_those_of_sacremoses() {
    for (name, path) in [("time-machine", TIME_MACHINE), ("tiny-shakespeare", SHAKESPEARE)] {
        let Some(text) = book(path) else { continue };
        let trained = Punkt::train(&text);
        let (mut start, mut all, mut agreeing) = (0, 0, [0; 3]);
        for line in lines(&format!("{name}.tsv")) {
            let part = &text[start..line.end];
            start = line.end;
            let sentences: Vec<_> =
                if name == "time-machine" { vec![part] } else { trained.split(part).collect() };
            let tokens = |joints| sentences.iter().map(move |sentence| tokenize(sentence, joints));
            let flat = |joints| tokens(joints).flatten().collect::<Vec<_>>().join("\n");
            let joined = tokens(Joints::Dashes).map(detokenize).collect::<Vec<_>>().join("\n");
            let found = [flat(Joints::Keep), flat(Joints::Dashes), joined];
            all += line.tokens;
            for ((agreeing, found), hash) in agreeing.iter_mut().zip(&found).zip(&line.hashes) {
                if sha(found).starts_with(hash) {
                    *agreeing += line.tokens;
                }
            }
        }
        eprintln!("{name}: of {all} tokens {agreeing:?} agree (as they are, dashes parted, joined again)");
        for agreeing in agreeing {
            assert!(agreeing as f64 >= 0.999 * all as f64, "{name}: {agreeing} of {all}");
        }
    }
}
