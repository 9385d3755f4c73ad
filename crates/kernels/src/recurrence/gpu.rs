//! GPU implementation.
//!
//! ```text
//! small weights    a workgroup for each batch row walks over all steps; the state stays in its memory
//! large weights    a dispatch for each step, in which a workgroup computes 32 units of 4 batch rows
//! ```
//!
//! A walk needs few dispatches, but reads the whole weight at each step in each workgroup, which takes the longer the
//! larger it is. A step reads it once for every four rows, and all workgroups share the work, however few rows there are.
//! Which of them runs depends only on the layer, never on steps and rows: their sums have different orders.
//!
//! Both compute the arithmetic of a cell right after its sums, forward and backward, so that the sums stay where they are.

use super::{Backward, Cell, Dims, Forward, Pack, Weight};
use crate::gpu::product::{Matrix, Product};
use crate::gpu::{Gpu, Kernel, View, columns, groups};
use crate::{Slice, SliceMut};

/// The kernels of a cell.
struct Kernels {
    forward_walk: Kernel,
    forward_step: Kernel,
    backward_walk: Kernel,
    backward_step: Kernel,
}

macro_rules! kernels {
    ($name:literal, [$($forward:literal),*], [$($backward:literal),*]) => {{
        const FORWARD: &str =
            concat!(include_str!("gpu/math.wgsl"), $(include_str!($forward),)* include_str!("gpu/forward.wgsl"));
        const BACKWARD: &str =
            concat!(include_str!("gpu/math.wgsl"), $(include_str!($backward),)* include_str!("gpu/backward.wgsl"));
        const fn forward(entry: &'static str) -> Kernel {
            let name = concat!("recurrence forward, ", $name);
            Kernel { name, source: FORWARD, entry, inputs: 4, outputs: 3 }
        }
        const fn backward(entry: &'static str) -> Kernel {
            let name = concat!("recurrence backward, ", $name);
            Kernel { name, source: BACKWARD, entry, inputs: 4, outputs: 3 }
        }
        Kernels {
            forward_walk: forward("walk"),
            forward_step: forward("step"),
            backward_walk: backward("walk"),
            backward_step: backward("step"),
        }
    }};
}

const TANH: Kernels = kernels!(
    "rnn_tanh",
    ["gpu/tanh.wgsl", "gpu/rnn_forward.wgsl"],
    ["gpu/tanh.wgsl", "gpu/rnn_backward.wgsl"]
);
const RELU: Kernels = kernels!(
    "rnn_relu",
    ["gpu/relu.wgsl", "gpu/rnn_forward.wgsl"],
    ["gpu/relu.wgsl", "gpu/rnn_backward.wgsl"]
);
const LSTM: Kernels = kernels!("lstm", ["gpu/lstm_forward.wgsl"], ["gpu/lstm_backward.wgsl"]);
const CIFG: Kernels = kernels!("cifg", ["gpu/cifg_forward.wgsl"], ["gpu/cifg_backward.wgsl"]);
const GRU: Kernels = kernels!("gru", ["gpu/gru_forward.wgsl"], ["gpu/gru_backward.wgsl"]);

const TRANSPOSE: Kernel = Kernel {
    name: "packing a recurrent weight",
    source: include_str!("gpu/transpose.wgsl"),
    entry: "transpose_tile",
    inputs: 1,
    outputs: 1,
};

const MASKED: Kernel = Kernel {
    name: "recurrence resets",
    source: include_str!("gpu/masked.wgsl"),
    entry: "masked",
    inputs: 2,
    outputs: 1,
};

/// The invocations of a workgroup.
const GROUP: usize = 256;

/// Rows and columns of a tile of the transposition.
const TILE: usize = 32;

/// Batch rows and units of a workgroup that computes a step.
const STEP_TILE: (usize, usize) = (4, 32);

/// Terms that a walk adds up in one iteration of its loops, at least, except for the last ones.
const UNROLLED: usize = 8;

/// The largest recurrent weight with which workgroups walk. A workgroup reads about 64 bytes in each cycle, so that a step
/// takes it about 16,000 cycles then: as long as it takes to start a dispatch.
const MAX_WALK_WEIGHT: usize = 1 << 18;

/// The widest gates with which workgroups walk: those that fit twice in their memory.
const MAX_WALK_WIDTH: usize = 2_048;

/// The most iterations of loops in one dispatch: software devices stop them after 65,535.
const MAX_ITERATIONS: usize = 60_000;

fn kernels(cell: Cell) -> &'static Kernels {
    match cell {
        Cell::RnnTanh => &TANH,
        Cell::RnnRelu => &RELU,
        Cell::Lstm => &LSTM,
        Cell::Mogrifier => panic!("a Mogrifier is not available on a GPU"),
        Cell::Cifg => &CIFG,
        Cell::Gru => &GRU,
    }
}

/// Whether workgroups walk over the steps.
fn walks(dims: Dims) -> bool {
    let width = dims.gates_width();
    width <= MAX_WALK_WIDTH && width * dims.hidden <= MAX_WALK_WEIGHT
}

/// The most steps that a dispatch walks, in which each unit adds up `terms` terms.
fn steps_of_walk(dims: Dims, terms: usize) -> usize {
    let unit = terms / UNROLLED + UNROLLED + dims.cell.gates();
    let step = 1 + dims.hidden.div_ceil(GROUP) * unit;
    let before = dims.gates_width().div_ceil(GROUP);
    (MAX_ITERATIONS - before) / step
}

fn step_grid(dims: Dims) -> [u32; 3] {
    groups(dims.batch.div_ceil(STEP_TILE.0) * dims.hidden.div_ceil(STEP_TILE.1))
}

pub(super) fn pack(gpu: &Gpu, weight: Weight, kind: Pack, r: Slice<'_>, packed: SliceMut<'_>) {
    match kind {
        Pack::Forward => {
            let (m, n) = (weight.cell.gates() * weight.hidden, weight.output);
            if n > 0 {
                let grid = groups(m.div_ceil(TILE) * n.div_ceil(TILE));
                gpu.run(&TRANSPOSE, &[r.gpu(), packed.gpu()], &[m as u32, n as u32], grid);
            }
        }
        Pack::Backward => packed.copy_from(r),
    }
}

/// The word that says how far cell states can go; negative if there is no limit.
fn limit(cell_clip: Option<f32>) -> u32 {
    cell_clip.unwrap_or(-1.0).to_bits()
}

pub(super) fn forward(gpu: &Gpu, dims: Dims, args: Forward<'_>) {
    let Dims { cell, steps, batch, hidden: width, .. } = dims;
    // Models refuse it before.
    assert!(dims.projection.is_none(), "a projection is not available on a GPU");
    if batch * width == 0 {
        return;
    }
    let more = match cell {
        Cell::RnnTanh | Cell::RnnRelu => gpu.no_output(),
        Cell::Lstm | Cell::Mogrifier | Cell::Cifg => args.cell_state.gpu(),
        Cell::Gru => args.extra.gpu(),
    };
    let flags = [args.bias_hh.is_some(), args.resets.is_some()].map(u32::from);
    let bindings = [
        args.packed.numbers().gpu(),
        args.bias_ih.gpu(),
        args.bias_hh.map_or_else(|| gpu.no_input(), Slice::gpu),
        args.resets.map_or_else(|| gpu.no_input(), Slice::gpu),
        args.gates.gpu(),
        args.hidden.gpu(),
        more,
    ];
    let run = |kernel, first: usize, count: usize, grid| {
        let [has_hh, has_resets] = flags;
        let numbers = [width, batch, dims.gates_width(), first, count].map(|number| number as u32);
        let [width, batch, gates, first, count] = numbers;
        let numbers = [width, batch, gates, first, count, has_hh, has_resets, limit(args.cell_clip)];
        gpu.run(kernel, &bindings, &numbers, grid);
    };
    let kernels = kernels(cell);
    if walks(dims) {
        let most = steps_of_walk(dims, width);
        for first in (0..steps).step_by(most) {
            run(&kernels.forward_walk, first, most.min(steps - first), groups(batch));
        }
    } else {
        for t in 0..steps {
            run(&kernels.forward_step, t, 1, step_grid(dims));
        }
    }
}

/// What is carried from step to step, and with resets the states before the steps, with zeros where they are reset.
pub(super) fn backward_scratch_len(dims: Dims, resets: bool) -> usize {
    let masked = if resets { dims.steps * dims.batch * dims.hidden } else { 0 };
    dims.batch * dims.hidden + masked
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, args: Backward<'_>) {
    let Dims { cell, steps, batch, hidden: width, .. } = dims;
    let rows = steps * batch;
    if width == 0 {
        return;
    }
    let (gates, extra, mut scratch) = (args.gates.gpu(), args.extra.gpu(), args.scratch);
    if rows > 0 {
        let carry = scratch.reborrow().range(0..batch * width).gpu();
        let bindings = [
            args.packed.gpu(),
            if cell.has_cell_state() { args.cell_state.gpu() } else { args.hidden.gpu() },
            args.resets.map_or_else(|| gpu.no_input(), Slice::gpu),
            args.d_hidden.gpu(),
            gates,
            extra,
            carry,
        ];
        let run = |kernel, end: usize, count: usize, grid| {
            let numbers = [width, batch, steps, end, count].map(|number| number as u32);
            let [width, batch, steps, end, count] = numbers;
            let resets = u32::from(args.resets.is_some());
            let numbers = [width, batch, steps, end, count, resets, limit(args.cell_clip)];
            gpu.run(kernel, &bindings, &numbers, grid);
        };
        let kernels = kernels(cell);
        if walks(dims) {
            let most = steps_of_walk(dims, dims.gates_width());
            for end in (1..=steps).rev().step_by(most) {
                run(&kernels.backward_walk, end, most.min(end), groups(batch));
            }
        } else {
            for end in (1..=steps).rev() {
                run(&kernels.backward_step, end, 1, step_grid(dims));
            }
        }
    }

    // The rest is computed over all steps and rows at once.
    let before = match args.resets {
        None => args.hidden.gpu(),
        Some(resets) => {
            let len = rows * width;
            let masked = scratch.range(batch * width..batch * width + len).gpu();
            if len > 0 {
                let bindings = [args.hidden.gpu(), resets.gpu(), masked];
                gpu.run(&MASKED, &bindings, &[len as u32, width as u32], groups(len.div_ceil(GROUP)));
            }
            masked
        }
    };
    let gates_width = dims.gates_width();
    let in_place = cell.gates_before_reset() * width;
    let (mut d_r, store) = (args.d_r, args.store);
    let product = |d_gates: Matrix<'_>, m, d_r: View<'_>| {
        let (a, b) = (d_gates.transposed(), Matrix::rows(before, width));
        Product { shape: (m, rows, width), a, b, bias: None, c: d_r, c_stride: width, store }.run(gpu);
    };
    let d_r_first = d_r.reborrow().range(0..in_place * width).gpu();
    product(Matrix::rows(gates, gates_width), in_place, d_r_first);
    if in_place < gates_width {
        let d_r_second = d_r.range(in_place * width..gates_width * width).gpu();
        product(Matrix::rows(extra, width), width, d_r_second);
    }
    let sum =
        |x: View<'_>, stride, columns, to: View<'_>| columns::sum(gpu, (rows, columns), x, stride, to, store);
    sum(gates, gates_width, gates_width, args.d_bias_ih.gpu());
    let Some(d_bias_hh) = args.d_bias_hh.map(SliceMut::gpu) else { return };
    sum(gates, gates_width, in_place, d_bias_hh);
    if in_place < gates_width {
        sum(extra, width, width, d_bias_hh.after(in_place));
    }
}
