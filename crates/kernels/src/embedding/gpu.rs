//! GPU implementation: forward an invocation for each element, backward a workgroup for each row and 256 columns.
//!
//! The rows of the dense gradient are added block by block, since each workgroup looks through the ids of its block.

use super::Dims;
use crate::Slice;
use crate::gpu::{Gpu, Kernel, View, groups};

const SOURCE: &str = include_str!("embedding.wgsl");
const FORWARD: Kernel = Kernel { name: "embedding", source: SOURCE, entry: "forward", inputs: 2, outputs: 1 };
const BACKWARD: Kernel =
    Kernel { name: "embedding", source: SOURCE, entry: "backward", inputs: 2, outputs: 1 };
const SPARSE: Kernel = Kernel { name: "embedding", source: SOURCE, entry: "sparse", inputs: 3, outputs: 1 };

/// Invocations of a workgroup.
const GROUP: usize = 256;

/// Ids that are looked through at once.
const BLOCK: usize = 4_096;

/// The most positions of one row that are added at once.
const POSITIONS: usize = 32_768;

pub(super) fn forward(gpu: &Gpu, dims: Dims, table: View<'_>, ids: View<'_>, out: View<'_>) {
    let Dims { rows, vocab, width } = dims;
    let len = rows * width;
    if len > 0 {
        let numbers = [len, vocab, width].map(|number| number as u32);
        gpu.run(&FORWARD, &[table, ids, out], &numbers, groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, ids: Slice<'_, u32>, d_out: Slice<'_>, d_table: View<'_>) {
    let Dims { rows, vocab, width } = dims;
    if width == 0 {
        return;
    }
    for first in (0..rows).step_by(BLOCK) {
        let end = rows.min(first + BLOCK);
        let bindings = [d_out.range(first * width..end * width).gpu(), ids.range(first..end).gpu(), d_table];
        let numbers = [end - first, vocab, width].map(|number| number as u32);
        gpu.run(&BACKWARD, &bindings, &numbers, groups((end - first) * width.div_ceil(GROUP)));
    }
}

pub(super) fn backward_sparse(
    gpu: &Gpu,
    dims: Dims,
    d_out: View<'_>,
    order: View<'_>,
    starts: Slice<'_, u32>,
    values: View<'_>,
) {
    let Dims { rows, width, .. } = dims;
    let unique = starts.len() - 1;
    if unique * width == 0 {
        return;
    }
    for first in (0..rows.max(1)).step_by(POSITIONS) {
        let numbers = [unique, width, first, POSITIONS].map(|number| number as u32);
        let grid = groups(unique * width.div_ceil(GROUP));
        gpu.run(&SPARSE, &[d_out, order, starts.gpu(), values], &numbers, grid);
    }
}
