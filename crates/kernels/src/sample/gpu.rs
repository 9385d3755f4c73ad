//! GPU implementation: forward a workgroup for each block, to pick a token one for each row.
//!
//! `f32` is too coarse to pick rare tokens. Weights are therefore converted to integers of 64 bits, whose sums are exact, and
//! a point is one of 64 bits, too.

use super::{Dims, Forward, Pick};
use crate::gpu::{Gpu, Kernel, groups};

const SOURCE: &str = include_str!("sample.wgsl");
const FORWARD: Kernel = Kernel { name: "sample", source: SOURCE, entry: "forward", inputs: 2, outputs: 2 };
const PICK: Kernel = Kernel { name: "sample", source: SOURCE, entry: "pick", inputs: 3, outputs: 2 };

/// The rows whose points fit into the numbers of one dispatch.
const ROWS: usize = 24;

pub(super) fn forward(gpu: &Gpu, dims: Dims, args: Forward<'_>) {
    let blocks = dims.rows * dims.blocks();
    if blocks == 0 {
        return;
    }
    let Forward { logits, caps, maxima, sums } = args;
    let (has_caps, has_sums) = (u32::from(caps.is_some()), u32::from(sums.is_some()));
    let caps = caps.map_or_else(|| gpu.no_input(), |caps| caps.gpu());
    let (factor, sums) =
        sums.map_or_else(|| (1.0, gpu.no_output()), |(temperature, sums)| (factor(temperature), sums.gpu()));
    let numbers =
        [dims.vocab as u32, dims.blocks() as u32, factor.to_bits(), has_caps, blocks as u32, has_sums];
    gpu.run(&FORWARD, &[logits.gpu(), caps, maxima.gpu(), sums], &numbers, groups(blocks));
}

pub(super) fn pick(gpu: &Gpu, dims: Dims, args: Pick<'_>) {
    let Dims { vocab, .. } = dims;
    let blocks = dims.blocks();
    let Pick { temperature, logits, caps, maxima, mut sums, points, mut ids } = args;
    let has_caps = u32::from(caps.is_some());
    let caps = caps.map_or_else(|| gpu.no_input(), |caps| caps.gpu());
    for (part, points) in points.chunks(ROWS).enumerate() {
        let first = part * ROWS;
        let end = first + points.len();
        let bindings = [
            logits.range(first * vocab..end * vocab).gpu(),
            caps,
            maxima.range(first * blocks..end * blocks).gpu(),
            sums.reborrow().range(first * blocks..end * blocks).gpu(),
            ids.reborrow().range(first..end).gpu(),
        ];
        let mut numbers = vec![vocab as u32, blocks as u32, factor(temperature).to_bits(), has_caps];
        for point in points {
            let bits = (point * 2.0_f64.powi(64)) as u64;
            numbers.extend([(bits >> 32) as u32, bits as u32]);
        }
        gpu.run(&PICK, &bindings, &numbers, [points.len() as u32, 1, 1]);
    }
}

/// One over the temperature, but finite even for the smallest temperature: infinity times zero would be NaN.
fn factor(temperature: f32) -> f32 {
    (1.0 / temperature).min(f32::MAX)
}
