//! GPU implementation: a workgroup for each row.

use super::{Dims, Forward};
use crate::Slice;
use crate::gpu::{Gpu, Kernel, groups};

const FORWARD: Kernel = Kernel {
    name: "target logits",
    source: concat!(include_str!("../gpu/rows.wgsl"), include_str!("target_logits.wgsl")),
    entry: "forward",
    inputs: 4,
    outputs: 1,
};

pub(super) fn forward(gpu: &Gpu, Dims { rows, hidden: width, .. }: Dims, args: Forward<'_>) {
    if rows == 0 {
        return;
    }
    let Forward { hidden, weight, bias, targets, logits } = args;
    let has_bias = u32::from(bias.is_some());
    let bias = bias.map_or_else(|| gpu.no_input(), Slice::gpu);
    let bindings = [hidden.gpu(), weight.gpu(), bias, targets.gpu(), logits.gpu()];
    gpu.run(&FORWARD, &bindings, &[rows as u32, width as u32, has_bias], groups(rows));
}
