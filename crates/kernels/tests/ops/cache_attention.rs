//! The neural cache's share of a softmax.

use rondo_kernels::cache_attention::{self, Dims, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{Tolerance, assert_close, buffer, devices, filled, ones, random, random_ids, read, set};

fn shares(device: &Device, dims: Dims, theta: f32, scores: &Buffer, next: &[u32]) -> Vec<f32> {
    let mut shares = ones(device, dims.rows);
    let next = filled(device, next);
    cache_attention::forward(device, dims, theta, scores.slice(), next.slice(), shares.slice_mut());
    read(&shares).to_vec()
}

#[test]
fn the_reference_is_what_a_small_case_says() {
    let dims = Dims { rows: 1, positions: 6, window: 3 };
    let scores = [9.0, 9.0, 1.0, 2.0, 3.0, 9.0f64];
    let next = [7, 8, 7, 9, 7, 7];
    let e = |score: f64| (0.5 * score).exp();
    let want = (e(1.0) + e(3.0)) / (e(1.0) + e(2.0) + e(3.0));
    let found = reference::forward(dims, 0.5, &scores, &next)[0];
    assert!((found - want).abs() < 1e-15, "{found} instead of {want}");
}

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let scores: Vec<f64> =
            random(dims.rows * dims.positions, 1).iter().map(|score| 20.0 * score).collect();
        for words in [1, 3, 1000] {
            let next = random_ids(dims.positions, words, 2);
            for theta in [0.0f32, 0.25, 4.0] {
                let want = reference::forward(dims, f64::from(theta), &scores, &next);
                for device in devices() {
                    let found = shares(&device, dims, theta, &buffer(&device, &scores), &next);
                    let name = format!("{dims:?}, {words} words, theta {theta} on {device}");
                    assert_close(&name, &found, &want, Tolerance::Sum);
                    assert!(found.iter().all(|share| (0.0..=1.0).contains(share)), "{name}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn with_theta_0_it_counts() {
    let dims = Dims { rows: 3, positions: 8, window: 4 };
    let next = [1, 2, 1, 1, 2, 1, 3, 2];
    for device in devices() {
        let scores = buffer(&device, &random(24, 1));
        assert_eq!(shares(&device, dims, 0.0, &scores, &next), [0.5, 0.0, 0.25], "on {device}");
    }
}

#[test]
fn only_the_window_is_read_and_a_nan_in_it_is_told() {
    let dims = Dims { rows: 2, positions: 6, window: 3 };
    let next = [1; 6];
    for device in devices() {
        let mut scores = ones(&device, 12);
        // Row 0 looks at 1, 2 and 3, row 1 at 2, 3 and 4.
        for outside in [0, 4, 5, 6, 7, 11] {
            set(&mut scores, outside, f32::NAN);
        }
        assert_eq!(shares(&device, dims, 0.5, &scores, &next), [1.0, 1.0], "on {device}");
        set(&mut scores, 8, f32::NAN);
        let found = shares(&device, dims, 0.5, &scores, &next);
        assert!(found[0] == 1.0 && found[1].is_nan(), "{found:?} on {device}");
    }
}
