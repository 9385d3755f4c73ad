//! The dense layer.

use rondo_kernels::linear::{self, Backward, Dims, Pack, cases::CASES, reference};
use rondo_kernels::{Buffer, Device, Store};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, dot, filled, product_devices, random, random_short,
    read,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 3, inputs: 4, outputs: 5 };
    let (w, x) = (random(20, 1), random(12, 2));
    let (bias, d_y) = (random(5, 3), random(15, 4));
    let gradients = reference::backward(dims, &w, &x, &d_y);
    let loss = |w: &[f64], bias: &[f64], x: &[f64]| dot(&reference::forward(dims, w, Some(bias), x), &d_y);
    assert_gradient("w", &w, &gradients.d_w, |w| loss(w, &bias, &x));
    assert_gradient("bias", &bias, &gradients.d_bias, |bias| loss(&w, bias, &x));
    assert_gradient("x", &x, &gradients.d_x, |x| loss(&w, &bias, x));
}

#[test]
fn cpu_agrees_with_the_reference() {
    for &dims in CASES {
        let Dims { rows, inputs, outputs } = dims;
        let (w, x) = (random_short(outputs * inputs, 1), random_short(rows * inputs, 2));
        let (bias, d_y) = (random_short(outputs, 3), random_short(rows * outputs, 4));
        let y = reference::forward(dims, &w, Some(&bias), &x);
        let gradients = reference::backward(dims, &w, &x, &d_y);
        for device in product_devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let [w, x, bias, d_y] = [&w, &x, &bias, &d_y].map(|values| buffer(&device, values));
            let packed = packed(&device, dims, Pack::Forward, &w);
            let mut got = buffer(&device, &random_short(rows * outputs, 5));
            linear::forward(&device, dims, packed.slice(), Some(bias.slice()), x.slice(), got.slice_mut());
            assert_close(&name("y"), &read(&got), &y, Tolerance::Sum);

            let packed = self::packed(&device, dims, Pack::Backward, &w);
            for store in [Store::Overwrite, Store::Add] {
                let mut d_x = filled(&device, &vec![1.0; rows * inputs]);
                let mut d_w = filled(&device, &vec![1.0; outputs * inputs]);
                let mut d_bias = filled(&device, &vec![1.0; outputs]);
                let mut scratch = Buffer::zeros(&device, linear::backward_scratch_len(&device, dims));
                let args = Backward {
                    x: x.slice(),
                    d_y: d_y.slice(),
                    d_x: Some((packed.slice(), d_x.slice_mut(), store)),
                    d_w: d_w.slice_mut(),
                    d_bias: Some(d_bias.slice_mut()),
                    store,
                    scratch: scratch.slice_mut(),
                };
                linear::backward(&device, dims, args);
                let before = if store == Store::Add { 1.0 } else { 0.0 };
                let want = |values: &[f64]| values.iter().map(|v| v + before).collect::<Vec<_>>();
                assert_close(&name("d_x"), &read(&d_x), &want(&gradients.d_x), Tolerance::Sum);
                assert_close(&name("d_w"), &read(&d_w), &want(&gradients.d_w), Tolerance::Sum);
                assert_close(&name("d_bias"), &read(&d_bias), &want(&gradients.d_bias), Tolerance::Sum);
            }
        }
    }
}

fn packed(device: &Device, dims: Dims, kind: Pack, w: &Buffer) -> Buffer {
    let mut packed = Buffer::zeros(device, linear::pack_len(device, dims.inputs, dims.outputs, kind));
    linear::pack(device, dims.inputs, dims.outputs, kind, w.slice(), packed.slice_mut());
    packed
}
