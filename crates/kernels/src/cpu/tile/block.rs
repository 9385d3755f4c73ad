//! A block of the factor that tiles broadcast, in a cache-friendly order.
//!
//! A tile reads one column of its rows per step. If the rows, or the columns of a matrix that is read
//! transposed, are a multiple of 2 KiB apart, as with 512 hidden units, they compete for the same few sets of
//! the first-level cache. Such a block is copied before its panels are processed, and so is one that has to
//! be rounded:
//!
//! ```text
//! rows     in place, or copied row by row
//! tiles    for each tile, step by step, the elements of its rows side by side
//! ```
//!
//! Tile registers load rows. For them, a block is always in rows, padded with zeros to whole registers.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::pack::{neighbors, pair_and_rest};
use super::{K_BLOCK, M_BLOCK, M_BLOCK_OF_REGISTERS, MAX_LANES, Matrix, parts, place_of_pair, registers};
use crate::cpu::{Simd, math};

/// The minimum number of panels for which a copy pays off.
const MIN_PANELS: usize = 2;
/// Strides, in elements, of which no multiple is read in place: 2 KiB.
const AWKWARD_STRIDE: usize = 512;
/// How many rows or columns ahead are prefetched while a block is copied: they are too far apart for the
/// processor's own prefetcher.
const AHEAD: usize = 4;
/// Columns of a transposed block that are copied for all tiles before the next: as many with an awkward
/// stride as an eight-way first-level cache can hold.
const STRIP: usize = 8;
/// A block of A with its rows padded to whole vectors, plus one vector for the last step of the last tile.
const LEN: usize = M_BLOCK_OF_REGISTERS * K_BLOCK.next_multiple_of(MAX_LANES) + MAX_LANES;

/// Space for a block of A.
pub(super) struct Room([MaybeUninit<f32>; LEN]);

/// A block of A.
#[derive(Clone, Copy)]
pub(super) enum Block {
    /// In rows.
    Rows(Matrix),
    /// In tiles, with this number of steps.
    Tiles(*const f32, usize),
}

impl Block {
    /// The rows of one tile.
    ///
    /// # Safety
    /// They must be the rows of a tile of the block.
    #[inline(always)]
    pub(super) unsafe fn rows(self, rows: Range<usize>) -> Matrix {
        match self {
            // SAFETY: the rows are within the block.
            Block::Rows(matrix) => unsafe { matrix.offset(rows.start, 0) },
            Block::Tiles(pointer, steps) => Matrix {
                // SAFETY: as above; each row before takes one element per step.
                pointer: unsafe { pointer.add(rows.start * steps) },
                row_stride: 1,
                column_stride: rows.len(),
                paired: false,
            },
        }
    }
}

/// The rows of the tiles that a block of `m` is divided into, of nearly equal height: a tile of one or two
/// rows would leave the multipliers underused.
#[inline(always)]
pub(super) fn tiles<S: Simd>(_: S, m: usize) -> impl Iterator<Item = Range<usize>> {
    let count = m.div_ceil(S::TILE_ROWS);
    (0..count).map(move |tile| m * tile / count..m * (tile + 1) / count)
}

impl Room {
    #[inline(always)]
    pub(super) fn new() -> Room {
        Room([const { MaybeUninit::uninit() }; LEN])
    }

    /// The `[m, k]` matrix `a` for this number of panels: in place, or copied here. For paired elements `k`
    /// counts the pairs; if the multiplication takes pairs and these are single elements, they are rounded.
    ///
    /// # Safety
    /// `a` must be readable, and no block that was made before may still be in use.
    #[inline(always)]
    pub(super) unsafe fn block<S: Simd>(
        &mut self,
        s: S,
        (m, k): (usize, usize),
        a: Matrix,
        panels: usize,
    ) -> Block {
        let rounds = S::PAIRED && !a.paired;
        let steps = if rounds { k.div_ceil(2) } else { k };
        if S::TILED {
            // SAFETY: as the caller guarantees.
            return unsafe { self.block_of_registers(s, (m, k), a, panels) };
        }
        debug_assert!(m <= M_BLOCK && steps <= K_BLOCK);
        let to = self.0.as_mut_ptr().cast::<f32>();
        // SAFETY: reads stay within [m, k]; there is room for a block whose rows are whole vectors, and for
        // one in tiles.
        unsafe {
            if a.column_stride == 1 {
                if !rounds && (panels < MIN_PANELS || !a.row_stride.is_multiple_of(AWKWARD_STRIDE)) {
                    return Block::Rows(a);
                }
                let stride = steps.next_multiple_of(S::LANES);
                for row in 0..m {
                    for step in (0..steps).step_by(S::LANES) {
                        s.prefetch(a.pointer.wrapping_add((row + AHEAD) * a.row_stride + step));
                        let values = if rounds {
                            neighbors(s, a.offset(row, 2 * step).pointer, k - 2 * step).0
                        } else {
                            math::load(s, a.offset(row, step).pointer, (k - step).min(S::LANES))
                        };
                        s.store(to.add(row * stride + step), values);
                    }
                }
                Block::Rows(Matrix { pointer: to, row_stride: stride, column_stride: 1, paired: S::PAIRED })
            } else if a.row_stride == 1 {
                if !rounds && (panels < MIN_PANELS || !a.column_stride.is_multiple_of(AWKWARD_STRIDE)) {
                    return Block::Rows(a);
                }
                for first in (0..steps).step_by(STRIP) {
                    for rows in tiles(s, m) {
                        for step in first..(first + STRIP).min(steps) {
                            s.prefetch(a.pointer.wrapping_add(rows.start + (step + AHEAD) * a.column_stride));
                            let tile = rows.start * steps + step * rows.len();
                            for row in rows.clone().step_by(S::LANES) {
                                let count = (rows.end - row).min(S::LANES);
                                let values = if rounds {
                                    let low = s.load_first(a.offset(row, 2 * step).pointer, count);
                                    let high = if 2 * step + 1 < k {
                                        s.load_first(a.offset(row, 2 * step + 1).pointer, count)
                                    } else {
                                        s.splat(0.0)
                                    };
                                    s.pair(low, high)
                                } else {
                                    s.load_first(a.offset(row, step).pointer, count)
                                };
                                let at = tile + row - rows.start;
                                // The excess is overwritten by later steps, unless it belongs to the next tile.
                                if at + S::LANES <= rows.end * steps {
                                    s.store(to.add(at), values);
                                } else {
                                    s.store_first(to.add(at), count, values);
                                }
                            }
                        }
                    }
                }
                Block::Tiles(to, steps)
            } else {
                unreachable!("a factor has contiguous rows or columns")
            }
        }
    }

    /// [`Room::block`] for tile registers: rows of pairs, both numbers up to a multiple of [`registers::SIZE`]. If factors are
    /// in two parts, the pairs of each register are followed by their low parts.
    ///
    /// # Safety
    /// As [`Room::block`].
    #[inline(always)]
    unsafe fn block_of_registers<S: Simd>(
        &mut self,
        s: S,
        (m, k): (usize, usize),
        a: Matrix,
        panels: usize,
    ) -> Block {
        let rounds = !a.paired;
        let pairs = if rounds { k.div_ceil(2) } else { k };
        let (rows, padded) = (m.next_multiple_of(registers::SIZE), pairs.next_multiple_of(registers::SIZE));
        let stride = padded * parts::<S>();
        debug_assert!(rows <= M_BLOCK_OF_REGISTERS && stride <= K_BLOCK && (rounds || !S::SPLIT));
        let to = self.0.as_mut_ptr().cast::<f32>();
        // SAFETY: reads stay within [m, k]; there is room for whole registers.
        unsafe {
            if a.column_stride == 1 {
                let is_padded = (rows, padded) == (m, pairs);
                let is_awkward = panels >= MIN_PANELS && a.row_stride.is_multiple_of(AWKWARD_STRIDE);
                if !rounds && is_padded && !is_awkward {
                    return Block::Rows(a);
                }
                for row in 0..m {
                    for first in (0..padded).step_by(S::LANES) {
                        s.prefetch(a.pointer.wrapping_add((row + AHEAD) * a.row_stride + first));
                        let to = to.add(row * stride + place_of_pair(s, first));
                        if rounds {
                            let (values, rest) =
                                neighbors(s, a.offset(row, 2 * first).pointer, k - 2 * first);
                            s.store(to, values);
                            if S::SPLIT {
                                s.store(to.add(registers::SIZE), rest);
                            }
                        } else {
                            s.store(
                                to,
                                math::load(s, a.offset(row, first).pointer, (k - first).min(S::LANES)),
                            );
                        }
                    }
                }
                for at in (m * stride..rows * stride).step_by(S::LANES) {
                    s.store(to.add(at), s.splat(0.0));
                }
            } else if a.row_stride == 1 {
                const SQUARE: usize = registers::SIZE * registers::SIZE;
                let (mut columns, mut rests) = ([0.0; SQUARE], [0.0; SQUARE]);
                for row in (0..m).step_by(registers::SIZE) {
                    let count = (m - row).min(registers::SIZE);
                    for first in (0..padded).step_by(registers::SIZE) {
                        for step in first..first + registers::SIZE {
                            let element = |column: usize| {
                                if column < k {
                                    s.load_first(a.offset(row, column).pointer, count)
                                } else {
                                    s.splat(0.0)
                                }
                            };
                            let (values, rest) = if rounds {
                                pair_and_rest(s, element(2 * step), element(2 * step + 1))
                            } else {
                                (element(step), s.splat(0.0))
                            };
                            let at = (step - first) * registers::SIZE;
                            s.store(columns.as_mut_ptr().add(at), values);
                            if S::SPLIT {
                                s.store(rests.as_mut_ptr().add(at), rest);
                            }
                        }
                        let to = to.add(row * stride + place_of_pair(s, first));
                        s.transpose(columns.as_ptr(), registers::SIZE, to, stride);
                        if S::SPLIT {
                            s.transpose(rests.as_ptr(), registers::SIZE, to.add(registers::SIZE), stride);
                        }
                    }
                }
            } else {
                unreachable!("a factor has contiguous rows or columns")
            }
        }
        Block::Rows(Matrix { pointer: to, row_stride: stride, column_stride: 1, paired: true })
    }
}
