//! The steps of a tile on processors that multiply by any lane of a vector ([`Simd::BY_LANE`]).
//!
//! Factors are loaded by vectors: those of four steps of a row, or of four rows at one step. To broadcast each one, as
//! elsewhere, would occupy a multiplier for it.
//!
//! ```text
//! rows of A contiguous      row 0: [k k+1 k+2 k+3]   row 1: [k k+1 k+2 k+3]   …    then steps k to k + 3
//! columns of A contiguous   step k: [row 0 1 2 3] [row 4 5 6 7]                    then step k + 1
//! ```
//!
//! An element is the same sum, in the same order, as without it.

use super::{Matrix, Panel};
use crate::cpu::Simd;

/// Factors in a vector.
const FACTORS: usize = 4;

/// Adds the first steps of a tile to `sums`, and returns how many: the others are the caller's. If `asks_ahead`, the same
/// part of the next panel is prefetched.
///
/// # Safety
/// As for the tile.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // With iterator adaptors, the compiler would not keep the sums in registers.
pub(super) unsafe fn steps<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    k: usize,
    a: Matrix,
    b: Panel,
    asks_ahead: bool,
    sums: &mut [[S::Vector; VECTORS]; ROWS],
) -> usize {
    assert_eq!(S::LANES, FACTORS);
    let width = VECTORS * S::LANES;
    // SAFETY: the tile's elements of A and B are readable, as the caller guarantees.
    unsafe {
        if a.column_stride == 1 {
            let steps = k / FACTORS * FACTORS;
            let mut at = 0;
            while at < steps {
                let mut factors = [s.splat(0.0); ROWS];
                for row in 0..ROWS {
                    factors[row] = s.load(a.pointer.add(row * a.row_stride + at));
                }
                let from = b.pointer.add(at * width);
                if asks_ahead {
                    // Four steps of two vectors are two cache lines.
                    for v in 0..VECTORS {
                        s.prefetch(b.next.wrapping_add(at * width + v * FACTORS * S::LANES));
                    }
                }
                macro_rules! step {
                    ($($lane:literal)*) => {
                        $(for v in 0..VECTORS {
                            let vector = s.load(from.add($lane * width + v * S::LANES));
                            for row in 0..ROWS {
                                sums[row][v] = s.multiply_by_lane::<$lane>(factors[row], vector, sums[row][v]);
                            }
                        })*
                    };
                }
                step!(0 1 2 3);
                at += FACTORS;
            }
            steps
        } else if a.row_stride == 1 {
            let grouped = ROWS / FACTORS * FACTORS;
            for at in 0..k {
                let column = a.pointer.add(at * a.column_stride);
                let mut vectors = [s.splat(0.0); VECTORS];
                for v in 0..VECTORS {
                    vectors[v] = s.load(b.pointer.add(at * width + v * S::LANES));
                }
                if asks_ahead {
                    s.prefetch(b.next.wrapping_add(at * width));
                }
                for first in (0..grouped).step_by(FACTORS) {
                    let factors = s.load(column.add(first));
                    macro_rules! rows {
                        ($($lane:literal)*) => {
                            $(for v in 0..VECTORS {
                                let sum = &mut sums[first + $lane][v];
                                *sum = s.multiply_by_lane::<$lane>(factors, vectors[v], *sum);
                            })*
                        };
                    }
                    rows!(0 1 2 3);
                }
                for row in grouped..ROWS {
                    let factor = s.splat(*column.add(row));
                    for v in 0..VECTORS {
                        sums[row][v] = s.multiply_accumulate(factor, vectors[v], sums[row][v]);
                    }
                }
            }
            k
        } else {
            0
        }
    }
}
