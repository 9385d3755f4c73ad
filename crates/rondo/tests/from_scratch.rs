//! The example's network, written out from the primitives, learns what the fused model learns.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo::data::{Batches, LastChunk, Tales};
use rondo::kernels::Device;
use rondo::nn::{
    Biases, Cell, Dropout, Gradient, Gradients, Input, Mode, Model, RnnLm, RnnLmConfig, Workspace,
};

use from_scratch::{Learner, Network};

#[path = "../examples/from_scratch.rs"]
#[allow(dead_code, unreachable_pub)] // Its `main`, and what only that uses.
mod from_scratch;

const VOCAB: usize = 128;
const HIDDEN: usize = 24;
const BATCH: usize = 4;
const STEPS: usize = 16;
const LEARNING_RATE: f32 = 0.5;

#[test]
fn the_example_and_the_fused_model_have_the_same_losses() {
    let device = Device::cpu(2).unwrap();
    let mut network = Network::new(VOCAB, HIDDEN, &device, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let mut model = fused(&network);
    let mut learner = Learner::new(&network);
    let mut workspace = Workspace::new(&device);
    let mut gradients = Gradients::new(model.parameters());
    let mut state = network.zero_state(BATCH);
    let mut fused_state = model.zero_state(BATCH);

    let text: String = Tales::new().sentences(1, 0).take(40).collect();
    let ids: Vec<u32> = text.bytes().map(u32::from).collect();
    let batches = Batches::new(&ids.into(), BATCH, STEPS, LastChunk::Discard).unwrap();
    let (mut inputs, mut targets) = ([0; STEPS * BATCH], [0; STEPS * BATCH]);
    let mut losses = Vec::new();
    for chunk in 0..20 {
        batches.fill(batches.chunk(chunk), &mut inputs, &mut targets).unwrap();
        let loss = learner.step(&mut network, &inputs, &targets, &mut state, LEARNING_RATE).unwrap();

        gradients.clear();
        let mut tape = workspace.tape(model.parameters(), Mode::Train { seed: 0, step: 0 });
        let hidden = model.forward(&mut tape, &inputs, &mut fused_state);
        let nll = model.loss(&mut tape, hidden, &targets);
        let fused_loss = tape.nll_sum(nll).unwrap() / targets.len() as f64;
        tape.backward(nll, 1.0 / targets.len() as f32, &mut gradients).unwrap();
        drop(tape);
        descend(&mut model, &mut gradients);

        // Both in `f32`, in other orders. Measured: 1e-7.
        assert!((loss - fused_loss).abs() < 1e-6, "chunk {chunk}: {loss} and {fused_loss}");
        losses.push(loss);
    }
    // From an even guess on, it learns.
    assert!((losses[0] - (VOCAB as f64).ln()).abs() < 0.01, "{losses:?}");
    assert!(losses[19] < losses[0] - 0.4, "{losses:?}");
}

#[test]
fn a_sample_follows_its_prefix_and_temperature_sharpens_it() {
    let device = Device::cpu(1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut network = Network::new(5, 3, &device, &mut rng).unwrap();
    // The output bias alone decides: token 2 is likeliest.
    let by = network.parameters.find("by").unwrap();
    network.parameters.values_mut(by).write_from(&[0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
    let mut sample = |temperature| network.sample(&[4, 0], 300, temperature, &mut rng).unwrap();
    let sharp = sample(0.05);
    assert_eq!(sharp[..2], [4, 0]);
    assert_eq!(sharp.len(), 302);
    assert!(sharp[2..].iter().all(|&id| id == 2));
    let even = sample(1000.0);
    for id in 0..5 {
        let count = even[2..].iter().filter(|&&drawn| drawn == id).count();
        assert!((30..90).contains(&count), "{id} drawn {count} times of 300");
    }
}

/// The fused model with the network's values.
fn fused(network: &Network) -> RnnLm {
    let config = RnnLmConfig {
        vocab_size: VOCAB,
        input: Input::OneHot,
        cell: Cell::RnnTanh,
        hidden_sizes: vec![HIDDEN],
        biases: Biases::One,
        tied: false,
        dropout: Dropout::default(),
    };
    let mut model = RnnLm::new(config, network.parameters.device()).unwrap();
    let names = [
        ("wxh", "input.weight"),
        ("whh", "rnn.0.weight_hh"),
        ("bh", "rnn.0.bias_ih"),
        ("why", "decoder.weight"),
        ("by", "decoder.bias"),
    ];
    for (ours, theirs) in names {
        let ours = network.parameters.find(ours).unwrap();
        let theirs = model.parameters().find(theirs).unwrap();
        let values = network.parameters.values(ours).read().unwrap();
        let columns = network.parameters.shape(ours)[1];
        // One writes `h·W`, the other `h·Wᵀ`; a table with a row per token is the same in both.
        let values = match model.parameters().name(theirs) {
            "rnn.0.weight_hh" | "decoder.weight" => transposed(&values, columns),
            _ => values.to_vec(),
        };
        model.parameters_mut().values_mut(theirs).write_from(&values).unwrap();
    }
    model
}

fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}

fn descend(model: &mut RnnLm, gradients: &mut Gradients) {
    for id in model.parameters().ids() {
        gradients.densify(model.parameters(), id);
        let Gradient::Dense(gradient) = gradients.get(id) else { panic!("no gradient") };
        let mut values = model.parameters().values(id).read().unwrap().into_owned();
        for (value, slope) in values.iter_mut().zip(&*gradient.read().unwrap()) {
            *value -= LEARNING_RATE * slope;
        }
        model.parameters_mut().values_mut(id).write_from(&values).unwrap();
    }
}
