//! GPU implementation: forward adds up parts in `f32`, and the host adds up the parts; backward has an invocation for each
//! element.

use super::Penalty;
use crate::gpu::{Gpu, GpuMemory, Kernel, View, groups, is_add};
use crate::{DeviceError, Store};

const SOURCE: &str = concat!(include_str!("../gpu/rows.wgsl"), include_str!("activation_penalty.wgsl"));
const FORWARD: Kernel =
    Kernel { name: "activation penalty", source: SOURCE, entry: "forward", inputs: 1, outputs: 1 };
const BACKWARD: Kernel =
    Kernel { name: "activation penalty", source: SOURCE, entry: "backward", inputs: 1, outputs: 1 };

/// Elements of a workgroup of backward.
const GROUP: usize = 256;
/// Elements that are worth another part of forward, and the most parts.
const PART: usize = 4_096;
const MAX_PARTS: usize = 256;

/// The sum of this number of squares; `row` is the number of elements per step.
pub(super) fn forward(
    gpu: &Gpu,
    penalty: Penalty,
    squares: usize,
    row: usize,
    h: View<'_>,
) -> Result<f64, DeviceError> {
    let parts = squares.div_ceil(PART).clamp(1, MAX_PARTS);
    let sums = GpuMemory::zeroed(gpu, parts);
    gpu.run(&FORWARD, &[h, sums.view(0)], &[squares as u32, distance(penalty, row)], groups(parts));
    let mut values = vec![0.0f32; parts];
    sums.read(0, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values.into_iter().map(f64::from).sum())
}

/// `len` is the number of elements, `row` of them per step.
pub(super) fn backward(
    gpu: &Gpu,
    penalty: Penalty,
    [len, row]: [usize; 2],
    factor: f32,
    h: View<'_>,
    d_h: View<'_>,
    store: Store,
) {
    let numbers = [len as u32, distance(penalty, row), is_add(store), factor.to_bits()];
    gpu.run(&BACKWARD, &[h, d_h], &numbers, groups(len.div_ceil(GROUP)));
}

/// How far the element is that is subtracted; 0 if there is none.
fn distance(penalty: Penalty, row: usize) -> u32 {
    match penalty {
        Penalty::Size => 0,
        Penalty::Change => row as u32,
    }
}
