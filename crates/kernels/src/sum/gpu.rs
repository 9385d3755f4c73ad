//! GPU implementation: a workgroup adds up a short vector; many workgroups add up parts of a long one, and then one the
//! parts.

use crate::gpu::{Gpu, GpuMemory, Kernel, View, groups};

const FORWARD: Kernel = Kernel {
    name: "sum",
    source: concat!(include_str!("../gpu/rows.wgsl"), include_str!("sum.wgsl")),
    entry: "forward",
    inputs: 1,
    outputs: 1,
};

/// Elements that are worth another part, and the most parts.
const PART: usize = 16_384;
const MAX_PARTS: usize = 256;

pub(super) fn forward(gpu: &Gpu, len: usize, x: View<'_>, sum: View<'_>) {
    let parts = len.div_ceil(PART).clamp(1, MAX_PARTS);
    if parts == 1 {
        return gpu.run(&FORWARD, &[x, sum], &[len as u32], groups(1));
    }
    let sums = GpuMemory::zeroed(gpu, parts);
    gpu.run(&FORWARD, &[x, sums.view(0)], &[len as u32], groups(parts));
    gpu.run(&FORWARD, &[sums.view(0), sum], &[parts as u32], groups(1));
}
