//! The estimate of the memory of passes agrees with what they allocate.
//!
//! This file is a program of its own because it counts what *all* its threads allocate: it holds one test.

#![allow(unsafe_code)] // A global allocator cannot be had without.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rondo_kernels::{Device, Precision};
use rondo_nn::{
    ActivationPenalty, AdaptiveSoftmax, BatchSize, Biases, Candidates, Cell, CellOptions, Dropout,
    DropoutSite, Gradients, Input, Mode, Model, MogrifierOptions, PassMemory, RnnLm, RnnLmConfig, Workspace,
};

/// The system's allocator, counting the bytes in use.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, which keeps the trait's promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this function's contract, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `alloc`; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const TRAINING: BatchSize = BatchSize { steps: 35, columns: 20 };
const EVALUATION: BatchSize = BatchSize { steps: 47, columns: 16 };

#[test]
fn the_estimate_of_passes_agrees_with_what_they_allocate() {
    let mut devices = vec![Device::cpu(1).unwrap(), Device::cpu(3).unwrap()];
    devices.extend(Device::cpu(2).unwrap().with_precision(Precision::Bf16));
    for device in &devices {
        // Each kind of model with one of the penalties.
        let penalties = [(0.0, 0.0), (2.0, 1.0), (0.0, 1.0), (2.0, 0.0)].into_iter().cycle();
        for (config, (activation, temporal)) in configs().iter().zip(penalties.skip(device.threads())) {
            check(config, device, ActivationPenalty { activation, temporal });
        }
    }
    // Rows of candidates: an upper bound, because there are never as many as there could be.
    let can_be_sampled =
        |config: &&RnnLmConfig| config.input != Input::OneHot && config.adaptive_softmax.is_none();
    for config in configs().iter().filter(can_be_sampled) {
        check_sampled(config, &devices[1]);
    }
}

/// Trains twice with a sampled softmax.
#[track_caller]
fn check_sampled(config: &RnnLmConfig, device: &Device) {
    const DRAWS: usize = 200;
    let model = RnnLm::new(config.clone(), device).unwrap();
    let parameters = model.parameters();
    let before = BYTES.load(Ordering::Relaxed);
    let (mut workspace, mut gradients) = (Workspace::new(device), Gradients::new(parameters));
    let ids: Vec<u32> = (0..TRAINING.steps * TRAINING.columns).map(|i| (i % 77) as u32).collect();
    let drawn: Vec<u32> = (0..DRAWS).map(|i| (i * 7 % config.vocab_size) as u32).collect();
    let mut candidates = Candidates::default();
    candidates.fill(&drawn, &ids, |_| 0.0);
    let mut state = model.zero_state(TRAINING.columns);
    for step in 0..2 {
        gradients.clear();
        let mut tape = workspace.tape(parameters, Mode::Train { seed: 1, step });
        let hidden = model.forward(&mut tape, &ids, &mut state);
        let loss = tape.sampled_decoder(hidden.dropped, model.decoder().unwrap(), &candidates);
        tape.backward(loss, 1.0, &mut gradients).unwrap();
    }
    let found = (BYTES.load(Ordering::Relaxed) - before) as f64;
    let mut memory = PassMemory::new(config, device).with_sampled_softmax(DRAWS);
    memory.train(TRAINING, ActivationPenalty::default());
    memory.gradients(TRAINING, false);
    let ratio = memory.bytes() as f64 / found;
    assert!((0.98..1.4).contains(&ratio), "{ratio} of what was allocated: {config:?}");
}

/// Trains twice, evaluates and computes logits.
#[track_caller]
fn check(config: &RnnLmConfig, device: &Device, penalty: ActivationPenalty) {
    let model = RnnLm::new(config.clone(), device).unwrap();
    let parameters = model.parameters();
    let before = BYTES.load(Ordering::Relaxed);
    let (mut workspace, mut gradients) = (Workspace::new(device), Gradients::new(parameters));
    let ids: Vec<u32> = (0..TRAINING.steps * TRAINING.columns).map(|i| (i % 7) as u32).collect();
    let targets = zipf(config.vocab_size, ids.len());
    let mut state = model.zero_state(TRAINING.columns);
    for step in 0..2 {
        gradients.clear();
        let mut tape = workspace.tape(parameters, Mode::Train { seed: 1, step });
        let hidden = model.forward(&mut tape, &ids, &mut state);
        let loss = model.loss(&mut tape, hidden, &targets);
        penalty.add_to(&mut tape, hidden);
        tape.backward(loss, 1.0, &mut gradients).unwrap();
    }
    let evaluated: Vec<u32> = vec![0; EVALUATION.steps * EVALUATION.columns];
    let mut evaluation_state = model.zero_state(EVALUATION.columns);
    let mut tape = workspace.tape(parameters, Mode::Evaluate);
    let hidden = model.forward(&mut tape, &evaluated, &mut evaluation_state);
    model.loss(&mut tape, hidden, &zipf(config.vocab_size, evaluated.len()));
    drop(tape);
    let mut one = model.zero_state(1);
    let mut tape = workspace.tape(parameters, Mode::Evaluate);
    let hidden = model.forward(&mut tape, &[0], &mut one);
    model.logits(&mut tape, hidden);
    drop(tape);
    let found = (BYTES.load(Ordering::Relaxed) - before) as f64;

    let mut memory = PassMemory::new(config, device);
    memory.train(TRAINING, penalty);
    memory.gradients(TRAINING, false);
    memory.evaluate(EVALUATION);
    memory.logits(1);
    let estimate = memory.bytes() as f64;
    assert!(
        (estimate / found - 1.0).abs() < 0.02,
        "{estimate} bytes estimated, {found} allocated: {device} {penalty:?} {config:?}"
    );
}

/// `count` tokens as frequent as Zipf's law says: the first `n` ranks have `(ln n + γ) / (ln V + γ)` of them.
fn zipf(vocab_size: usize, count: usize) -> Vec<u32> {
    let sum = |n: f64| n.ln() + 0.577_215_664_901_532_9;
    let rank = |i: usize| {
        let quantile = (i as f64 + 0.5) / count as f64 * sum(vocab_size as f64);
        ((quantile - sum(1.0)).exp() as u32).min(vocab_size as u32 - 1)
    };
    (0..count).map(rank).collect()
}

/// Every cell, tied and not, one-hot, and with an adaptive softmax; dropout everywhere and nowhere; sizes that make each part the largest.
fn configs() -> Vec<RnnLmConfig> {
    let with = |cell, input, tied, drops: bool, hidden_sizes: &[usize], vocab_size| {
        let (dropout, one_hot) = (if drops { 0.4 } else { 0.0 }, input == Input::OneHot);
        let site = DropoutSite { probability: dropout, locked: false };
        RnnLmConfig {
            vocab_size,
            input,
            cell,
            hidden_sizes: hidden_sizes.to_vec(),
            biases: Biases::Two,
            tied,
            dropout: Dropout {
                input: if one_hot { DropoutSite::default() } else { site },
                between: site,
                output: site,
                words: if one_hot { 0.0 } else { dropout },
                weights: dropout,
            },
            adaptive_softmax: None,
            cell_options: CellOptions::default(),
        }
    };
    let of_cell = |cell| {
        [true, false].into_iter().flat_map(move |drops| {
            [
                with(cell, Input::Embedding(64), true, drops, &[64, 64], 3000),
                with(cell, Input::Embedding(40), false, drops, &[200, 96], 500),
                if cell == Cell::Mogrifier {
                    let mogrifier = MogrifierOptions { rounds: 2, rank: Some(10) };
                    RnnLmConfig {
                        cell_options: CellOptions { mogrifier, ..CellOptions::default() },
                        ..with(cell, Input::Embedding(64), false, drops, &[120, 64, 32], 200)
                    }
                } else {
                    with(cell, Input::OneHot, false, drops, &[120, 64, 32], 200)
                },
                RnnLmConfig {
                    adaptive_softmax: Some(AdaptiveSoftmax::new(vec![300, 1000])),
                    ..with(cell, Input::Embedding(64), false, drops, &[64, 80], 3000)
                },
            ]
        })
    };
    let projected = |(cell, drops)| RnnLmConfig {
        cell_options: CellOptions { projection_size: Some(60), ..CellOptions::default() },
        ..with(cell, Input::Embedding(60), true, drops, &[200, 96], 500)
    };
    let projections = [(Cell::Lstm, true), (Cell::Cifg, false)].map(projected);
    Cell::ALL.into_iter().flat_map(of_cell).chain(projections).collect()
}
