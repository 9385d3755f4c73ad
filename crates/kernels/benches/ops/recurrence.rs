//! The recurrent layers' walk over time.

use criterion::Criterion;
use rondo_kernels::recurrence::mogrifier::{self, Weights};
use rondo_kernels::recurrence::{
    self, Backward, BackwardProjection, Cell, Dims, Forward, Pack, cases::cases,
};
use rondo_kernels::{Buffer, Device, Store, linear};

use crate::measure::{copy, devices, measure_fresh, numbers};

/// Layers of the published models, and steps of one stream.
const WORKLOADS: [Dims; 9] = [
    Dims::new(Cell::Lstm, 35, 20, 200),
    Dims::new(Cell::Lstm, 35, 20, 650),
    Dims::new(Cell::Lstm, 64, 64, 512),
    Dims::new(Cell::RnnTanh, 64, 32, 256),
    Dims::new(Cell::Gru, 35, 20, 200),
    Dims::new(Cell::Cifg, 35, 20, 200),
    Dims::new(Cell::Mogrifier, 35, 20, 200),
    Dims::new(Cell::Lstm, 1, 1, 200),
    Dims::new(Cell::Lstm, 1, 1, 650),
];

/// A layer, and what a walk leaves.
struct Layer {
    dims: Dims,
    r: Buffer,
    bias: Buffer,
    extra: Buffer,
    hidden: Buffer,
    cell_state: Buffer,
    projection: Buffer,
    /// What a Mogrifier has in addition.
    x: Buffer,
    weight_ih: Buffer,
    weights: Weights<Buffer>,
    kept: Buffer,
}

/// The other weights, packed.
struct Packed {
    projection: Option<Buffer>,
    mogrifier: Option<[Buffer; 2]>,
}

impl Layer {
    fn new(device: &Device, dims: Dims) -> Layer {
        // So small weights that the states stay small, even those of a rectifier.
        let small = |len: usize| {
            let numbers = numbers(device, len);
            let small: Vec<f32> = numbers.read().unwrap().iter().map(|w| w / dims.hidden as f32).collect();
            Buffer::from_slice(device, &small).unwrap()
        };
        let r = small(dims.weight().count());
        let input = dims.rounds.map_or(0, |rounds| rounds.input);
        let weights = dims.rounds.map_or([None; 4], |rounds| rounds.weight_shapes(dims.hidden));
        Layer {
            projection: small(dims.projection.map_or(0, |output| output * dims.hidden)),
            x: numbers(device, dims.steps * dims.batch * input),
            weight_ih: small(dims.gates_width() * input),
            weights: weights.map(|shape| shape.map(|[rows, columns]| small(rows * columns))),
            kept: numbers(device, dims.kept_len()),
            dims,
            r,
            bias: numbers(device, dims.gates_width()),
            extra: numbers(device, dims.extra_len()),
            hidden: numbers(device, dims.states_len()),
            cell_state: numbers(device, dims.cell_state_len()),
        }
    }

    fn packed(&self, device: &Device, kind: Pack) -> Buffer {
        let weight = self.dims.weight();
        let mut packed = Buffer::zeros(device, recurrence::pack_len(device, weight, kind));
        recurrence::pack(device, weight, kind, self.r.slice(), packed.slice_mut());
        packed
    }

    fn more(&self, device: &Device, kind: linear::Pack) -> Packed {
        let dense = |inputs, outputs, weight: &Buffer| {
            let mut packed = Buffer::zeros(device, linear::pack_len(device, inputs, outputs, kind));
            linear::pack(device, inputs, outputs, kind, weight.slice(), packed.slice_mut());
            packed
        };
        let Dims { hidden, projection, rounds, .. } = self.dims;
        Packed {
            projection: projection.map(|output| dense(hidden, output, &self.projection)),
            mogrifier: rounds.map(|rounds| {
                let mut packed = Buffer::zeros(device, mogrifier::pack_len(device, rounds, hidden, kind));
                let weights = self.weights.each_ref().map(|weight| weight.as_ref().map(Buffer::slice));
                mogrifier::pack(device, rounds, hidden, kind, weights, packed.slice_mut());
                [dense(rounds.input, self.dims.gates_width(), &self.weight_ih), packed]
            }),
        }
    }

    /// Walks forward and turns `gates`, the input projection, into the activated gates.
    fn forward(&mut self, device: &Device, packed: &Buffer, more: &Packed, gates: &mut Buffer) {
        let mut no_scratch = Buffer::zeros(device, 0);
        let args = Forward {
            packed: packed.slice().into(),
            bias_ih: self.bias.slice(),
            bias_hh: Some(self.bias.slice()),
            gates: gates.slice_mut(),
            extra: self.extra.slice_mut(),
            hidden: self.hidden.slice_mut(),
            cell_state: self.cell_state.slice_mut(),
            projection: more.projection.as_ref().map(|packed| packed.slice().into()),
            mogrifier: more.mogrifier.as_ref().map(|[packed_ih, packed]| mogrifier::Forward {
                x: self.x.slice(),
                packed_ih: packed_ih.slice(),
                packed: packed.slice(),
                kept: self.kept.slice_mut(),
            }),
            cell_clip: None,
            resets: None,
            scratch: no_scratch.slice_mut(),
        };
        recurrence::forward(device, self.dims, args);
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        let is_available = |dims: &Dims| {
            let is_plain = dims.projection.is_none() && dims.rounds.is_none();
            is_plain || device.require_cpu("such a layer").is_ok()
        };
        for dims in cases().chain(WORKLOADS).filter(is_available) {
            let mut layer = Layer::new(&device, dims);
            let flop = 2 * flops(dims);
            let packed = layer.packed(&device, Pack::Forward);
            let more = layer.more(&device, linear::Pack::Forward);
            let xw = numbers(&device, dims.gates_len());
            let fresh = || copy(&device, &xw);
            measure_fresh(criterion, "recurrence_forward", dims, &device, flop, fresh, |gates| {
                layer.forward(&device, &packed, &more, gates);
            });
            let mut gates = fresh();
            layer.forward(&device, &packed, &more, &mut gates);

            let packed = layer.packed(&device, Pack::Backward);
            let more = layer.more(&device, linear::Pack::Backward);
            let d_hidden = numbers(&device, dims.steps * dims.batch * dims.output());
            let mut d_r = numbers(&device, layer.r.len());
            let [mut d_bias_ih, mut d_bias_hh] = [(); 2].map(|()| numbers(&device, dims.gates_width()));
            let mut scratch = numbers(&device, recurrence::backward_scratch_len(&device, dims, false));
            let mut d_projection = numbers(&device, layer.projection.len());
            let mut d_x = numbers(&device, layer.x.len());
            let mut d_weight_ih = numbers(&device, layer.weight_ih.len());
            let mut d_weights =
                layer.weights.each_ref().map(|weight| weight.as_ref().map(|w| numbers(&device, w.len())));
            let fresh = || (copy(&device, &gates), copy(&device, &layer.extra), copy(&device, &layer.kept));
            measure_fresh(
                criterion,
                "recurrence_backward",
                dims,
                &device,
                2 * flop,
                fresh,
                |(gates, extra, kept)| {
                    let args = Backward {
                        packed: packed.slice(),
                        gates: gates.slice_mut(),
                        extra: extra.slice_mut(),
                        hidden: layer.hidden.slice(),
                        cell_state: layer.cell_state.slice(),
                        resets: None,
                        projection: more.projection.as_ref().map(|packed| BackwardProjection {
                            packed: packed.slice(),
                            d_weight: d_projection.slice_mut(),
                        }),
                        mogrifier: more.mogrifier.as_ref().map(|[packed_ih, packed]| mogrifier::Backward {
                            x: layer.x.slice(),
                            packed_ih: packed_ih.slice(),
                            packed: packed.slice(),
                            kept: kept.slice_mut(),
                            d_x: d_x.slice_mut(),
                            d_weight_ih: d_weight_ih.slice_mut(),
                            d_weights: d_weights
                                .each_mut()
                                .map(|weight| weight.as_mut().map(Buffer::slice_mut)),
                        }),
                        cell_clip: None,
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

/// The multiplications of a forward walk.
fn flops(dims: Dims) -> usize {
    let of_rounds = dims.rounds.map_or(0, |rounds| {
        let weights = rounds.weight_shapes(dims.hidden).into_iter().flatten();
        weights.map(|[rows, columns]| rows * columns).sum::<usize>() + dims.gates_width() * rounds.input
    });
    let of_projection = dims.projection.map_or(0, |output| output * dims.hidden);
    dims.steps * dims.batch * (dims.weight().count() + of_projection + of_rounds)
}
