//! Decoder, softmax and cross-entropy in one.

use criterion::Criterion;
use rondo_kernels::decoder::{self, Backward, Dims, Forward, WeightGradient, cases::CASES};
use rondo_kernels::{Buffer, Device, Store};

use crate::measure::{copy, devices, ids, measure, measure_fresh, numbers};

/// A batch of the WikiText-2 recipe.
const WIKITEXT2: Dims = Dims { rows: 700, width: 200, vocab: 33_278 };

/// What both ways read.
struct Inputs {
    weight: Buffer,
    bias: Buffer,
    hidden: Buffer,
    targets: Buffer<u32>,
}

impl Inputs {
    fn new(device: &Device, dims: Dims) -> Inputs {
        Inputs {
            weight: numbers(device, dims.vocab * dims.width),
            bias: numbers(device, dims.vocab),
            hidden: numbers(device, dims.rows * dims.width),
            targets: ids(device, dims.rows, dims.vocab),
        }
    }

    fn forward(&self, device: &Device, dims: Dims, outputs: [&mut Buffer; 2], kept: Option<&mut Buffer>) {
        let [nll, scratch] = outputs;
        let args = Forward {
            weight: self.weight.slice(),
            bias: Some(self.bias.slice()),
            hidden: self.hidden.slice(),
            targets: self.targets.slice(),
            only_as_target: None,
            nll: nll.slice_mut(),
            kept: kept.map(Buffer::slice_mut),
            scratch: scratch.slice_mut(),
        };
        decoder::forward(device, dims, args);
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES.iter().chain(&[WIKITEXT2]) {
            let inputs = Inputs::new(&device, dims);
            let flop = 2 * dims.rows * dims.width * dims.vocab;
            let mut nll = numbers(&device, dims.rows);
            let mut kept = numbers(&device, decoder::kept_len(&device, dims));
            let mut scratch = numbers(&device, decoder::forward_scratch_len(&device, dims));
            measure(criterion, "decoder_forward", dims, &device, flop, || {
                inputs.forward(&device, dims, [&mut nll, &mut scratch], None);
            });
            measure(criterion, "decoder_forward_kept", dims, &device, flop, || {
                inputs.forward(&device, dims, [&mut nll, &mut scratch], Some(&mut kept));
            });
            // Criterion leaves out what it is not asked for, but backward needs what forward keeps.
            inputs.forward(&device, dims, [&mut nll, &mut scratch], Some(&mut kept));

            let mut scratch = numbers(&device, decoder::backward_scratch_len(&device, dims));
            let mut d_hidden = numbers(&device, dims.rows * dims.width);
            let mut d_weight = numbers(&device, dims.vocab * dims.width);
            let mut d_bias = numbers(&device, dims.vocab);
            let fresh = || copy(&device, &kept);
            measure_fresh(criterion, "decoder_backward", dims, &device, 2 * flop, fresh, |kept| {
                let args = Backward {
                    weight: inputs.weight.slice(),
                    hidden: inputs.hidden.slice(),
                    targets: inputs.targets.slice(),
                    kept: kept.slice_mut(),
                    scale: 1.0 / dims.rows as f32,
                    d_hidden: d_hidden.slice_mut(),
                    d_weight: WeightGradient::Product(d_weight.slice_mut()),
                    d_bias: Some(d_bias.slice_mut()),
                    store: Store::Overwrite,
                    scratch: scratch.slice_mut(),
                };
                decoder::backward(&device, dims, args);
            });
        }
    }
}
