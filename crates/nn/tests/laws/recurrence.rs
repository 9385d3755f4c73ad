//! Laws of recurrence: what state and gradient carry, and what ties and inputs amount to.

use rondo_nn::{Biases, Cell, Gradient, Input, Model, RnnLm, RnnLmConfig};

use crate::check::{
    VOCAB, assert_close, config, configs, gradient, model, numbers, one_hot_cells, random_state, run, tokens,
    transposed,
};

const STEPS: usize = 6;
const BATCH: usize = 3;

#[test]
fn two_halves_with_the_state_carried_equal_the_whole() {
    for model in models() {
        let (inputs, targets) = batch();
        let mut state = random_state(&model, BATCH);
        let (whole, _) = run(&model, &inputs, &targets, &mut state);
        for cut in [1, 2, STEPS - 1] {
            let cut = cut * BATCH;
            let mut halves_state = random_state(&model, BATCH);
            let (mut halves, _) = run(&model, &inputs[..cut], &targets[..cut], &mut halves_state);
            halves.extend(run(&model, &inputs[cut..], &targets[cut..], &mut halves_state).0);
            assert_close("nll", &halves, &whole);
            assert_close("state", &numbers(&halves_state), &numbers(&state));
        }
    }
}

#[test]
fn the_state_matters_and_clearing_it_forgets() {
    for model in models() {
        let (inputs, targets) = batch();
        let mut state = random_state(&model, BATCH);
        let (carried, _) = run(&model, &inputs, &targets, &mut state);
        let (afresh, _) = run(&model, &inputs, &targets, &mut model.zero_state(BATCH));
        assert_ne!(carried, afresh);
        state.clear();
        assert_eq!(run(&model, &inputs, &targets, &mut state).0, afresh);
    }
}

#[test]
fn batch_rows_are_independent() {
    for model in models() {
        let (inputs, targets) = batch();
        let (together, _) = run(&model, &inputs, &targets, &mut model.zero_state(BATCH));
        for row in 0..BATCH {
            let (inputs, targets) = (column(&inputs, row), column(&targets, row));
            let (alone, _) = run(&model, &inputs, &targets, &mut model.zero_state(1));
            assert_close("nll", &alone, &column(&together, row));
        }
        // Nothing of one row reaches another, not even its last bit.
        let mut changed = inputs.clone();
        changed[0] = (changed[0] + 1) % VOCAB as u32;
        let (other, _) = run(&model, &changed, &targets, &mut model.zero_state(BATCH));
        assert_ne!(column(&other, 0), column(&together, 0));
        for row in 1..BATCH {
            assert_eq!(column(&other, row), column(&together, row));
        }
    }
}

/// Token 0 occurs in the first batch alone: the second batch's losses depend on it, their gradient does not.
#[test]
fn the_gradient_stops_at_the_batches_edge_and_the_state_does_not() {
    for model in models() {
        let later = |seed| -> Vec<u32> { tokens(STEPS, seed).iter().map(|&token| token.max(1)).collect() };
        let (second, targets) = (later(3), later(4));
        let second_batch = |first: u32| {
            let mut state = model.zero_state(1);
            run(&model, &[first], &[1], &mut state);
            run(&model, &second, &targets, &mut state)
        };
        let (nll, gradients) = second_batch(0);
        assert_ne!(nll, second_batch(2).0);
        let table = if model.config().input == Input::OneHot { "input.weight" } else { "embedding.weight" };
        let gradient = gradient(&model, &gradients, table);
        let width = gradient.len() / VOCAB;
        assert!(gradient[..width].iter().all(|&number| number == 0.0));
        assert!(gradient[width..].iter().any(|&number| number != 0.0));

        // Within one batch it does reach back.
        let whole: Vec<u32> = [&[0], &second[..]].concat();
        let (_, gradients) = run(&model, &whole, &[&[1], &targets[..]].concat(), &mut model.zero_state(1));
        let gradient = self::gradient(&model, &gradients, table);
        assert!(gradient[..width].iter().any(|&number| number != 0.0));
    }
}

#[test]
fn a_tied_weight_receives_both_gradients() {
    for config in configs() {
        let width = config.last_output_size();
        let config = RnnLmConfig { input: Input::Embedding(width), tied: true, ..config };
        let tied = model(config.clone());
        let mut untied =
            RnnLm::new(RnnLmConfig { tied: false, ..config }, tied.parameters().device()).unwrap();
        for id in untied.parameters().ids() {
            let name = untied.parameters().name(id).to_owned();
            let source = if name == "decoder.weight" { "embedding.weight" } else { &name };
            set(&mut untied, &name, values(&tied, source));
        }
        let (inputs, targets) = batch();
        let (nll, gradients) = run(&tied, &inputs, &targets, &mut tied.zero_state(BATCH));
        let (want_nll, want) = run(&untied, &inputs, &targets, &mut untied.zero_state(BATCH));
        assert_eq!(nll, want_nll);
        let embedding = gradient(&untied, &want, "embedding.weight");
        let decoder = gradient(&untied, &want, "decoder.weight");
        let sum: Vec<f32> = embedding.iter().zip(&decoder).map(|(a, b)| a + b).collect();
        assert_close("embedding.weight", &gradient(&tied, &gradients, "embedding.weight"), &sum);
        assert!(embedding.iter().any(|&number| number != 0.0) && decoder.iter().any(|&number| number != 0.0));
    }
}

#[test]
fn one_hot_input_equals_an_embedding_of_the_identity() {
    for cell in one_hot_cells() {
        let mut embedding = model(RnnLmConfig { input: Input::Embedding(VOCAB), ..config(cell) });
        let identity: Vec<f32> =
            (0..VOCAB * VOCAB).map(|i| if i % (VOCAB + 1) == 0 { 1.0 } else { 0.0 }).collect();
        set(&mut embedding, "embedding.weight", identity);
        let mut one_hot = model(RnnLmConfig { input: Input::OneHot, ..config(cell) });
        for id in one_hot.parameters().ids() {
            let name = one_hot.parameters().name(id).to_owned();
            let values = match name.as_str() {
                "input.weight" => transposed(&values(&embedding, "rnn.0.weight_ih"), VOCAB),
                _ => values(&embedding, &name),
            };
            set(&mut one_hot, &name, values);
        }
        let (inputs, targets) = batch();
        let (nll, gradients) = run(&one_hot, &inputs, &targets, &mut one_hot.zero_state(BATCH));
        let (want_nll, want) = run(&embedding, &inputs, &targets, &mut embedding.zero_state(BATCH));
        assert_close("nll", &nll, &want_nll);
        let want = transposed(&gradient(&embedding, &want, "rnn.0.weight_ih"), VOCAB);
        assert_close("input.weight", &gradient(&one_hot, &gradients, "input.weight"), &want);
    }
}

/// Two biases are one that learns twice as fast, but for a GRU's candidate, whose second is reset.
#[test]
fn two_biases_receive_the_gradient_of_their_sum() {
    for config in configs() {
        let (cell, model) = (config.cell, model(config));
        let (inputs, targets) = batch();
        let (_, gradients) = run(&model, &inputs, &targets, &mut model.zero_state(BATCH));
        for (l, &hidden) in model.config().hidden_sizes.iter().enumerate() {
            let bias_ih = gradient(&model, &gradients, &format!("rnn.{l}.bias_ih"));
            let bias_hh = gradient(&model, &gradients, &format!("rnn.{l}.bias_hh"));
            let same = if cell == Cell::Gru { 2 * hidden } else { bias_ih.len() };
            assert_eq!(bias_ih[..same], bias_hh[..same], "{cell}");
            assert!(bias_ih[same..].iter().zip(&bias_hh[same..]).all(|(a, b)| a != b), "{cell}");
        }
    }
}

#[test]
fn an_embeddings_gradient_has_the_rows_looked_up_and_densified_it_is_the_same() {
    for model in models() {
        let parameters = model.parameters();
        let table = parameters.ids().next().unwrap();
        let (inputs, targets) = batch();
        let (_, mut gradients) = run(&model, &inputs, &targets, &mut model.zero_state(BATCH));
        let Gradient::Rows { rows, .. } = gradients.get(table) else { panic!("{:?}", model.config().input) };
        let mut looked_up = inputs.clone();
        looked_up.sort_unstable();
        looked_up.dedup();
        assert_eq!(rows.read().unwrap(), looked_up);
        assert!(looked_up.len() < VOCAB, "some row must be missing for this to say anything");

        let name = parameters.name(table);
        let sparse = gradient(&model, &gradients, name);
        gradients.densify(parameters, table);
        let Gradient::Dense(values) = gradients.get(table) else { panic!("densified") };
        assert_eq!(values.read().unwrap(), sparse);
    }
}

/// Every cell over an embedding, with what it can have in addition, and over one-hot tokens.
fn models() -> impl Iterator<Item = RnnLm> {
    let one_hot = |cell| RnnLmConfig { input: Input::OneHot, biases: Biases::One, ..config(cell) };
    configs().into_iter().chain(one_hot_cells().map(one_hot)).map(model)
}

/// A batch's inputs and targets.
fn batch() -> (Vec<u32>, Vec<u32>) {
    (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2))
}

/// What belongs to one batch row.
fn column<T: Copy>(values: &[T], row: usize) -> Vec<T> {
    values.iter().copied().skip(row).step_by(BATCH).collect()
}

fn values(model: &RnnLm, name: &str) -> Vec<f32> {
    model.parameters().values(model.parameters().find(name).unwrap()).read().unwrap().to_vec()
}

fn set(model: &mut RnnLm, name: &str, values: Vec<f32>) {
    let id = model.parameters().find(name).unwrap();
    model.parameters_mut().values_mut(id).write_from(&values).unwrap();
}
