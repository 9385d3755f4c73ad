//! What activations are penalized by: their squares, and those of their changes.

use rondo_kernels::activation_penalty::{self, Dims, Penalty, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{Tolerance, assert_close, assert_gradient, buffer, devices, ones, random, read, stores};

#[test]
fn backward_is_the_gradient_of_forward() {
    for dims in [Dims { steps: 4, batch: 2, width: 3 }, Dims { steps: 2, batch: 1, width: 5 }] {
        let h = random(dims.steps * dims.batch * dims.width, 1);
        for penalty in Penalty::ALL {
            let gradient = reference::backward(dims, penalty, 0.7, &h);
            let loss = |h: &[f64]| 0.7 * reference::forward(dims, penalty, h);
            assert_gradient(&format!("{penalty:?}"), &h, &gradient, loss);
        }
    }
}

#[test]
fn the_means_are_over_what_is_squared() {
    let dims = Dims { steps: 3, batch: 1, width: 2 };
    let h = [1.0, 2.0, 4.0, 2.0, 4.0, 5.0];
    assert_eq!(reference::forward(dims, Penalty::Size, &h), (1.0 + 4.0 + 16.0 + 4.0 + 16.0 + 25.0) / 6.0);
    assert_eq!(reference::forward(dims, Penalty::Change, &h), (9.0 + 0.0 + 0.0 + 9.0) / 4.0);
}

#[test]
fn devices_agree_with_the_reference() {
    /// In the order of the number of rows, as training has it: gradients of the order of one.
    const SCALE: f64 = 700.0;
    for &dims in CASES {
        let len = dims.steps * dims.batch * dims.width;
        let h = random(len, 1);
        for penalty in Penalty::ALL {
            let want = reference::forward(dims, penalty, &h);
            let mut first = None;
            for device in devices() {
                let name = |what: &str| format!("{what} of {penalty:?}, {dims:?} on {device}");
                let from = buffer(&device, &h);
                let value = activation_penalty::forward(&device, dims, penalty, from.slice()).unwrap();
                // On a CPU in `f64`, too, in another order; and the same bit for bit on every CPU. A GPU has no `f64`.
                let is_cpu = matches!(device, Device::Cpu(_));
                let tolerance = if is_cpu { 1e-12 } else { 1e-6 };
                assert!(
                    (value - want).abs() <= tolerance * (1.0 + want),
                    "{}: {value}, {want}",
                    name("mean")
                );
                assert!(!is_cpu || value == *first.get_or_insert(value), "{}", name("mean"));
                for (store, want) in stores(&reference::backward(dims, penalty, SCALE, &h)) {
                    let mut d_h = ones(&device, len);
                    let (from, to) = (from.slice(), d_h.slice_mut());
                    activation_penalty::backward(&device, dims, penalty, SCALE, from, to, store);
                    assert_close(&name("d_h"), &read(&d_h), &want, Tolerance::Elementwise);
                }
            }
        }
    }
}

#[test]
fn a_single_step_does_not_change() {
    let device = Device::cpu(1).unwrap();
    let dims = Dims { steps: 1, batch: 2, width: 2 };
    let h = buffer(&device, &random(4, 1));
    assert_eq!(activation_penalty::forward(&device, dims, Penalty::Change, h.slice()).unwrap(), 0.0);
    for (store, want) in stores(&[0.0; 4]) {
        let mut d_h = ones(&device, 4);
        activation_penalty::backward(&device, dims, Penalty::Change, 1.0, h.slice(), d_h.slice_mut(), store);
        assert_close("d_h", &read(&d_h), &want, Tolerance::Exact);
    }
}

#[test]
#[should_panic(expected = "length of h")]
fn other_lengths_are_refused() {
    let device = Device::cpu(1).unwrap();
    let dims = Dims { steps: 2, batch: 1, width: 2 };
    activation_penalty::forward(&device, dims, Penalty::Size, Buffer::zeros(&device, 3).slice()).unwrap();
}
