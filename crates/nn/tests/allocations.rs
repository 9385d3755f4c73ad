//! A training step after the first allocates nothing, nor does an evaluation after the first, shorter batches
//! included.
//!
//! This file is a program of its own because it counts what *all* its threads allocate: it holds one test.

#![allow(unsafe_code)] // A global allocator cannot be had without.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_kernels::Device;
use rondo_kernels::optimizer::{self, GLUON_EPSILON, Sgd, clip_scale};
use rondo_nn::{
    ActivationPenalty, AdaptiveSoftmax, Biases, Cell, CellOptions, Dropout, DropoutSite, Gradient, Gradients,
    Initialization, Input, Mode, Model, MogrifierOptions, RnnLm, RnnLmConfig, State, Workspace,
};

/// The system's allocator, counting the calls that hand memory out.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, which keeps the trait's promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this function's contract, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

const BATCH: usize = 3;
const STEPS: usize = 12;

#[test]
fn a_step_after_the_first_allocates_nothing() {
    for config in configs() {
        let mut run = Run::new(config);
        let name = format!("{:?}", run.model.config());
        assert_ne!(allocated_by(|| run.train(STEPS)), 0, "the first step of {name}: is anything counted?");
        // Where training drops weights, an evaluation is the first to lay the whole ones out.
        run.evaluate(STEPS);
        // Full batches, and the shorter ones that an epoch may end with.
        for steps in [STEPS, STEPS - 5, STEPS, 2, STEPS] {
            assert_eq!(allocated_by(|| run.train(steps)), 0, "a later step of {steps}, {name}");
            assert_eq!(allocated_by(|| run.evaluate(steps)), 0, "an evaluation of {steps}, {name}");
        }
    }
}

/// Every cell, tied and not, and one-hot; dropout wherever there can be some, locked and not, of weights with two biases
/// and not with one.
fn configs() -> Vec<RnnLmConfig> {
    let dropout = |locked| DropoutSite { probability: 0.4, locked };
    let with = |cell, input, tied, biases| RnnLmConfig {
        vocab_size: 50,
        input,
        cell,
        hidden_sizes: vec![12, 8],
        biases,
        tied,
        dropout: Dropout {
            input: if input == Input::OneHot { DropoutSite::default() } else { dropout(false) },
            between: dropout(false),
            output: dropout(true),
            words: if input == Input::OneHot { 0.0 } else { 0.1 },
            weights: if biases == Biases::Two { 0.3 } else { 0.0 },
        },
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let of_cell = |cell| {
        [
            with(cell, Input::Embedding(8), true, Biases::Two),
            with(cell, Input::Embedding(10), false, Biases::One),
            if cell == Cell::Mogrifier {
                let mogrifier = MogrifierOptions { rounds: 4, rank: Some(3) };
                RnnLmConfig {
                    cell_options: CellOptions { mogrifier, ..CellOptions::default() },
                    ..with(cell, Input::Embedding(7), false, Biases::Two)
                }
            } else {
                with(cell, Input::OneHot, false, Biases::Two)
            },
            RnnLmConfig {
                adaptive_softmax: Some(AdaptiveSoftmax::new(vec![20])),
                ..with(cell, Input::Embedding(10), false, Biases::Two)
            },
        ]
    };
    let projected = |cell| RnnLmConfig {
        cell_options: CellOptions { projection_size: Some(6), ..CellOptions::default() },
        ..with(cell, Input::Embedding(6), true, Biases::Two)
    };
    let projections = [Cell::Lstm, Cell::Cifg].map(projected);
    Cell::ALL.into_iter().flat_map(of_cell).chain(projections).collect()
}

fn allocated_by(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// A training run: all that stays from step to step.
struct Run {
    device: Device,
    model: RnnLm,
    state: State,
    workspace: Workspace,
    gradients: Gradients,
    tokens: Vec<u32>,
    step: u64,
}

impl Run {
    fn new(config: RnnLmConfig) -> Run {
        let device = Device::cpu(2).unwrap();
        // Every token of the vocabulary occurs, the first of them often.
        let tokens = (0..STEPS * BATCH + 1).map(|i| (i * i % config.vocab_size) as u32).collect();
        let mut model = RnnLm::new(config, &device).unwrap();
        model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let state = model.zero_state(BATCH);
        let workspace = Workspace::new(&device);
        let gradients = Gradients::new(model.parameters());
        Run { device, model, state, workspace, gradients, tokens, step: 0 }
    }

    /// Forward, backward, norm, clip, update.
    fn train(&mut self, steps: usize) {
        let mode = Mode::Train { seed: 1, step: self.step };
        self.step += 1;
        self.gradients.clear();
        let parameters = self.model.parameters();
        let mut tape = self.workspace.tape(parameters, mode);
        let count = steps * BATCH;
        let hidden = self.model.forward(&mut tape, &self.tokens[..count], &mut self.state);
        let loss = self.model.loss(&mut tape, hidden, &self.tokens[1..count + 1]);
        assert!(tape.nll_sum(loss).unwrap().is_finite());
        let penalty = ActivationPenalty { activation: 2.0, temporal: 1.0 };
        assert!(penalty.value(&tape, hidden).unwrap().is_finite());
        penalty.add_to(&mut tape, hidden);
        tape.backward(loss, 1.0 / count as f32, &mut self.gradients).unwrap();
        drop(tape);

        let squared = parameters.ids().map(|id| match self.gradients.get(id) {
            Gradient::Zero => 0.0,
            Gradient::Dense(values) | Gradient::Rows { values, .. } => {
                optimizer::squared_norm(&self.device, values).unwrap()
            }
        });
        let scale = clip_scale(squared.sum::<f64>().sqrt(), 0.25, GLUON_EPSILON).into();
        let options = Sgd { learning_rate: 1.0, momentum: 0.0, weight_decay: 0.0 };
        let parameters = self.model.parameters_mut();
        for id in parameters.ids() {
            match self.gradients.get(id) {
                Gradient::Zero => {}
                Gradient::Dense(gradient) => {
                    optimizer::sgd(&self.device, &options, scale, gradient, parameters.values_mut(id), None);
                }
                Gradient::Rows { rows, values, .. } => {
                    let rows = optimizer::Rows { rows, values, width: parameters.row_width(id) };
                    optimizer::sgd_rows(&self.device, &options, scale, rows, parameters.values_mut(id), None);
                }
            }
        }
    }

    fn evaluate(&mut self, steps: usize) {
        let count = steps * BATCH;
        let mut tape = self.workspace.tape(self.model.parameters(), Mode::Evaluate);
        let hidden = self.model.forward(&mut tape, &self.tokens[..count], &mut self.state);
        let loss = self.model.loss(&mut tape, hidden, &self.tokens[1..count + 1]);
        assert!(tape.nll_sum(loss).unwrap().is_finite());
    }
}
