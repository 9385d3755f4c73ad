//! GPU implementation: an invocation for each element; sums of squares by parts, in two dispatches.

use super::factors::{AdamFactors, DynamicFactors, SgdFactors};
use super::{RmsScale, Rows, Scale};
use crate::gpu::{Gpu, GpuMemory, Kernel, View, groups};
use crate::{DeviceError, Slice, SliceMut};

const STEP: &str = include_str!("step.wgsl");
const SGD: Kernel = Kernel { name: "optimizer", source: STEP, entry: "sgd", inputs: 3, outputs: 2 };
const ADAM: Kernel = Kernel { name: "optimizer", source: STEP, entry: "adam", inputs: 3, outputs: 3 };

const AVERAGE: &str = include_str!("average.wgsl");
const AVERAGE_ALL: Kernel =
    Kernel { name: "average", source: AVERAGE, entry: "average_all", inputs: 3, outputs: 1 };
const AVERAGE_ROWS: Kernel =
    Kernel { name: "average", source: AVERAGE, entry: "average_rows", inputs: 3, outputs: 1 };

const DYNAMIC: Kernel = Kernel {
    name: "dynamic evaluation",
    source: include_str!("dynamic/dynamic.wgsl"),
    entry: "dynamic",
    inputs: 3,
    outputs: 1,
};

const CLIP: &str = include_str!("clip.wgsl");
const CLIP_VALUES: Kernel =
    Kernel { name: "gradient clipping", source: CLIP, entry: "clip_values", inputs: 0, outputs: 1 };
const SQUARES: Kernel =
    Kernel { name: "gradient clipping", source: CLIP, entry: "squares", inputs: 1, outputs: 1 };
const TOTAL: Kernel =
    Kernel { name: "gradient clipping", source: CLIP, entry: "total", inputs: 1, outputs: 1 };
const NORM: Kernel = Kernel { name: "gradient clipping", source: CLIP, entry: "norm", inputs: 1, outputs: 1 };

const ZERO: Kernel =
    Kernel { name: "gradient clipping", source: CLIP, entry: "zero_unless_finite", inputs: 1, outputs: 1 };

/// Invocations of a workgroup.
const GROUP: usize = 256;

/// The most parts of a sum, and the elements that are worth a part.
const PARTS: usize = 1_024;
const PART: usize = 16 * GROUP;

/// The sums of a part: those of squares of usual, large and small numbers.
const SUMS: usize = 3;

/// By what large numbers are divided, and small ones multiplied, before they are squared.
const SHIFT: i32 = 80;

/// A gradient, and the rows that it belongs to unless it is that of all elements.
pub(super) struct Gradient<'a> {
    values: Slice<'a>,
    rows: Option<(Slice<'a, u32>, usize)>,
}

impl<'a> From<Slice<'a>> for Gradient<'a> {
    fn from(values: Slice<'a>) -> Self {
        Gradient { values, rows: None }
    }
}

impl<'a> From<Rows<'a>> for Gradient<'a> {
    fn from(Rows { rows, values, width }: Rows<'a>) -> Self {
        Gradient { values, rows: Some((rows, width)) }
    }
}

pub(super) fn squared_norm(gpu: &Gpu, x: Slice<'_>) -> Result<f64, DeviceError> {
    let parts = parts(x.len());
    let memory = GpuMemory::zeroed(gpu, SUMS * parts);
    square_parts(gpu, x, memory.view(0));
    let mut sums = vec![0.0_f32; SUMS * parts];
    memory.read(0, bytemuck::cast_slice_mut(&mut sums))?;
    let sum = |kind: usize| sums.iter().skip(kind).step_by(SUMS).map(|&sum| f64::from(sum)).sum::<f64>();
    Ok(sum(0) + sum(1) * 2.0_f64.powi(2 * SHIFT) + sum(2) * 2.0_f64.powi(-2 * SHIFT))
}

pub(super) fn squares(gpu: &Gpu, x: Slice<'_>, to: View<'_>) {
    let parts = parts(x.len());
    gpu.with_partial(|partial| {
        square_parts(gpu, x, partial);
        gpu.run(&TOTAL, &[partial, to], &[parts as u32], groups(1));
    });
}

fn parts(len: usize) -> usize {
    len.div_ceil(PART).clamp(1, PARTS)
}

fn square_parts(gpu: &Gpu, x: Slice<'_>, to: View<'_>) {
    let parts = parts(x.len());
    let per_part = x.len().div_ceil(parts);
    gpu.run(&SQUARES, &[x.gpu(), to], &[x.len() as u32, per_part as u32], [parts as u32, 1, 1]);
}

pub(super) fn clip(
    gpu: &Gpu,
    squares: Slice<'_>,
    factor: f64,
    max_norm: Option<f64>,
    epsilon: f64,
    to: View<'_>,
) {
    let bits = |number: f64| (number as f32).to_bits();
    let limit = max_norm.map_or([0, 0], |max_norm| [1, bits(max_norm)]);
    let numbers = [squares.len() as u32, bits(factor), bits(epsilon), limit[0], limit[1]];
    gpu.run(&NORM, &[squares.gpu(), to], &numbers, groups(1));
}

pub(super) fn zero_unless_finite(gpu: &Gpu, scale: View<'_>, values: SliceMut<'_>) {
    let len = values.len();
    if len > 0 {
        gpu.run(&ZERO, &[scale, values.gpu()], &[len as u32], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn clip_values(gpu: &Gpu, limit: f32, values: SliceMut<'_>) {
    let len = values.len();
    if len > 0 {
        gpu.run(&CLIP_VALUES, &[values.gpu()], &[len as u32, limit.to_bits()], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn sgd(
    gpu: &Gpu,
    factors: SgdFactors,
    scale: Scale<'_>,
    gradient: Gradient<'_>,
    weight: SliceMut<'_>,
    velocity: Option<SliceMut<'_>>,
) {
    let SgdFactors { decay, momentum, rate } = factors;
    let has_velocity = u32::from(velocity.is_some());
    let velocity = velocity.map_or_else(|| gpu.no_output(), SliceMut::gpu);
    let numbers = [has_velocity, decay.to_bits(), momentum.to_bits(), rate.to_bits()];
    step(gpu, &SGD, scale, gradient, &[weight.gpu(), velocity], &numbers);
}

pub(super) fn adam(
    gpu: &Gpu,
    factors: AdamFactors,
    scale: Scale<'_>,
    gradient: Gradient<'_>,
    weight: SliceMut<'_>,
    [first, second]: [SliceMut<'_>; 2],
) {
    let AdamFactors { decay, keep, beta1, rest1, beta2, rest2, root, epsilon, rate } = factors;
    let numbers = [decay, keep, beta1, rest1, beta2, rest2, root, epsilon, rate].map(f32::to_bits);
    step(gpu, &ADAM, scale, gradient, &[weight.gpu(), first.gpu(), second.gpu()], &numbers);
}

fn step(
    gpu: &Gpu,
    kernel: &Kernel,
    scale: Scale<'_>,
    Gradient { values, rows }: Gradient<'_>,
    outputs: &[View<'_>],
    factors: &[u32],
) {
    let len = values.len();
    if len == 0 {
        return;
    }
    let (scale, on_device, number) = match scale {
        Scale::Host(scale) => (gpu.no_input(), 0, (scale as f32).to_bits()),
        Scale::Device(numbers) => (numbers.gpu(), 1, 0),
    };
    let (rows, width) = rows.map_or((gpu.no_input(), 0), |(rows, width)| (rows.gpu(), width));
    let bindings = [&[values.gpu(), scale, rows], outputs].concat();
    let numbers = [&[len as u32, on_device, number, width as u32], factors].concat();
    gpu.run(kernel, &bindings, &numbers, groups(len.div_ceil(GROUP)));
}

pub(super) fn average(gpu: &Gpu, share: f32, weight: View<'_>, average: SliceMut<'_>) {
    let len = average.len();
    if len > 0 {
        let bindings = [gpu.no_input(), gpu.no_input(), weight, average.gpu()];
        gpu.run(&AVERAGE_ALL, &bindings, &[len as u32, share.to_bits()], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn average_rows(
    gpu: &Gpu,
    width: usize,
    rows: Slice<'_, u32>,
    kept: View<'_>,
    weight: View<'_>,
    average: View<'_>,
) {
    let len = rows.len() * width;
    if len > 0 {
        let bindings = [rows.gpu(), kept, weight, average];
        gpu.run(&AVERAGE_ROWS, &bindings, &[len as u32, width as u32], groups(len.div_ceil(GROUP)));
    }
}

pub(super) fn dynamic(
    gpu: &Gpu,
    factors: DynamicFactors,
    rms_scale: Option<RmsScale<'_>>,
    gradient: Option<Slice<'_>>,
    trained: View<'_>,
    weight: SliceMut<'_>,
) {
    let len = weight.len();
    if len == 0 {
        return;
    }
    let DynamicFactors { rate, decay, decays, epsilon } = factors;
    let (has_gradient, has_rms) = (u32::from(gradient.is_some()), u32::from(rms_scale.is_some()));
    let gradient = gradient.map_or_else(|| gpu.no_input(), Slice::gpu);
    let rms = rms_scale.map_or_else(|| gpu.no_input(), |rms_scale| rms_scale.rms.gpu());
    let [rate, decay, epsilon] = [rate, decay, epsilon].map(f32::to_bits);
    let numbers = [len as u32, has_gradient, has_rms, rate, decay, epsilon, decays];
    gpu.run(&DYNAMIC, &[gradient, rms, trained, weight.gpu()], &numbers, groups(len.div_ceil(GROUP)));
}
