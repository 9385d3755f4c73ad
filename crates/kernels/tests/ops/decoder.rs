//! Decoder, softmax and cross-entropy in one.

use rondo_kernels::decoder::reference::{self, Inputs};
use rondo_kernels::decoder::{self, Backward, Dims, Forward, WeightGradient, cases::CASES};
use rondo_kernels::{Buffer, Device, Store};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, filled, product_devices, random, random_ids, read, set,
};

fn inputs(dims: Dims, with_bias: bool) -> Inputs<f64> {
    Inputs {
        weight: random(dims.vocab * dims.width, 1),
        bias: random(if with_bias { dims.vocab } else { 0 }, 2),
        hidden: random(dims.rows * dims.width, 3),
        targets: random_ids(dims.rows, dims.vocab, 4),
        only_as_target: vec![],
    }
}

/// With half of the tokens left out of the rows whose target they are not, and all of the second half of them, which is a
/// chunk, a thread's part, or both. One token stays, so that no target is alone.
fn sampled(dims: Dims, with_bias: bool) -> Inputs<f64> {
    let mut inputs = inputs(dims, with_bias);
    let only = random_ids(dims.vocab, 2, 5);
    inputs.only_as_target = only
        .iter()
        .enumerate()
        .map(|(v, &only)| u32::from(v > 0 && (only == 1 || v > dims.vocab / 2)))
        .collect();
    inputs
}

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 3, width: 4, vocab: 6 };
    for inputs in [inputs(dims, true), sampled(dims, true)] {
        let scale = 0.7;
        let gradients = reference::backward(dims, &inputs, scale);
        let with = |change: &dyn Fn(&mut Inputs<f64>)| {
            let mut inputs = inputs.clone();
            change(&mut inputs);
            scale * reference::forward(dims, &inputs).iter().sum::<f64>()
        };
        assert_gradient("weight", &inputs.weight, &gradients.weight, |v| with(&|i| i.weight = v.to_vec()));
        assert_gradient("bias", &inputs.bias, &gradients.bias, |v| with(&|i| i.bias = v.to_vec()));
        assert_gradient("hidden", &inputs.hidden, &gradients.hidden, |v| with(&|i| i.hidden = v.to_vec()));
    }
}

/// Inputs on a device.
struct OnDevice {
    weight: Buffer,
    bias: Buffer,
    hidden: Buffer,
    targets: Buffer<u32>,
    only_as_target: Buffer<u32>,
}

impl OnDevice {
    fn new(device: &Device, inputs: &Inputs<f64>) -> Self {
        let [weight, bias, hidden] =
            [&inputs.weight, &inputs.bias, &inputs.hidden].map(|v| buffer(device, v));
        let [targets, only_as_target] = [&inputs.targets, &inputs.only_as_target].map(|v| filled(device, v));
        OnDevice { weight, bias, hidden, targets, only_as_target }
    }

    fn forward(&self, device: &Device, dims: Dims, kept: Option<&mut Buffer>) -> Vec<f32> {
        let mut nll = Buffer::zeros(device, dims.rows);
        let mut scratch = filled(device, &vec![f32::NAN; decoder::forward_scratch_len(device, dims)]);
        let args = Forward {
            weight: self.weight.slice(),
            bias: (!self.bias.is_empty()).then(|| self.bias.slice()),
            hidden: self.hidden.slice(),
            targets: self.targets.slice(),
            only_as_target: (!self.only_as_target.is_empty()).then(|| self.only_as_target.slice()),
            nll: nll.slice_mut(),
            kept: kept.map(Buffer::slice_mut),
            scratch: scratch.slice_mut(),
        };
        decoder::forward(device, dims, args);
        read(&nll).to_vec()
    }
}

#[test]
fn cpu_agrees_with_the_reference() {
    let all = |with_bias| CASES.iter().map(move |&dims| (dims, with_bias, inputs(dims, with_bias)));
    let samples = |with_bias| CASES.iter().map(move |&dims| (dims, with_bias, sampled(dims, with_bias)));
    for (dims, with_bias, inputs) in all(true).chain(all(false)).chain(samples(true)).chain(samples(false)) {
        let scale = 0.5;
        let nll = reference::forward(dims, &inputs);
        let gradients = reference::backward(dims, &inputs, scale);
        for device in product_devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let on_device = OnDevice::new(&device, &inputs);
            let got = on_device.forward(&device, dims, None);
            assert_close(&name("nll, nothing kept"), &got, &nll, Tolerance::Sum.on(&device));
            let mut kept = filled(&device, &vec![f32::NAN; decoder::kept_len(&device, dims)]);
            let got_kept = on_device.forward(&device, dims, Some(&mut kept));
            assert_close(&name("nll"), &got_kept, &nll, Tolerance::Sum.on(&device));
            // Of a few rows, what is kept is summed in another order.
            if dims.rows > 8 {
                assert_eq!(got, got_kept, "{}", name("nll"));
            }

            let mut scratch = filled(&device, &vec![f32::NAN; decoder::backward_scratch_len(&device, dims)]);
            let ones = |len| filled(&device, &vec![1.0; len]);
            let (mut d_hidden, mut d_weight) = (ones(dims.rows * dims.width), ones(dims.vocab * dims.width));
            let mut d_bias = ones(dims.vocab);
            let store = if with_bias { Store::Add } else { Store::Overwrite };
            let args = Backward {
                weight: on_device.weight.slice(),
                hidden: on_device.hidden.slice(),
                targets: on_device.targets.slice(),
                kept: kept.slice_mut(),
                scale: scale as f32,
                d_hidden: d_hidden.slice_mut(),
                d_weight: WeightGradient::Product(d_weight.slice_mut()),
                d_bias: with_bias.then(|| d_bias.slice_mut()),
                store,
                scratch: scratch.slice_mut(),
            };
            decoder::backward(&device, dims, args);
            let before = if with_bias { 1.0 } else { 0.0 };
            let want = |values: &[f64]| values.iter().map(|v| v + before).collect::<Vec<_>>();
            assert_close(&name("d_hidden"), &read(&d_hidden), &gradients.hidden, Tolerance::Sum.on(&device));
            assert_close(
                &name("d_weight"),
                &read(&d_weight),
                &want(&gradients.weight),
                Tolerance::Sum.on(&device),
            );
            if with_bias {
                assert_close(
                    &name("d_bias"),
                    &read(&d_bias),
                    &want(&gradients.bias),
                    Tolerance::Sum.on(&device),
                );
            }
        }
    }
}

#[test]
fn the_factor_of_a_gradient_multiplied_by_the_input_is_the_gradient() {
    for (&dims, with_bias) in CASES.iter().flat_map(|dims| [(dims, true), (dims, false)]) {
        let (inputs, scale) = (inputs(dims, with_bias), 0.5);
        let gradients = reference::backward(dims, &inputs, scale);
        for device in product_devices().iter().filter(|device| device.require_cpu("factors").is_ok()) {
            let on_device = OnDevice::new(device, &inputs);
            let mut kept = filled(device, &vec![f32::NAN; decoder::kept_len(device, dims)]);
            on_device.forward(device, dims, Some(&mut kept));
            let mut scratch = filled(device, &vec![f32::NAN; decoder::backward_scratch_len(device, dims)]);
            let mut factor = filled(device, &vec![f32::NAN; dims.vocab * dims.rows]);
            let (mut d_hidden, mut d_bias) =
                (Buffer::zeros(device, dims.rows * dims.width), Buffer::zeros(device, dims.vocab));
            let args = Backward {
                weight: on_device.weight.slice(),
                hidden: on_device.hidden.slice(),
                targets: on_device.targets.slice(),
                kept: kept.slice_mut(),
                scale: scale as f32,
                d_hidden: d_hidden.slice_mut(),
                d_weight: WeightGradient::Factor(factor.slice_mut()),
                d_bias: with_bias.then(|| d_bias.slice_mut()),
                store: Store::Overwrite,
                scratch: scratch.slice_mut(),
            };
            decoder::backward(device, dims, args);
            let factor = read(&factor);
            let element = |v: usize, j: usize| {
                let of_row = |r| factor[v * dims.rows + r] * inputs.hidden[r * dims.width + j] as f32;
                (0..dims.rows).map(of_row).sum::<f32>()
            };
            let elements = (0..dims.vocab).flat_map(|v| (0..dims.width).map(move |j| (v, j)));
            let product: Vec<f32> = elements.map(|(v, j)| element(v, j)).collect();
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let tolerance = Tolerance::Sum.on(device);
            assert_close(&name("the product"), &product, &gradients.weight, tolerance);
            assert_close(&name("d_hidden"), &read(&d_hidden), &gradients.hidden, tolerance);
            if with_bias {
                assert_close(&name("d_bias"), &read(&d_bias), &gradients.bias, tolerance);
            }
        }
    }
}

#[test]
fn extreme_logits_neither_overflow_nor_hide_a_nan() {
    let dims = Dims { rows: 2, width: 1, vocab: 300 };
    let mut inputs = inputs(dims, true);
    inputs.weight.fill(1.0);
    inputs.bias = (0..300).map(|v| if v == 299 { 1e4 } else { -1e4 }).collect();
    inputs.targets = vec![299, 0];
    for device in product_devices() {
        let nll = OnDevice::new(&device, &inputs).forward(&device, dims, None);
        assert_eq!(nll[0], 0.0, "on {device}");
        assert_close("nll", &nll[1..], &[2e4f64], Tolerance::Sum.on(&device));
        let mut poisoned = OnDevice::new(&device, &inputs);
        set(&mut poisoned.hidden, 1, f32::NAN);
        let nll = poisoned.forward(&device, dims, None);
        assert!(nll[0] == 0.0 && nll[1].is_nan(), "{nll:?} on {device}");
    }
}

#[test]
#[should_panic(expected = "target 6 is out of range for a vocabulary of 6")]
fn a_target_outside_the_vocabulary_panics() {
    let dims = Dims { rows: 1, width: 1, vocab: 6 };
    let device = Device::cpu(1).unwrap();
    let mut on_device = OnDevice::new(&device, &inputs(dims, false));
    on_device.targets = filled(&device, &[6]);
    on_device.forward(&device, dims, None);
}
