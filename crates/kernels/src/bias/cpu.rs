//! CPU implementation: forward splits the rows between the threads, backward the columns.

use super::Dims;
use crate::Store;
use crate::cpu::elements::in_parts;
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, columns};

pub(super) fn forward(cpu: &Cpu, dims: Dims, x: &[f32], bias: &[f32], y: &mut [f32]) {
    let columns = dims.columns;
    let y = SharedMut::new(y);
    in_parts(cpu, dims.rows, 1, x.len(), |part| {
        let numbers = part.start * columns..part.end * columns;
        // SAFETY: parts do not overlap, so neither do their rows.
        let y = unsafe { y.range(numbers.clone()) };
        cpu.vectorized(AddRow { x: &x[numbers], bias, y });
    });
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, d_y: &[f32], d_bias: &mut [f32], store: Store) {
    columns::sum(cpu, d_y, dims.columns, 0..dims.columns, d_bias, store);
}

struct AddRow<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    y: &'a mut [f32],
}

impl Vectorized for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AddRow { x, bias, y } = self;
        let columns = bias.len();
        if columns == 0 {
            return;
        }
        for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)) {
            let (x, bias, y) = (x.as_ptr(), bias.as_ptr(), y.as_mut_ptr());
            each_vector!(s, columns, |offset, count| {
                // SAFETY: all three have the length that is iterated over.
                unsafe {
                    let sum = s.add(load(s, x.add(offset), count), load(s, bias.add(offset), count));
                    store(s, y.add(offset), count, sum);
                }
            });
        }
    }
}
