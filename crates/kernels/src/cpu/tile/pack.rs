//! Packing: rearranges a matrix into panels, in which the elements that a tile needs are contiguous.
//!
//! Not here: which thread packs what (`tile`).

use super::{MAX_LANES, Matrix, PANEL_VECTORS, padding, parts, place_of_pair, registers, steps};
use crate::cpu::{SharedMut, Simd, math};

/// Packs panels `panels` of the `[k, n]` matrix `b`; columns beyond `n` become zeros.
///
/// # Safety
/// `b` must be readable as `[k, n]`; `packed` must have [`packed_len`] elements, and no other code may access
/// those of the given panels.
#[inline(always)]
pub(crate) unsafe fn pack<S: Simd>(
    s: S,
    k: usize,
    n: usize,
    b: Matrix,
    packed: &SharedMut<'_, f32>,
    panels: std::ops::Range<usize>,
) {
    let width = PANEL_VECTORS * S::LANES;
    for panel in panels {
        let first = panel * width;
        let columns = (n - first).min(width);
        let stored = columns.next_multiple_of(S::LANES);
        let start = steps(s, k) * first;
        // SAFETY: panels do not overlap, and this one is the caller's; reads stay within [k, n].
        unsafe {
            let panel = packed.range(start..start + steps(s, k) * stored);
            let b = b.offset(0, first);
            if S::PAIRED {
                pack_pairs(s, (k, columns), b, stored, panel.as_mut_ptr());
            } else if b.column_stride == 1 {
                let to = panel.as_mut_ptr();
                for row in 0..k {
                    for column in (0..stored).step_by(S::LANES) {
                        let count = (columns - column).min(S::LANES);
                        let values = math::load(s, b.offset(row, column).pointer, count);
                        s.store(to.add(row * stored + column), values);
                    }
                }
            } else {
                pack_transposed(s, (k, columns), b, stored, panel.as_mut_ptr());
            }
        }
    }
}

/// Packs a `[k, columns]` matrix of contiguous columns as rows of `stored` elements; elements beyond the
/// matrix become zeros.
///
/// # Safety
/// `b` must be readable as `[k, columns]`, and `to` writable for the rows.
#[inline(always)]
unsafe fn pack_transposed<S: Simd>(
    s: S,
    (k, columns): (usize, usize),
    b: Matrix,
    stored: usize,
    to: *mut f32,
) {
    for row in (0..k).step_by(S::LANES) {
        for column in (0..stored).step_by(S::LANES) {
            // SAFETY: reads stay within [k, columns], as the caller guarantees, and writes within the panel's
            // rows.
            unsafe {
                // The next cache line of a column is too far away for the processor's own prefetcher.
                for ahead in column..(column + S::LANES).min(columns) {
                    s.prefetch(b.pointer.wrapping_add(ahead * b.column_stride + row + 4 * S::LANES));
                }
                let to = to.add(row * stored + column);
                if row + S::LANES <= k && column + S::LANES <= columns {
                    s.transpose(b.offset(row, column).pointer, b.column_stride, to, stored);
                    continue;
                }
                for step in 0..(k - row).min(S::LANES) {
                    for lane in 0..S::LANES {
                        let exists = column + lane < columns;
                        *to.add(step * stored + lane) =
                            if exists { *b.offset(row + step, column + lane).pointer } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// Packs a `[k, columns]` matrix as rows of `stored` pairs, pairing neighbors along `k`; elements beyond the
/// matrix become zeros.
///
/// # Safety
/// `b` must be readable as `[k, columns]`, and `to` writable for the rows.
#[inline(always)]
unsafe fn pack_pairs<S: Simd>(s: S, (k, columns): (usize, usize), b: Matrix, stored: usize, to: *mut f32) {
    let rows = k.div_ceil(2);
    // SAFETY: reads stay within [k, columns], as the caller guarantees, and writes within the panel's rows.
    unsafe {
        if b.column_stride == 1 {
            for row in 0..rows {
                for column in (0..columns).step_by(S::LANES) {
                    let count = (columns - column).min(S::LANES);
                    let low = math::load(s, b.offset(2 * row, column).pointer, count);
                    let high = if 2 * row + 1 < k {
                        math::load(s, b.offset(2 * row + 1, column).pointer, count)
                    } else {
                        s.splat(0.0)
                    };
                    let (pairs, rest) = pair_and_rest(s, low, high);
                    let to = to.add(place_of_pair(s, row) * stored + column);
                    s.store(to, pairs);
                    if S::SPLIT {
                        s.store(to.add(registers::SIZE * stored), rest);
                    }
                }
            }
        } else if b.row_stride == 1 {
            // Squares of pairs, which are made as the columns lie, and then transposed.
            let mut squares = [[0.0; MAX_LANES * MAX_LANES]; 2];
            for from_row in (0..rows).step_by(S::LANES) {
                for from_column in (0..stored).step_by(S::LANES) {
                    for lane in 0..S::LANES {
                        let column = from_column + lane;
                        let ahead = if column < columns { k - 2 * from_row } else { 0 };
                        let from = b.offset(2 * from_row, column.min(columns - 1)).pointer;
                        // The next cache lines of a column are too far away for the processor's own prefetcher.
                        s.prefetch(from.wrapping_add(4 * S::LANES));
                        s.prefetch(from.wrapping_add(5 * S::LANES));
                        let (pairs, rest) = neighbors(s, from, ahead);
                        s.store(squares[0].as_mut_ptr().add(lane * S::LANES), pairs);
                        if S::SPLIT {
                            s.store(squares[1].as_mut_ptr().add(lane * S::LANES), rest);
                        }
                    }
                    let to = to.add(place_of_pair(s, from_row) * stored + from_column);
                    for (part, square) in squares[..parts::<S>()].iter().enumerate() {
                        let to = to.add(part * registers::SIZE * stored);
                        if from_row + S::LANES <= rows {
                            s.transpose(square.as_ptr(), S::LANES, to, stored);
                            continue;
                        }
                        for row in 0..rows - from_row {
                            for lane in 0..S::LANES {
                                *to.add(row * stored + lane) = square[lane * S::LANES + row];
                            }
                        }
                    }
                }
            }
        } else {
            unreachable!("a matrix to pack has contiguous rows or columns");
        }
        // Up to whole tile registers.
        for row in rows..rows.next_multiple_of(padding::<S>()) {
            for column in (0..stored).step_by(S::LANES) {
                let to = to.add(place_of_pair(s, row) * stored + column);
                s.store(to, s.splat(0.0));
                if S::SPLIT {
                    s.store(to.add(registers::SIZE * stored), s.splat(0.0));
                }
            }
        }
    }
}

/// Pairs of lanes, rounded, and what rounding leaves of them, if that is multiplied too.
#[inline(always)]
pub(super) fn pair_and_rest<S: Simd>(s: S, low: S::Vector, high: S::Vector) -> (S::Vector, S::Vector) {
    let pairs = s.pair(low, high);
    if !S::SPLIT {
        return (pairs, s.splat(0.0));
    }
    let (rounded_low, rounded_high) = s.part(pairs);
    (pairs, s.pair(s.sub(low, rounded_low), s.sub(high, rounded_high)))
}

/// Pairs of the elements starting at `from`, of which `count` or enough for a vector of pairs are read; the
/// others are zero. Then what rounding leaves of them, as [`pair_and_rest`].
///
/// # Safety
/// `count` elements must be readable.
#[inline(always)]
pub(super) unsafe fn neighbors<S: Simd>(s: S, from: *const f32, count: usize) -> (S::Vector, S::Vector) {
    let (first, second) = (count.min(S::LANES), count.saturating_sub(S::LANES).min(S::LANES));
    // SAFETY: guaranteed by the caller; the second vector is loaded only if it exists.
    unsafe {
        let low = math::load(s, from, first);
        let high = if second > 0 { math::load(s, from.add(S::LANES), second) } else { s.splat(0.0) };
        let pairs = s.pair_neighbors(low, high);
        if !S::SPLIT {
            return (pairs, s.splat(0.0));
        }
        let (rounded_low, rounded_high) = s.part_neighbors(pairs);
        (pairs, s.pair_neighbors(s.sub(low, rounded_low), s.sub(high, rounded_high)))
    }
}
