//! GPU implementation: an invocation for each element of the block.

use super::Place;
use crate::Store;
use crate::gpu::{Gpu, Kernel, View, groups, is_add};

const COPY: Kernel =
    Kernel { name: "concat", source: include_str!("concat.wgsl"), entry: "copy", inputs: 1, outputs: 1 };

/// Elements of a workgroup.
const GROUP: usize = 256;

/// Stores the block `[rows, columns]` of one matrix in the other; it must be within both.
pub(super) fn copy(
    gpu: &Gpu,
    rows: usize,
    columns: usize,
    (source, from): (Place, View<'_>),
    (target, to): (Place, View<'_>),
    store: Store,
) {
    let len = rows * columns;
    if len == 0 {
        return;
    }
    let first = |place: Place| place.row * place.width + place.column;
    let numbers = [rows, columns, first(source), source.width, first(target), target.width];
    let [rows, columns, source, source_width, target, target_width] = numbers.map(|number| number as u32);
    let numbers = [rows, columns, source, source_width, target, target_width, is_add(store)];
    gpu.run(&COPY, &[from, to], &numbers, groups(len.div_ceil(GROUP)));
}
