//! GPU implementation: an invocation for each element.

use super::Dims;
use crate::gpu::{Gpu, Kernel, View, groups};

const FORWARD: Kernel =
    Kernel { name: "one-hot", source: include_str!("one_hot.wgsl"), entry: "forward", inputs: 1, outputs: 1 };

/// Elements of a workgroup.
const GROUP: usize = 256;

pub(super) fn forward(gpu: &Gpu, Dims { rows, vocab }: Dims, ids: View<'_>, out: View<'_>) {
    let len = rows * vocab;
    if len > 0 {
        gpu.run(&FORWARD, &[ids, out], &[rows as u32, vocab as u32], groups(len.div_ceil(GROUP)));
    }
}
