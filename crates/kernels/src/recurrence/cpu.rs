//! CPU implementation: each thread runs all steps for its own batch rows or, if these are few, for its own
//! hidden units. This is a single file because the loop over time is one algorithm; the arithmetic of the
//! cells is elsewhere.
//!
//! The recurrent projection is added in place to the input projection in `gates`, and the cell turns the sums
//! into activated gates there; `backward` turns those into the gradient of the input projection, again in
//! place.

use super::cifg::Cifg;
use super::gru::Gru;
use super::lstm::Lstm;
use super::mogrifier::{self, BackwardRounds, ForwardRounds, Walked};
use super::rnn::{Relu, Tanh};
use super::rows::{BackwardRow, ForwardRow, Pointwise};
use super::split::{Part, Split};
use super::{Backward, Cell, Dims, Forward, Pack, Weight};
use crate::cpu::math::each_vector;
use crate::cpu::tile::{self, Matrix, PackedMatrix, Product, bytes};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, columns};
use crate::{Packed, Slice, SliceMut, Store};

/// The widths of the two parts of the pre-activations: those that add the recurrent projection in place, and
/// the one that the reset gate multiplies.
fn parts(cell: Cell, hidden: usize) -> (usize, usize) {
    let in_place = cell.gates_before_reset();
    (in_place * hidden, (cell.gates() - in_place) * hidden)
}

/// `[K, N]` of the two packed matrices.
fn packed_shapes(Weight { cell, hidden, output }: Weight, kind: Pack) -> [(usize, usize); 2] {
    let (in_place, extra) = parts(cell, hidden);
    match kind {
        Pack::Forward => [(output, in_place), (output, extra)],
        Pack::Backward => [(in_place, output), (extra, output)],
    }
}

pub(super) fn pack_len(weight: Weight, kind: Pack) -> usize {
    packed_shapes(weight, kind).into_iter().map(|(k, n)| tile::packed_len(k, n)).sum()
}

pub(super) fn pack(cpu: &Cpu, weight: Weight, kind: Pack, r: &[f32], packed: &mut [f32]) {
    let (in_place, _) = parts(weight.cell, weight.hidden);
    let shapes = packed_shapes(weight, kind);
    let (first, second) = packed.split_at_mut(tile::packed_len(shapes[0].0, shapes[0].1));
    let (r_first, r_second) = r.split_at(in_place * weight.output);
    for ((k, n), r, packed) in [(shapes[0], r_first, first), (shapes[1], r_second, second)] {
        let r = Matrix::rows(r, weight.output);
        let b = if kind == Pack::Forward { r.transposed() } else { r };
        // SAFETY: r has the rows of this part, as wide as the outputs.
        unsafe { tile::pack_all(cpu, k, n, b, packed) };
    }
}

pub(super) fn int8_pack_len(weight: Weight) -> usize {
    packed_shapes(weight, Pack::Forward).into_iter().map(|(k, n)| bytes::packed_len(k, n)).sum()
}

pub(super) fn pack_int8(cpu: &Cpu, weight: Weight, r: &[f32], packed: &mut [f32]) {
    let [(k, first), (_, second)] = packed_shapes(weight, Pack::Forward);
    let (packed_first, packed_second) = packed.split_at_mut(bytes::packed_len(k, first));
    let (r_first, r_second) = r.split_at(first * k);
    bytes::pack_all(cpu, k, first, r_first, packed_first);
    bytes::pack_all(cpu, k, second, r_second, packed_second);
}

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    match dims.cell {
        Cell::RnnTanh => walk_forward::<Tanh>(cpu, dims, args),
        Cell::RnnRelu => walk_forward::<Relu>(cpu, dims, args),
        Cell::Lstm | Cell::Mogrifier => walk_forward::<Lstm>(cpu, dims, args),
        Cell::Cifg => walk_forward::<Cifg>(cpu, dims, args),
        Cell::Gru => walk_forward::<Gru>(cpu, dims, args),
    }
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, args: Backward<'_>) {
    match dims.cell {
        Cell::RnnTanh => walk_backward::<Tanh>(cpu, dims, args),
        Cell::RnnRelu => walk_backward::<Relu>(cpu, dims, args),
        Cell::Lstm | Cell::Mogrifier => walk_backward::<Lstm>(cpu, dims, args),
        Cell::Cifg => walk_backward::<Cifg>(cpu, dims, args),
        Cell::Gru => walk_backward::<Gru>(cpu, dims, args),
    }
}

/// Whether each row of a step is reset, and a row of zeros that stands for its state.
#[derive(Clone, Copy)]
struct Resets<'a> {
    /// `[T, B]`.
    mask: Option<&'a [u32]>,
    /// As wide as any state, if there is a mask.
    zeros: &'a [f32],
}

impl Resets<'_> {
    /// Whether any of `count` rows is reset, from row `row` of all steps.
    #[inline(always)]
    fn any(self, row: usize, count: usize) -> bool {
        self.mask.is_some_and(|mask| mask[row..row + count].iter().any(|&reset| reset != 0))
    }

    /// The state before a step: that of its row, or zeros.
    #[inline(always)]
    fn state(self, row: usize, state: *const f32) -> *const f32 {
        if self.is_reset(row) { self.zeros.as_ptr() } else { state }
    }

    #[inline(always)]
    fn is_reset(self, row: usize) -> bool {
        self.mask.is_some_and(|mask| mask[row] != 0)
    }
}

/// The width of the widest state.
fn zeros_len(dims: Dims) -> usize {
    dims.hidden.max(dims.output())
}

pub(super) fn forward_scratch_len(cpu: &Cpu, dims: Dims, resets: bool) -> usize {
    let copies = Split::new(dims, cpu.threads()).parts() * dims.batch;
    if resets { zeros_len(dims) + copies * dims.output() } else { 0 }
}

/// The buffers of a forward pass, shared by the threads, each of which writes its own part.
struct ForwardWalk<'a> {
    dims: Dims,
    resets: Resets<'a>,
    /// `[B, P]` for each thread that shares the rows: the states before a step in which rows are reset.
    masked: SharedMut<'a, f32>,
    packed: PackedMatrix,
    bias_ih: &'a [f32],
    bias_hh: Option<&'a [f32]>,
    gates: SharedMut<'a, f32>,
    extra: SharedMut<'a, f32>,
    hidden: SharedMut<'a, f32>,
    cell_state: SharedMut<'a, f32>,
    /// The packed weight of the projection.
    projection: Option<PackedMatrix>,
    rounds: Option<ForwardRounds<'a>>,
    cell_clip: Option<f32>,
}

fn walk_forward<P: Pointwise>(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    struct Share<'a, P>(&'a ForwardWalk<'a>, Part<'a>, std::marker::PhantomData<P>);
    impl<P: Pointwise> Vectorized for Share<'_, P> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            // SAFETY: the parts of a split are one for each thread.
            unsafe { self.0.part::<S, P>(s, self.1) }
        }
    }
    let mask = args.resets.map(Slice::host);
    let width = if mask.is_some() { zeros_len(dims) } else { 0 };
    let (zeros, masked) = args.scratch.host().split_at_mut(width);
    zeros.fill(0.0);
    let walk = ForwardWalk {
        dims,
        resets: Resets { mask, zeros },
        masked: SharedMut::new(masked),
        packed: args.packed.host(),
        bias_ih: args.bias_ih.host(),
        bias_hh: args.bias_hh.map(Slice::host),
        gates: SharedMut::new(args.gates.host()),
        extra: SharedMut::new(args.extra.host()),
        hidden: SharedMut::new(args.hidden.host()),
        cell_state: SharedMut::new(args.cell_state.host()),
        projection: args.projection.map(Packed::host),
        rounds: dims
            .rounds
            .zip(args.mogrifier)
            .map(|(rounds, args)| ForwardRounds::new(rounds, dims.steps * dims.batch, dims.hidden, args)),
        cell_clip: args.cell_clip,
    };
    let split = Split::new(dims, cpu.threads());
    cpu.parallel(|thread| cpu.vectorized(Share::<P>(&walk, split.part(thread), std::marker::PhantomData)));
}

impl ForwardWalk<'_> {
    /// Runs all steps for one thread's part.
    ///
    /// # Safety
    /// All parts of a split must run at the same time, and no other code may access gates and states.
    #[inline(always)]
    unsafe fn part<S: Simd, P: Pointwise>(&self, s: S, part: Part<'_>) {
        let Dims { cell, steps, batch, hidden: width, .. } = self.dims;
        let rows = part.rows.clone();
        if rows.is_empty() {
            return;
        }
        let (gates_width, output) = (self.dims.gates_width(), self.dims.output());
        let (in_place, extra) = parts(cell, width);
        let second = self.packed.after(output, in_place);
        // Without a cell state, its pointers are not used.
        let cell_row = |row: usize| if cell.has_cell_state() { row * width } else { 0 };
        let units = part.of(width, tile::MAX_LANES);
        for row in (0..steps).map(|t| t * batch + rows.start) {
            let gates = self.gates.at(row * gates_width);
            let hidden = self.hidden.at(row * output);
            let pointer = if self.resets.any(row, rows.len()) {
                let masked = self.masked.at((part.index * batch + rows.start) * output);
                for r in 0..rows.len() {
                    let from = self.resets.state(row + r, hidden.wrapping_add(r * output));
                    // SAFETY: the copy of these rows is the caller's, and nobody writes the states before this step.
                    unsafe { std::ptr::copy_nonoverlapping(from, masked.add(r * output), output) };
                }
                masked
            } else {
                hidden
            };
            let mut h = Matrix { pointer, row_stride: output, column_stride: 1, paired: false };
            // SAFETY: the rows, and of these the panels and units, are the caller's; writes by other threads
            // that are needed here are waited for. The lengths have been checked by the public functions.
            unsafe {
                if let Some(rounds) = &self.rounds {
                    h = rounds.part(s, &part, row, h, (gates, gates_width));
                    // Panels of bytes are wider than those of the input projection, which other threads have written.
                    if matches!(self.packed, PackedMatrix::Bytes(_)) {
                        part.wait();
                    }
                }
                s.product(Product {
                    shape: (rows.len(), output, in_place),
                    a: h,
                    packed: self.packed,
                    panels: part.of(self.packed.panel_count(s, in_place), 1),
                    c: gates,
                    c_stride: gates_width,
                    store: Store::Add,
                });
                if extra > 0 {
                    s.product(Product {
                        shape: (rows.len(), output, extra),
                        a: h,
                        packed: second,
                        panels: part.of(second.panel_count(s, extra), 1),
                        c: self.extra.at(row * width),
                        c_stride: width,
                        store: Store::Overwrite,
                    });
                }
                part.wait();
                for r in 0..rows.len() {
                    let row = ForwardRow {
                        width,
                        bias_ih: self.bias_ih.as_ptr(),
                        bias_hh: self.bias_hh.map(<[f32]>::as_ptr),
                        gates: gates.add(r * gates_width),
                        extra: if extra > 0 { self.extra.at((row + r) * width) } else { self.extra.at(0) },
                        hidden_before: self.resets.state(row + r, hidden.add(r * output)),
                        hidden_after: match self.projection {
                            None => hidden.add((batch + r) * width),
                            Some(_) => self.extra.at((row + r) * width),
                        },
                        cell_state_before: self.resets.state(row + r, self.cell_state.at(cell_row(row + r))),
                        cell_state_after: self.cell_state.at(cell_row(row + r + batch)),
                        cell_clip: self.cell_clip,
                        simd: std::marker::PhantomData,
                    };
                    each_vector!(s, units.len(), |j, count| { P::forward(s, &row, units.start + j, count) });
                }
                part.wait();
                if let Some(packed) = self.projection {
                    let pointer = self.extra.at(row * width);
                    s.product(Product {
                        shape: (rows.len(), width, output),
                        a: Matrix { pointer, row_stride: width, column_stride: 1, paired: false },
                        packed,
                        panels: part.of(packed.panel_count(s, output), 1),
                        c: hidden.add(batch * output),
                        c_stride: output,
                        store: Store::Overwrite,
                    });
                    part.wait();
                }
            }
        }
    }
}

pub(super) fn backward_scratch_len(dims: Dims, resets: bool) -> usize {
    let BackwardScratch { states, zeros, masked, totals, packed } = BackwardScratch::of(dims, resets);
    states + zeros + masked + totals + packed
}

/// The lengths of the parts of the scratch buffer of a backward pass.
struct BackwardScratch {
    /// The gradients that are carried from step to step.
    states: usize,
    zeros: usize,
    /// The states before the steps, if rows are reset.
    masked: usize,
    /// With a projection, the gradients of all outputs, those through later steps included.
    totals: usize,
    /// What the gradients of weights are multiplied by.
    packed: usize,
}

impl BackwardScratch {
    fn of(dims: Dims, resets: bool) -> BackwardScratch {
        let (rows, output) = (dims.steps * dims.batch, dims.output());
        let projects = dims.projection.is_some();
        BackwardScratch {
            states: 2 * dims.batch * dims.hidden,
            zeros: if resets || projects { zeros_len(dims) } else { 0 },
            masked: if resets { rows * output } else { 0 },
            totals: if projects { rows * output } else { 0 },
            packed: match dims.rounds {
                Some(rounds) => mogrifier::packed_rows_len(rounds, rows, dims.hidden),
                None if projects => tile::packed_len(rows, zeros_len(dims)),
                None => tile::packed_len(rows, output),
            },
        }
    }
}

/// The buffers of a backward pass, shared by the threads, each of which writes its own part.
struct BackwardWalk<'a> {
    dims: Dims,
    resets: Resets<'a>,
    packed: &'a [f32],
    gates: SharedMut<'a, f32>,
    extra: SharedMut<'a, f32>,
    hidden: &'a [f32],
    cell_state: &'a [f32],
    d_output: &'a [f32],
    /// `[B, H]`: the gradient of the states, carried from step to step; with a projection, of the outputs before it.
    d_hidden: SharedMut<'a, f32>,
    d_cell_state: SharedMut<'a, f32>,
    /// The packed weight of the projection, and `[T, B, P]`: the gradient of the outputs.
    projection: Option<(&'a [f32], SharedMut<'a, f32>)>,
    rounds: Option<BackwardRounds<'a>>,
    cell_clip: Option<f32>,
}

fn walk_backward<P: Pointwise>(cpu: &Cpu, dims: Dims, args: Backward<'_>) {
    struct Share<'a, P>(&'a BackwardWalk<'a>, Part<'a>, std::marker::PhantomData<P>);
    impl<P: Pointwise> Vectorized for Share<'_, P> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            // SAFETY: the parts of a split are one for each thread.
            unsafe { self.0.part::<S, P>(s, self.1) }
        }
    }
    let Dims { cell, steps, batch, hidden: width, .. } = dims;
    let (rows, output) = (steps * batch, dims.output());
    let mask = args.resets.map(Slice::host);
    let lengths = BackwardScratch::of(dims, mask.is_some());
    let (states, scratch) = args.scratch.host().split_at_mut(lengths.states);
    let (zeros, scratch) = scratch.split_at_mut(lengths.zeros);
    let (masked, scratch) = scratch.split_at_mut(lengths.masked);
    let (totals, packed_rows) = scratch.split_at_mut(lengths.totals);
    states.fill(0.0);
    zeros.fill(0.0);
    let (d_hidden, d_cell_state) = states.split_at_mut(batch * width);
    let store = args.store;
    let gates = args.gates.host();
    let extra = args.extra.host();
    let hidden = args.hidden.host();
    let d_output = args.d_hidden.host();
    if dims.projection.is_some() {
        totals.copy_from_slice(d_output);
    }
    let mut mogrifier = args.mogrifier.map(|args| Mogrifier {
        read: [args.x.host(), args.packed_ih.host(), args.packed.host()],
        kept: args.kept.host(),
        d_x: args.d_x.host(),
        d_weight_ih: args.d_weight_ih.host(),
        d_weights: args.d_weights,
    });
    let (packed_projection, d_projection) = match args.projection {
        Some(projection) => (Some(projection.packed.host()), Some(projection.d_weight.host())),
        None => (None, None),
    };
    let walk = BackwardWalk {
        dims,
        resets: Resets { mask, zeros },
        packed: args.packed.host(),
        gates: SharedMut::new(gates),
        extra: SharedMut::new(extra),
        hidden,
        cell_state: args.cell_state.host(),
        d_output,
        d_hidden: SharedMut::new(d_hidden),
        d_cell_state: SharedMut::new(d_cell_state),
        projection: packed_projection.map(|packed| (packed, SharedMut::new(&mut *totals))),
        rounds: dims.rounds.zip(mogrifier.as_mut()).map(|(rounds, args)| {
            let written = [&mut *args.kept, &mut *args.d_x];
            BackwardRounds::new(rounds, rows, width, args.read, written)
        }),
        cell_clip: args.cell_clip,
    };
    let split = Split::new(dims, cpu.threads());
    cpu.parallel(|thread| cpu.vectorized(Share::<P>(&walk, split.part(thread), std::marker::PhantomData)));

    // The rest is computed over all steps and rows at once.
    let hidden = match mask {
        None => &hidden[..rows * output],
        Some(mask) => {
            masked.copy_from_slice(&hidden[..rows * output]);
            for row in (0..rows).filter(|&row| mask[row] != 0) {
                masked[row * output..][..output].fill(0.0);
            }
            masked
        }
    };
    let gates_width = dims.gates_width();
    let (in_place, extra_width) = parts(cell, width);
    let d_gates = Matrix::rows(gates, gates_width).transposed();
    let hidden = match dims.rounds.zip(mogrifier) {
        None => hidden,
        Some((rounds, args)) => {
            let walked = Walked { x: args.read[0], before: hidden, kept: &*args.kept };
            let sizes = (rounds, rows, width);
            let [x, h] = mogrifier::gradients(cpu, sizes, walked, args.d_weights, store, packed_rows);
            // SAFETY: the gated input is [T·B, D], gates are [T·B, G·H].
            unsafe {
                tile::pack_all(cpu, rows, rounds.input, Matrix::rows(x, rounds.input), packed_rows);
                let shape = (gates_width, rows, rounds.input);
                tile::product_all(cpu, shape, d_gates, packed_rows, args.d_weight_ih, rounds.input, store);
            }
            h
        }
    };
    let d_r = args.d_r.host();
    let (d_r_first, d_r_second) = d_r.split_at_mut(in_place * output);
    // SAFETY: the states before the steps are [T·B, P]; gates are [T·B, G·H] and extra, where used, [T·B, H].
    unsafe {
        tile::pack_all(cpu, rows, output, Matrix::rows(hidden, output), packed_rows);
        tile::product_all(cpu, (in_place, rows, output), d_gates, packed_rows, d_r_first, output, store);
        if extra_width > 0 {
            let d_extra = Matrix::rows(extra, width).transposed();
            let shape = (extra_width, rows, output);
            tile::product_all(cpu, shape, d_extra, packed_rows, d_r_second, output, store);
        }
        if let Some(d_projection) = d_projection {
            tile::pack_all(cpu, rows, width, Matrix::rows(extra, width), packed_rows);
            let d_output = Matrix::rows(totals, output).transposed();
            tile::product_all(cpu, (output, rows, width), d_output, packed_rows, d_projection, width, store);
        }
    }
    let d_bias_ih = args.d_bias_ih.host();
    columns::sum(cpu, gates, gates_width, 0..gates_width, d_bias_ih, store);
    if let Some(d_bias_hh) = args.d_bias_hh.map(SliceMut::host) {
        let (first, second) = d_bias_hh.split_at_mut(in_place);
        match store {
            // The sums are the same; computing them again would read the gates from memory once more.
            Store::Overwrite => first.copy_from_slice(&d_bias_ih[..in_place]),
            Store::Add => columns::sum(cpu, gates, gates_width, 0..in_place, first, store),
        }
        if extra_width > 0 {
            columns::sum(cpu, extra, width, 0..width, second, store);
        }
    }
}

/// The buffers of a Mogrifier's backward pass.
struct Mogrifier<'a> {
    /// The input, its packed weight, and the packed weights of the rounds.
    read: [&'a [f32]; 3],
    kept: &'a mut [f32],
    d_x: &'a mut [f32],
    d_weight_ih: &'a mut [f32],
    d_weights: mogrifier::Weights<SliceMut<'a>>,
}

impl BackwardWalk<'_> {
    /// Runs all steps backward for one thread's part.
    ///
    /// # Safety
    /// All parts of a split must run at the same time, and no other code may access gates and gradients.
    #[inline(always)]
    unsafe fn part<S: Simd, P: Pointwise>(&self, s: S, part: Part<'_>) {
        let Dims { cell, steps, batch, hidden: width, .. } = self.dims;
        let rows = part.rows.clone();
        if rows.is_empty() {
            return;
        }
        let (gates_width, output) = (self.dims.gates_width(), self.dims.output());
        let (in_place, extra) = parts(cell, width);
        let second = self.packed[tile::packed_len(in_place, output)..].as_ptr();
        // Without a cell state, its pointers are not used.
        let cell_state =
            |row: usize| self.cell_state[if cell.has_cell_state() { row * width } else { 0 }..].as_ptr();
        let d_hidden = self.d_hidden.at(rows.start * width);
        let units = part.of(width, tile::MAX_LANES);
        for t in (0..steps).rev() {
            let row = t * batch + rows.start;
            let gates = self.gates.at(row * gates_width);
            // SAFETY: the rows, and of these the panels and units, are the caller's; writes by other threads
            // that are needed here are waited for. The lengths have been checked by the public functions.
            unsafe {
                if let Some((packed, totals)) = &self.projection {
                    s.product(Product {
                        shape: (rows.len(), output, width),
                        a: Matrix {
                            pointer: totals.at(row * output),
                            row_stride: output,
                            column_stride: 1,
                            paired: false,
                        },
                        packed: PackedMatrix::Numbers(packed.as_ptr()),
                        panels: part.of(tile::panel_count(s, width), 1),
                        c: d_hidden,
                        c_stride: width,
                        store: Store::Overwrite,
                    });
                    part.wait();
                }
                for r in 0..rows.len() {
                    let row = BackwardRow {
                        width,
                        gates: gates.add(r * gates_width),
                        extra: if extra > 0 { self.extra.at((row + r) * width) } else { self.extra.at(0) },
                        hidden_before: self.state(row + r),
                        cell_state_before: self.resets.state(row + r, cell_state(row + r)),
                        cell_state_after: cell_state(row + r + batch),
                        d_output: match self.projection {
                            None => self.d_output[(row + r) * width..].as_ptr(),
                            // It is part of what has been multiplied above.
                            Some(_) => self.resets.zeros.as_ptr(),
                        },
                        d_hidden: d_hidden.add(r * width),
                        d_cell_state: self.d_cell_state.at((rows.start + r) * width),
                        cell_clip: self.cell_clip,
                        simd: std::marker::PhantomData,
                    };
                    each_vector!(s, units.len(), |j, count| { P::backward(s, &row, units.start + j, count) });
                }
                if t == 0 && self.rounds.is_none() {
                    break; // The gradient is truncated here: that of the initial state is not computed.
                }
                part.wait();
                let panels = part.of(tile::panel_count(s, output), 1);
                let (to, store) = match &self.projection {
                    // The gradient of the outputs is already there.
                    Some((_, totals)) => (totals.at((row - batch) * output), Store::Add),
                    // A GRU's state has already contributed outside the recurrent projection.
                    None => (d_hidden, if extra > 0 { Store::Add } else { Store::Overwrite }),
                };
                s.product(Product {
                    shape: (rows.len(), in_place, output),
                    a: Matrix { pointer: gates, row_stride: gates_width, column_stride: 1, paired: false },
                    packed: PackedMatrix::Numbers(self.packed.as_ptr()),
                    panels: panels.clone(),
                    c: to,
                    c_stride: output,
                    store,
                });
                if let Some(rounds) = &self.rounds {
                    rounds.part(s, &part, row, (gates, gates_width), |row| self.state(row), d_hidden);
                }
                if extra > 0 {
                    let pointer = self.extra.at(row * width);
                    s.product(Product {
                        shape: (rows.len(), extra, output),
                        a: Matrix { pointer, row_stride: width, column_stride: 1, paired: false },
                        packed: PackedMatrix::Numbers(second),
                        panels,
                        c: d_hidden,
                        c_stride: width,
                        store: Store::Add,
                    });
                }
                part.wait();
                // No gradient leaves a step that starts from a zero state.
                for r in (0..rows.len()).filter(|&r| self.resets.is_reset(row + r)) {
                    let at = (rows.start + r) * width + units.start;
                    for gradient in [&self.d_hidden, &self.d_cell_state] {
                        gradient.at(at).write_bytes(0, units.len());
                    }
                }
                if let Some((_, totals)) = &self.projection
                    && self.resets.any(row, rows.len())
                {
                    let outputs = part.of(output, tile::MAX_LANES);
                    for r in (0..rows.len()).filter(|&r| self.resets.is_reset(row + r)) {
                        let at = (row + r - batch) * output + outputs.start;
                        let of_output = self.d_output[at..].as_ptr();
                        std::ptr::copy_nonoverlapping(of_output, totals.at(at), outputs.len());
                    }
                    part.wait();
                }
            }
        }
    }
    /// The state before the step of a row.
    #[inline(always)]
    fn state(&self, row: usize) -> *const f32 {
        self.resets.state(row, self.hidden[row * self.dims.output()..].as_ptr())
    }
}
