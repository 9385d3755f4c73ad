//! Log-probability, entropy and rank of a token.

use rondo_kernels::prediction::{self, Dims, Forward, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{Tolerance, assert_close, buffer, devices, filled, ones, random, read};

/// Log-probabilities, entropies and ranks.
fn forward(device: &Device, dims: Dims, logits: &Buffer, targets: &[u32]) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let [mut log_probs, mut entropies] = [(); 2].map(|()| ones(device, dims.rows));
    let mut ranks = filled(device, &vec![u32::MAX; dims.rows]);
    let targets = filled(device, targets);
    let args = Forward {
        logits: logits.slice(),
        targets: targets.slice(),
        log_probs: log_probs.slice_mut(),
        entropies: entropies.slice_mut(),
        ranks: ranks.slice_mut(),
    };
    prediction::forward(device, dims, args);
    (read(&log_probs).to_vec(), read(&entropies).to_vec(), read(&ranks).to_vec())
}

fn targets(dims: Dims) -> Vec<u32> {
    (0..dims.rows).map(|row| ((row * 7919 + dims.vocab - 1) % dims.vocab) as u32).collect()
}

#[test]
fn the_reference_is_what_a_small_case_says() {
    let dims = Dims { rows: 2, vocab: 4 };
    // Probabilities of 1/2, 1/4, 1/4 and 0: an entropy of one bit and a half.
    let row = [2.0_f64.ln(), 0.0, 0.0, f64::NEG_INFINITY];
    let found = reference::forward(dims, &[row, row].concat(), &[1, 3]);
    let bits = |nats: f64| nats / 2.0_f64.ln();
    assert!((bits(found.log_probs[0]) + 2.0).abs() < 1e-12);
    assert_eq!(found.log_probs[1], f64::NEG_INFINITY);
    assert!(found.entropies.iter().all(|&entropy| (bits(entropy) - 1.5).abs() < 1e-12));
    assert_eq!(found.ranks, [2, 4]);
}

#[test]
fn devices_agree_with_the_reference() {
    // Flat, usual, and so sharp that most tokens are below the range of exponentials.
    for (&dims, scale) in CASES.iter().flat_map(|dims| [0.01, 12.0, 300.0].map(|scale| (dims, scale))) {
        // The numbers that the devices get: rounding would change a rank.
        let logits: Vec<f64> =
            random(dims.rows * dims.vocab, 1).iter().map(|x| f64::from((scale * x) as f32)).collect();
        let targets = targets(dims);
        let want = reference::forward(dims, &logits, &targets);
        for device in devices() {
            let name = |what: &str| format!("{what} of {dims:?}, scale {scale}, on {device}");
            let (log_probs, entropies, ranks) = forward(&device, dims, &buffer(&device, &logits), &targets);
            assert_close(&name("log_probs"), &log_probs, &want.log_probs, Tolerance::Function);
            assert_close(&name("entropies"), &entropies, &want.entropies, Tolerance::Sum);
            assert_eq!(ranks, want.ranks, "{}", name("ranks"));
        }
    }
}

#[test]
fn what_is_no_distribution_is_nan_in_its_row_only() {
    let dims = Dims { rows: 3, vocab: 300 };
    for device in devices() {
        for (column, value) in [(0, f32::NAN), (299, f32::NAN), (40, f32::INFINITY)] {
            let mut logits = vec![0.5; 900];
            logits[300 + column] = value;
            let (log_probs, entropies, _) = forward(&device, dims, &filled(&device, &logits), &[0, 40, 299]);
            let nans: Vec<bool> = log_probs.iter().map(|x| x.is_nan()).collect();
            assert_eq!(nans, [false, true, false], "{value} on {device}");
            assert!((entropies[2] - 300.0_f32.ln()).abs() < 1e-5);
        }
        let (log_probs, _, _) = forward(&device, dims, &filled(&device, &[f32::NEG_INFINITY; 900]), &[0; 3]);
        assert!(log_probs.iter().all(|x| x.is_nan()));
    }
}

#[test]
fn tokens_of_probability_zero_add_nothing_to_the_entropy() {
    let dims = Dims { rows: 1, vocab: 600 };
    let logits: Vec<f32> = (0..600).map(|v| if v % 300 == 7 { 3.0 } else { f32::NEG_INFINITY }).collect();
    for device in devices() {
        let (log_probs, entropies, ranks) = forward(&device, dims, &filled(&device, &logits), &[307]);
        assert!((log_probs[0] + 2.0_f32.ln()).abs() < 1e-6 && (entropies[0] - 2.0_f32.ln()).abs() < 1e-6);
        assert_eq!(ranks, [1]);
        let (log_probs, _, ranks) = forward(&device, dims, &filled(&device, &logits), &[0]);
        assert_eq!((log_probs[0], ranks[0]), (f32::NEG_INFINITY, 3));
    }
}
