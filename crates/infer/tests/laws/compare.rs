//! The losses of two models on a text, whose difference is known.

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::compare::{Bootstrap, CompareUnit, Comparer, Comparing, Comparison};
use rondo_infer::{InferError, LanguageModel};
use rondo_nn::{Biases, Cell, CellOptions, Dropout, Input, RnnLm, RnnLmConfig};

use crate::{assert_close, bigram, rnn_lm};

/// Sentences with and without an unknown word, and a blank line.
const TEXT: [&str; 5] = [
    "the king sleeps .",
    "the queens sleep .",
    "",
    "the unicorn sleeps .",
    "the king near the queen sleeps .",
];

fn compare(models: [LanguageModel; 2], options: Comparing) -> Comparison {
    let mut comparer = Comparer::new(models, options).unwrap();
    let lines: Vec<Vec<u8>> = TEXT.iter().map(|line| format!("{line}\n").into_bytes()).collect();
    comparer.text("test").unwrap().add(&lines[..2]).unwrap();
    comparer.text("test").unwrap().add(&lines[2..]).unwrap();
    comparer.finish(Bootstrap::default()).unwrap()
}

/// The bigram model without any preference.
fn uniform() -> LanguageModel {
    let model = bigram::model();
    let config = RnnLmConfig {
        vocab_size: model.codec().vocab().len(),
        input: Input::OneHot,
        cell: Cell::RnnTanh,
        hidden_sizes: vec![2],
        biases: Biases::One,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    LanguageModel::new(RnnLm::new(config, model.device()).unwrap(), model.codec().clone()).unwrap()
}

#[test]
fn the_difference_is_that_of_the_losses_and_has_the_other_sign_the_other_way_round() {
    let found = compare([uniform(), bigram::model()], Comparing::default());
    let known = |line: &&str| bigram::log_prob(&line.replace("unicorn", "<unk>"));
    let nll: f64 = -TEXT.iter().map(known).sum::<f64>();
    let tokens = TEXT.iter().map(|line| line.split_whitespace().count() + 1).sum::<usize>();
    assert_eq!((found.unit, found.lines, found.left_out), (CompareUnit::Token, 5, 0));
    assert_eq!((found.units, found.unknown_tokens), (tokens as u64, [1, 1]));
    let uniform_nll = tokens as f64 * (uniform().codec().vocab().len() as f64).ln();
    assert_close("loss of A", found.nll_sums[0], uniform_nll, 1e-3);
    assert_close("loss of B", found.nll_sums[1], nll, 1e-3);
    assert_close("difference", found.difference, (nll - uniform_nll) / tokens as f64, 1e-5);
    assert!(found.interval.0 <= found.difference && found.difference <= found.interval.1, "{found:?}");
    let reverse = compare([bigram::model(), uniform()], Comparing::default());
    assert_close("reverse", reverse.difference, -found.difference, 1e-12);
    assert_close("bound", reverse.interval.0, -found.interval.1, 1e-9);
    assert_close("fraction", reverse.b_is_better, 1.0 - found.b_is_better, 1e-9);
    let same = compare([uniform(), uniform()], Comparing::default());
    assert_eq!((same.difference, same.interval, same.b_is_better), (0.0, (0.0, 0.0), 0.5));
}

#[test]
fn words_and_characters_are_those_of_the_text() {
    let words = compare(
        [uniform(), bigram::model()],
        Comparing { unit: Some(CompareUnit::Word), unknown_words: 10, ..Comparing::default() },
    );
    let plain = compare([uniform(), bigram::model()], Comparing::default());
    assert_eq!(words.units, plain.units);
    assert_close("unknown words", words.nll_sums[0], plain.nll_sums[0] + 10f64.ln(), 1e-9);
    let characters = compare(
        [uniform(), bigram::model()],
        Comparing { unit: Some(CompareUnit::Character), ..Comparing::default() },
    );
    assert_eq!(characters.units as usize, TEXT.iter().map(|line| line.len() + 1).sum::<usize>());
    assert_close("losses", characters.nll_sums[1], plain.nll_sums[1], 1e-9);
}

#[test]
fn models_with_different_tokens_are_compared_by_word_and_without_lines_that_one_cannot_score() {
    let tokens = "abcdeghiklnpqrstu. \n".chars().map(String::from).collect::<Vec<_>>();
    let model = rnn_lm(Cell::Gru, Input::OneHot, tokens.len());
    let vocab = Vocab::from_tokens("test", tokens, None).unwrap();
    let characters = LanguageModel::new(model, TextCodec::new(Tokenizer::chars(), vocab)).unwrap();
    let by_token = Comparing { unit: Some(CompareUnit::Token), ..Comparing::default() };
    let refused = Comparer::new([uniform(), characters.clone()], by_token);
    assert!(matches!(refused, Err(InferError::DifferentTokens { .. })), "{refused:?}");
    let found = compare([uniform(), characters.clone()], Comparing::default());
    // `unicorn` has an `o`.
    assert_eq!((found.unit, found.lines, found.left_out), (CompareUnit::Word, 4, 1));
    assert_eq!((found.units, found.unknown_tokens), (5 + 5 + 1 + 8, [0, 0]));
    let nll: f64 = -characters
        .score(&[TEXT[0], TEXT[1], TEXT[2], TEXT[4]])
        .unwrap()
        .iter()
        .map(|line| line.score.log_prob_sum)
        .sum::<f64>();
    assert_close("characters", found.nll_sums[1], nll, 1e-3);
}

#[test]
fn the_state_is_carried_within_a_text() {
    let models = || [with_memory(), uniform()];
    let apart = compare(models(), Comparing::default());
    let carried = compare(models(), Comparing { carry_state: true, ..Comparing::default() });
    assert!((apart.nll_sums[0] - carried.nll_sums[0]).abs() > 1e-3, "{apart:?} {carried:?}");
    assert_close("no state to carry", apart.nll_sums[1], carried.nll_sums[1], 1e-3);
}

/// A model of the same words that remembers.
fn with_memory() -> LanguageModel {
    let codec = bigram::model().codec().clone();
    LanguageModel::new(rnn_lm(Cell::Lstm, Input::OneHot, codec.vocab().len()), codec).unwrap()
}

#[test]
fn nothing_cannot_be_compared() {
    let comparer = Comparer::new([uniform(), uniform()], Comparing::default()).unwrap();
    let error = comparer.finish(Bootstrap::default()).unwrap_err().to_string();
    assert_eq!(error, "there is nothing to compare: no line has tokens that both models can score");
    let none = Bootstrap { resamples: 0, seed: 1 };
    assert!(matches!(comparer.finish(none), Err(InferError::ZeroSize { name: "resamples" })));
}
