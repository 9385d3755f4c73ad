//! Dynamic evaluation, compared with simple reference loops.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_infer::{Cache, InferError, column_count, evaluate, evaluate_with_cache, warm_state};
use rondo_kernels::Device;
use rondo_nn::{
    Biases, Cell, CellOptions, Dropout, DropoutSite, Gradient, Gradients, Initialization, Initializer, Model,
};
use rondo_nn::{Input, Mode, Parameters, RnnLm, RnnLmConfig, Workspace};
use rondo_train::{DynamicEvaluation, DynamicRule, GradientRms, Quantity, TrainError, evaluate_dynamically};
use std::ops::ControlFlow;

const VOCAB_SIZE: usize = 19;
const RATE: f64 = 0.3;
const EPSILON: f64 = 1e-3;

/// A small model, tied or not, with dropout that must not be applied.
fn model(tied: bool) -> (RnnLm, Workspace) {
    let site = DropoutSite { probability: 0.5, locked: false };
    let config = RnnLmConfig {
        vocab_size: VOCAB_SIZE,
        input: Input::Embedding(8),
        cell: Cell::Lstm,
        hidden_sizes: vec![8],
        biases: Biases::Two,
        tied,
        dropout: Dropout { input: site, between: site, output: site, ..Dropout::default() },
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let device = Device::cpu(1).unwrap();
    let mut model = RnnLm::new(config, &device).unwrap();
    let uniform = Initializer::Uniform(0.5);
    let initialization =
        Initialization { embedding: uniform, recurrent: uniform, decoder: uniform, bias: uniform };
    model.initialize(&initialization, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    (model, Workspace::new(&device))
}

fn text(len: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(0..VOCAB_SIZE as u32)).collect()
}

/// The text as an argument of evaluation.
fn token_ids(ids: &[u32]) -> TokenIds {
    ids.to_vec().into()
}

fn sgd(learning_rate: f64, decay: f64) -> DynamicEvaluation<'static> {
    let rule = DynamicRule::Sgd { learning_rate, decay };
    DynamicEvaluation { batch_size: 1, bptt: 5, rule, clip_norm: None, cache: None }
}

fn rms(learning_rate: f64, decay: f64, gradient_rms: &GradientRms) -> DynamicEvaluation<'_> {
    DynamicEvaluation {
        rule: DynamicRule::Rms { learning_rate, decay, epsilon: EPSILON, gradient_rms },
        ..sgd(0.0, 0.0)
    }
}

/// The values of all parameters, one after the other.
fn flat(parameters: &Parameters) -> Vec<f32> {
    parameters.ids().flat_map(|id| parameters.values(id).read().unwrap().to_vec()).collect()
}

/// The gradients of all parameters, in the layout of [`flat`].
fn flat_gradients(parameters: &Parameters, gradients: &mut Gradients) -> Vec<f32> {
    let of = |id| {
        gradients.densify(parameters, id);
        match gradients.get(id) {
            Gradient::Dense(values) => values.read().unwrap().to_vec(),
            _ => vec![0.0; parameters.values(id).len()],
        }
    };
    parameters.ids().flat_map(of).collect()
}

fn set(parameters: &mut Parameters, values: &[f32]) {
    let mut start = 0;
    for id in parameters.ids() {
        let len = parameters.values(id).len();
        parameters.values_mut(id).write_from(&values[start..start + len]).unwrap();
        start += len;
    }
}

/// Evaluates segment by segment; after each, `step` updates the weights from the gradient.
fn reference(
    model: &mut RnnLm,
    ids: &[u32],
    (batch_size, bptt): (usize, usize),
    mut step: impl FnMut(&[f32], &mut [f32]),
) -> f64 {
    let trained = flat(model.parameters());
    let mut workspace = Workspace::new(model.parameters().device());
    let columns = column_count(ids.len(), batch_size);
    let text = token_ids(ids);
    let batches = Batches::new(&text, columns, bptt, LastBatch::Keep).unwrap();
    let mut state = warm_state(model, &mut workspace, &text, &batches).unwrap();
    let mut nll_sum = 0.0;
    for index in 0..batches.batch_count() {
        let batch = batches.batch(index);
        let rows = batch.steps * columns;
        let (mut inputs, mut targets) = (vec![0; rows], vec![0; rows]);
        batches.fill(batch, &mut inputs, &mut targets).unwrap();
        let mut gradients = Gradients::new(model.parameters());
        let mut tape = workspace.tape(model.parameters(), Mode::Dynamic);
        let hidden = model.forward(&mut tape, &inputs, &mut state);
        let loss = model.loss(&mut tape, hidden, &targets);
        nll_sum += tape.nll_sum(loss).unwrap();
        tape.backward(loss, 1.0 / rows as f32, &mut gradients).unwrap();
        drop(tape);
        let mut weights = flat(model.parameters());
        step(&flat_gradients(model.parameters(), &mut gradients), &mut weights);
        set(model.parameters_mut(), &weights);
    }
    set(model.parameters_mut(), &trained);
    nll_sum
}

#[track_caller]
fn assert_close(what: &str, found: f64, want: f64, tolerance: f64) {
    assert!((found - want).abs() <= tolerance * want.abs(), "{what}: {found} instead of {want}");
}

fn norm(gradient: &[f32]) -> f64 {
    gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn sgd_is_the_plain_loop() {
    let ids = text(603, 1);
    for tied in [true, false] {
        for (batch_size, bptt) in [(1, 5), (1, 64), (2, 7)] {
            for (decay, clip_norm) in [(0.0, None), (0.0, Some(0.2)), (0.05, None), (1.5, Some(0.2))] {
                let (mut model, mut workspace) = model(tied);
                let trained = flat(model.parameters());
                let step = |gradient: &[f32], weights: &mut [f32]| {
                    let clip = clip_norm.map_or(1.0, |limit| (limit / norm(gradient)).min(1.0));
                    for ((w, &g), &w0) in weights.iter_mut().zip(gradient).zip(&trained) {
                        let from = f64::from(*w);
                        let back = f64::min(decay, 1.0) * (f64::from(w0) - from);
                        *w = (from - RATE * clip * f64::from(g) + back) as f32;
                    }
                };
                let want = reference(&mut model, &ids, (batch_size, bptt), step);
                let options = DynamicEvaluation { batch_size, bptt, clip_norm, ..sgd(RATE, decay) };
                let found =
                    evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &options, &mut |_| {
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                let name = format!("tied {tied}, {batch_size} × {bptt}, decay {decay}, clip {clip_norm:?}");
                assert_close(&name, found.dynamic.nll_sum, want, 1e-5);
                assert_eq!(flat(model.parameters()), trained, "{name}");
            }
        }
    }
}

#[test]
fn rms_is_the_plain_loop() {
    check_rms(true);
}

#[test]
fn rows_that_missed_decays_make_up_for_them() {
    check_rms(false);
}

fn check_rms(tied: bool) {
    let (ids, training) = (text(300, 1), text(4000, 2));
    let (mut model, mut workspace) = model(tied);
    let gradient_rms =
        GradientRms::gather(&model, &mut workspace, &token_ids(&training), 5, 7, &mut |_, _| {
            ControlFlow::Continue(())
        })
        .unwrap();
    let trained = flat(model.parameters());

    // The mean squared gradient of the first seven batches, with as many columns as the text allows.
    let columns = column_count(training.len(), GradientRms::BATCH_SIZE);
    let (mut squares, mut seen) = (vec![0.0; trained.len()], 0);
    reference(&mut model, &training, (columns, 5), |gradient, _| {
        seen += 1;
        if seen <= 7 {
            squares.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += f64::from(g).powi(2) / 7.0);
        }
    });
    let roots: Vec<f64> = squares.iter().map(|square| square.sqrt()).collect();
    let (mut rest, mut mean) = (roots.as_slice(), 0.0);
    for id in model.parameters().ids() {
        let (own, others) = rest.split_at(model.parameters().values(id).len());
        mean += own.iter().sum::<f64>() / own.len() as f64 / model.parameters().ids().len() as f64;
        rest = others;
    }
    assert_close("mean", gradient_rms.mean(), mean, 1e-5);

    // The last decay would overshoot for most weights, so it is limited.
    for decay in [0.0, 0.02, 1.5] {
        let step = |gradient: &[f32], weights: &mut [f32]| {
            for (i, w) in weights.iter_mut().enumerate() {
                let from = f64::from(*w);
                let back = (decay * roots[i] / mean).min(1.0) * (f64::from(trained[i]) - from);
                *w = (from - 0.002 * f64::from(gradient[i]) / (roots[i] + EPSILON) + back) as f32;
            }
        };
        let want = reference(&mut model, &ids, (1, 5), step);
        let options = rms(0.002, decay, &gradient_rms);
        let found = evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &options, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_close(&format!("decay {decay}"), found.dynamic.nll_sum, want, 1e-5);
        assert_eq!(flat(model.parameters()), trained);
    }
}

#[test]
fn without_steps_it_is_the_models_own_number() {
    let (mut model, mut workspace) = model(false);
    let ids = text(700, 4);
    let gradient_rms = GradientRms::gather(&model, &mut workspace, &token_ids(&ids), 5, 9, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    for batch_size in [1, 2] {
        let same = reference(&mut model, &ids, (batch_size, 5), |_, _| {});
        for options in [sgd(0.0, 0.0), sgd(0.0, 0.1), rms(0.0, 0.0, &gradient_rms)] {
            let options = DynamicEvaluation { batch_size, ..options };
            let found =
                evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &options, &mut |_| {
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(found.dynamic.nll_sum, same, "{options:?}");
            let base = evaluate(&model, &mut workspace, &token_ids(&ids), batch_size, 5).unwrap();
            assert_eq!(found.dynamic.tokens, base.tokens);
            assert_close("base", found.dynamic.nll_sum, base.nll_sum, 1e-6);
        }
    }
}

#[test]
fn a_cache_takes_part_without_changing_what_is_learned() {
    let (mut model, mut workspace) = model(true);
    let ids = token_ids(&text(600, 8));
    let cache = Cache { window: 50, theta: 0.4, lambda: 0.2 };
    let mut continues = |_| ControlFlow::Continue(());
    let mut run = |options: DynamicEvaluation<'_>| {
        evaluate_dynamically(&mut model, &mut workspace, &ids, &options, &mut continues).unwrap()
    };
    let without = run(sgd(RATE, 0.0));
    assert_eq!(without.with_cache, None);
    let with = run(DynamicEvaluation { cache: Some(cache), ..sgd(RATE, 0.0) });
    assert_eq!(with.dynamic, without.dynamic);
    assert_ne!(with.with_cache.unwrap().nll_sum, with.dynamic.nll_sum);
    // Without steps, it is the cache of a model that does not learn.
    let resting = run(DynamicEvaluation { cache: Some(cache), ..sgd(0.0, 0.0) }).with_cache.unwrap();
    let want = evaluate_with_cache(&model, &mut workspace, &ids, &cache, &mut continues).unwrap().cached;
    assert_eq!(resting.tokens, want.tokens);
    assert_close("the cache", resting.nll_sum, want.nll_sum, 1e-6);
}

#[test]
fn a_text_that_repeats_itself_is_learned() {
    let (mut model, mut workspace) = model(true);
    let ids = text(15, 5).repeat(60);
    let gradient_rms = GradientRms::gather(&model, &mut workspace, &token_ids(&ids), 5, 50, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let base = evaluate(&model, &mut workspace, &token_ids(&ids), 1, 5).unwrap();
    for options in [sgd(RATE, 0.0), rms(0.01, 0.01, &gradient_rms)] {
        let found = evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &options, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(found.dynamic.nll_mean() < base.nll_mean() - 0.3, "{options:?}: {found:?} after {base:?}");
    }
}

#[test]
fn the_weights_are_the_trained_ones_even_after_errors() {
    let (mut model, mut workspace) = model(true);
    let trained = flat(model.parameters());
    let ids = text(200, 6);
    let error =
        evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &sgd(1e30, 0.0), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(matches!(error, TrainError::Diverged { what: Quantity::Loss, .. }), "{error}");
    assert_eq!(flat(model.parameters()), trained);
    let mut stop = |tokens| continue_while(tokens < 50);
    let error =
        evaluate_dynamically(&mut model, &mut workspace, &token_ids(&ids), &sgd(RATE, 0.0), &mut stop)
            .unwrap_err();
    assert_eq!(error.to_string(), "stopped after 50 of 199 tokens");
    assert_eq!(flat(model.parameters()), trained);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (mut model, mut workspace) = model(true);
    let gradient_rms =
        GradientRms::gather(&model, &mut workspace, &token_ids(&text(50, 7)), 5, 3, &mut |_, _| {
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut refusal = |ids: &[u32], options: &DynamicEvaluation<'_>| {
        evaluate_dynamically(&mut model, &mut workspace, &token_ids(ids), options, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap_err()
    };
    let ids = [1, 2, 3];
    for (setting, options) in [
        ("dynamic_learning_rate", sgd(-0.1, 0.0)),
        ("dynamic_learning_rate", rms(f64::NAN, 0.0, &gradient_rms)),
        ("dynamic_decay", sgd(0.1, f64::INFINITY)),
        ("dynamic_clip_norm", DynamicEvaluation { clip_norm: Some(0.0), ..sgd(0.1, 0.0) }),
        ("batch_size", DynamicEvaluation { batch_size: 2, cache: Some(Cache::default()), ..sgd(0.1, 0.0) }),
    ] {
        let error = refusal(&ids, &options).to_string();
        assert!(error.starts_with(&format!("`{setting}` must be ")), "{error}");
    }
    for options in
        [DynamicEvaluation { bptt: 0, ..sgd(0.1, 0.0) }, DynamicEvaluation { batch_size: 0, ..sgd(0.1, 0.0) }]
    {
        assert!(matches!(refusal(&ids, &options), TrainError::Infer(InferError::ZeroSize { .. })));
    }
    let error = refusal(&[1], &sgd(0.1, 0.0));
    assert!(matches!(error, TrainError::Infer(InferError::TextTooShort { tokens: 1 })), "{error}");
    let error = refusal(&[1, 99], &sgd(0.1, 0.0));
    assert!(matches!(error, TrainError::Infer(InferError::IdOutOfRange { id: 99, .. })), "{error}");
}

fn continue_while(condition: bool) -> ControlFlow<()> {
    if condition { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
