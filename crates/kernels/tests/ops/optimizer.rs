//! Optimizer steps, against their definition and against PyTorch.

use rondo_kernels::optimizer::{
    self, Adam, Decay, Dynamic, GLUON_EPSILON, ProductGradient, RmsScale, Rows, Scale, Sgd,
};
use rondo_kernels::optimizer::{cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{Golden, Tolerance, assert_close, buffer, cpus, devices, filled, random, read, set};

const SGDS: [Sgd; 3] = [
    Sgd { learning_rate: 0.5, momentum: 0.0, weight_decay: 0.0 },
    Sgd { learning_rate: 0.5, momentum: 0.0, weight_decay: 0.1 },
    Sgd { learning_rate: 0.5, momentum: 0.9, weight_decay: 0.1 },
];
const ADAM: Adam = Adam {
    learning_rate: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.1,
    decay: Decay::Weight,
};
const SCALE: f64 = 0.3;

#[test]
fn the_norm_agrees_and_is_the_same_everywhere() {
    for &len in CASES {
        let x = random(len, 1);
        let want = reference::squared_norm(&x);
        let norm = |device: &Device| optimizer::squared_norm(device, buffer(device, &x).slice()).unwrap();
        let norms: Vec<f64> = cpus().iter().map(norm).collect();
        assert!((norms[0] - want).abs() < 1e-12 * want, "{} instead of {want}", norms[0]);
        assert!(norms.iter().all(|&norm| norm == norms[0]), "{norms:?}");
        // A GPU has no `f64`.
        for device in devices() {
            let (norm, mut sum) = (norm(&device), filled(&device, &[f32::NAN]));
            assert!((norm - want).abs() < 1e-6 * want, "{norm} instead of {want} on {device}");
            optimizer::squares(&device, buffer(&device, &x).slice(), sum.slice_mut());
            let sum = f64::from(read(&sum)[0]);
            assert!((sum - want).abs() < 1e-6 * want, "{sum} instead of {want} on {device}");
        }
    }
}

#[test]
fn the_norm_of_large_numbers_does_not_overflow() {
    for device in devices() {
        let x = filled(&device, &[1e30; 3]);
        let norm = optimizer::squared_norm(&device, x.slice()).unwrap().sqrt();
        assert!((norm / (3.0f64.sqrt() * 1e30) - 1.0).abs() < 1e-6, "{norm}");
        let x = filled(&device, &[1e-30; 3]);
        let norm = optimizer::squared_norm(&device, x.slice()).unwrap().sqrt();
        assert!((norm / (3.0f64.sqrt() * 1e-30) - 1.0).abs() < 1e-6, "{norm}");
        for (value, want) in [(0.0, 0.0), (1e15, 3e30), (1e30, f32::INFINITY), (f32::INFINITY, f32::INFINITY)]
        {
            let (x, mut sum) = (filled(&device, &[value; 3]), filled(&device, &[f32::NAN]));
            optimizer::squares(&device, x.slice(), sum.slice_mut());
            let sum = read(&sum)[0];
            assert!(sum == want || (sum / want - 1.0).abs() < 1e-6, "{sum} for {value} on {device}");
        }
        let (x, mut sum) = (filled(&device, &[1.0, f32::NAN]), filled(&device, &[0.0]));
        optimizer::squares(&device, x.slice(), sum.slice_mut());
        assert!(read(&sum)[0].is_nan(), "on {device}");
        assert!(optimizer::squared_norm(&device, x.slice()).unwrap().is_nan(), "on {device}");
        optimizer::squares(&device, x.range(0..0), sum.slice_mut());
        assert_eq!(read(&sum), [0.0], "on {device}");
    }
}

#[test]
fn clipping_on_the_device_is_clipping_on_the_host() {
    // More sums than a workgroup has invocations.
    for sums in [vec![0.0], vec![0.01, 0.02], (0..700).map(f64::from).collect::<Vec<_>>()] {
        let norm = sums.iter().sum::<f64>().sqrt();
        for (factor, limit) in
            [(1.0, None), (0.3, None), (1.0, Some(0.25)), (0.3, Some(0.1)), (2.0, Some(1e9))]
        {
            let scale = factor * limit.map_or(1.0, |limit| optimizer::clip_scale(norm, limit, GLUON_EPSILON));
            for device in devices() {
                let (sums, mut to) = (buffer(&device, &sums), filled(&device, &[f32::NAN; 2]));
                optimizer::clip(&device, sums.slice(), factor, limit, GLUON_EPSILON, to.slice_mut());
                for (got, want) in read(&to).into_iter().zip([scale, norm]) {
                    let error = (f64::from(got) - want).abs();
                    assert!(error <= 1e-6 * want, "{got} instead of {want} on {device}");
                }
            }
        }
    }
    for device in devices() {
        for bad in [f32::NAN, f32::INFINITY] {
            let (sums, mut to) = (filled(&device, &[1.0, bad]), filled(&device, &[0.0; 2]));
            optimizer::clip(&device, sums.slice(), 1.0, Some(0.25), GLUON_EPSILON, to.slice_mut());
            assert!(!read(&to)[1].is_finite(), "{bad} on {device}");
        }
    }
}

/// The weight and two tensors of state after each kind of step with a scale.
fn after_each_step(device: &Device, scale: Scale<'_>) -> Vec<Vec<f32>> {
    let (vocab, width) = (9, 40);
    let (rows, values) = some_rows(vocab, width, 1);
    let (rows, values) = (filled(device, &rows), buffer(device, &values));
    let gradient = Rows { rows: rows.slice(), values: values.slice(), width };
    let dense = buffer(device, &random(vocab * width, 2));
    let mut after = Vec::new();
    for kind in 0..4 {
        let [mut w, mut m, mut v] = initial(device);
        let (weight, first, second) = (w.slice_mut(), m.slice_mut(), v.slice_mut());
        match kind {
            0 => optimizer::sgd(device, &SGDS[2], scale, dense.slice(), weight, Some(first)),
            1 => optimizer::sgd_rows(device, &SGDS[2], scale, gradient, weight, Some(first)),
            2 => optimizer::adam(device, &ADAM, 3, scale, dense.slice(), weight, first, second),
            _ => optimizer::adam_rows(device, &ADAM, 3, scale, gradient, weight, first, second),
        }
        after.extend([read(&w), read(&m), read(&v)]);
    }
    after
}

fn initial(device: &Device) -> [Buffer; 3] {
    [3, 4, 5].map(|seed| buffer(device, &random(360, seed).iter().map(|x| x.abs()).collect::<Vec<_>>()))
}

#[test]
fn a_scale_of_the_device_is_one_of_the_host() {
    for device in devices() {
        let scale = filled(&device, &[8.0, 9.0, SCALE as f32, 7.0]);
        let want = after_each_step(&device, SCALE.into());
        assert_eq!(after_each_step(&device, Scale::Device(scale.range(2..4))), want, "on {device}");
    }
}

#[test]
fn a_norm_that_is_not_finite_changes_nothing() {
    for device in devices() {
        for norm in [f32::NAN, -f32::NAN, f32::INFINITY] {
            let scale = filled(&device, &[SCALE as f32, norm]);
            let want = [(); 4].map(|()| initial(&device).map(|buffer| read(&buffer))).concat();
            assert_eq!(after_each_step(&device, Scale::Device(scale.slice())), want, "{norm} on {device}");
            let mut values = filled(&device, &[1.0, f32::NAN, 3.0]);
            optimizer::zero_unless_finite(&device, scale.slice(), values.range_mut(0..2));
            assert_eq!(read(&values), [0.0, 0.0, 3.0], "{norm} on {device}");
        }
        let (scale, mut values) = (filled(&device, &[0.5, 1e30]), filled(&device, &[1.0, 2.0]));
        optimizer::zero_unless_finite(&device, scale.slice(), values.slice_mut());
        assert_eq!(read(&values), [1.0, 2.0]);
    }
}

#[test]
fn a_clipped_gradient_has_at_most_the_largest_norm() {
    assert_eq!(optimizer::clip_scale(0.0, 0.25, GLUON_EPSILON), 1.0);
    assert_eq!(optimizer::clip_scale(0.2, 0.25, GLUON_EPSILON), 1.0);
    assert_eq!(optimizer::clip_scale(f64::INFINITY, 0.25, GLUON_EPSILON), 0.0);
    let clipped = 3.0 * optimizer::clip_scale(3.0, 0.25, GLUON_EPSILON);
    assert!(clipped <= 0.25 && clipped > 0.249_999, "{clipped}");
}

#[test]
fn clipping_values_agrees_and_keeps_nan() {
    for &len in CASES {
        let mut want = random(len, 1);
        reference::clip_values(0.5, &mut want);
        for device in devices() {
            let mut values = buffer(&device, &random(len, 1));
            optimizer::clip_values(&device, 0.5, values.slice_mut());
            assert_close("clipped", &read(&values), &want, Tolerance::Exact);
            set(&mut values, 0, f32::NAN);
            optimizer::clip_values(&device, 0.5, values.slice_mut());
            assert!(read(&values)[0].is_nan(), "on {device}");
        }
    }
}

#[test]
fn sgd_agrees_with_the_reference() {
    for &len in CASES {
        for options in SGDS {
            let (gradients, mut weight, mut velocity) =
                ([random(len, 1), random(len, 2)], random(len, 3), vec![0.0; len]);
            for gradient in &gradients {
                reference::sgd(&options, SCALE, gradient, &mut weight, &mut velocity);
            }
            for device in devices() {
                let mut got = buffer(&device, &random(len, 3));
                let mut got_velocity = (options.momentum != 0.0).then(|| Buffer::zeros(&device, len));
                for gradient in &gradients {
                    let gradient = buffer(&device, gradient);
                    let v = got_velocity.as_mut().map(Buffer::slice_mut);
                    optimizer::sgd(&device, &options, SCALE.into(), gradient.slice(), got.slice_mut(), v);
                }
                let name = format!("{len} numbers, {options:?}, {device}");
                assert_close(&name, &read(&got), &weight, Tolerance::Elementwise);
                if let Some(got) = got_velocity {
                    assert_close(&name, &read(&got), &velocity, Tolerance::Elementwise);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "momentum 0.9 requires a velocity")]
fn momentum_needs_a_velocity() {
    let device = Device::cpu(1).unwrap();
    let (gradient, mut weight) = (Buffer::zeros(&device, 1), Buffer::zeros(&device, 1));
    optimizer::sgd(&device, &SGDS[2], SCALE.into(), gradient.slice(), weight.slice_mut(), None);
}

/// A row-sparse gradient of a `[V, width]` tensor: its rows and their values.
fn some_rows(vocab: usize, width: usize, seed: u64) -> (Vec<u32>, Vec<f64>) {
    let rows: Vec<u32> = (0..vocab as u32).filter(|row| row % 2 == 1 || row % 7 == 0).collect();
    let values = random(rows.len() * width, seed);
    (rows, values)
}

const SHAPES: [(usize, usize); 3] = [(500, 77), (40, 1), (3, 8)];

#[test]
fn sgd_on_rows_is_sgd_on_the_dense_gradient() {
    let (vocab, width) = SHAPES[0];
    let (rows, values) = some_rows(vocab, width, 1);
    let mut dense = vec![0.0; vocab * width];
    for (row, values) in rows.iter().zip(values.chunks(width)) {
        dense[*row as usize * width..][..width].copy_from_slice(values);
    }
    for device in devices() {
        let mut sparse = buffer(&device, &random(vocab * width, 2));
        let mut whole = buffer(&device, &random(vocab * width, 2));
        let (rows, values) = (filled(&device, &rows), buffer(&device, &values));
        let gradient = Rows { rows: rows.slice(), values: values.slice(), width };
        optimizer::sgd_rows(&device, &SGDS[0], SCALE.into(), gradient, sparse.slice_mut(), None);
        let gradient = buffer(&device, &dense);
        optimizer::sgd(&device, &SGDS[0], SCALE.into(), gradient.slice(), whole.slice_mut(), None);
        assert_eq!(&read(&sparse), &read(&whole), "on {device}");
    }
}

#[test]
fn sgd_on_rows_agrees_with_the_reference() {
    for ((vocab, width), options) in SHAPES.iter().flat_map(|&shape| SGDS.map(|options| (shape, options))) {
        let gradients = [1, 2].map(|seed| some_rows(vocab, width, seed));
        let (mut weight, mut velocity) = (random(vocab * width, 3), vec![0.0; vocab * width]);
        for (rows, values) in &gradients {
            reference::each_row(rows, width, values, [&mut weight, &mut velocity], |g, [w, v]| {
                reference::sgd(&options, SCALE, g, w, v);
            });
        }
        for device in devices() {
            let mut got = buffer(&device, &random(vocab * width, 3));
            let mut got_velocity = Buffer::zeros(&device, vocab * width);
            for (rows, values) in &gradients {
                let (rows, values) = (filled(&device, rows), buffer(&device, values));
                let gradient = Rows { rows: rows.slice(), values: values.slice(), width };
                let v = (options.momentum != 0.0).then(|| got_velocity.slice_mut());
                optimizer::sgd_rows(&device, &options, SCALE.into(), gradient, got.slice_mut(), v);
            }
            let name = format!("{vocab}x{width}, {options:?}, {device}");
            assert_close(&name, &read(&got), &weight, Tolerance::Elementwise);
            if options.momentum != 0.0 {
                assert_close(&name, &read(&got_velocity), &velocity, Tolerance::Elementwise);
            }
        }
    }
}

#[test]
fn adam_on_rows_agrees_with_the_reference() {
    for ((vocab, width), decay) in
        SHAPES.iter().flat_map(|&shape| [Decay::Weight, Decay::Gradient].map(|d| (shape, d)))
    {
        let options = Adam { decay, ..ADAM };
        let gradients = [1, 2].map(|seed| some_rows(vocab, width, seed));
        let len = vocab * width;
        let (mut weight, mut m, mut v) = (random(len, 3), vec![0.0; len], vec![0.0; len]);
        for (step, (rows, values)) in (1..).zip(&gradients) {
            reference::each_row(rows, width, values, [&mut weight, &mut m, &mut v], |g, [w, m, v]| {
                reference::adam(&options, step, SCALE, g, w, (m, v));
            });
        }
        for device in devices() {
            let mut got = buffer(&device, &random(len, 3));
            let [mut first, mut second] = [(); 2].map(|()| Buffer::zeros(&device, len));
            for (step, (rows, values)) in (1..).zip(&gradients) {
                let (rows, values) = (filled(&device, rows), buffer(&device, values));
                let gradient = Rows { rows: rows.slice(), values: values.slice(), width };
                let (w, m, v) = (got.slice_mut(), first.slice_mut(), second.slice_mut());
                optimizer::adam_rows(&device, &options, step, SCALE.into(), gradient, w, m, v);
            }
            let name = format!("{vocab}x{width}, {options:?}, {device}");
            assert_close(&name, &read(&got), &weight, Tolerance::Elementwise);
            assert_close(&name, &read(&first), &m, Tolerance::Elementwise);
            assert_close(&name, &read(&second), &v, Tolerance::Elementwise);
        }
    }
}

#[test]
fn rows_of_an_average_catch_up_with_weights_that_did_not_change() {
    for (vocab, width) in SHAPES {
        let (rows, _) = some_rows(vocab, width, 1);
        let len = vocab * width;
        let (weight, before) = (random(len, 2), random(len, 3));
        let mut want = before.clone();
        // One step of share 1/4 in some rows, and two, of shares 1/4 and 1/5, in others.
        let kept: Vec<f64> = rows.iter().map(|row| if row % 3 == 0 { 0.75 } else { 0.75 * 0.8 }).collect();
        for (row, kept) in rows.iter().zip(&kept) {
            let own = *row as usize * width..(*row as usize + 1) * width;
            reference::average(0.25, &weight[own.clone()], &mut want[own.clone()]);
            if *kept < 0.7 {
                reference::average(0.2, &weight[own.clone()], &mut want[own]);
            }
        }
        for device in devices() {
            let (rows, kept) = (filled(&device, &rows), buffer(&device, &kept));
            let (weight, mut average) = (buffer(&device, &weight), buffer(&device, &before));
            let (rows, kept) = (rows.slice(), kept.slice());
            optimizer::average_rows(&device, width, rows, kept, weight.slice(), average.slice_mut());
            assert_close("average", &read(&average), &want, Tolerance::Elementwise);
        }
    }
}

#[test]
#[should_panic(expected = "rows of a sparse gradient must be strictly increasing")]
fn rows_that_repeat_are_refused() {
    let device = Device::cpu(1).unwrap();
    let rows = filled(&device, &[1, 1]);
    let (values, mut weight) = (Buffer::zeros(&device, 2), Buffer::zeros(&device, 2));
    let gradient = Rows { rows: rows.slice(), values: values.slice(), width: 1 };
    optimizer::sgd_rows(&device, &SGDS[0], 1.0.into(), gradient, weight.slice_mut(), None);
}

#[test]
fn adam_agrees_with_the_reference() {
    for &len in CASES {
        for options in [ADAM, Adam { decay: Decay::Gradient, ..ADAM }] {
            let gradients = [random(len, 1), random(len, 2)];
            let (mut weight, mut m, mut v) = (random(len, 3), vec![0.0; len], vec![0.0; len]);
            for (gradient, step) in gradients.iter().zip(1..) {
                reference::adam(&options, step, SCALE, gradient, &mut weight, (&mut m, &mut v));
            }
            for device in devices() {
                let mut got = buffer(&device, &random(len, 3));
                let (mut got_m, mut got_v) = (Buffer::zeros(&device, len), Buffer::zeros(&device, len));
                for (gradient, step) in gradients.iter().zip(1..) {
                    adam(&device, &options, step, SCALE, gradient, &mut got, &mut got_m, &mut got_v);
                }
                let name = |what: &str| format!("{what}, {len} numbers, {options:?}, {device}");
                assert_close(&name("first moment"), &read(&got_m), &m, Tolerance::Elementwise);
                assert_close(&name("second moment"), &read(&got_v), &v, Tolerance::Elementwise);
                assert_close(&name("weight"), &read(&got), &weight, Tolerance::Function);
            }
        }
    }
}

#[test]
fn adapting_agrees_with_the_reference() {
    // The last decay overshoots where gradients are usually large, and is limited there.
    for (options, mean) in [(0.0, 0.5, 1), (0.02, 0.5, 1), (0.02, 0.5, 37), (0.9, 0.5, 1), (0.9, 0.5, 2)]
        .map(|(decay, mean, decays)| (Dynamic { learning_rate: 0.5, decay, decays }, mean))
    {
        for &len in CASES {
            let (gradient, trained) = (random(len, 1), random(len, 2));
            let rms: Vec<f64> = random(len, 3).into_iter().map(f64::abs).collect();
            for with_rms in [false, true] {
                let epsilon = 0.125;
                let rms_scale = with_rms.then_some((rms.as_slice(), mean, epsilon));
                let mut want = random(len, 4);
                reference::dynamic(&options, rms_scale, SCALE, &gradient, &trained, &mut want);
                let mut resting = random(len, 4);
                reference::dynamic(&options, rms_scale, SCALE, &vec![0.0; len], &trained, &mut resting);
                for device in devices() {
                    let rms = buffer(&device, &rms);
                    let rms_scale = with_rms.then(|| RmsScale { rms: rms.slice(), mean, epsilon });
                    let (gradient, trained) = (buffer(&device, &gradient), buffer(&device, &trained));
                    for (gradient, want) in [(Some(gradient.slice()), &want), (None, &resting)] {
                        let mut got = buffer(&device, &random(len, 4));
                        let (from, to) = (trained.slice(), got.slice_mut());
                        optimizer::dynamic(&device, &options, rms_scale, SCALE, gradient, from, to);
                        let name = format!("{len} numbers, {options:?}, {with_rms}, {device}");
                        // A power multiplies the rounding error of its base by its exponent.
                        let tolerance =
                            if options.decays == 1 { Tolerance::Function } else { Tolerance::Sum };
                        assert_close(&name, &read(&got), want, tolerance);
                    }
                }
            }
        }
    }
}

/// `[V, R]` and `[R, H]`, and their product `[V, H]`.
fn product(vocab: usize, rows: usize, width: usize) -> [Vec<f64>; 3] {
    let (left, right) = (random(vocab * rows, 1), random(rows * width, 2));
    let element = |v: usize, j: usize| (0..rows).map(|r| left[v * rows + r] * right[r * width + j]).sum();
    let all = (0..vocab).flat_map(|v| (0..width).map(move |j| (v, j))).map(|(v, j)| element(v, j)).collect();
    [left, right, all]
}

#[test]
fn a_product_is_the_gradient_that_it_would_be_multiplied_out() {
    for (vocab, rows, width) in [(1, 1, 1), (7, 5, 3), (77, 16, 33), (2_000, 5, 40)] {
        let [left, right, gradient] = product(vocab, rows, width);
        let len = vocab * width;
        let (trained, mean, epsilon) = (random(len, 3), 0.5, 0.125);
        let rms: Vec<f64> = random(len, 4).into_iter().map(f64::abs).collect();
        for device in cpus() {
            let (left, right) = (buffer(&device, &left), buffer(&device, &right));
            let product = ProductGradient { left: left.slice(), right: right.slice(), rows };
            let name = format!("{vocab} × {width} from {rows} rows on {device}");
            let squared_norm = optimizer::squared_norm_of_product(&device, product);
            let want = reference::squared_norm(&gradient);
            assert!((squared_norm - want).abs() <= 1e-5 * want, "{name}: {squared_norm} instead of {want}");
            for (decay, with_rms) in [(0.0, false), (0.1, false), (0.0, true), (0.1, true)] {
                let options = Dynamic { learning_rate: 0.5, decay, decays: 1 };
                let mut want = random(len, 5);
                let of_reference = with_rms.then_some((rms.as_slice(), mean, epsilon));
                reference::dynamic(&options, of_reference, SCALE, &gradient, &trained, &mut want);
                let (rms, from) = (buffer(&device, &rms), buffer(&device, &trained));
                let rms_scale = with_rms.then(|| RmsScale { rms: rms.slice(), mean, epsilon });
                let mut got = buffer(&device, &random(len, 5));
                let to = got.slice_mut();
                optimizer::dynamic_product(&device, &options, rms_scale, SCALE, product, from.slice(), to);
                assert_close(&format!("{name}, {options:?}, {with_rms}"), &read(&got), &want, Tolerance::Sum);
            }
        }
    }
}

#[test]
fn adapting_by_nothing_changes_nothing() {
    let options = Dynamic { learning_rate: 0.0, decay: 0.0, decays: 1 };
    for device in devices() {
        let [gradient, trained, rms] = [1, 2, 3].map(|seed| buffer(&device, &random(100, seed)));
        let rms_scale = RmsScale { rms: rms.slice(), mean: 0.5, epsilon: 0.0 };
        for rms_scale in [None, Some(rms_scale)] {
            let mut got = buffer(&device, &random(100, 4));
            let (gradient, to) = (Some(gradient.slice()), got.slice_mut());
            optimizer::dynamic(&device, &options, rms_scale, SCALE, gradient, trained.slice(), to);
            assert_close("unchanged", &read(&got), &random(100, 4), Tolerance::Exact);
        }
    }
}

#[test]
fn sgd_agrees_with_pytorch() {
    let golden = Golden::open("adam");
    let options = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01 };
    for device in devices() {
        for parameter in ["weight", "bias"] {
            let mut weight = filled(&device, &golden.floats(&format!("init.{parameter}")));
            let mut velocity = Buffer::zeros(&device, weight.len());
            for (gradient, want) in steps(&golden, "sgd", parameter, weight.len()) {
                let gradient = filled(&device, &gradient);
                let v = Some(velocity.slice_mut());
                optimizer::sgd(&device, &options, 1.0.into(), gradient.slice(), weight.slice_mut(), v);
                assert_close(&format!("{parameter} on {device}"), &read(&weight), &want, Tolerance::Function);
            }
        }
    }
}

#[test]
fn adam_agrees_with_pytorch() {
    let golden = Golden::open("adam");
    let adam_plain = Adam { weight_decay: 0.0, decay: Decay::Gradient, ..ADAM };
    let adam_decay =
        Adam { beta1: 0.8, beta2: 0.99, epsilon: 1e-6, weight_decay: 0.1, decay: Decay::Gradient, ..ADAM };
    for (name, options) in [("adam", adam_plain), ("adam_decay", adam_decay), ("adamw", ADAM)] {
        for device in devices() {
            for parameter in ["weight", "bias"] {
                let mut weight = filled(&device, &golden.floats(&format!("init.{parameter}")));
                let zeros = || Buffer::zeros(&device, weight.len());
                let (mut m, mut v) = (zeros(), zeros());
                for ((gradient, want), step) in steps(&golden, name, parameter, weight.len()).zip(1..) {
                    let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
                    adam(&device, &options, step, 1.0, &gradient, &mut weight, &mut m, &mut v);
                    let name = format!("{parameter} of {name} after step {step} on {device}");
                    assert_close(&name, &read(&weight), &want, Tolerance::Function);
                }
            }
        }
    }
}

/// Each step's gradient, and the values after it.
fn steps(
    golden: &Golden,
    optimizer: &str,
    parameter: &str,
    len: usize,
) -> impl Iterator<Item = (Vec<f32>, Vec<f32>)> + use<> {
    let gradients = golden.floats(&format!("grads.{parameter}"));
    let values = golden.floats(&format!("{optimizer}.{parameter}"));
    assert_eq!((gradients.len(), values.len()), (5 * len, 5 * len));
    let step = move |step: usize| {
        let range = step * len..(step + 1) * len;
        (gradients[range.clone()].to_vec(), values[range].to_vec())
    };
    (0..5).map(step)
}

#[allow(clippy::too_many_arguments)] // As many as the operation has.
fn adam(
    device: &Device,
    options: &Adam,
    step: u64,
    scale: f64,
    gradient: &[f64],
    weight: &mut Buffer,
    m: &mut Buffer,
    v: &mut Buffer,
) {
    let gradient = buffer(device, gradient);
    let (g, w, m, v) = (gradient.slice(), weight.slice_mut(), m.slice_mut(), v.slice_mut());
    optimizer::adam(device, options, step, scale.into(), g, w, m, v);
}

#[test]
fn averages_agree_with_the_reference_and_begin_with_the_weights_themselves() {
    for &len in CASES {
        let weights = [random(len, 1), random(len, 2), random(len, 3)];
        let mut want = random(len, 4);
        for (n, weight) in (1..).zip(&weights) {
            reference::average(1.0 / f64::from(n), weight, &mut want);
        }
        for device in devices() {
            let mut average = buffer(&device, &random(len, 4));
            for (n, weight) in (1..).zip(&weights) {
                let weight = buffer(&device, weight);
                optimizer::average(&device, 1.0 / f64::from(n), weight.slice(), average.slice_mut());
                if n == 1 {
                    assert_eq!(&read(&average), &read(&weight), "on {device}");
                }
            }
            assert_close("average", &read(&average), &want, Tolerance::Elementwise);
        }
    }
}
