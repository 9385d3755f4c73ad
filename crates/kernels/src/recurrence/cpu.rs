//! CPU implementation: each thread runs all steps for its own batch rows or, if these are few, for its own
//! hidden units. This is a single file because the loop over time is one algorithm; the arithmetic of the
//! cells is elsewhere.
//!
//! The recurrent projection is added in place to the input projection in `gates`, and the cell turns the sums
//! into activated gates there; `backward` turns those into the gradient of the input projection, again in
//! place.

use super::gru::Gru;
use super::lstm::Lstm;
use super::rnn::{Relu, Tanh};
use super::split::{Part, Split};
use super::{Backward, Cell, Dims, Forward, Pack};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::tile::{self, Matrix, Product};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, columns};
use crate::{Slice, SliceMut, Store};

/// A cell's own arithmetic, for `count` neighboring hidden units, from `j`, of one batch row.
pub(super) trait Pointwise {
    /// Turns pre-activations into activated gates and the next states.
    ///
    /// # Safety
    /// The row must be valid for its step, and `j + count` within the hidden size.
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize);
    /// Turns gradients of the next states into gradients of the pre-activations and the contributions to the
    /// previous states that do not go through the recurrent projection.
    ///
    /// # Safety
    /// As for `forward`.
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize);
}

/// One batch row at one step of the forward pass.
pub(super) struct ForwardRow<S> {
    width: usize,
    bias_ih: *const f32,
    bias_hh: Option<*const f32>,
    gates: *mut f32,
    extra: *mut f32,
    hidden_before: *const f32,
    hidden_after: *mut f32,
    cell_state_before: *const f32,
    cell_state_after: *mut f32,
    simd: std::marker::PhantomData<S>,
}

/// One batch row at one step of the backward pass.
pub(super) struct BackwardRow<S> {
    width: usize,
    gates: *mut f32,
    extra: *mut f32,
    hidden_before: *const f32,
    cell_state_before: *const f32,
    cell_state_after: *const f32,
    d_output: *const f32,
    d_hidden: *mut f32,
    d_cell_state: *mut f32,
    simd: std::marker::PhantomData<S>,
}

/// The rows are made from slices of checked length; every method requires `gate < G` and `j + count ≤ width`, so that
/// all offsets stay within the row.
impl<S: Simd> ForwardRow<S> {
    /// `xw + b_ih` of a gate.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn input_activation(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        let at = gate * self.width + j;
        // SAFETY: the caller keeps within the row.
        unsafe { s.add(load(s, self.gates.add(at), count), load(s, self.bias_ih.add(at), count)) }
    }

    /// `xw + h·Rᵀ + b_ih + b_hh` of a gate whose recurrent projection has been added in place.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn pre_activation(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        let sum = unsafe { self.input_activation(s, gate, j, count) };
        match self.bias_hh {
            // SAFETY: the caller keeps within the row.
            Some(bias) => s.add(sum, unsafe { load(s, bias.add(gate * self.width + j), count) }),
            None => sum,
        }
    }

    /// `h·Rᵀ + b_hh` of the gate that the reset gate multiplies.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn reset_operand(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        let product = unsafe { load(s, self.extra.add(j), count) };
        match self.bias_hh {
            // SAFETY: the caller keeps within the row.
            Some(bias) => s.add(product, unsafe { load(s, bias.add(gate * self.width + j), count) }),
            None => product,
        }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn hidden_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.hidden_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_before.add(j), count) }
    }

    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_gate(&self, s: S, gate: usize, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.gates.add(gate * self.width + j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_extra(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.extra.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_hidden(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.hidden_after.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_cell_state(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.cell_state_after.add(j), count, value) }
    }
}

/// As [`ForwardRow`].
impl<S: Simd> BackwardRow<S> {
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn gate(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.gates.add(gate * self.width + j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn extra(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.extra.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn hidden_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.hidden_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state_after(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_after.add(j), count) }
    }

    /// The gradient of the state after the step: from the output and from the later steps.
    ///
    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn d_hidden(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { s.add(load(s, self.d_output.add(j), count), load(s, self.d_hidden.add(j), count)) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn d_cell_state(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.d_cell_state.add(j), count) }
    }

    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_gate(&self, s: S, gate: usize, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.gates.add(gate * self.width + j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_extra(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.extra.add(j), count, value) }
    }

    /// The contribution to the previous state that does not go through the recurrent projection.
    ///
    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_d_hidden_before(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.d_hidden.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_d_cell_state(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.d_cell_state.add(j), count, value) }
    }
}

/// The widths of the two parts of the pre-activations: those that add the recurrent projection in place, and
/// the one that the reset gate multiplies.
fn parts(cell: Cell, hidden: usize) -> (usize, usize) {
    let in_place = cell.gates_before_reset();
    (in_place * hidden, (cell.gates() - in_place) * hidden)
}

/// `[K, N]` of the two packed matrices.
fn packed_shapes(cell: Cell, hidden: usize, kind: Pack) -> [(usize, usize); 2] {
    let (in_place, extra) = parts(cell, hidden);
    match kind {
        Pack::Forward => [(hidden, in_place), (hidden, extra)],
        Pack::Backward => [(in_place, hidden), (extra, hidden)],
    }
}

pub(super) fn pack_len(cell: Cell, hidden: usize, kind: Pack) -> usize {
    packed_shapes(cell, hidden, kind).into_iter().map(|(k, n)| tile::packed_len(k, n)).sum()
}

pub(super) fn pack(cpu: &Cpu, cell: Cell, hidden: usize, kind: Pack, r: &[f32], packed: &mut [f32]) {
    let (in_place, _) = parts(cell, hidden);
    let shapes = packed_shapes(cell, hidden, kind);
    let (first, second) = packed.split_at_mut(tile::packed_len(shapes[0].0, shapes[0].1));
    let (r_first, r_second) = r.split_at(in_place * hidden);
    for ((k, n), r, packed) in [(shapes[0], r_first, first), (shapes[1], r_second, second)] {
        let r = Matrix::rows(r, hidden);
        let b = if kind == Pack::Forward { r.transposed() } else { r };
        // SAFETY: r has the rows of this part, `hidden` wide.
        unsafe { tile::pack_all(cpu, k, n, b, packed) };
    }
}

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    match dims.cell {
        Cell::RnnTanh => walk_forward::<Tanh>(cpu, dims, args),
        Cell::RnnRelu => walk_forward::<Relu>(cpu, dims, args),
        Cell::Lstm => walk_forward::<Lstm>(cpu, dims, args),
        Cell::Gru => walk_forward::<Gru>(cpu, dims, args),
    }
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, args: Backward<'_>) {
    match dims.cell {
        Cell::RnnTanh => walk_backward::<Tanh>(cpu, dims, args),
        Cell::RnnRelu => walk_backward::<Relu>(cpu, dims, args),
        Cell::Lstm => walk_backward::<Lstm>(cpu, dims, args),
        Cell::Gru => walk_backward::<Gru>(cpu, dims, args),
    }
}

/// Whether each row of a step is reset, and a row of zeros that stands for its state.
#[derive(Clone, Copy)]
struct Resets<'a> {
    /// `[T, B]`.
    mask: Option<&'a [u32]>,
    /// `[H]`, if there is a mask.
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

pub(super) fn forward_scratch_len(cpu: &Cpu, dims: Dims, resets: bool) -> usize {
    let copies = Split::new(dims, cpu.threads()).parts() * dims.batch;
    if resets { (copies + 1) * dims.hidden } else { 0 }
}

/// The buffers of a forward pass, shared by the threads, each of which writes its own part.
struct ForwardWalk<'a> {
    dims: Dims,
    resets: Resets<'a>,
    /// `[B, H]` for each thread that shares the rows: the states before a step in which rows are reset.
    masked: SharedMut<'a, f32>,
    packed: &'a [f32],
    bias_ih: &'a [f32],
    bias_hh: Option<&'a [f32]>,
    gates: SharedMut<'a, f32>,
    extra: SharedMut<'a, f32>,
    hidden: SharedMut<'a, f32>,
    cell_state: SharedMut<'a, f32>,
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
    let width = if mask.is_some() { dims.hidden } else { 0 };
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
        let Dims { cell, steps, batch, hidden: width } = self.dims;
        let rows = part.rows.clone();
        if rows.is_empty() {
            return;
        }
        let gates_width = self.dims.gates_width();
        let (in_place, extra) = parts(cell, width);
        let second = self.packed[tile::packed_len(width, in_place)..].as_ptr();
        // Without a cell state, its pointers are not used.
        let cell_row = |row: usize| if cell.has_cell_state() { row * width } else { 0 };
        let units = part.of(width, tile::MAX_LANES);
        for row in (0..steps).map(|t| t * batch + rows.start) {
            let gates = self.gates.at(row * gates_width);
            let hidden = self.hidden.at(row * width);
            let pointer = if self.resets.any(row, rows.len()) {
                let masked = self.masked.at((part.index * batch + rows.start) * width);
                for r in 0..rows.len() {
                    let from = self.resets.state(row + r, hidden.wrapping_add(r * width));
                    // SAFETY: the copy of these rows is the caller's, and nobody writes the states before this step.
                    unsafe { std::ptr::copy_nonoverlapping(from, masked.add(r * width), width) };
                }
                masked
            } else {
                hidden
            };
            let h = Matrix { pointer, row_stride: width, column_stride: 1, paired: false };
            // SAFETY: the rows, and of these the panels and units, are the caller's; writes by other threads
            // that are needed here are waited for. The lengths have been checked by the public functions.
            unsafe {
                s.product(Product {
                    shape: (rows.len(), width, in_place),
                    a: h,
                    packed: self.packed.as_ptr(),
                    panels: part.of(tile::panel_count(s, in_place), 1),
                    c: gates,
                    c_stride: gates_width,
                    store: Store::Add,
                });
                if extra > 0 {
                    s.product(Product {
                        shape: (rows.len(), width, extra),
                        a: h,
                        packed: second,
                        panels: part.of(tile::panel_count(s, extra), 1),
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
                        hidden_before: self.resets.state(row + r, hidden.add(r * width)),
                        hidden_after: hidden.add((batch + r) * width),
                        cell_state_before: self.resets.state(row + r, self.cell_state.at(cell_row(row + r))),
                        cell_state_after: self.cell_state.at(cell_row(row + r + batch)),
                        simd: std::marker::PhantomData,
                    };
                    each_vector!(s, units.len(), |j, count| { P::forward(s, &row, units.start + j, count) });
                }
                part.wait();
            }
        }
    }
}

pub(super) fn backward_scratch_len(dims: Dims, resets: bool) -> usize {
    let states = 2 * dims.batch * dims.hidden;
    let rows = dims.steps * dims.batch;
    let masked = if resets { (rows + 1) * dims.hidden } else { 0 };
    states + masked + tile::packed_len(rows, dims.hidden)
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
    /// `[B, H]`: the gradient of the states, carried from step to step.
    d_hidden: SharedMut<'a, f32>,
    d_cell_state: SharedMut<'a, f32>,
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
    let Dims { cell, steps, batch, hidden: width } = dims;
    let rows = steps * batch;
    let mask = args.resets.map(Slice::host);
    let scratch = args.scratch.host();
    let (states, scratch) = scratch.split_at_mut(2 * batch * width);
    let (zeros, scratch) = scratch.split_at_mut(if mask.is_some() { width } else { 0 });
    let (masked, packed_hidden) = scratch.split_at_mut(if mask.is_some() { rows * width } else { 0 });
    states.fill(0.0);
    zeros.fill(0.0);
    let (d_hidden, d_cell_state) = states.split_at_mut(batch * width);
    let gates = args.gates.host();
    let extra = args.extra.host();
    let hidden = args.hidden.host();
    let walk = BackwardWalk {
        dims,
        resets: Resets { mask, zeros },
        packed: args.packed.host(),
        gates: SharedMut::new(gates),
        extra: SharedMut::new(extra),
        hidden,
        cell_state: args.cell_state.host(),
        d_output: args.d_hidden.host(),
        d_hidden: SharedMut::new(d_hidden),
        d_cell_state: SharedMut::new(d_cell_state),
    };
    let split = Split::new(dims, cpu.threads());
    cpu.parallel(|thread| cpu.vectorized(Share::<P>(&walk, split.part(thread), std::marker::PhantomData)));

    // The rest is computed over all steps and rows at once.
    let hidden = match mask {
        None => &hidden[..rows * width],
        Some(mask) => {
            masked.copy_from_slice(&hidden[..rows * width]);
            for row in (0..rows).filter(|&row| mask[row] != 0) {
                masked[row * width..][..width].fill(0.0);
            }
            masked
        }
    };
    let gates_width = dims.gates_width();
    let (in_place, extra_width) = parts(cell, width);
    let d_r = args.d_r.host();
    let (d_r_first, d_r_second) = d_r.split_at_mut(in_place * width);
    // SAFETY: the states before the steps are [T·B, H]; gates are [T·B, G·H] and extra, where used, [T·B, H].
    unsafe {
        tile::pack_all(cpu, rows, width, Matrix::rows(hidden, width), packed_hidden);
        let d_gates = Matrix::rows(gates, gates_width).transposed();
        let shape = (in_place, rows, width);
        tile::product_all(cpu, shape, d_gates, packed_hidden, d_r_first, width, args.store);
        if extra_width > 0 {
            let d_extra = Matrix::rows(extra, width).transposed();
            let shape = (extra_width, rows, width);
            tile::product_all(cpu, shape, d_extra, packed_hidden, d_r_second, width, args.store);
        }
    }
    let d_bias_ih = args.d_bias_ih.host();
    columns::sum(cpu, gates, gates_width, 0..gates_width, d_bias_ih, args.store);
    if let Some(d_bias_hh) = args.d_bias_hh.map(SliceMut::host) {
        let (first, second) = d_bias_hh.split_at_mut(in_place);
        match args.store {
            // The sums are the same; computing them again would read the gates from memory once more.
            Store::Overwrite => first.copy_from_slice(&d_bias_ih[..in_place]),
            Store::Add => columns::sum(cpu, gates, gates_width, 0..in_place, first, args.store),
        }
        if extra_width > 0 {
            columns::sum(cpu, extra, width, 0..width, second, args.store);
        }
    }
}

impl BackwardWalk<'_> {
    /// Runs all steps backward for one thread's part.
    ///
    /// # Safety
    /// All parts of a split must run at the same time, and no other code may access gates and gradients.
    #[inline(always)]
    unsafe fn part<S: Simd, P: Pointwise>(&self, s: S, part: Part<'_>) {
        let Dims { cell, steps, batch, hidden: width } = self.dims;
        let rows = part.rows.clone();
        if rows.is_empty() {
            return;
        }
        let gates_width = self.dims.gates_width();
        let (in_place, extra) = parts(cell, width);
        let second = self.packed[tile::packed_len(in_place, width)..].as_ptr();
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
                for r in 0..rows.len() {
                    let row = BackwardRow {
                        width,
                        gates: gates.add(r * gates_width),
                        extra: if extra > 0 { self.extra.at((row + r) * width) } else { self.extra.at(0) },
                        hidden_before: self.resets.state(row + r, self.hidden[(row + r) * width..].as_ptr()),
                        cell_state_before: self.resets.state(row + r, cell_state(row + r)),
                        cell_state_after: cell_state(row + r + batch),
                        d_output: self.d_output[(row + r) * width..].as_ptr(),
                        d_hidden: d_hidden.add(r * width),
                        d_cell_state: self.d_cell_state.at((rows.start + r) * width),
                        simd: std::marker::PhantomData,
                    };
                    each_vector!(s, units.len(), |j, count| { P::backward(s, &row, units.start + j, count) });
                }
                if t == 0 {
                    break; // The gradient is truncated here: that of the initial state is not computed.
                }
                part.wait();
                let panels = part.of(tile::panel_count(s, width), 1);
                s.product(Product {
                    shape: (rows.len(), in_place, width),
                    a: Matrix { pointer: gates, row_stride: gates_width, column_stride: 1, paired: false },
                    packed: self.packed.as_ptr(),
                    panels: panels.clone(),
                    c: d_hidden,
                    c_stride: width,
                    // A GRU's state has already contributed outside the recurrent projection.
                    store: if extra > 0 { Store::Add } else { Store::Overwrite },
                });
                if extra > 0 {
                    let pointer = self.extra.at(row * width);
                    s.product(Product {
                        shape: (rows.len(), extra, width),
                        a: Matrix { pointer, row_stride: width, column_stride: 1, paired: false },
                        packed: second,
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
            }
        }
    }
}
