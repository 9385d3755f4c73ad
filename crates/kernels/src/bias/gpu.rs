//! GPU implementation: forward has an invocation for each element, backward a workgroup for some columns.

use super::Dims;
use crate::gpu::{Gpu, Kernel, View, groups, is_add};
use crate::{Slice, SliceMut, Store};

const SOURCE: &str = include_str!("bias.wgsl");
const FORWARD: Kernel = Kernel { name: "bias", source: SOURCE, entry: "forward", inputs: 2, outputs: 1 };
const BACKWARD: Kernel = Kernel { name: "bias", source: SOURCE, entry: "backward", inputs: 2, outputs: 1 };

/// Elements of a workgroup of forward.
const GROUP: usize = 256;
/// Columns of a workgroup of backward.
const COLUMNS: usize = 16;
/// The most rows that a dispatch adds up: software devices stop a loop after 65,535 iterations.
const MAX_ROWS: usize = 1 << 19;

pub(super) fn forward(gpu: &Gpu, Dims { rows, columns }: Dims, x: View<'_>, bias: View<'_>, y: View<'_>) {
    let len = rows * columns;
    if len > 0 {
        gpu.run(&FORWARD, &[x, bias, y], &[rows as u32, columns as u32], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, d_y: Slice<'_>, mut d_bias: SliceMut<'_>, store: Store) {
    let Dims { rows, columns } = dims;
    if columns == 0 {
        return;
    }
    let mut start = 0;
    loop {
        let end = rows.min(start + MAX_ROWS);
        let add = if start == 0 { is_add(store) } else { 1 };
        let bindings =
            [d_y.range(start * columns..end * columns).gpu(), gpu.no_input(), d_bias.reborrow().gpu()];
        let numbers = [(end - start) as u32, columns as u32, add];
        gpu.run(&BACKWARD, &bindings, &numbers, groups(columns.div_ceil(COLUMNS)));
        start = end;
        if start == rows {
            break;
        }
    }
}
