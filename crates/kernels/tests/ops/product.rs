//! The matrix product.

use rondo_kernels::product::{self, Dims, cases::CASES, reference};
use rondo_kernels::{Buffer, Store};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, dot, filled, product_devices, random, random_short,
    read,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { m: 3, k: 4, n: 5 };
    let (a, b, d_c) = (random(12, 1), random(20, 2), random(15, 3));
    let (d_a, d_b) = reference::backward(dims, &a, &b, &d_c);
    assert_gradient("a", &a, &d_a, |a| dot(&reference::forward(dims, a, &b), &d_c));
    assert_gradient("b", &b, &d_b, |b| dot(&reference::forward(dims, &a, b), &d_c));
}

#[test]
fn cpu_agrees_with_the_reference() {
    for &dims in CASES {
        let Dims { m, k, n } = dims;
        let (a, b, d_c) = (random_short(m * k, 1), random_short(k * n, 2), random_short(m * n, 3));
        let c = reference::forward(dims, &a, &b);
        let (d_a, d_b) = reference::backward(dims, &a, &b, &d_c);
        for device in product_devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let [a, b, d_c] = [&a, &b, &d_c].map(|values| buffer(&device, values));
            let mut got = Buffer::zeros(&device, m * n);
            let mut scratch = Buffer::zeros(&device, product::forward_scratch_len(&device, dims));
            product::forward(&device, dims, a.slice(), b.slice(), got.slice_mut(), scratch.slice_mut());
            assert_close(&name("c"), &read(&got), &c, Tolerance::Sum);
            let mut scratch = Buffer::zeros(&device, product::backward_scratch_len(&device, dims));
            for (store, before) in [(Store::Overwrite, 0.0), (Store::Add, 1.0)] {
                let want = |values: &[f64]| values.iter().map(|v| v + before).collect::<Vec<_>>();
                let mut got = filled(&device, &vec![1.0; m * k]);
                let (to, scratch) = (got.slice_mut(), &mut scratch);
                product::backward_a(&device, dims, d_c.slice(), b.slice(), to, store, scratch.slice_mut());
                assert_close(&name("d_a"), &read(&got), &want(&d_a), Tolerance::Sum);
                let mut got = filled(&device, &vec![1.0; k * n]);
                let to = got.slice_mut();
                product::backward_b(&device, dims, a.slice(), d_c.slice(), to, store, scratch.slice_mut());
                assert_close(&name("d_b"), &read(&got), &want(&d_b), Tolerance::Sum);
            }
        }
    }
}
