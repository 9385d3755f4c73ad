//! GPU implementation: forward has a workgroup for each row, backward an invocation for each element.

use super::Dims;
use crate::Store;
use crate::gpu::{Gpu, Kernel, View, groups, is_add};

const SOURCE: &str = concat!(include_str!("../gpu/rows.wgsl"), include_str!("cross_entropy.wgsl"));
const FORWARD: Kernel =
    Kernel { name: "cross-entropy", source: SOURCE, entry: "forward", inputs: 3, outputs: 2 };
const BACKWARD: Kernel =
    Kernel { name: "cross-entropy", source: SOURCE, entry: "backward", inputs: 3, outputs: 2 };

/// Elements of a workgroup of backward.
const GROUP: usize = 256;

pub(super) fn forward(
    gpu: &Gpu,
    Dims { rows, vocab }: Dims,
    logits: View<'_>,
    targets: View<'_>,
    nll: View<'_>,
    log_sums: View<'_>,
) {
    if rows > 0 {
        let bindings = [logits, targets, gpu.no_input(), nll, log_sums];
        gpu.run(&FORWARD, &bindings, &[rows as u32, vocab as u32], groups(rows));
    }
}

pub(super) fn backward(
    gpu: &Gpu,
    Dims { rows, vocab }: Dims,
    scale: f32,
    [logits, targets, log_sums]: [View<'_>; 3],
    d_logits: View<'_>,
    store: Store,
) {
    let len = rows * vocab;
    if len > 0 {
        let bindings = [logits, targets, log_sums, d_logits, gpu.no_output()];
        let numbers = [rows as u32, vocab as u32, is_add(store), scale.to_bits()];
        gpu.run(&BACKWARD, &bindings, &numbers, groups(len.div_ceil(GROUP)));
    }
}
