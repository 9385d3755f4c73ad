//! GPU implementation: a workgroup for each row.

use super::Dims;
use crate::gpu::{Gpu, Kernel, View, groups};

const FORWARD: Kernel = Kernel {
    name: "cache attention",
    source: include_str!("cache_attention.wgsl"),
    entry: "forward",
    inputs: 2,
    outputs: 1,
};

pub(super) fn forward(gpu: &Gpu, dims: Dims, theta: f32, scores: View<'_>, next: View<'_>, shares: View<'_>) {
    let Dims { rows, positions, window } = dims;
    if rows > 0 {
        let window = window.min(positions);
        let numbers = [rows as u32, positions as u32, window as u32, theta.to_bits()];
        gpu.run(&FORWARD, &[scores, next, shares], &numbers, groups(rows));
    }
}
