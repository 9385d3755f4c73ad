//! Dropped words, dropped recurrent weights, and penalties on activations.

use rondo_nn::{
    ActivationPenalty, Cell, Dropout, DropoutSite, Gradients, Mode, Model, Parameters, RnnLm, RnnLmConfig,
    Workspace,
};

use crate::check::{
    TRAIN, VOCAB, assert_close, cells, config, dense, device, gradient, model, random_state, run_in, tokens,
};

const STEPS: usize = 6;
const BATCH: usize = 3;
const STEP: Mode = Mode::Train { seed: 3, step: 5 };

/// The model with dropped weights is the one whose weights are the dropped ones, and what was dropped learns nothing.
#[test]
fn dropped_weights_are_weights_of_zero() {
    const KEPT: f32 = 0.5;
    // Every recurrent weight must have a part in the loss; a rectifier's unit may be silent throughout.
    for cell in cells().filter(|&cell| cell != Cell::RnnRelu) {
        let dropping = model(RnnLmConfig { dropout: weights(1.0 - KEPT), ..config(cell) });
        let (nll, gradients) = in_step(&dropping, STEP);
        let mut plain = model(config(cell));
        for name in recurrent_weights(&plain) {
            let kept = gradient(&dropping, &gradients, &name).into_iter().map(|number| number != 0.0);
            let id = plain.parameters().find(&name).unwrap();
            let weights = plain.parameters().values(id).read().unwrap();
            let dropped =
                weights.iter().zip(kept).map(|(weight, kept)| if kept { weight / KEPT } else { 0.0 });
            let dropped: Vec<f32> = dropped.collect();
            plain.parameters_mut().values_mut(id).write_from(&dropped).unwrap();
        }
        let (want_nll, want) = in_step(&plain, TRAIN);
        assert_eq!(nll, want_nll, "{cell}");
        for id in plain.parameters().ids() {
            let name = plain.parameters().name(id);
            let mut want = dense(plain.parameters(), &want, id);
            if name.ends_with("weight_hh") {
                for (want, &weight) in want.iter_mut().zip(&*plain.parameters().values(id).read().unwrap()) {
                    *want = if weight == 0.0 { 0.0 } else { *want / KEPT };
                }
            }
            assert_eq!(gradient(&dropping, &gradients, name), want, "{cell}, {name}");
        }
    }
}

/// Of n draws with probability p, the number lies within 5·√(n·p·(1−p)) of n·p but for one seed in two million.
#[test]
fn weights_and_words_are_dropped_as_often_as_told() {
    const P: f32 = 0.3;
    let wide = RnnLmConfig { hidden_sizes: vec![40, 40], dropout: weights(P), ..config(Cell::Lstm) };
    let masks = weight_masks(&model(wide), STEP);
    assert_ne!(masks[0], masks[1], "each layer has a mask of its own");
    for mask in masks {
        assert_share(mask.iter().map(|kept| !kept), P);
    }
    let ids: Vec<u32> = (0..5000).collect();
    let rows = looked_up(5000, &ids, P, STEP);
    assert_share(rows.iter().map(|row| row == &[0.0; WIDTH]), P);
}

#[test]
fn seed_and_step_decide_about_weights_and_words_and_nothing_else_does() {
    let ids = tokens(20, 7);
    let both = Dropout { words: 0.5, ..weights(0.5) };
    let masks_of = |dropout, mode| weight_masks(&model(RnnLmConfig { dropout, ..config(Cell::Lstm) }), mode);
    let masks = masks_of(both, STEP);
    let words = looked_up(VOCAB, &ids, 0.5, STEP);
    for other in [Mode::Train { seed: 3, step: 6 }, Mode::Train { seed: 4, step: 5 }] {
        assert_ne!(masks_of(both, other), masks);
        assert_ne!(looked_up(VOCAB, &ids, 0.5, other), words);
    }
    assert_eq!(masks_of(weights(0.5), STEP), masks, "without dropped words");
    let site = DropoutSite { probability: 0.2, locked: true };
    let units = Dropout { input: site, between: site, output: site, ..both };
    assert_eq!(masks_of(units, STEP), masks, "with dropped units");
}

/// The masks of units are those that they were before words and weights could be dropped: recorded runs stand on them.
#[test]
fn the_masks_of_units_do_not_depend_on_words_and_weights() {
    let site = DropoutSite { probability: 0.5, locked: false };
    let of = |words, weights| {
        let dropout = Dropout { input: site, between: site, output: site, words, weights };
        let model = model(RnnLmConfig { dropout, ..config(Cell::Lstm) });
        let mut workspace = Workspace::new(&device());
        let mut tape = workspace.tape(model.parameters(), STEP);
        let hidden = model.forward(&mut tape, &tokens(STEPS * BATCH, 1), &mut model.zero_state(BATCH));
        tape.read(hidden.dropped).unwrap().iter().map(|&number| number == 0.0).collect::<Vec<_>>()
    };
    assert_eq!(of(0.0, 0.0), of(0.5, 0.5));
}

#[test]
fn all_occurrences_of_a_word_are_dropped_or_none() {
    let ids = tokens(60, 7);
    let rows = looked_up(VOCAB, &ids, 0.5, STEP);
    let parameters = table(VOCAB);
    let values = parameters.values(parameters.find("table").unwrap()).read().unwrap();
    let mut dropped = [None; VOCAB];
    for (row, &id) in rows.iter().zip(&ids) {
        let kept: Vec<f32> = values[id as usize * WIDTH..][..WIDTH].iter().map(|value| value * 2.0).collect();
        let here = *row == [0.0; WIDTH];
        assert!(here || *row == kept[..], "row {row:?} of word {id}");
        assert_eq!(*dropped[id as usize].get_or_insert(here), here, "word {id}");
    }
    assert!(dropped.contains(&Some(true)) && dropped.contains(&Some(false)));
}

/// A tied model that drops words is the untied one whose embedding, but not whose decoder, lacks them.
#[test]
fn dropped_words_are_missing_from_the_look_up_alone() {
    const KEPT: f32 = 0.5;
    let shape = |tied, words| RnnLmConfig {
        hidden_sizes: vec![7, 6],
        tied,
        dropout: Dropout { words, ..Dropout::default() },
        ..config(Cell::Lstm)
    };
    let dropping = model(shape(true, 1.0 - KEPT));
    let kept: Vec<bool> = {
        let mut workspace = Workspace::new(&device());
        let mut tape = workspace.tape(dropping.parameters(), STEP);
        let table = dropping.parameters().find("embedding.weight").unwrap();
        let all: Vec<u32> = (0..VOCAB as u32).collect();
        let found = tape.embedding_with_dropout(table, &all, 1, VOCAB, 1.0 - KEPT);
        tape.read(found).unwrap().chunks(6).map(|row| row != [0.0; 6]).collect()
    };
    let mut plain = model(shape(false, 0.0));
    for id in plain.parameters().ids() {
        let name = plain.parameters().name(id).to_owned();
        let source = if name == "decoder.weight" { "embedding.weight" } else { &name };
        let source = dropping.parameters().find(source).unwrap();
        let mut values = dropping.parameters().values(source).read().unwrap().to_vec();
        if name == "embedding.weight" {
            for (row, &kept) in values.chunks_mut(6).zip(&kept) {
                row.iter_mut().for_each(|value| *value = if kept { *value / KEPT } else { 0.0 });
            }
        }
        plain.parameters_mut().values_mut(id).write_from(&values).unwrap();
    }
    let (nll, gradients) = in_step(&dropping, STEP);
    let (want_nll, want) = in_step(&plain, TRAIN);
    assert_eq!(nll, want_nll);
    let mut sum = gradient(&plain, &want, "decoder.weight");
    let embedding = gradient(&plain, &want, "embedding.weight");
    for ((sum, embedding), kept) in sum.chunks_mut(6).zip(embedding.chunks(6)).zip(&kept) {
        for (sum, embedding) in sum.iter_mut().zip(embedding) {
            *sum += if *kept { embedding / KEPT } else { 0.0 };
        }
    }
    assert_close("embedding.weight", &gradient(&dropping, &gradients, "embedding.weight"), &sum);

    // Untied, a dropped word learns nothing, and one that is kept does.
    let untied = model(shape(false, 1.0 - KEPT));
    let (_, gradients) = in_step(&untied, STEP);
    let learnt = gradient(&untied, &gradients, "embedding.weight");
    let read = tokens(STEPS * BATCH, 1);
    for (id, (row, &kept)) in learnt.chunks(6).zip(&kept).enumerate() {
        assert_eq!(row.iter().any(|&number| number != 0.0), kept && read.contains(&(id as u32)), "word {id}");
    }
}

#[test]
fn penalties_are_what_they_say_and_cost_nothing_when_off() {
    let output = DropoutSite { probability: 0.4, locked: false };
    let dropout = Dropout { output, ..Dropout::default() };
    let model = model(RnnLmConfig { dropout, ..config(Cell::Gru) });
    let mut workspace = Workspace::new(&device());
    let mut tape = workspace.tape(model.parameters(), STEP);
    let hidden = model.forward(&mut tape, &tokens(STEPS * BATCH, 1), &mut random_state(&model, BATCH));
    assert_ne!(hidden.raw, hidden.dropped);
    let [raw, dropped] = [hidden.raw, hidden.dropped].map(|value| -> Vec<f64> {
        tape.read(value).unwrap().iter().map(|&number| f64::from(number)).collect()
    });
    let size = dropped.iter().map(|h| h * h).sum::<f64>() / dropped.len() as f64;
    let row = BATCH * 5;
    let changes = raw[row..].iter().zip(&raw).map(|(after, before)| (after - before).powi(2)).sum::<f64>();
    let change = changes / (raw.len() - row) as f64;
    let check = |activation: f32, temporal: f32| {
        let found = ActivationPenalty { activation, temporal }.value(&tape, hidden).unwrap();
        let want = f64::from(activation) * size + f64::from(temporal) * change;
        // A GPU has no `f64`.
        let tolerance = if device().works_ahead() { 1e-6 } else { 1e-12 };
        assert!((found - want).abs() < tolerance, "{activation}, {temporal}: {found}, {want}");
    };
    check(2.0, 1.0);
    check(0.0, 0.5);
    check(1.5, 0.0);
    check(0.0, 0.0);
    // Of one step nothing changes.
    let hidden = model.forward(&mut tape, &tokens(BATCH, 1), &mut random_state(&model, BATCH));
    let temporal = ActivationPenalty { activation: 0.0, temporal: 1.0 };
    assert_eq!(temporal.value(&tape, hidden).unwrap(), 0.0);
}

/// Before the loss or after it, with dropout on the output or without: the same gradient.
#[test]
fn a_penalty_counts_wherever_it_is_recorded() {
    let penalty = ActivationPenalty { activation: 2.0, temporal: 1.0 };
    for probability in [0.0, 0.4] {
        let output = DropoutSite { probability, locked: true };
        let dropout = Dropout { output, ..Dropout::default() };
        let model = model(RnnLmConfig { dropout, ..config(Cell::Lstm) });
        let with = |before: bool, after: bool| {
            let mut workspace = Workspace::new(&device());
            let mut gradients = Gradients::new(model.parameters());
            let mut tape = workspace.tape(model.parameters(), STEP);
            let hidden = model.forward(&mut tape, &tokens(STEPS * BATCH, 1), &mut model.zero_state(BATCH));
            if before {
                penalty.add_to(&mut tape, hidden);
            }
            let loss = model.loss(&mut tape, hidden, &tokens(STEPS * BATCH, 2));
            if after {
                penalty.add_to(&mut tape, hidden);
            }
            tape.backward(loss, 1.0, &mut gradients).unwrap();
            let parameters = model.parameters();
            parameters.ids().flat_map(|id| dense(parameters, &gradients, id)).collect::<Vec<f32>>()
        };
        let (before, after) = (with(true, false), with(false, true));
        assert_close("gradients", &before, &after);
        assert_ne!(before, with(false, false));
    }
}

/// Width of [`table`].
const WIDTH: usize = 3;

/// Rows that are far from zero.
fn table(rows: usize) -> Parameters {
    let mut parameters = Parameters::new(&device());
    let id = parameters.add("table", &[rows, WIDTH]);
    let values: Vec<f32> = (0..rows * WIDTH).map(|i| 1.0 + i as f32).collect();
    parameters.values_mut(id).write_from(&values).unwrap();
    parameters
}

/// The rows of `ids`, words dropped.
fn looked_up(vocab: usize, ids: &[u32], probability: f32, mode: Mode) -> Vec<Vec<f32>> {
    let parameters = table(vocab);
    let mut workspace = Workspace::new(&device());
    let mut tape = workspace.tape(&parameters, mode);
    let id = parameters.find("table").unwrap();
    let found = tape.embedding_with_dropout(id, ids, ids.len(), 1, probability);
    tape.read(found).unwrap().chunks(WIDTH).map(<[f32]>::to_vec).collect()
}

fn weights(probability: f32) -> Dropout {
    Dropout { weights: probability, ..Dropout::default() }
}

fn recurrent_weights(model: &RnnLm) -> Vec<String> {
    (0..model.config().hidden_sizes.len()).map(|l| format!("rnn.{l}.weight_hh")).collect()
}

/// Which recurrent weights of each layer have a part in the loss.
fn weight_masks(model: &RnnLm, mode: Mode) -> Vec<Vec<bool>> {
    let (_, gradients) = in_step(model, mode);
    let kept =
        |name: String| gradient(model, &gradients, &name).iter().map(|&number| number != 0.0).collect();
    recurrent_weights(model).into_iter().map(kept).collect()
}

/// Losses and gradients of a batch in a training step, from a state in which no unit is silent.
fn in_step(model: &RnnLm, mode: Mode) -> (Vec<f32>, Gradients) {
    let (inputs, targets) = (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2));
    let mut state = random_state(model, BATCH);
    run_in(&mut Workspace::new(&device()), mode, model, &inputs, &targets, &mut state)
}

#[track_caller]
fn assert_share(events: impl Iterator<Item = bool>, p: f32) {
    let (mut n, mut count, p) = (0.0, 0.0, f64::from(p));
    events.for_each(|event| {
        n += 1.0;
        count += f64::from(u8::from(event));
    });
    let bound = 5.0 * (n * p * (1.0 - p)).sqrt();
    assert!((count - n * p).abs() < bound, "{count} of {n}, expected {} ± {bound}", n * p);
}
