//! Sums of the columns of a matrix, as for the gradient of a bias.

use super::{Gpu, Kernel, View, groups, is_add};
use crate::Store;

const SUM: Kernel =
    Kernel { name: "column sums", source: include_str!("columns.wgsl"), entry: "sum", inputs: 1, outputs: 1 };

/// Columns of a workgroup.
const COLUMNS: usize = 32;

/// The most rows that a dispatch adds up: software devices stop a loop after 65,535 iterations.
const MAX_ROWS: usize = 1 << 18;

/// `to[j] (+)= Σ_i x[i, j]` for `rows` rows of `columns` elements, `stride` apart.
pub(crate) fn sum(
    gpu: &Gpu,
    (rows, columns): (usize, usize),
    x: View<'_>,
    stride: usize,
    to: View<'_>,
    store: Store,
) {
    if columns == 0 {
        return;
    }
    let mut start = 0;
    loop {
        let count = (rows - start).min(MAX_ROWS);
        let add = if start == 0 { is_add(store) } else { 1 };
        let numbers = [count as u32, columns as u32, stride as u32, add];
        gpu.run(&SUM, &[x.after(start * stride), to], &numbers, groups(columns.div_ceil(COLUMNS)));
        start += count;
        if start == rows {
            break;
        }
    }
}
