//! GPU implementation: an invocation for each element; backward is a sum of columns (`gpu::columns`).

use super::Dims;
use crate::Store;
use crate::gpu::{Gpu, Kernel, View, columns, groups};

const FORWARD: Kernel =
    Kernel { name: "bias", source: include_str!("bias.wgsl"), entry: "forward", inputs: 2, outputs: 1 };

/// Elements of a workgroup.
const GROUP: usize = 256;

pub(super) fn forward(gpu: &Gpu, Dims { rows, columns }: Dims, x: View<'_>, bias: View<'_>, y: View<'_>) {
    let len = rows * columns;
    if len > 0 {
        gpu.run(&FORWARD, &[x, bias, y], &[rows as u32, columns as u32], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, d_y: View<'_>, d_bias: View<'_>, store: Store) {
    columns::sum(gpu, (dims.rows, dims.columns), d_y, dims.columns, d_bias, store);
}
