//! Interpolation with an n-gram model.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rondo_data::{Arpa, TextCodec, TokenIds, Tokenizer, Unit, Vocab};
use rondo_infer::{
    InferError, Interpolation, LanguageModel, NgramEvaluation, Resets, Scorer, Scoring, evaluate,
    evaluate_with_ngram, tune_ngram,
};
use rondo_nn::{Cell, Input};

use crate::{assert_close, model_with};

/// A vocabulary that overlaps with the n-gram model's: `bird` is not in that, and its `old` and `slept` are not here.
const TOKENS: [&str; 14] =
    ["<unk>", "<eos>", "the", "cat", "sat", "on", "mat", ".", "a", "dog", "saw", "bird", "flies", "high"];

fn codec() -> TextCodec {
    let vocab = Vocab::from_tokens("test", TOKENS, Some("<unk>")).unwrap();
    TextCodec::new(Tokenizer::default(), vocab)
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/arpa");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn arpa() -> Arc<Arpa> {
    Arc::new(Arpa::read(fixture("trigrams.arpa").as_bytes(), "trigrams.arpa").unwrap())
}

fn language_model() -> LanguageModel {
    let (handle, _) = model_with(Cell::Lstm, Input::Embedding(9), TOKENS.len());
    LanguageModel::new(handle, codec()).unwrap()
}

fn with_weight(weight: f64) -> Interpolation {
    Interpolation::new(arpa(), &codec(), weight).unwrap()
}

/// A text of 60 lines of words of the vocabulary.
fn text() -> TokenIds {
    let lines = ["the cat sat on the mat .", "a bird saw the dog .", "", "high flies the old cat", "dog"];
    let text: String = lines.iter().cycle().take(600).map(|line| format!("{line}\n")).collect();
    codec().encode(&text).unwrap().ids.into()
}

fn evaluation(weight: f64, columns: usize) -> NgramEvaluation {
    let model = language_model();
    let go_on = &mut |_| ControlFlow::Continue(());
    model.evaluate_with_ngram(&text(), &with_weight(weight), columns, 7, go_on).unwrap()
}

#[test]
fn with_all_weight_scores_are_kenlms() {
    let model = language_model();
    let start = model.codec().line_end();
    let mut scorer =
        model.scorer(Scoring { start, ..Scoring::default() }).unwrap().with_ngram(with_weight(1.0));
    let mut compared = 0;
    for line in fixture("kenlm.tsv").lines() {
        let (sentence, expected) = line.split_once('\t').unwrap();
        let encoded = codec().encode(&format!("{sentence}\n")).unwrap();
        // Words that only the n-gram model knows are unknown to both, so only the lines without them are KenLM's.
        if encoded.report.out_of_vocab_tokens > 0 && sentence != "the zebra sat on the mat ." {
            continue;
        }
        let found = scorer.score(&[&encoded.ids]).unwrap();
        let expected: Vec<f64> = expected.split('\t').map(|score| score.parse().unwrap()).collect();
        assert_eq!(found[0].log_probs.len(), expected.len(), "{sentence}");
        for (&found, expected) in found[0].log_probs.iter().zip(expected) {
            assert_close(sentence, f64::from(found) / std::f64::consts::LN_10, expected, 1e-5);
            compared += 1;
        }
    }
    assert!(compared > 20);
}

#[test]
fn probabilities_are_mixed_token_by_token() {
    let model = language_model();
    let scoring = |carry_state| Scoring { start: codec().line_end(), carry_state, ..Scoring::default() };
    let text = text().read(0..60).unwrap().into_owned();
    let lines: Vec<&[u32]> = text.split_inclusive(|&id| id == 1).collect();
    for carry_state in [false, true] {
        let scores = |scorer: &mut Scorer| {
            // In two calls: what is carried is carried between them too.
            let (first, second) = lines.split_at(3);
            let mut all = scorer.score(first).unwrap();
            all.extend(scorer.score(second).unwrap());
            all
        };
        let alone = scores(&mut model.scorer(scoring(carry_state)).unwrap());
        let [none, part, whole] = [0.0, 0.3, 1.0].map(|weight| {
            scores(&mut model.scorer(scoring(carry_state)).unwrap().with_ngram(with_weight(weight)))
        });
        assert_eq!(none, alone);
        for ((alone, part), whole) in alone.iter().zip(&part).zip(&whole) {
            for ((&alone, &part), &whole) in alone.log_probs.iter().zip(&part.log_probs).zip(&whole.log_probs)
            {
                let [alone, part, whole] = [alone, part, whole].map(|log_prob| f64::from(log_prob).exp());
                assert_close("mixed", part, 0.7 * alone + 0.3 * whole, 1e-6);
            }
            assert_close("sum", part.log_prob_sum, part.log_probs.iter().map(|&p| f64::from(p)).sum(), 1e-9);
        }
    }
}

/// The evaluation of a text is the sum of the scores of its lines, if the state is carried.
#[test]
fn an_evaluation_is_the_sum_of_the_scores() {
    let (model, ids) = (language_model(), text());
    let text = ids.read(0..ids.len()).unwrap().into_owned();
    for weight in [0.3, 1.0] {
        let found = evaluation(weight, 1);
        // Without a start token, the first token is only read, as in an evaluation.
        let scoring = Scoring { start: None, carry_state: true, ..Scoring::default() };
        let mut scorer = model.scorer(scoring).unwrap().with_ngram(with_weight(weight));
        let scores = scorer.score(&text.split_inclusive(|&id| id == 1).collect::<Vec<_>>()).unwrap();
        let sum: f64 = scores.iter().map(|score| score.log_prob_sum).sum();
        assert_close("sum", -sum / found.mixed.nll_sum, 1.0, 1e-6);
    }
}

#[test]
fn an_evaluation_has_all_three_and_does_not_depend_on_its_columns() {
    let one = evaluation(0.3, 1);
    let (handle, mut workspace) = model_with(Cell::Lstm, Input::Embedding(9), TOKENS.len());
    assert_eq!(one.base, evaluate(handle.model(), &mut workspace, &text(), 1, 7).unwrap());
    assert_eq!(evaluation(0.0, 1).mixed, one.base);
    assert_close("all weight", evaluation(1.0, 1).mixed.nll_sum, one.ngram.nll_sum, 1e-6);
    assert!(one.mixed.nll_sum < one.base.nll_sum && one.mixed.tokens == one.base.tokens);
    // Each column begins in the middle of the text with the words before it.
    let several = evaluation(0.3, 4);
    assert_eq!(several.ngram.tokens, one.ngram.tokens - 3);
    let ids = text();
    let skipped: f64 = (1..4)
        .map(|column| {
            let first = column * (ids.len() / 4);
            let from = ids.slice(0..first + 1);
            let until = ids.slice(0..first);
            let sum = |ids: &TokenIds| {
                let go_on = &mut |_| ControlFlow::Continue(());
                language_model()
                    .evaluate_with_ngram(ids, &with_weight(1.0), 1, 7, go_on)
                    .unwrap()
                    .ngram
                    .nll_sum
            };
            sum(&from) - sum(&until)
        })
        .sum();
    assert_close("columns", several.ngram.nll_sum, one.ngram.nll_sum - skipped, 1e-6 * one.ngram.nll_sum);
}

/// With a model of independent lines, the evaluation is the sum of the scores of the lines, in any number of columns.
#[test]
fn independent_lines_are_evaluated_as_they_are_scored() {
    let (handle, _) = model_with(Cell::Lstm, Input::Embedding(9), TOKENS.len());
    let resets = Resets { unit: Unit::Line, line_end: 1 };
    let model = LanguageModel::new(handle.with_resets(Some(resets)), codec()).unwrap();
    let ids = text();
    let lines = ids.read(0..ids.len()).unwrap().into_owned();
    let lines: Vec<&[u32]> = lines.split_inclusive(|&id| id == 1).collect();
    let scoring = Scoring { start: Some(1), ..Scoring::default() };
    let scores = model.scorer(scoring).unwrap().with_ngram(with_weight(0.3)).score(&lines).unwrap();
    let sum: f64 = scores.iter().map(|score| score.log_prob_sum).sum();
    for columns in [1, 5] {
        let go_on = &mut |_| ControlFlow::Continue(());
        let found = model.evaluate_with_ngram(&ids, &with_weight(0.3), columns, 7, go_on).unwrap();
        assert_eq!(found.mixed.tokens, ids.len() as u64);
        assert_close("sum", -sum / found.mixed.nll_sum, 1.0, 1e-6);
    }
}

#[test]
fn the_best_weight_is_found_by_expectation_maximization() {
    let model = language_model();
    let go_on = &mut |_| ControlFlow::Continue(());
    let tuned = model.tune_ngram(&text(), &with_weight(0.5), 1, 7, go_on).unwrap();
    assert!(tuned.weight > 0.05 && tuned.weight < 0.999, "{}", tuned.weight);
    assert_close("evaluated", tuned.mixed.nll_sum, evaluation(tuned.weight, 1).mixed.nll_sum, 1e-2);
    for other in [0.0, tuned.weight - 0.02, (tuned.weight + 0.02).min(1.0), 1.0] {
        assert!(evaluation(other, 1).mixed.nll_sum > tuned.mixed.nll_sum, "{other} {}", tuned.weight);
    }
}

#[test]
fn words_unknown_to_either_side_are_counted() {
    let found = with_weight(0.1);
    // `bird`, `flies` and `high`; `old` and `slept`.
    assert_eq!((found.unknown_tokens(), found.unknown_words(), found.arpa().order()), (3, 2, 3));
}

#[test]
fn what_cannot_be_interpolated_is_refused() {
    for weight in [-0.1, 1.1, f64::NAN] {
        let error = Interpolation::new(arpa(), &codec(), weight).unwrap_err().to_string();
        assert!(error.starts_with("`ngram_weight` must be at least 0 and at most 1, but is "), "{error}");
    }
    let vocab = Vocab::from_tokens("test", ["a", "\n"], None).unwrap();
    let error = Interpolation::new(arpa(), &TextCodec::new(Tokenizer::chars(), vocab), 0.5).unwrap_err();
    assert!(error.to_string().starts_with("the model predicts char"), "{error}");
    let (model, mut workspace) = model_with(Cell::Lstm, Input::Embedding(9), TOKENS.len());
    let go_on = &mut |_| ControlFlow::Continue(());
    let short = TokenIds::from(vec![1]);
    let error = tune_ngram(model.model(), &mut workspace, &short, None, &with_weight(0.5), (1, 7), go_on)
        .unwrap_err();
    assert!(matches!(error, InferError::TextTooShort { tokens: 1 }));
    let outside = TokenIds::from(vec![1, 99, 1]);
    let error =
        evaluate_with_ngram(model.model(), &mut workspace, &outside, None, &with_weight(0.5), (1, 7), go_on);
    assert!(matches!(error.unwrap_err(), InferError::IdOutOfRange { id: 99, .. }));
}
