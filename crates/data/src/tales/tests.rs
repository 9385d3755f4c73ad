//! Tests of the built-in language: its bytes, its sentences, their probabilities, and its entropy on a long text.

use std::collections::BTreeSet;

use super::*;
use crate::{
    corpus::Split,
    hash,
    ngram::{bigram_perplexity, unigram_perplexity},
};

/// The SHA-256 of the lines as a file, in hexadecimal.
fn sha256(lines: &[String]) -> String {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    hash::sha256(text)
}

/// The tokens as ids in the order of their words, with `<eos>` first.
fn ids(tales: &Tales, lines: &[String]) -> Vec<u32> {
    let words = tales.words();
    let sentence = |line: &String| -> Vec<u32> {
        let known = line.split(' ').map(|word| words.binary_search(&word).unwrap() as u32 + 1);
        known.chain([0]).collect()
    };
    lines.iter().flat_map(sentence).collect()
}

#[test]
fn a_seed_gives_these_bytes_for_ever() {
    let text = Tales::new().text(Tales::SEED);
    assert_eq!(text.test[0], "my tapestries surprise the king that two kings above the hall visit .");
    assert_eq!(sha256(&text.train), "8210f0329353a63fe8b6b0ec0e22de5621a4366191baf192ef370123b2a69b9c");
    assert_eq!(sha256(&text.valid), "73c0e2c3739829029182690e55ddca4b7a2ed3aee2ea7dbdcd141a4d4e0652b8");
    assert_eq!(sha256(&text.test), "8ab4cbba0042b6a0029e164094544ed0f70070331ebbddfcc5bd6aa4b4cf929c");
}

#[test]
fn splits_have_their_sizes_and_differ() {
    let tales = Tales::new();
    let text = tales.text(5);
    for (lines, tokens) in [
        (&text.train, Tales::TRAIN_TOKENS),
        (&text.valid, Tales::VALID_TOKENS),
        (&text.test, Tales::TEST_TOKENS),
    ] {
        let all: usize = lines.iter().map(|line| tokens_in(line)).sum();
        let without_last = all - lines.last().map_or(0, |line| tokens_in(line));
        assert!(without_last < tokens && tokens <= all, "{all} tokens, {tokens} asked for");
    }
    assert_ne!(text.train[..100], text.valid[..100]);
    assert_ne!(text.valid[..100], text.test[..100]);
    assert_ne!(text.train[..100], tales.text(6).train[..100]);
}

#[test]
fn the_training_text_holds_every_word_and_no_other() {
    let tales = Tales::new();
    let text = tales.text(Tales::SEED);
    let found: BTreeSet<&str> = text.train.iter().flat_map(|line| line.split(' ')).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), tales.words());
    assert_eq!(tales.words().len(), 300);
}

#[test]
fn the_exact_entropy_is_the_mean_over_many_sentences() {
    const SENTENCES: usize = 40_000;
    let tales = Tales::new();
    let (mut nll, mut tokens, mut excess) = (Vec::new(), Vec::new(), Vec::new());
    for sentence in tales.sentences(11, 0).take(SENTENCES) {
        nll.push(-tales.log_probability(&sentence).unwrap());
        tokens.push(tokens_in(&sentence) as f64);
        excess.push(nll[nll.len() - 1] - tales.entropy_nats_per_token() * tokens[tokens.len() - 1]);
    }
    let entropy_nats = tales.entropy_nats_per_token() * tales.tokens_per_sentence();
    // The last line is the rate: the excess of a sentence over it has mean zero.
    for (name, values, expected) in [
        ("entropy of a sentence", nll, entropy_nats),
        ("tokens per sentence", tokens, tales.tokens_per_sentence()),
        ("excess over the rate", excess, 0.0),
    ] {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let error = (variance / count).sqrt();
        assert!((mean - expected).abs() < 3.0 * error, "{name}: {mean} ± {error}, expected {expected}");
        assert!(error < 0.1, "{name}: {error}");
    }
}

#[test]
fn a_text_has_nearly_the_perplexity_of_the_language() {
    let tales = Tales::new();
    let text = tales.text(Tales::SEED);
    let found = tales.perplexity_of(&text.train).unwrap();
    assert!((found / tales.perplexity() - 1.0).abs() < 0.005, "{found}");
    assert_eq!(tales.perplexity_of(["the ship sinks .", "the ship sink ."]), None);
    assert_eq!(tales.perplexity_of(Vec::<String>::new()), None);
}

#[test]
fn the_word_before_is_not_enough() {
    let tales = Tales::new();
    let text = tales.text(Tales::SEED);
    let (train, test) = (ids(&tales, &text.train).into(), ids(&tales, &text.test).into());
    let best = tales.perplexity_of(&text.test).unwrap();
    let vocab_size = tales.words().len() + 1;
    let unigram = unigram_perplexity(&train, &test, vocab_size).unwrap();
    let bigram = bigram_perplexity(&train, &test, vocab_size).unwrap();
    // The values in the module header.
    for (found, expected) in [(tales.perplexity(), 10.6), (best, 10.6), (bigram, 20.4), (unigram, 108.0)] {
        assert!((found / expected - 1.0_f64).abs() < 0.01, "{found}, expected {expected}");
    }
}

#[test]
fn verbs_agree_with_their_subjects_through_clauses() {
    let tales = Tales::new();
    for (sentence, grammatical) in [
        ("the captain sleeps .", false),
        ("the captain snores .", true),
        ("the captain snore .", false),
        ("the captains snore .", true),
        ("a captains snore .", false),
        ("two captains snore .", true),
        ("the captain that admires the divers snores .", true),
        ("the captain that admire the divers snores .", false),
        ("the captain that the divers admire snores .", true),
        ("the captain that the divers admires snores .", false),
        ("the captain that the divers that a pilot trusts admire snores .", true),
        ("the captain that the divers that a pilot trusts admires snores .", false),
        ("the captain that the divers that a pilot trusts admire snore .", false),
        ("the captain with the maps that the divers mend snores .", true),
        ("the captain with the maps that the divers mend snore .", false),
    ] {
        assert_eq!(tales.log_probability(sentence).is_some(), grammatical, "{sentence}");
    }
}

#[test]
fn words_fit_the_kind_and_the_scene_of_others() {
    let tales = Tales::new();
    for (sentence, grammatical) in [
        ("tonight , the king sleeps .", true),
        ("the king sleeps near the tower .", true),
        ("the king sleeps near the reef .", false),
        ("the king admires the queen .", true),
        ("the king admires the sailor .", false),
        ("the king guards the crown and the queen sings .", true),
        ("the king guards the crown and the sailor snores .", false),
        ("the king says that the crown glitters .", true),
        ("the crown says that the king sleeps .", false),
        ("the golden crown pleases the king .", true),
        ("the golden king pleases the crown .", false),
        ("the proud king admires a witch that hides a key .", true),
        ("the proud key hides .", false),
        ("the king guards .", false),
        ("the king sleeps", false),
        ("the king sleeps . .", false),
        ("The king sleeps .", false),
        ("", false),
    ] {
        assert_eq!(tales.log_probability(sentence).is_some(), grammatical, "{sentence}");
    }
}

#[test]
fn token_probabilities_make_up_the_sentence() {
    let tales = Tales::new();
    for sentence in tales.sentences(3, 0).take(200) {
        let tokens = tales.token_log_probabilities(&sentence).unwrap();
        assert_eq!(tokens.len(), tokens_in(&sentence));
        assert_eq!(Some(tokens.iter().sum()), tales.log_probability(&sentence));
        assert!(tokens.iter().all(|token| *token <= 0.0));
        // After the period, the end is certain.
        assert_eq!(tokens.last(), Some(&0.0));
    }
}

#[test]
fn a_text_becomes_a_corpus_of_lines() {
    let line = |line: &str| vec![line.to_owned()];
    let text = TalesText { train: line("a ship sinks ."), valid: line("a king bows ."), test: vec![] };
    let texts = text.to_texts();
    for (split, name, expected) in [
        (Split::Train, "tales, train", "a ship sinks .\n"),
        (Split::Valid, "tales, valid", "a king bows .\n"),
        (Split::Test, "tales, test", ""),
    ] {
        let source = TextSource::Memory { name: name.to_owned(), text: expected.to_owned() };
        assert_eq!(texts.split(split), [&source]);
    }
}

#[test]
fn a_never_stands_before_a_vowel() {
    let tales = Tales::new();
    for sentence in tales.text(Tales::SEED).train {
        let words: Vec<&str> = sentence.split(' ').collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "a") {
            assert!(!pair[1].starts_with(['a', 'e', 'i', 'o', 'u']), "{sentence}");
        }
    }
}
