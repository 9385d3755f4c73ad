//! CPU implementation: the rows are split between the threads.

use super::Dims;
use crate::cpu::elements::in_parts;
use crate::cpu::{Cpu, SharedMut};

pub(super) fn forward(cpu: &Cpu, dims: Dims, ids: &[u32], out: &mut [f32]) {
    let Dims { rows, vocab } = dims;
    let out = SharedMut::new(out);
    in_parts(cpu, rows, 1, rows * vocab, |part| {
        // SAFETY: parts do not overlap, so neither do their rows.
        let out = unsafe { out.range(part.start * vocab..part.end * vocab) };
        out.fill(0.0);
        for (row, &id) in ids[part].iter().enumerate() {
            assert!((id as usize) < vocab, "id {id} is out of range for {vocab} columns");
            out[row * vocab + id as usize] = 1.0;
        }
    });
}
