//! Softmax and cross-entropy of given logits.

use rondo_kernels::cross_entropy::{self, Dims, cases::CASES, reference};
use rondo_kernels::{Buffer, Device, Store};

use crate::check::{
    Golden, Tolerance, assert_close, assert_gradient, buffer, devices, filled, ones, random, random_ids,
    read, set, stores,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 3, vocab: 5 };
    let (logits, targets) = (random(15, 1), [4, 0, 2]);
    let (_, log_sums) = reference::forward(dims, &logits, &targets);
    let gradient = reference::backward(dims, 0.7, &logits, &targets, &log_sums);
    let loss = |logits: &[f64]| 0.7 * reference::forward(dims, logits, &targets).0.iter().sum::<f64>();
    assert_gradient("logits", &logits, &gradient, loss);
}

#[test]
fn devices_agree_with_the_reference() {
    const SCALE: f32 = 0.25;
    for &dims in CASES {
        let Dims { rows, vocab } = dims;
        let len = rows * vocab;
        let logits: Vec<f64> = random(len, 1).iter().map(|x| 20.0 * x).collect();
        let targets = random_ids(rows, vocab, 2);
        let (nll, log_sums) = reference::forward(dims, &logits, &targets);
        let gradient = reference::backward(dims, f64::from(SCALE), &logits, &targets, &log_sums);
        for device in devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let (logits, targets) = (buffer(&device, &logits), filled(&device, &targets));
            let (got_nll, got_log_sums) = forward(&device, dims, &logits, &targets);
            assert_close(&name("nll"), &read(&got_nll), &nll, Tolerance::Function);
            assert_close(&name("log_sums"), &read(&got_log_sums), &log_sums, Tolerance::Function);
            for (store, want) in stores(&gradient) {
                let mut got = ones(&device, len);
                let (l, t, s) = (logits.slice(), targets.slice(), got_log_sums.slice());
                cross_entropy::backward(&device, dims, SCALE, l, t, s, got.slice_mut(), store);
                assert_close(&name("d_logits"), &read(&got), &want, Tolerance::Function);
            }
        }
    }
}

#[test]
fn huge_logits_are_fine_and_broken_ones_show() {
    let dims = Dims { rows: 1, vocab: 17 };
    for device in devices() {
        let targets = filled(&device, &[16]);
        let nll = |value: f32| {
            let mut logits = filled(&device, &[1e30; 17]);
            set(&mut logits, 3, value);
            read(&forward(&device, dims, &logits, &targets).0)[0]
        };
        assert!((nll(1e30) - 17f32.ln()).abs() < 1e-5, "on {device}");
        assert!(nll(f32::NAN).is_nan(), "on {device}");
        assert!(!nll(f32::INFINITY).is_finite(), "on {device}");
    }
}

#[test]
fn it_agrees_with_pytorch() {
    let golden = Golden::open("ops");
    let dims = Dims { rows: 4, vocab: 7 };
    for device in devices() {
        let logits = filled(&device, &golden.floats("x"));
        let targets = filled(&device, &golden.ids("targets"));
        let (nll, log_sums) = forward(&device, dims, &logits, &targets);
        assert_close("nll", &read(&nll), &golden.floats("cross_entropy.nll"), Tolerance::Function);
        let mut d_logits = ones(&device, 28);
        let (l, t, s, d) = (logits.slice(), targets.slice(), log_sums.slice(), d_logits.slice_mut());
        cross_entropy::backward(&device, dims, 1.0, l, t, s, d, Store::Overwrite);
        // The last row's logits are in the hundreds, so that the rounding of their log-sum shows.
        assert_close("d_logits", &read(&d_logits), &golden.floats("cross_entropy.grad"), Tolerance::Sum);
    }
}

fn forward(device: &Device, dims: Dims, logits: &Buffer, targets: &Buffer<u32>) -> (Buffer, Buffer) {
    let (mut nll, mut log_sums) = (ones(device, dims.rows), ones(device, dims.rows));
    let (n, s) = (nll.slice_mut(), log_sums.slice_mut());
    cross_entropy::forward(device, dims, logits.slice(), targets.slice(), n, s);
    (nll, log_sums)
}
