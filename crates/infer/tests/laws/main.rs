//! The laws of using a model, on small models with random parameters.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod beam;
#[path = "../fixtures/pairs/bigram.rs"]
mod bigram;
mod cache;
mod compare;
mod complete;
mod decoder;
mod evaluate;
mod filter;
mod keystrokes;
mod language_model;
mod lattice;
mod neighbors;
mod ngram;
mod pairs;
mod predict;
mod ranking;
mod rescore;
mod resets;
mod sample;
mod score;
mod streams;
mod surprisal;
mod threads;

use std::sync::LazyLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_data::TokenIds;
use rondo_infer::ModelHandle;
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, DeviceChoice};
use rondo_nn::{Biases, Cell, CellOptions, Dropout, DropoutSite, Initialization, Initializer, Input, Model};
use rondo_nn::{Mode, RnnLm, RnnLmConfig, Workspace};
use safetensors::{SafeTensors, tensor::TensorView};

const SEED: u64 = 7;
const VOCAB_SIZE: usize = 23;

/// Two layers of `cell` with parameters large enough that the state matters, and with dropout, which must not act.
fn model_of(cell: Cell, input: Input) -> (ModelHandle, Workspace) {
    model_with(cell, input, VOCAB_SIZE)
}

/// The same with another vocabulary.
fn model_with(cell: Cell, input: Input, vocab_size: usize) -> (ModelHandle, Workspace) {
    let model = rnn_lm(cell, input, vocab_size);
    let workspace = Workspace::new(model.parameters().device());
    (ModelHandle::new(model), workspace)
}

fn rnn_lm(cell: Cell, input: Input, vocab_size: usize) -> RnnLm {
    rnn_lm_on(&device(), cell, input, vocab_size)
}

/// The model of a golden file of PyTorch: the case `lstm_untied` with the parameters `model.…`.
fn pytorch_model(golden: &SafeTensors<'_>) -> RnnLm {
    let config = RnnLmConfig {
        vocab_size: 23,
        input: Input::Embedding(6),
        cell: Cell::Lstm,
        hidden_sizes: vec![9, 9],
        biases: Biases::Two,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let mut model = RnnLm::new(config, &Device::cpu(2).unwrap()).unwrap();
    for (name, tensor) in golden.tensors().iter().filter(|(name, _)| name.starts_with("model.")) {
        let id = model.parameters().find(name.trim_start_matches("model.")).unwrap();
        model.parameters_mut().values_mut(id).write_from(&numbers(tensor, f32::from_le_bytes)).unwrap();
    }
    model
}

/// The numbers of a tensor of a golden file.
fn numbers<T, const N: usize>(tensor: &TensorView<'_>, read: fn([u8; N]) -> T) -> Vec<T> {
    tensor.data().chunks_exact(N).map(|bytes| read(bytes.try_into().unwrap())).collect()
}

/// The device of the tests: that of `RONDO_TEST_DEVICE`, such as `gpu`, or the CPU.
fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let choice = std::env::var("RONDO_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        let choice: DeviceChoice = choice.parse().unwrap();
        choice.open(2, InstructionSet::detect()).unwrap().0
    });
    DEVICE.clone()
}

/// The cells that the device of the tests has: a GPU has no Mogrifiers.
fn cells() -> impl Iterator<Item = Cell> {
    let is_available = |cell: &Cell| *cell != Cell::Mogrifier || device().require_cpu("a Mogrifier").is_ok();
    Cell::ALL.into_iter().filter(is_available)
}

fn rnn_lm_on(device: &Device, cell: Cell, input: Input, vocab_size: usize) -> RnnLm {
    let site = DropoutSite { probability: 0.5, locked: false };
    let dropout = Dropout { between: site, output: site, weights: 0.5, ..Dropout::default() };
    let config = RnnLmConfig {
        vocab_size,
        input,
        cell,
        hidden_sizes: vec![12, 10],
        biases: Biases::Two,
        tied: false,
        dropout,
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let mut model = RnnLm::new(config, device).unwrap();
    let uniform = Initializer::Uniform(0.6);
    let initialization = Initialization {
        embedding: Initializer::Uniform(1.0),
        recurrent: uniform,
        decoder: Initializer::Uniform(1.5),
        bias: uniform,
    };
    model.initialize(&initialization, &mut ChaCha8Rng::seed_from_u64(SEED)).unwrap();
    model
}

fn model() -> (ModelHandle, Workspace) {
    model_of(Cell::Lstm, Input::Embedding(9))
}

/// A random text.
fn text(len: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(0..VOCAB_SIZE as u32)).collect()
}

/// The text as evaluation takes it.
fn token_ids(ids: &[u32]) -> TokenIds {
    ids.to_vec().into()
}

/// The log-probabilities of all tokens after each token of `ids`, read one at a time from a zero state: the plainest
/// way there is.
fn log_probs_after(model: &ModelHandle, ids: &[u32]) -> Vec<Vec<f64>> {
    let model = model.model();
    let mut workspace = Workspace::new(model.parameters().device());
    let mut state = model.zero_state(1);
    let mut after = |&id: &u32| {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &[id], &mut state);
        let logits = model.logits(&mut tape, hidden);
        let logits: Vec<f64> = tape.read(logits).unwrap().iter().map(|&logit| f64::from(logit)).collect();
        let log_sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        logits.iter().map(|logit| logit - log_sum).collect()
    };
    ids.iter().map(&mut after).collect()
}

/// The log-probability of each token of `ids` but the first.
fn log_probs_of(model: &ModelHandle, ids: &[u32]) -> Vec<f64> {
    log_probs_after(model, ids).iter().zip(&ids[1..]).map(|(after, &id)| after[id as usize]).collect()
}

/// A model whose parameters are NaN.
fn damaged_model() -> ModelHandle {
    let mut model = rnn_lm(Cell::Lstm, Input::Embedding(9), VOCAB_SIZE);
    let id = model.parameters().find("decoder.bias").unwrap();
    model.parameters_mut().values_mut(id).write_from(&[f32::NAN; VOCAB_SIZE]).unwrap();
    ModelHandle::new(model)
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let difference = (found - expected).abs();
    assert!(difference <= tolerance, "{what}: {found}, expected {expected} within {tolerance}");
}

/// The codec of a tokenizer among the goldens.
fn subword_codec(file: &str) -> rondo_data::TextCodec {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers").join(file);
    rondo_data::TextCodec::of_tokenizer(rondo_data::Tokenizer::open(path).unwrap()).unwrap().unwrap()
}
