//! One perplexity, however it is computed.

use std::ops::ControlFlow;

use rondo_data::Unit;
use rondo_data::ngram::{Bigram, Unigram};
use rondo_infer::{
    InferError, ModelHandle, Resets, column_count, evaluate, evaluate_baseline, evaluate_with, target_count,
};
use rondo_nn::{Cell, Input, Model};

use crate::{VOCAB_SIZE, assert_close, log_probs_of, model, model_of, rnn_lm, text, token_ids};

/// The sum over a text of tokens that are read one at a time.
fn nll_sum(log_probs: &[f64]) -> f64 {
    -log_probs.iter().sum::<f64>()
}

#[test]
fn it_is_the_sum_over_tokens_read_one_at_a_time() {
    let ids = text(100, 1);
    for (cell, input) in [
        (Cell::Lstm, Input::Embedding(9)),
        (Cell::Gru, Input::Embedding(9)),
        (Cell::RnnTanh, Input::OneHot),
        (Cell::RnnRelu, Input::Embedding(9)),
    ] {
        let (model, mut workspace) = model_of(cell, input);
        let evaluation = evaluate(model.model(), &mut workspace, &token_ids(&ids), 1, 35).unwrap();
        assert_eq!(evaluation.tokens, 99);
        let expected = nll_sum(&log_probs_of(&model, &ids));
        assert_close(&format!("{cell}"), evaluation.nll_sum, expected, 1e-4 * expected);
        assert_close("mean", evaluation.nll_mean(), expected / 99.0, 1e-4);
        let perplexity = (expected / 99.0).exp();
        assert_close("perplexity", evaluation.perplexity(), perplexity, 1e-3 * perplexity);
        assert_close("bits", evaluation.bits_per_token(), expected / 99.0 / 2.0_f64.ln(), 1e-3);
    }
}

#[test]
fn the_steps_taken_at_a_time_do_not_matter() {
    let (model, mut workspace) = model();
    let ids = text(1100, 2);
    for batch_size in [1, 3] {
        let whole =
            evaluate(model.model(), &mut workspace, &token_ids(&ids), batch_size, usize::MAX).unwrap();
        for bptt in [1, 270, 1000] {
            let evaluation =
                evaluate(model.model(), &mut workspace, &token_ids(&ids), batch_size, bptt).unwrap();
            assert_eq!(evaluation.tokens, whole.tokens);
            assert_close("nll_sum", evaluation.nll_sum, whole.nll_sum, 1e-6 * whole.nll_sum);
        }
    }
}

#[test]
fn the_columns_matter_only_by_what_they_do_not_predict() {
    let (model, mut workspace) = model();
    let ids = text(2000, 3);
    let log_probs = log_probs_of(&model, &ids);
    for batch_size in [1, 2, 3, 7, 100] {
        let evaluation = evaluate(model.model(), &mut workspace, &token_ids(&ids), batch_size, 35).unwrap();
        let columns = column_count(ids.len(), batch_size);
        let column_len = ids.len() / columns;
        let expected: f64 =
            (0..columns).map(|b| nll_sum(&log_probs[b * column_len..(b + 1) * column_len - 1])).sum();
        assert_eq!(evaluation.tokens, (columns * (column_len - 1)) as u64);
        assert_eq!(evaluation.tokens, target_count(ids.len(), batch_size));
        assert_close(&format!("{columns} columns"), evaluation.nll_sum, expected, 1e-5 * expected);
    }
}

/// A model that knows only the frequencies is the unigram, so their losses must be equal: on the very same tokens.
#[test]
fn a_baseline_predicts_the_tokens_that_the_model_predicts() {
    let unigram =
        Unigram::from_counts(&(0..VOCAB_SIZE as u64).map(|count| count * count).collect::<Vec<_>>());
    let mut model = rnn_lm(Cell::Lstm, Input::Embedding(9), VOCAB_SIZE);
    let [weight, bias] =
        ["decoder.weight", "decoder.bias"].map(|name| model.parameters().find(name).unwrap());
    let log_probs: Vec<f32> =
        (0..VOCAB_SIZE as u32).map(|token| unigram.probability(token).ln() as f32).collect();
    model.parameters_mut().values_mut(bias).write_from(&log_probs).unwrap();
    let zeros = vec![0.0; model.parameters().values(weight).len()];
    model.parameters_mut().values_mut(weight).write_from(&zeros).unwrap();
    let (plain, ids) = (ModelHandle::new(model), token_ids(&text(1301, 6)));
    for unit in [None, Some(Unit::Line), Some(Unit::Paragraph)] {
        let resets = unit.map(|unit| Resets { unit, line_end: 2 });
        let handle = plain.clone().with_resets(resets);
        let mut workspace = rondo_nn::Workspace::new(handle.device());
        for batch_size in [1, 2, 4] {
            let (sizes, mut go_on) = ((batch_size, 35), |_| ControlFlow::Continue(()));
            let found =
                evaluate_with(handle.model(), &mut workspace, &ids, resets, sizes, &mut go_on).unwrap();
            let baseline =
                evaluate_baseline(&ids, resets, batch_size, |_, token| unigram.probability(token)).unwrap();
            assert_eq!(baseline.tokens, found.tokens);
            assert_close(&format!("{unit:?} {batch_size}"), baseline.nll_sum, found.nll_sum, 1e-2);
        }
    }
}

#[test]
fn a_baseline_knows_the_token_before_each_token() {
    let ids = token_ids(&[3, 2, 3, 4, 2, 4]);
    let bigram = Bigram::new(&ids, VOCAB_SIZE).unwrap();
    let nll = |pairs: &[(u32, u32)]| -> f64 {
        pairs.iter().map(|&(before, token)| -bigram.probability(Some(before), token).ln()).sum()
    };
    let baseline = |resets| {
        evaluate_baseline(&ids, resets, 20, |before, token| bigram.probability(Some(before), token)).unwrap()
    };
    let within = [(3, 2), (2, 3), (3, 4), (4, 2), (2, 4)];
    assert_close("running text", baseline(None).nll_sum, nll(&within), 1e-12);
    let lines = baseline(Some(Resets { unit: Unit::Line, line_end: 2 }));
    assert_eq!(lines.tokens, 6);
    assert_close("lines", lines.nll_sum, nll(&within) + nll(&[(2, 3)]), 1e-12);
    let empty = evaluate_baseline(&token_ids(&[]), None, 20, |_, _| 1.0).unwrap();
    assert_eq!(empty.tokens, 0);
}

#[test]
fn a_short_text_is_read_in_fewer_columns() {
    assert_eq!(
        [1, 2, 255, 511, 512, 5119, 5120].map(|tokens| column_count(tokens, 20)),
        [1, 1, 1, 1, 2, 19, 20]
    );
    assert_eq!([0, 1, 2, 513].map(|tokens| target_count(tokens, 20)), [0, 0, 1, 510]);
    let (model, mut workspace) = model();
    let ids = text(3, 4);
    let evaluation = evaluate(model.model(), &mut workspace, &token_ids(&ids), 20, 35).unwrap();
    assert_eq!(evaluation, evaluate(model.model(), &mut workspace, &token_ids(&ids), 1, 35).unwrap());
    assert_eq!(evaluation.tokens, 2);
}

#[test]
fn progress_is_told_and_can_end_it() {
    let (model, mut workspace) = model();
    let ids = text(2001, 5);
    let mut seen = Vec::new();
    let mut tell = |tokens| {
        seen.push(tokens);
        ControlFlow::Continue(())
    };
    evaluate_with(model.model(), &mut workspace, &token_ids(&ids), None, (1, 800), &mut tell).unwrap();
    assert_eq!(seen, [800, 1600, 2000]);
    let error =
        evaluate_with(model.model(), &mut workspace, &token_ids(&ids), None, (1, 800), &mut |tokens| {
            go_on_while(tokens < 1600)
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "stopped after 1600 of 2000 tokens");
    assert!(
        evaluate_with(model.model(), &mut workspace, &token_ids(&ids), None, (1, 800), &mut |tokens| {
            go_on_while(tokens < 2000)
        })
        .is_ok()
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let (model, mut workspace) = model();
    let mut refusal = |ids: &[u32], batch_size, bptt| {
        evaluate(model.model(), &mut workspace, &token_ids(ids), batch_size, bptt).unwrap_err()
    };
    assert!(matches!(refusal(&[], 1, 1), InferError::TextTooShort { tokens: 0 }));
    assert!(matches!(refusal(&[3], 1, 1), InferError::TextTooShort { tokens: 1 }));
    assert_eq!(
        refusal(&[0, 23], 1, 1).to_string(),
        "token id 23 is out of range: the model's vocabulary has 23 tokens"
    );
    assert_eq!(refusal(&[0, 1], 0, 1).to_string(), "`batch_size` must be at least 1");
    assert_eq!(refusal(&[0, 1], 1, 0).to_string(), "`bptt` must be at least 1");
}

fn go_on_while(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
