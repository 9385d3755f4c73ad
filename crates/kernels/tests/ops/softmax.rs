//! Softmax with a temperature.

use rondo_kernels::Store;
use rondo_kernels::softmax::{self, Dims, cases::CASES, reference};

use crate::check::{
    Golden, Tolerance, assert_close, assert_gradient, buffer, devices, dot, filled, ones, random, read, set,
    stores,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 3, columns: 4 };
    let (x, d_y) = (random(12, 1), random(12, 2));
    for temperature in [0.5, 1.0, 3.0] {
        let y = reference::forward(dims, temperature, &x);
        let gradient = reference::backward(dims, temperature, &y, &d_y);
        assert_gradient("x", &x, &gradient, |x| dot(&reference::forward(dims, temperature, x), &d_y));
    }
}

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let len = dims.rows * dims.columns;
        let (x, d_y) = (random(len, 1).iter().map(|x| 20.0 * x).collect::<Vec<_>>(), random(len, 2));
        for temperature in [0.5f32, 2.0] {
            let want_y = reference::forward(dims, f64::from(temperature), &x);
            for device in devices() {
                let name = |what: &str| format!("{what} of {dims:?} at {temperature} on {device}");
                let (from, d_y_buffer) = (buffer(&device, &x), buffer(&device, &d_y));
                let mut y = ones(&device, len);
                softmax::forward(&device, dims, temperature, from.slice(), y.slice_mut());
                assert_close(&name("y"), &read(&y), &want_y, Tolerance::Function);
                let found: Vec<f64> = read(&y).iter().map(|&y| f64::from(y)).collect();
                let gradient = reference::backward(dims, f64::from(temperature), &found, &d_y);
                for (store, want) in stores(&gradient) {
                    let mut d_x = ones(&device, len);
                    let (y, d_y, to) = (y.slice(), d_y_buffer.slice(), d_x.slice_mut());
                    softmax::backward(&device, dims, temperature, y, d_y, to, store);
                    assert_close(&name("d_x"), &read(&d_x), &want, Tolerance::Function);
                }
            }
        }
    }
}

#[test]
fn temperature_makes_it_sharp_or_flat_and_exclusion_is_total() {
    let dims = Dims { rows: 1, columns: 20 };
    let mut logits: Vec<f32> = random(20, 1).iter().map(|&x| 5.0 * x as f32).collect();
    logits[3] = 7.0;
    logits[8] = f32::NEG_INFINITY;
    for device in devices() {
        let x = filled(&device, &logits);
        let at = |temperature| {
            let mut y = ones(&device, 20);
            softmax::forward(&device, dims, temperature, x.slice(), y.slice_mut());
            read(&y).to_vec()
        };
        assert!(at(0.1)[3] > 0.999);
        let flat = at(1000.0);
        assert!(flat.iter().enumerate().all(|(i, &y)| if i == 8 {
            y == 0.0
        } else {
            (y - 1.0 / 19.0).abs() < 1e-3
        }));
    }
}

#[test]
fn a_nan_spoils_its_row_only() {
    let dims = Dims { rows: 3, columns: 18 };
    for device in devices() {
        for column in [0, 17] {
            let (mut x, mut y) = (ones(&device, 54), ones(&device, 54));
            set(&mut x, 18 + column, f32::NAN);
            softmax::forward(&device, dims, 1.0, x.slice(), y.slice_mut());
            let nans: Vec<bool> = read(&y).iter().map(|y| y.is_nan()).collect();
            assert_eq!(nans, [[false; 18], [true; 18], [false; 18]].concat(), "on {device}");
        }
    }
}

#[test]
fn it_agrees_with_pytorch() {
    let golden = Golden::open("ops");
    let dims = Dims { rows: 4, columns: 7 };
    let (values, gradients) = (golden.floats("softmax.value"), golden.floats("softmax.grad"));
    for device in devices() {
        let [x, d_y] = ["x", "upstream"].map(|name| filled(&device, &golden.floats(name)));
        for (i, temperature) in golden.floats("temperatures").into_iter().enumerate() {
            let (mut y, mut d_x) = (ones(&device, 28), ones(&device, 28));
            softmax::forward(&device, dims, temperature, x.slice(), y.slice_mut());
            assert_close("y", &read(&y), &values[28 * i..28 * (i + 1)], Tolerance::Function);
            let (y, d_y, to) = (y.slice(), d_y.slice(), d_x.slice_mut());
            softmax::backward(&device, dims, temperature, y, d_y, to, Store::Overwrite);
            // At temperature 0.1 a rounding of y is multiplied by ten.
            assert_close("d_x", &read(&d_x), &gradients[28 * i..28 * (i + 1)], Tolerance::Sum);
        }
    }
}

/// More rows than a GPU has workgroups along one dimension.
#[test]
fn no_row_of_many_is_forgotten() {
    let dims = Dims { rows: 70_001, columns: 1 };
    for device in devices() {
        let (x, mut y) = (buffer(&device, &random(dims.rows, 1)), buffer(&device, &random(dims.rows, 2)));
        softmax::forward(&device, dims, 1.0, x.slice(), y.slice_mut());
        assert!(read(&y).iter().all(|&y| y == 1.0), "on {device}");
    }
}
