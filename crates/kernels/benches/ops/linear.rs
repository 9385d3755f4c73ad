//! The dense layer, and laying out its weight.

use criterion::Criterion;
use rondo_kernels::linear::{self, Backward, Dims, Pack, cases::CASES};
use rondo_kernels::{Buffer, Device, Store};

use crate::measure::{devices, measure, numbers};

/// Beyond the cases, the last of which is the input projection of the WikiText-2 recipe: that of a medium LSTM, and
/// the logits of one stream and of several.
const WORKLOADS: [Dims; 3] = [
    Dims { rows: 2_240, inputs: 650, outputs: 2_600 },
    Dims { rows: 1, inputs: 200, outputs: 33_278 },
    Dims { rows: 32, inputs: 200, outputs: 33_278 },
];

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES.iter().chain(&WORKLOADS) {
            let Dims { rows, inputs, outputs } = dims;
            let flop = 2 * rows * inputs * outputs;
            let w = numbers(&device, outputs * inputs);
            let mut packed = packed(&device, dims, Pack::Forward, &w);
            measure(criterion, "linear_pack", dims, &device, outputs * inputs, || {
                linear::pack(&device, inputs, outputs, Pack::Forward, w.slice(), packed.slice_mut());
            });
            let (x, bias) = (numbers(&device, rows * inputs), numbers(&device, outputs));
            let mut y = numbers(&device, rows * outputs);
            measure(criterion, "linear_forward", dims, &device, flop, || {
                let (w, bias) = (packed.slice(), Some(bias.slice()));
                linear::forward(&device, dims, w, bias, x.slice(), y.slice_mut());
            });
            let packed = self::packed(&device, dims, Pack::Backward, &w);
            let (mut d_x, mut d_w) = (numbers(&device, rows * inputs), numbers(&device, outputs * inputs));
            let mut d_bias = numbers(&device, outputs);
            let mut scratch = numbers(&device, linear::backward_scratch_len(&device, dims));
            measure(criterion, "linear_backward", dims, &device, 2 * flop, || {
                let args = Backward {
                    x: x.slice(),
                    d_y: y.slice(),
                    d_x: Some((packed.slice(), d_x.slice_mut(), Store::Overwrite)),
                    d_w: d_w.slice_mut(),
                    d_bias: Some(d_bias.slice_mut()),
                    store: Store::Overwrite,
                    scratch: scratch.slice_mut(),
                };
                linear::backward(&device, dims, args);
            });
        }
    }
}

fn packed(device: &Device, dims: Dims, kind: Pack, w: &Buffer) -> Buffer {
    let mut packed = Buffer::zeros(device, linear::pack_len(device, dims.inputs, dims.outputs, kind));
    linear::pack(device, dims.inputs, dims.outputs, kind, w.slice(), packed.slice_mut());
    packed
}
