//! CPU implementation of the rounds, for a thread's part of the rows or units of one step.

use super::super::split::Part;
use super::{Link, RoundList, Rounds, Weights};
use crate::cpu::math::{self, each_vector, load, store};
use crate::cpu::tile::{self, Matrix, PackedMatrix, Product};
use crate::cpu::{Cpu, SharedMut, Simd};
use crate::{SliceMut, Store, linear};

/// The packed length of a weight with given inputs and outputs.
pub(super) fn pack_len(kind: linear::Pack) -> fn(usize, usize) -> usize {
    match kind {
        linear::Pack::Forward => |inputs, outputs| tile::packed_len(inputs, outputs),
        linear::Pack::Backward => |inputs, outputs| tile::packed_len(outputs, inputs),
    }
}

/// The buffers of a forward pass.
pub(in super::super) struct ForwardRounds<'a> {
    list: RoundList,
    x: &'a [f32],
    packed_ih: &'a [f32],
    packed: &'a [f32],
    kept: SharedMut<'a, f32>,
}

impl<'a> ForwardRounds<'a> {
    pub(in super::super) fn new(
        rounds: Rounds,
        rows: usize,
        hidden: usize,
        args: super::Forward<'a>,
    ) -> ForwardRounds<'a> {
        ForwardRounds {
            list: rounds.all(pack_len(linear::Pack::Forward), rows, hidden),
            x: args.x.host(),
            packed_ih: args.packed_ih.host(),
            packed: args.packed.host(),
            kept: SharedMut::new(args.kept.host()),
        }
    }

    /// Runs the rounds of a step, for rows that start at `row` of all steps, and overwrites the thread's panels of `gates`
    /// with the projection of the gated input. Returns the gated state.
    ///
    /// # Safety
    /// `h` must be readable as the state before the step, `gates` be that of these rows, `width` wide; otherwise as for the
    /// caller's walk.
    #[inline(always)]
    pub(in super::super) unsafe fn part<S: Simd>(
        &self,
        s: S,
        part: &Part<'_>,
        row: usize,
        h: Matrix,
        (gates, width): (*mut f32, usize),
    ) -> Matrix {
        let count = part.rows.len();
        let input = self.list.rounds.input;
        let contiguous = |pointer: *const f32, columns: usize| Matrix {
            pointer,
            row_stride: columns,
            column_stride: 1,
            paired: false,
        };
        let mut sides = [contiguous(self.x[row * input..].as_ptr(), input), h];
        for round in (0..self.list.rounds.count).map(|index| self.list.get(index)) {
            let mut from = sides[1 - round.side];
            for Link { inputs, outputs, packed, results, .. } in round.links.into_iter().flatten() {
                let to = self.kept.at(results + row * outputs);
                // SAFETY: the rows and panels are the caller's, and the parts of `kept` do not overlap.
                unsafe {
                    s.product(Product {
                        shape: (count, inputs, outputs),
                        a: from,
                        packed: PackedMatrix::Numbers(self.packed[packed..].as_ptr()),
                        panels: part.of(tile::panel_count(s, outputs), 1),
                        c: to,
                        c_stride: outputs,
                        store: Store::Overwrite,
                    });
                }
                part.wait();
                from = contiguous(to, outputs);
            }
            let width = round.outputs;
            let (gates, values) =
                (self.kept.at(round.gates + row * width), self.kept.at(round.values + row * width));
            let before = sides[round.side];
            let units = part.of(width, tile::MAX_LANES);
            for r in 0..count {
                // SAFETY: the rows and units are the caller's.
                unsafe {
                    let before = before.pointer.add(r * before.row_stride);
                    each_vector!(s, units.len(), |j, n| {
                        let (at, j) = (r * width + units.start + j, units.start + j);
                        let gate = math::sigmoid(s, load(s, gates.add(at), n));
                        let gate = s.add(gate, gate);
                        store(s, gates.add(at), n, gate);
                        store(s, values.add(at), n, s.mul(gate, load(s, before.add(j), n)));
                    });
                }
            }
            part.wait();
            sides[round.side] = contiguous(values, width);
        }
        // SAFETY: the rows and panels are the caller's.
        unsafe {
            s.product(Product {
                shape: (count, input, width),
                a: sides[0],
                packed: PackedMatrix::Numbers(self.packed_ih.as_ptr()),
                panels: part.of(tile::panel_count(s, width), 1),
                c: gates,
                c_stride: width,
                store: Store::Overwrite,
            });
        }
        sides[1]
    }
}

/// The buffers of a backward pass.
pub(in super::super) struct BackwardRounds<'a> {
    list: RoundList,
    x: &'a [f32],
    packed_ih: &'a [f32],
    packed: &'a [f32],
    kept: SharedMut<'a, f32>,
    d_x: SharedMut<'a, f32>,
}

impl<'a> BackwardRounds<'a> {
    pub(in super::super) fn new(
        rounds: Rounds,
        rows: usize,
        hidden: usize,
        [x, packed_ih, packed]: [&'a [f32]; 3],
        [kept, d_x]: [&'a mut [f32]; 2],
    ) -> BackwardRounds<'a> {
        BackwardRounds {
            list: rounds.all(pack_len(linear::Pack::Backward), rows, hidden),
            x,
            packed_ih,
            packed,
            kept: SharedMut::new(kept),
            d_x: SharedMut::new(d_x),
        }
    }

    /// Runs the rounds of a step backward, for rows that start at `row` of all steps: from the gradient of their gates and,
    /// in `d_hidden`, that of the gated state, to those of the input and of the state before the step. `state` is the state
    /// before the step of each row.
    ///
    /// # Safety
    /// As for [`ForwardRounds::part`]; all threads must have written their part of `gates`.
    #[inline(always)]
    pub(in super::super) unsafe fn part<S: Simd>(
        &self,
        s: S,
        part: &Part<'_>,
        row: usize,
        (gates, width): (*const f32, usize),
        state: impl Fn(usize) -> *const f32,
        d_hidden: *mut f32,
    ) {
        let count = part.rows.len();
        let input = self.list.rounds.input;
        let one_half = s.splat(0.5);
        let d_sides = [self.d_x.at(row * input), d_hidden];
        let product = |a: *const f32, k: usize, packed: *const f32, c: *mut f32, n: usize, store: Store| {
            // SAFETY: the rows and panels are the caller's, and the parts of `kept` do not overlap.
            unsafe {
                s.product(Product {
                    shape: (count, k, n),
                    a: Matrix { pointer: a, row_stride: k, column_stride: 1, paired: false },
                    packed: PackedMatrix::Numbers(packed),
                    panels: part.of(tile::panel_count(s, n), 1),
                    c,
                    c_stride: n,
                    store,
                });
            }
        };
        product(gates, width, self.packed_ih.as_ptr(), d_sides[0], input, Store::Overwrite);
        part.wait();
        for index in (0..self.list.rounds.count).rev() {
            let round = self.list.get(index);
            let width = round.outputs;
            let (gates, d_side) = (self.kept.at(round.gates + row * width), d_sides[round.side]);
            let earlier = index.checked_sub(2).map(|earlier| self.list.get(earlier).values + row * width);
            let units = part.of(width, tile::MAX_LANES);
            for r in 0..count {
                let before: *const f32 = match (earlier, round.side) {
                    (Some(earlier), _) => self.kept.at(earlier + r * width),
                    (None, 0) => self.x[(row + r) * width..].as_ptr(),
                    (None, _) => state(row + r),
                };
                // SAFETY: the rows and units are the caller's.
                unsafe {
                    each_vector!(s, units.len(), |j, n| {
                        let (at, j) = (r * width + units.start + j, units.start + j);
                        let (gate, d) = (load(s, gates.add(at), n), load(s, d_side.add(at), n));
                        // The gate is 2σ(a), whose derivative is 2σ(1 − σ).
                        let slope = s.sub(gate, s.mul(one_half, s.mul(gate, gate)));
                        let d_sum = s.mul(s.mul(d, load(s, before.add(j), n)), slope);
                        store(s, d_side.add(at), n, s.mul(d, gate));
                        store(s, gates.add(at), n, d_sum);
                    });
                }
            }
            part.wait();
            let mut from: *const f32 = gates;
            let [first, second] = round.links;
            if let (Some(first), Some(second)) = (first, second) {
                let to = self.kept.at(first.d_results + row * first.outputs);
                let packed = self.packed[second.packed..].as_ptr();
                product(from, second.outputs, packed, to, second.inputs, Store::Overwrite);
                part.wait();
                from = to;
            }
            if let Some(first) = first {
                let packed = self.packed[first.packed..].as_ptr();
                product(from, first.outputs, packed, d_sides[1 - round.side], first.inputs, Store::Add);
                part.wait();
            }
        }
    }
}

/// The length of the packed form of the widest values that [`gradients`] multiplies by.
pub(in super::super) fn packed_rows_len(rounds: Rounds, rows: usize, hidden: usize) -> usize {
    tile::packed_len(rows, rounds.input.max(hidden).max(rounds.rank.unwrap_or(0)))
}

/// The buffers that [`gradients`] reads.
#[derive(Clone, Copy)]
pub(in super::super) struct Walked<'a> {
    /// `[T, B, D]`.
    pub(in super::super) x: &'a [f32],
    /// `[T, B, H]`: the state before each step, zero where it is reset.
    pub(in super::super) before: &'a [f32],
    /// What the rounds have left.
    pub(in super::super) kept: &'a [f32],
}

/// Computes the gradients of the rounds' weights over all steps and rows at once, and returns the input and the state that
/// the last rounds have left.
pub(in super::super) fn gradients<'a>(
    cpu: &Cpu,
    (rounds, rows, hidden): (Rounds, usize, usize),
    Walked { x, before, kept }: Walked<'a>,
    d_weights: Weights<SliceMut<'_>>,
    stored: Store,
    packed: &mut [f32],
) -> [&'a [f32]; 2] {
    let list = rounds.all(pack_len(linear::Pack::Backward), rows, hidden);
    let mut d_weights = d_weights.map(|d_weight| d_weight.map(SliceMut::host));
    let mut sides = [x, &before[..rows * hidden]];
    for round in (0..rounds.count).map(|index| list.get(index)) {
        let mut from = sides[1 - round.side];
        for Link { inputs, outputs, weight, index, results, d_results, .. } in
            round.links.into_iter().flatten()
        {
            let d_results = &kept[d_results..][..rows * outputs];
            if let Some(d_weight) = &mut d_weights[weight] {
                let d_weight = &mut d_weight[index * outputs * inputs..][..outputs * inputs];
                // SAFETY: the values are [T·B, inputs], the gradients [T·B, outputs].
                unsafe {
                    tile::pack_all(cpu, rows, inputs, Matrix::rows(from, inputs), packed);
                    let d_results = Matrix::rows(d_results, outputs).transposed();
                    tile::product_all(
                        cpu,
                        (outputs, rows, inputs),
                        d_results,
                        packed,
                        d_weight,
                        inputs,
                        stored,
                    );
                }
            }
            // Of a round with two factors, what is between them. After the last one, this is not used.
            from = &kept[results..][..rows * outputs];
        }
        sides[round.side] = &kept[round.values..][..rows * round.outputs];
    }
    sides
}
