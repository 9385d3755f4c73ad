//! The sum of all elements.

use rondo_kernels::sum::{self, cases::CASES, reference};

use crate::check::{Tolerance, assert_close, buffer, devices, filled, ones, random, read, set};

#[test]
fn devices_agree_with_the_reference() {
    for &len in CASES {
        // Negative log-likelihoods are of one sign, so that the sum is large.
        let x: Vec<f64> = random(len, 1).iter().map(|x| x + 1.0).collect();
        let want = reference::forward(&x);
        for device in devices() {
            let (from, mut to) = (buffer(&device, &x), ones(&device, 1));
            sum::forward(&device, from.slice(), to.slice_mut());
            let name = format!("sum of {len} numbers on {device}");
            assert_close(&name, &read(&to), &[want], Tolerance::Elementwise);
        }
    }
}

#[test]
fn only_the_given_elements_count_and_only_one_is_written() {
    for device in devices() {
        let (from, mut to) = (filled(&device, &[1.0, 2.0, 4.0, 8.0, 16.0]), ones(&device, 3));
        sum::forward(&device, from.range(1..4), to.range_mut(1..2));
        assert_eq!(read(&to), [1.0, 14.0, 1.0], "on {device}");
    }
}

#[test]
fn broken_numbers_show() {
    for device in devices() {
        for len in [1, 300, 20_000] {
            for at in [0, len - 1] {
                let sum = |value: f32| {
                    let (mut x, mut to) = (ones(&device, len), ones(&device, 1));
                    set(&mut x, at, value);
                    sum::forward(&device, x.slice(), to.slice_mut());
                    read(&to)[0]
                };
                assert!(sum(f32::NAN).is_nan(), "on {device}");
                assert_eq!(sum(f32::INFINITY), f32::INFINITY, "on {device}");
                assert_eq!(sum(f32::NEG_INFINITY), f32::NEG_INFINITY, "on {device}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "length of sum")]
fn other_lengths_are_refused() {
    let device = &devices()[0];
    sum::forward(device, ones(device, 2).slice(), ones(device, 2).slice_mut());
}
