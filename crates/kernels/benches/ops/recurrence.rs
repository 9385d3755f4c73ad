//! The recurrent layers' walk over time.

use criterion::Criterion;
use rondo_kernels::recurrence::{self, Backward, Cell, Dims, Forward, Pack, cases::cases};
use rondo_kernels::{Buffer, Device, Store};

use crate::measure::{copy, devices, measure_fresh, numbers};

/// Layers of the published models, and steps of one stream.
const WORKLOADS: [Dims; 7] = [
    Dims { cell: Cell::Lstm, steps: 35, batch: 20, hidden: 200 },
    Dims { cell: Cell::Lstm, steps: 35, batch: 20, hidden: 650 },
    Dims { cell: Cell::Lstm, steps: 64, batch: 64, hidden: 512 },
    Dims { cell: Cell::RnnTanh, steps: 64, batch: 32, hidden: 256 },
    Dims { cell: Cell::Gru, steps: 35, batch: 20, hidden: 200 },
    Dims { cell: Cell::Lstm, steps: 1, batch: 1, hidden: 200 },
    Dims { cell: Cell::Lstm, steps: 1, batch: 1, hidden: 650 },
];

/// A layer, and what a walk leaves.
struct Layer {
    dims: Dims,
    r: Buffer,
    bias: Buffer,
    extra: Buffer,
    hidden: Buffer,
    cell_state: Buffer,
}

impl Layer {
    fn new(device: &Device, dims: Dims) -> Layer {
        // So small weights that the states stay small, even those of a rectifier.
        let r = numbers(device, dims.gates_width() * dims.hidden);
        let small: Vec<f32> = r.read().unwrap().iter().map(|r| r / dims.hidden as f32).collect();
        let r = Buffer::from_slice(device, &small).unwrap();
        Layer {
            dims,
            r,
            bias: numbers(device, dims.gates_width()),
            extra: numbers(device, dims.extra_len()),
            hidden: numbers(device, dims.states_len()),
            cell_state: numbers(device, dims.cell_state_len()),
        }
    }

    fn packed(&self, device: &Device, kind: Pack) -> Buffer {
        let Dims { cell, hidden, .. } = self.dims;
        let mut packed = Buffer::zeros(device, recurrence::pack_len(device, cell, hidden, kind));
        recurrence::pack(device, cell, hidden, kind, self.r.slice(), packed.slice_mut());
        packed
    }

    /// Walks forward and turns `gates`, the input projection, into the activated gates.
    fn forward(&mut self, device: &Device, packed: &Buffer, gates: &mut Buffer) {
        let mut no_scratch = Buffer::zeros(device, 0);
        let args = Forward {
            packed: packed.slice(),
            bias_ih: self.bias.slice(),
            bias_hh: Some(self.bias.slice()),
            gates: gates.slice_mut(),
            extra: self.extra.slice_mut(),
            hidden: self.hidden.slice_mut(),
            cell_state: self.cell_state.slice_mut(),
            resets: None,
            scratch: no_scratch.slice_mut(),
        };
        recurrence::forward(device, self.dims, args);
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for dims in cases().chain(WORKLOADS) {
            let mut layer = Layer::new(&device, dims);
            let flop = 2 * dims.gates_len() * dims.hidden;
            let packed = layer.packed(&device, Pack::Forward);
            let xw = numbers(&device, dims.gates_len());
            let fresh = || copy(&device, &xw);
            measure_fresh(criterion, "recurrence_forward", dims, &device, flop, fresh, |gates| {
                layer.forward(&device, &packed, gates);
            });
            let mut gates = fresh();
            layer.forward(&device, &packed, &mut gates);

            let packed = layer.packed(&device, Pack::Backward);
            let d_hidden = numbers(&device, dims.steps * dims.batch * dims.hidden);
            let mut d_r = numbers(&device, layer.r.len());
            let [mut d_bias_ih, mut d_bias_hh] = [(); 2].map(|()| numbers(&device, dims.gates_width()));
            let mut scratch = numbers(&device, recurrence::backward_scratch_len(&device, dims, false));
            let fresh = || (copy(&device, &gates), copy(&device, &layer.extra));
            measure_fresh(
                criterion,
                "recurrence_backward",
                dims,
                &device,
                2 * flop,
                fresh,
                |(gates, extra)| {
                    let args = Backward {
                        packed: packed.slice(),
                        gates: gates.slice_mut(),
                        extra: extra.slice_mut(),
                        hidden: layer.hidden.slice(),
                        cell_state: layer.cell_state.slice(),
                        resets: None,
                        d_hidden: d_hidden.slice(),
                        d_r: d_r.slice_mut(),
                        d_bias_ih: d_bias_ih.slice_mut(),
                        d_bias_hh: Some(d_bias_hh.slice_mut()),
                        store: Store::Overwrite,
                        scratch: scratch.slice_mut(),
                    };
                    recurrence::backward(&device, dims, args);
                },
            );
        }
    }
}
