//! GPU implementation: an invocation for each element.

use crate::gpu::{Gpu, Kernel, View, groups, is_add};
use crate::{SliceMut, Store};

const SOURCE: &str = include_str!("elementwise.wgsl");
const ADD: Kernel = Kernel { name: "elementwise", source: SOURCE, entry: "sum", inputs: 2, outputs: 1 };
const MULTIPLY: Kernel =
    Kernel { name: "elementwise", source: SOURCE, entry: "product", inputs: 2, outputs: 1 };
const SCALE: Kernel = Kernel { name: "elementwise", source: SOURCE, entry: "scale", inputs: 2, outputs: 1 };

/// Elements of a workgroup.
const GROUP: usize = 256;

pub(super) fn add(gpu: &Gpu, a: View<'_>, b: View<'_>, y: SliceMut<'_>) {
    run(gpu, &ADD, [a, b], y, [0, 0]);
}

pub(super) fn multiply(gpu: &Gpu, a: View<'_>, b: View<'_>, y: SliceMut<'_>, store: Store) {
    run(gpu, &MULTIPLY, [a, b], y, [is_add(store), 0]);
}

pub(super) fn scale(gpu: &Gpu, factor: f32, x: View<'_>, y: SliceMut<'_>, store: Store) {
    run(gpu, &SCALE, [x, gpu.no_input()], y, [is_add(store), factor.to_bits()]);
}

fn run(gpu: &Gpu, kernel: &Kernel, [a, b]: [View<'_>; 2], y: SliceMut<'_>, [add, factor]: [u32; 2]) {
    let len = y.len();
    if len > 0 {
        gpu.run(kernel, &[a, b, y.gpu()], &[len as u32, add, factor], groups(len.div_ceil(GROUP)));
    }
}
