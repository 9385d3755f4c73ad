//! Keys counted by hand, and by typing with a suggester.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::{
    Completing, InferError, Keystrokes, LanguageModel, ModelHandle, Preferences, Suggester, TypedText, Typing,
};
use rondo_nn::{Cell, Input, Model};

use crate::{model_with, rnn_lm, text, token_ids};

const WORDS: [&str; 7] = ["<unk>", "<eos>", "the", "then", "cat", "car", "."];

fn vocab() -> Vocab {
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    vocab.with_counts(vec![9, 9, 2, 3, 5, 10, 9]).unwrap()
}

fn type_text(model: &LanguageModel, ids: &[u32], suggestions: usize, excluded: &[&str]) -> TypedText {
    let excluded: HashSet<String> = excluded.iter().map(|word| (*word).to_owned()).collect();
    let typing = Typing { suggestions, excluded };
    model.keystrokes(&token_ids(ids), &typing, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// A model that always prefers `the` to `then` to `cat` to `car`, and `.` and what is no word to all of them.
fn unigram() -> LanguageModel {
    let mut model = rnn_lm(Cell::Lstm, Input::Embedding(6), WORDS.len());
    let [weight, bias] =
        ["decoder.weight", "decoder.bias"].map(|name| model.parameters().find(name).unwrap());
    let zeros = vec![0.0; model.parameters().values(weight).len()];
    model.parameters_mut().values_mut(weight).write_from(&zeros).unwrap();
    let logits = [9.0, 8.0, 4.0, 3.0, 2.0, 1.0, 7.0];
    model.parameters_mut().values_mut(bias).write_from(&logits).unwrap();
    LanguageModel::new(ModelHandle::new(model), TextCodec::new(Tokenizer::words(), vocab())).unwrap()
}

#[test]
fn keys_are_those_counted_by_hand() {
    let model = unigram();
    // the then ⏎ cat <unk> car . ⏎
    let ids = [2, 3, 1, 4, 0, 5, 6, 1];
    let keys = |keys| Keystrokes { words: 5, characters: 4 + 5 + 4 + 4 + 2, keys };
    // the: 1; then: all of it, since `the` begins so, too; cat: `c` and 1; car: all of it; the period is no word.
    let found = type_text(&model, &ids, 1, &[]);
    assert_eq!(found.model, keys(1 + 5 + 2 + 4 + 2));
    assert_eq!(found.unknown_tokens, 1);
    // By frequency, car comes before cat, then and the. For `the`, `then` is suggested until all is typed.
    assert_eq!(found.by_frequency, Some(keys(4 + 2 + 4 + 1 + 2)));
    assert!((found.model.saved() - 5.0 / 19.0).abs() < 1e-12);
    assert_eq!(type_text(&model, &ids, 2, &[]).model, keys(1 + 1 + 2 + 2 + 2));
    assert_eq!(type_text(&model, &ids, 4, &[]).model, keys(1 + 1 + 1 + 1 + 2));
    // A word that is never suggested makes way for others.
    assert_eq!(type_text(&model, &ids, 1, &["the"]).model, keys(4 + 1 + 2 + 4 + 2));
    assert_eq!(type_text(&model, &[], 1, &[]).model, Keystrokes::default());
}

#[test]
fn a_typist_with_a_suggester_presses_these_keys() {
    let (handle, _) = model_with(Cell::Gru, Input::Embedding(6), WORDS.len());
    let model = LanguageModel::new(handle, TextCodec::new(Tokenizer::words(), vocab())).unwrap();
    let ids: Vec<u32> = text(400, 3).iter().map(|id| 2 + id % 5).collect();
    for suggestions in [1, 2, 3] {
        let preferences = Preferences { words_only: true, ..Preferences::default() };
        let completer = model.completer().with_preferences(preferences).unwrap();
        let mut suggester = Suggester::new(completer);
        let completing = Completing { top: suggestions, partial: true, ..Completing::default() };
        let (mut written, mut keys) = (String::new(), 0);
        for &id in &ids {
            let word = WORDS[id as usize];
            let mut is_suggested = |typed: usize| {
                let found = suggester.suggest(&format!("{written}{}", &word[..typed]), &completing).unwrap();
                found.iter().any(|found| found.word == word)
            };
            keys += (0..word.len()).find(|typed| is_suggested(*typed)).unwrap_or(word.len()) as u64 + 1;
            written += word;
            written.push(' ');
        }
        let found = type_text(&model, &ids, suggestions, &[]).model;
        assert_eq!((found.keys, found.characters, found.words), (keys, written.len() as u64, 400));
    }
}

#[test]
fn other_tokens_than_words_have_no_keystrokes() {
    let (handle, _) = model_with(Cell::Lstm, Input::Embedding(6), 3);
    let codec =
        TextCodec::new(Tokenizer::chars(), Vocab::from_tokens("test", ["a", " ", "\n"], None).unwrap());
    let model = LanguageModel::new(handle, codec).unwrap();
    let refusal = |model: &LanguageModel, typing: Typing| {
        let progress = &mut |_| ControlFlow::Continue(());
        model.keystrokes(&token_ids(&[0, 1]), &typing, progress).unwrap_err()
    };
    let error = refusal(&model, Typing::default());
    assert_eq!(
        error.to_string(),
        "keystrokes need a model of words, and the tokenizer of this one is `chars`"
    );
    let error = refusal(&unigram(), Typing { suggestions: 0, ..Typing::default() });
    assert!(matches!(error, InferError::ZeroSize { name: "suggestions" }));
}
