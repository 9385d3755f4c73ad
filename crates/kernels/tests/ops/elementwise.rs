//! Sums, products and multiples, element by element.

use rondo_kernels::Buffer;
use rondo_kernels::elementwise::{self, cases::CASES, reference};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, devices, dot, ones, random, read, stores,
};

#[test]
fn the_documented_gradients_are_right() {
    let (a, b, d_y) = (random(9, 1), random(9, 2), random(9, 3));
    assert_gradient("a of a + b", &a, &d_y, |a| dot(&reference::add(a, &b), &d_y));
    let d_a = reference::multiply(&d_y, &b);
    assert_gradient("a of a ∘ b", &a, &d_a, |a| dot(&reference::multiply(a, &b), &d_y));
    let d_x = reference::scale(0.3, &d_y);
    assert_gradient("x of 0.3 · x", &a, &d_x, |x| dot(&reference::scale(0.3, x), &d_y));
}

#[test]
fn cpu_agrees_with_the_reference() {
    for &len in CASES {
        let (a, b) = (random(len, 1), random(len, 2));
        for device in devices() {
            let name = |what: &str| format!("{what} of {len} numbers on {device}");
            let (from_a, from_b) = (buffer(&device, &a), buffer(&device, &b));
            let mut y = ones(&device, len);
            elementwise::add(&device, from_a.slice(), from_b.slice(), y.slice_mut());
            assert_close(&name("sum"), &read(&y), &reference::add(&a, &b), Tolerance::Elementwise);
            for (store, want) in stores(&reference::multiply(&a, &b)) {
                let mut y = ones(&device, len);
                elementwise::multiply(&device, from_a.slice(), from_b.slice(), y.slice_mut(), store);
                assert_close(&name("product"), &read(&y), &want, Tolerance::Elementwise);
            }
            for (store, want) in stores(&reference::scale(-2.5, &a)) {
                let mut y = ones(&device, len);
                elementwise::scale(&device, -2.5, from_a.slice(), y.slice_mut(), store);
                assert_close(&name("multiple"), &read(&y), &want, Tolerance::Elementwise);
            }
        }
    }
}

#[test]
#[should_panic(expected = "length of b")]
fn other_lengths_are_refused() {
    let device = &devices()[0];
    let (a, b) = (ones(device, 2), ones(device, 3));
    elementwise::add(device, a.slice(), b.slice(), Buffer::zeros(device, 2).slice_mut());
}
