//! GPU implementation: a workgroup for each row, which reads it twice.

use super::{Dims, Forward};
use crate::gpu::{Gpu, Kernel, groups};

const FORWARD: Kernel = Kernel {
    name: "prediction",
    source: include_str!("prediction.wgsl"),
    entry: "forward",
    inputs: 2,
    outputs: 3,
};

pub(super) fn forward(gpu: &Gpu, dims: Dims, args: Forward<'_>) {
    let Dims { rows, vocab } = dims;
    if rows > 0 {
        let Forward { logits, targets, log_probs, entropies, ranks } = args;
        let bindings = [logits.gpu(), targets.gpu(), log_probs.gpu(), entropies.gpu(), ranks.gpu()];
        gpu.run(&FORWARD, &bindings, &[rows as u32, vocab as u32], groups(rows));
    }
}
