//! The neural cache, against its definition in plain loops.

use rondo_infer::{Cache, InferError, ModelHandle, evaluate, evaluate_with_cache, tune_cache};
use rondo_nn::{Cell, Input, Mode, Workspace};
use std::ops::ControlFlow;

use crate::{VOCAB_SIZE, assert_close, damaged_model, log_probs_after, model, model_of, text, token_ids};

const CACHE: Cache = Cache { window: 7, theta: 0.8, lambda: 0.3 };

/// The last layer's output after each token, read one at a time.
fn states(model: &ModelHandle, ids: &[u32]) -> Vec<Vec<f64>> {
    let model = model.model();
    let mut workspace = Workspace::new(model.parameters().device());
    let mut state = model.zero_state(1);
    let mut after = |&id: &u32| {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &[id], &mut state);
        tape.read(hidden.dropped).unwrap().iter().map(|&value| f64::from(value)).collect()
    };
    ids.iter().map(&mut after).collect()
}

/// The probability that the cache gives to each word at position `t`, in `f64`; none of an empty cache.
fn cache_probs(states: &[Vec<f64>], ids: &[u32], t: usize, cache: &Cache) -> Option<Vec<f64>> {
    let mut weights = [0.0; VOCAB_SIZE];
    for i in t.saturating_sub(cache.window)..t {
        let likeness: f64 = states[t].iter().zip(&states[i]).map(|(a, b)| a * b).sum();
        weights[ids[i + 1] as usize] += (cache.theta * likeness).exp();
    }
    let sum: f64 = weights.iter().sum();
    (t > 0).then(|| weights.iter().map(|weight| weight / sum).collect())
}

/// The text's negative log-likelihood with a cache, by the definition.
fn reference(model: &ModelHandle, ids: &[u32], cache: &Cache) -> f64 {
    let (states, log_probs) = (states(model, ids), log_probs_after(model, ids));
    let nll = |t: usize| {
        let word = ids[t + 1] as usize;
        let of_model = log_probs[t][word].exp();
        let p = match cache_probs(&states, ids, t, cache) {
            Some(probs) => (1.0 - cache.lambda) * of_model + cache.lambda * probs[word],
            None => of_model,
        };
        -p.ln()
    };
    (0..ids.len() - 1).map(nll).sum()
}

#[test]
fn it_agrees_with_its_definition() {
    let ids = text(200, 1);
    for (cell, input) in [(Cell::Lstm, Input::Embedding(9)), (Cell::RnnTanh, Input::OneHot)] {
        let (model, mut workspace) = model_of(cell, input);
        for window in [1, 2, 7, 150, 5000] {
            for (theta, lambda) in [(0.0, 0.2), (0.8, 0.3), (5.0, 0.9)] {
                let cache = Cache { window, theta, lambda };
                let found =
                    evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &cache, &mut |_| {
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                let want = reference(&model, &ids, &cache);
                assert_eq!(found.cached.tokens, 199);
                assert_close(&format!("{cell}, {cache:?}"), found.cached.nll_sum, want, 1e-5 * want);
            }
        }
    }
}

#[test]
fn the_batches_and_blocks_do_not_show() {
    // Longer than a batch, with windows that end within one, and that reach over several.
    let ids = text(1800, 2);
    let (model, mut workspace) = model();
    for window in [3, 100, 1000, 5000] {
        let cache = Cache { window, ..CACHE };
        let found = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &cache, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let want = reference(&model, &ids, &cache);
        assert_close(&format!("window {window}"), found.cached.nll_sum, want, 1e-5 * want);
    }
}

#[test]
fn with_lambda_0_it_is_the_models_own_number() {
    let (model, mut workspace) = model();
    for len in [2, 100, 1800] {
        let ids = text(len, 3);
        let base = evaluate(model.model(), &mut workspace, &token_ids(&ids), 1, 35).unwrap();
        let off = Cache { lambda: 0.0, ..CACHE };
        let found = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &off, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!((found.base, found.cached), (base, base), "{len} tokens");
    }
}

#[test]
fn with_theta_0_it_counts_the_words_of_the_window() {
    let (model, mut workspace) = model();
    let ids = text(120, 4);
    let log_probs = log_probs_after(&model, &ids);
    let cache = Cache { window: 20, theta: 0.0, lambda: 0.4 };
    let want = |t: usize| {
        let seen = &ids[1..][t.saturating_sub(20)..t];
        let word = ids[t + 1];
        let of_model = log_probs[t][word as usize].exp();
        if seen.is_empty() {
            return -of_model.ln();
        }
        let share = seen.iter().filter(|&&id| id == word).count() as f64 / seen.len() as f64;
        -(0.6 * of_model + 0.4 * share).ln()
    };
    let want: f64 = (0..119).map(want).sum();
    let found = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &cache, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_close("nll_sum", found.cached.nll_sum, want, 1e-5 * want);
}

#[test]
fn a_text_that_repeats_itself_is_predicted_better() {
    let (model, mut workspace) = model();
    let ids = text(20, 5).repeat(20);
    let cache = Cache { window: 50, ..CACHE };
    let found = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &cache, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(found.cached.nll_mean() < found.base.nll_mean() - 0.3, "{found:?}");
}

#[test]
fn tuning_is_each_evaluation_and_finds_the_best() {
    let (model, mut workspace) = model();
    let ids = [text(300, 6), text(20, 7).repeat(50)].concat();
    let (thetas, lambdas) = ([0.0, 0.7, 1.5], [0.0, 0.2, 0.6, 0.95]);
    let tuning =
        tune_cache(model.model(), &mut workspace, &token_ids(&ids), 40, &thetas, &lambdas, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(tuning.points.len(), 12);
    for (i, point) in tuning.points.iter().enumerate() {
        let cache = Cache { window: 40, theta: thetas[i / 4], lambda: lambdas[i % 4] };
        assert_eq!(point.cache, cache);
        let alone = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &cache, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!((alone.base, alone.cached), (tuning.base, point.evaluation), "{cache:?}");
        assert!(tuning.best().evaluation.nll_sum <= point.evaluation.nll_sum);
    }
    assert!(tuning.points.contains(&tuning.best()));
    assert!(tuning.best().evaluation.nll_sum < tuning.base.nll_sum);
}

#[test]
fn progress_is_told_and_can_end_it() {
    let (model, mut workspace) = model();
    let ids = text(2001, 8);
    let mut seen = Vec::new();
    let mut tell = |tokens| {
        seen.push(tokens);
        ControlFlow::Continue(())
    };
    evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &CACHE, &mut tell).unwrap();
    assert_eq!(seen, [768, 1536, 2000]);
    let error = evaluate_with_cache(model.model(), &mut workspace, &token_ids(&ids), &CACHE, &mut |_| {
        ControlFlow::Break(())
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "stopped after 768 of 2000 tokens");
}

#[test]
fn a_damaged_model_is_not_healed() {
    let model = damaged_model();
    let mut workspace = Workspace::new(model.device());
    let found =
        evaluate_with_cache(model.model(), &mut workspace, &token_ids(&text(50, 9)), &CACHE, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(found.cached.nll_sum.is_nan());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (model, mut workspace) = model();
    let mut refusal = |ids: &[u32], cache: Cache| {
        evaluate_with_cache(model.model(), &mut workspace, &token_ids(ids), &cache, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap_err()
    };
    let ids = [1, 2, 3];
    assert!(matches!(refusal(&ids, Cache { window: 0, ..CACHE }), InferError::ZeroSize { name: "window" }));
    for theta in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
        assert!(matches!(refusal(&ids, Cache { theta, ..CACHE }), InferError::Theta { .. }), "{theta}");
    }
    for lambda in [-0.1, 1.0, f64::NAN] {
        assert!(matches!(refusal(&ids, Cache { lambda, ..CACHE }), InferError::Lambda { .. }), "{lambda}");
    }
    assert!(matches!(refusal(&ids[..1], CACHE), InferError::TextTooShort { tokens: 1 }));
    assert!(matches!(refusal(&[1, 23], CACHE), InferError::IdOutOfRange { id: 23, .. }));
    let error = tune_cache(model.model(), &mut workspace, &token_ids(&ids), 5, &[0.5], &[], &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "no values of `lambda` to try");
}
