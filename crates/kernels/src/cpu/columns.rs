//! Sums over the rows of a matrix.

use std::ops::Range;

use super::math::{each_vector, load, store};
use super::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::Store;

/// The minimum number of columns per thread: a few cache lines of each row.
const GRAIN: usize = 64;

/// Stores the sums of columns `columns` of `matrix`, whose rows are `width` wide, in `sums`.
///
/// # Panics
/// If the lengths of `sums` and `columns` differ, or the columns are out of range.
pub(crate) fn sum(
    cpu: &Cpu,
    matrix: &[f32],
    width: usize,
    columns: Range<usize>,
    sums: &mut [f32],
    how: Store,
) {
    assert!(columns.end <= width && sums.len() == columns.len(), "{columns:?} of {width}, {}", sums.len());
    if how == Store::Overwrite {
        sums.fill(0.0);
    }
    let len = sums.len();
    let sums = SharedMut::new(sums);
    cpu.parallel(|thread| {
        let own = share(len, GRAIN, cpu.threads(), thread);
        let first = columns.start + own.start;
        // SAFETY: the threads' columns do not overlap.
        let sums = unsafe { sums.range(own) };
        cpu.vectorized(AddRows { matrix, width, first, sums });
    });
}

/// Adds each row's elements, starting at column `first`, to `sums`.
struct AddRows<'a> {
    matrix: &'a [f32],
    width: usize,
    first: usize,
    sums: &'a mut [f32],
}

impl Vectorized for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.matrix.chunks_exact(self.width) {
            let row = &row[self.first..self.first + self.sums.len()];
            let (from, to) = (row.as_ptr(), self.sums.as_mut_ptr());
            each_vector!(s, row.len(), |offset, count| {
                // SAFETY: both slices have the length that is iterated over.
                unsafe {
                    let total = s.add(load(s, to.add(offset), count), load(s, from.add(offset), count));
                    store(s, to.add(offset), count, total);
                }
            });
        }
    }
}
