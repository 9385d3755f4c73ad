//! CPU implementation: the block's rows are split between the threads.

use super::Place;
use crate::Store;
use crate::cpu::elements::{add_to, in_parts};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};

/// Stores the block `[rows, columns]` of one matrix in the other; it must be within both.
pub(super) fn copy(
    cpu: &Cpu,
    rows: usize,
    columns: usize,
    (source, from): (Place, &[f32]),
    (target, to): (Place, &mut [f32]),
    how: Store,
) {
    let to = SharedMut::new(to);
    in_parts(cpu, rows, 1, rows * columns, |part| {
        for row in part {
            let from = &from[(source.row + row) * source.width + source.column..][..columns];
            let start = (target.row + row) * target.width + target.column;
            // SAFETY: parts do not overlap, and neither do a block's rows.
            let to = unsafe { to.range(start..start + columns) };
            match how {
                Store::Overwrite => to.copy_from_slice(from),
                Store::Add => cpu.vectorized(Add { from, to }),
            }
        }
    });
}

struct Add<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorized for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        add_to(s, self.from, self.to);
    }
}
