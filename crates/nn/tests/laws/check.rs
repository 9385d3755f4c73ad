//! What these tests share: numbers, models, one way to run a batch, and comparisons.

use std::sync::LazyLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, DeviceChoice};
use rondo_nn::{
    Biases, Cell, CellOptions, Dropout, Gradient, Gradients, Initialization, Initializer, Input, Mode, Model,
    MogrifierOptions, ParameterId, Parameters, RnnLm, RnnLmConfig, State, Workspace,
};

pub(crate) const VOCAB: usize = 11;
/// For models without dropout, where neither seed nor step matters.
pub(crate) const TRAIN: Mode = Mode::Train { seed: 0, step: 0 };

/// How far two ways of computing the same in `f32` may differ, relative to `1 + |expected|`: sums of some
/// dozen terms in another order, carried over a few steps. Measured: 4e-7.
const TOLERANCE: f32 = 3e-6;

/// The device of the tests: that of `RONDO_TEST_DEVICE`, such as `gpu`, or the CPU.
pub(crate) fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let choice = std::env::var("RONDO_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        let choice: DeviceChoice = choice.parse().unwrap();
        choice.open(2, InstructionSet::detect()).unwrap().0
    });
    DEVICE.clone()
}

/// Two layers of a cell over an embedding, nothing tied, nothing dropped.
pub(crate) fn config(cell: Cell) -> RnnLmConfig {
    RnnLmConfig {
        vocab_size: VOCAB,
        input: Input::Embedding(6),
        cell,
        hidden_sizes: vec![7, 5],
        biases: Biases::Two,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    }
}

/// [`config`] of every cell, and of cells with projections, clipped states and other rounds.
pub(crate) fn configs() -> Vec<RnnLmConfig> {
    let with = |cell, projection_size, cell_clip, mogrifier| RnnLmConfig {
        cell_options: CellOptions { projection_size, cell_clip, mogrifier },
        ..config(cell)
    };
    let five = MogrifierOptions::default();
    let factored = MogrifierOptions { rounds: 3, rank: Some(2) };
    let more = [
        with(Cell::Lstm, Some(4), None, five),
        with(Cell::Lstm, None, Some(0.2), five),
        with(Cell::Cifg, Some(3), Some(0.3), five),
        with(Cell::Mogrifier, None, Some(0.25), factored),
    ];
    // A GPU has neither projections nor Mogrifiers.
    let is_available = |config: &RnnLmConfig| {
        let is_plain = config.cell != Cell::Mogrifier && config.cell_options.projection_size.is_none();
        is_plain || device().require_cpu("such a layer").is_ok()
    };
    Cell::ALL.map(config).into_iter().chain(more).filter(is_available).collect()
}

/// The cells that the device of the tests has.
pub(crate) fn cells() -> impl Iterator<Item = Cell> {
    Cell::ALL
        .into_iter()
        .filter(|&cell| cell != Cell::Mogrifier || device().require_cpu("a Mogrifier").is_ok())
}

/// The cells whose input can be one-hot.
pub(crate) fn one_hot_cells() -> impl Iterator<Item = Cell> {
    Cell::ALL.into_iter().filter(|&cell| cell != Cell::Mogrifier)
}

/// A model whose parameters, biases included, are uniform within ±0.5.
pub(crate) fn model(config: RnnLmConfig) -> RnnLm {
    let uniform = Initializer::Uniform(0.5);
    let all = Initialization { embedding: uniform, recurrent: uniform, decoder: uniform, bias: uniform };
    let mut model = RnnLm::new(config, &device()).unwrap();
    model.initialize(&all, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    model
}

/// `count` numbers, uniform in [-1, 1).
pub(crate) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `count` tokens of the vocabulary.
pub(crate) fn tokens(count: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(0..VOCAB as u32)).collect()
}

/// A state of random numbers.
pub(crate) fn random_state(model: &RnnLm, batch: usize) -> State {
    let mut state = model.zero_state(batch);
    for (seed, part) in (10..).zip(state.parts_mut()) {
        let len = part.values().len();
        part.values_mut().write_from(&random(len, seed)).unwrap();
    }
    state
}

/// Every number of a state.
pub(crate) fn numbers(state: &State) -> Vec<f32> {
    state.parts().iter().flat_map(|part| part.values().read().unwrap().into_owned()).collect()
}

/// The negative log-likelihoods of a batch in training mode, and the gradients of their sum.
pub(crate) fn run(
    model: &RnnLm,
    inputs: &[u32],
    targets: &[u32],
    state: &mut State,
) -> (Vec<f32>, Gradients) {
    run_in(&mut Workspace::new(&device()), TRAIN, model, inputs, targets, state)
}

/// As [`run`], with steps that start from a zero state.
pub(crate) fn run_with_resets(
    model: &RnnLm,
    (inputs, resets): (&[u32], &[u32]),
    targets: &[u32],
    state: &mut State,
) -> (Vec<f32>, Gradients) {
    let mut workspace = Workspace::new(&device());
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), TRAIN);
    tape.set_resets(resets);
    let hidden = model.forward(&mut tape, inputs, state);
    let loss = model.loss(&mut tape, hidden, targets);
    let nll = tape.read_nll(loss).unwrap().to_vec();
    tape.backward(loss, 1.0, &mut gradients).unwrap();
    (nll, gradients)
}

/// As [`run`], in a workspace and mode of the caller's; in evaluation, gradients are zero.
pub(crate) fn run_in(
    workspace: &mut Workspace,
    mode: Mode,
    model: &RnnLm,
    inputs: &[u32],
    targets: &[u32],
    state: &mut State,
) -> (Vec<f32>, Gradients) {
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), mode);
    let hidden = model.forward(&mut tape, inputs, state);
    let loss = model.loss(&mut tape, hidden, targets);
    let nll = tape.read_nll(loss).unwrap().to_vec();
    if mode != Mode::Evaluate {
        tape.backward(loss, 1.0, &mut gradients).unwrap();
    }
    (nll, gradients)
}

/// The gradient of a parameter in its layout, zeros and missing rows written out.
pub(crate) fn dense(parameters: &Parameters, gradients: &Gradients, id: ParameterId) -> Vec<f32> {
    let mut dense = vec![0.0; parameters.values(id).len()];
    match gradients.get(id) {
        Gradient::Zero => {}
        Gradient::Dense(values) => values.read_into(&mut dense).unwrap(),
        Gradient::Rows { rows, values, .. } => {
            let width = parameters.row_width(id);
            for (&row, values) in rows.read().unwrap().iter().zip(values.read().unwrap().chunks_exact(width))
            {
                dense[row as usize * width..][..width].copy_from_slice(values);
            }
        }
    }
    dense
}

/// The gradient of the parameter of this name, as [`dense`].
pub(crate) fn gradient(model: &RnnLm, gradients: &Gradients, name: &str) -> Vec<f32> {
    dense(model.parameters(), gradients, model.parameters().find(name).unwrap())
}

/// `[columns, rows]` from `[rows, columns]`.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}

/// Fails unless the numbers are the same but for rounding.
#[track_caller]
pub(crate) fn assert_close(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs() / (1.0 + want.abs());
        assert!(error <= TOLERANCE, "{name}[{i}]: {got:.9} instead of {want:.9}, error {error:.2e}");
    }
}

#[test]
fn a_difference_is_found() {
    assert_close("same", &[1.0], &[1.0]);
    for wrong in [1.0001, f32::NAN] {
        assert!(std::panic::catch_unwind(|| assert_close("other", &[wrong], &[1.0])).is_err());
    }
}
