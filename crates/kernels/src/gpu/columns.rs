//! Sums of the columns of a matrix, as for the gradient of a bias.

use super::{Gpu, Kernel, View, groups, is_add};
use crate::Store;

const SUM: Kernel =
    Kernel { name: "column sums", source: include_str!("columns.wgsl"), entry: "sum", inputs: 1, outputs: 1 };

/// Columns of a workgroup.
const COLUMNS: usize = 32;

/// `to[j] (+)= Σ_i x[i, j]` for `rows` rows of `columns` elements, `stride` apart.
pub(crate) fn sum(
    gpu: &Gpu,
    (rows, columns): (usize, usize),
    x: View<'_>,
    stride: usize,
    to: View<'_>,
    store: Store,
) {
    if columns > 0 {
        let numbers = [rows as u32, columns as u32, stride as u32, is_add(store)];
        gpu.run(&SUM, &[x, to], &numbers, groups(columns.div_ceil(COLUMNS)));
    }
}
