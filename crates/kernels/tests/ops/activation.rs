//! Tanh, sigmoid and rectifier.

use rondo_kernels::Store;
use rondo_kernels::activation::{self, Activation, cases::CASES, reference};

use crate::check::{
    Golden, Tolerance, assert_close, assert_gradient, buffer, devices, dot, filled, ones, random, read,
    stores,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let (x, d_y) = (random(20, 1), random(20, 2));
    for activation in Activation::ALL {
        let gradient = reference::backward(activation, &reference::forward(activation, &x), &d_y);
        let name = format!("{activation:?}");
        assert_gradient(&name, &x, &gradient, |x| dot(&reference::forward(activation, x), &d_y));
    }
}

#[test]
fn devices_agree_with_the_reference() {
    for &len in CASES {
        let (x, d_y) = (random(len, 1).iter().map(|x| 8.0 * x).collect::<Vec<_>>(), random(len, 2));
        for activation in Activation::ALL {
            let y = reference::forward(activation, &x);
            for device in devices() {
                let name = |what: &str| format!("{what} of {len} numbers, {activation:?}, on {device}");
                let (from, mut to) = (buffer(&device, &x), buffer(&device, &random(len, 3)));
                activation::forward(&device, activation, from.slice(), to.slice_mut());
                assert_close(&name("y"), &read(&to), &y, Tolerance::Function);

                let found: Vec<f64> = read(&to).iter().map(|&y| f64::from(y)).collect();
                for (store, want) in stores(&reference::backward(activation, &found, &d_y)) {
                    let (d_y, mut d_x) = (buffer(&device, &d_y), ones(&device, len));
                    let (y, d_y, to) = (to.slice(), d_y.slice(), d_x.slice_mut());
                    activation::backward(&device, activation, y, d_y, to, store);
                    assert_close(&name("d_x"), &read(&d_x), &want, Tolerance::Elementwise);
                }
            }
        }
    }
}

#[test]
fn a_nan_stays_one() {
    for device in devices() {
        for activation in Activation::ALL {
            let (x, mut y) = (filled(&device, &[f32::NAN; 17]), ones(&device, 17));
            activation::forward(&device, activation, x.slice(), y.slice_mut());
            assert!(read(&y).iter().all(|y| y.is_nan()), "{activation:?} on {device}: {y:?}");
        }
    }
}

#[test]
fn it_agrees_with_pytorch() {
    let golden = Golden::open("ops");
    let names = [(Activation::Tanh, "tanh"), (Activation::Sigmoid, "sigmoid"), (Activation::Relu, "relu")];
    for device in devices() {
        let [x, d_y] = ["x", "upstream"].map(|name| filled(&device, &golden.floats(name)));
        for (activation, name) in names {
            let (mut y, mut d_x) = (ones(&device, x.len()), ones(&device, x.len()));
            activation::forward(&device, activation, x.slice(), y.slice_mut());
            assert_close(name, &read(&y), &golden.floats(&format!("{name}.value")), Tolerance::Function);
            let (y, d_y, to) = (y.slice(), d_y.slice(), d_x.slice_mut());
            activation::backward(&device, activation, y, d_y, to, Store::Overwrite);
            assert_close(name, &read(&d_x), &golden.floats(&format!("{name}.grad")), Tolerance::Function);
        }
    }
}
