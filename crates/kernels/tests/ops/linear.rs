//! The dense layer.

use rondo_kernels::linear::{self, Backward, Dims, Pack, cases::CASES, reference};
use rondo_kernels::{Buffer, Device, Packed, Store};

use crate::check::{
    Tolerance, as_bytes, as_integers, assert_close, assert_gradient, buffer, dot, filled, is_affordable,
    product_devices, random, random_short, read,
};

/// The sizes that are tested here.
fn cases() -> impl Iterator<Item = Dims> {
    CASES.iter().copied().filter(|dims| is_affordable(dims.rows * dims.inputs * dims.outputs))
}

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
    for dims in cases() {
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

#[test]
fn weights_of_bytes_are_the_weights_that_they_stand_for() {
    for dims in cases() {
        let Dims { rows, inputs, outputs } = dims;
        let (w, x) = (random(outputs * inputs, 1), random(rows * inputs, 2));
        let bias = random(outputs, 3);
        let rounded = as_bytes(&w, inputs);
        let integers = as_integers(&x, inputs);
        let mut on_others: Option<Vec<f32>> = None;
        for device in product_devices().iter().filter(|device| Packed::supports_int8(device)) {
            let packed = packed_bytes(device, dims, &w);
            for bias in [None, Some(&bias)] {
                let y = reference::forward(dims, &rounded, bias.map(Vec::as_slice), &integers);
                let bias = bias.map(|bias| buffer(device, bias));
                let y_of = |rows, x: &[f64]| {
                    let mut got = buffer(device, &random(rows * outputs, 5));
                    let (x, bias) = (buffer(device, x), bias.as_ref().map(Buffer::slice));
                    let (packed, dims) = (Packed::Int8(packed.slice()), Dims { rows, ..dims });
                    linear::forward(device, dims, packed, bias, x.slice(), got.slice_mut());
                    read(&got)
                };
                let got = y_of(rows, &x);
                assert_close(&format!("y of {dims:?} on {device}"), &got, &y, Tolerance::Sum);
                // Sums of integers are the same on all processors.
                if bias.is_none() {
                    assert_eq!(&got, on_others.get_or_insert_with(|| got.clone()), "{dims:?}, {device}");
                }
                // A row is the same alone.
                for row in [0, rows / 2, rows - 1] {
                    let alone = y_of(1, &x[row * inputs..(row + 1) * inputs]);
                    assert_eq!(
                        alone,
                        got[row * outputs..(row + 1) * outputs],
                        "row {row}, {dims:?}, {device}"
                    );
                }
            }
            // What has been quantized stays as it is.
            let bits = |packed: &Buffer| read(packed).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(&packed), bits(&packed_bytes(device, dims, &rounded)), "{dims:?} on {device}");
        }
    }
}

#[test]
fn products_by_bytes_have_room_for_the_largest_sums_and_say_nan() {
    for inputs in [1, 5, 2_048, 2_049, 5_000] {
        let dims = Dims { rows: 2, inputs, outputs: 3 };
        let w: Vec<f64> = [1.0, -1.0, 0.5].iter().flat_map(|&w| vec![w; inputs]).collect();
        for device in product_devices().iter().filter(|device| Packed::supports_int8(device)) {
            let packed = packed_bytes(device, dims, &w);
            let y_of = |x: &[f64]| {
                let mut got = buffer(device, &[f64::NAN; 6]);
                let (packed, x) = (Packed::Int8(packed.slice()), buffer(device, x));
                linear::forward(device, dims, packed, None, x.slice(), got.slice_mut());
                read(&got)
            };
            let x: Vec<f64> = [3.0, -3.0].iter().flat_map(|&x| vec![x; inputs]).collect();
            let y = inputs as f64 * 3.0;
            let want = reference::forward(dims, &as_bytes(&w, inputs), None, &as_integers(&x, inputs));
            assert_close(&format!("{dims:?} on {device}"), &y_of(&x), &want, Tolerance::Function);
            assert!((want[0] / y - 1.0).abs() < 0.01, "{want:?} {y}");
            // Of the first row only.
            for bad in [f64::NAN, f64::INFINITY] {
                let mut x = x.clone();
                x[inputs / 2] = bad;
                let y = y_of(&x);
                assert!(y[..3].iter().all(|y| y.is_nan()), "{y:?}, {dims:?} on {device}");
                assert!(y[3..].iter().all(|y| y.is_finite()), "{y:?}, {dims:?} on {device}");
            }
        }
    }
}

fn packed_bytes(device: &Device, dims: Dims, w: &[f64]) -> Buffer {
    let mut packed = Buffer::zeros(device, linear::int8_pack_len(dims.inputs, dims.outputs));
    linear::pack_int8(device, dims.inputs, dims.outputs, buffer(device, w).slice(), packed.slice_mut());
    packed
}

fn packed(device: &Device, dims: Dims, kind: Pack, w: &Buffer) -> Buffer {
    let mut packed = Buffer::zeros(device, linear::pack_len(device, dims.inputs, dims.outputs, kind));
    linear::pack(device, dims.inputs, dims.outputs, kind, w.slice(), packed.slice_mut());
    packed
}
