//! GPU implementation: an invocation for each element.

use super::Activation;
use crate::gpu::{Gpu, Kernel, View, groups, is_add};
use crate::{SliceMut, Store};

const SOURCE: &str = include_str!("activation.wgsl");
const FORWARD: Kernel =
    Kernel { name: "activation", source: SOURCE, entry: "forward", inputs: 2, outputs: 1 };
const BACKWARD: Kernel =
    Kernel { name: "activation", source: SOURCE, entry: "backward", inputs: 2, outputs: 1 };

/// Elements of a workgroup.
const GROUP: usize = 256;

pub(super) fn forward(gpu: &Gpu, activation: Activation, x: View<'_>, y: SliceMut<'_>) {
    run(gpu, &FORWARD, activation, [x, gpu.no_input()], y, Store::Overwrite);
}

pub(super) fn backward(
    gpu: &Gpu,
    activation: Activation,
    y: View<'_>,
    d_y: View<'_>,
    d_x: SliceMut<'_>,
    store: Store,
) {
    run(gpu, &BACKWARD, activation, [y, d_y], d_x, store);
}

fn run(
    gpu: &Gpu,
    kernel: &Kernel,
    activation: Activation,
    [a, b]: [View<'_>; 2],
    out: SliceMut<'_>,
    store: Store,
) {
    let len = out.len();
    if len == 0 {
        return;
    }
    let function = match activation {
        Activation::Tanh => 0,
        Activation::Sigmoid => 1,
        Activation::Relu => 2,
    };
    gpu.run(kernel, &[a, b, out.gpu()], &[len as u32, function, is_add(store)], groups(len.div_ceil(GROUP)));
}
