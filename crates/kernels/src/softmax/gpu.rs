//! GPU implementation: a workgroup for each row.

use super::Dims;
use crate::Store;
use crate::gpu::{Gpu, Kernel, View, groups, is_add};

const SOURCE: &str = concat!(include_str!("../gpu/rows.wgsl"), include_str!("softmax.wgsl"));
const FORWARD: Kernel = Kernel { name: "softmax", source: SOURCE, entry: "forward", inputs: 2, outputs: 1 };
const BACKWARD: Kernel = Kernel { name: "softmax", source: SOURCE, entry: "backward", inputs: 2, outputs: 1 };

pub(super) fn forward(gpu: &Gpu, dims: Dims, temperature: f32, x: View<'_>, y: View<'_>) {
    run(gpu, &FORWARD, dims, temperature, [x, gpu.no_input(), y], Store::Overwrite);
}

pub(super) fn backward(
    gpu: &Gpu,
    dims: Dims,
    temperature: f32,
    y: View<'_>,
    d_y: View<'_>,
    d_x: View<'_>,
    store: Store,
) {
    run(gpu, &BACKWARD, dims, temperature, [y, d_y, d_x], store);
}

fn run(
    gpu: &Gpu,
    kernel: &Kernel,
    Dims { rows, columns }: Dims,
    temperature: f32,
    bindings: [View<'_>; 3],
    store: Store,
) {
    if rows > 0 && columns > 0 {
        let factor = 1.0 / temperature;
        let numbers = [rows as u32, columns as u32, is_add(store), factor.to_bits()];
        gpu.run(kernel, &bindings, &numbers, groups(rows));
    }
}
