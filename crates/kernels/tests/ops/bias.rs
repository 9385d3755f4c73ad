//! A row added to every row.

use rondo_kernels::bias::{self, Dims, cases::CASES, reference};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, devices, dot, ones, random, read, stores,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 4, columns: 3 };
    let (x, bias, d_y) = (random(12, 1), random(3, 2), random(12, 3));
    let d_bias = reference::backward(dims, &d_y);
    assert_gradient("bias", &bias, &d_bias, |bias| dot(&reference::forward(dims, &x, bias), &d_y));
    assert_gradient("x", &x, &d_y, |x| dot(&reference::forward(dims, x, &bias), &d_y));
}

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let len = dims.rows * dims.columns;
        let (x, bias, d_y) = (random(len, 1), random(dims.columns, 2), random(len, 3));
        let want_y = reference::forward(dims, &x, &bias);
        for device in devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let [x, bias, d_y_buffer] = [&x, &bias, &d_y].map(|values| buffer(&device, values));
            let mut y = ones(&device, len);
            bias::forward(&device, dims, x.slice(), bias.slice(), y.slice_mut());
            assert_close(&name("y"), &read(&y), &want_y, Tolerance::Elementwise);
            for (store, want) in stores(&reference::backward(dims, &d_y)) {
                let mut d_bias = ones(&device, dims.columns);
                bias::backward(&device, dims, d_y_buffer.slice(), d_bias.slice_mut(), store);
                assert_close(&name("d_bias"), &read(&d_bias), &want, Tolerance::Sum);
            }
        }
    }
}

/// More than a GPU adds up at once.
#[test]
fn no_row_of_many_is_lost() {
    let dims = Dims { rows: 600_001, columns: 2 };
    for device in devices() {
        let d_y = ones(&device, 2 * dims.rows);
        for (store, want) in stores(&[600_001.0; 2]) {
            let mut d_bias = ones(&device, 2);
            bias::backward(&device, dims, d_y.slice(), d_bias.slice_mut(), store);
            assert_close(&format!("d_bias on {device}"), &read(&d_bias), &want, Tolerance::Exact);
        }
    }
}
