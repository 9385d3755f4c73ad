//! GPU implementation: logits, a part of the vocabulary at a time, and what a softmax needs of each row.
//!
//! Kept are the logits, `[R, V]`, and of each row the largest one and the logarithm of the sum of the exponentials relative
//! to it, `[R, 2]`. Tokens that are left out have a logit whose exponential is 0.

use super::{Backward, Dims, Forward, WeightGradient};
use crate::gpu::product::{Matrix, Product, split_len};
use crate::gpu::{Gpu, Kernel, columns, groups};
use crate::{Slice, Store};

const SOURCE: &str = include_str!("look.wgsl");
const LOOK: Kernel = Kernel { name: "decoder", source: SOURCE, entry: "look", inputs: 2, outputs: 3 };
const DIFFERENCE: Kernel = Kernel {
    name: "decoder gradient",
    source: include_str!("difference.wgsl"),
    entry: "difference",
    inputs: 1,
    outputs: 1,
};

/// The most tokens whose logits are computed at a time.
const PART: usize = 16_384;

/// The largest logit, the sum and the target's logit of a row.
const STATS: usize = 3;

/// What is kept of a row in addition to its logits.
const KEPT: usize = 2;

/// Elements of a workgroup of the backward pass.
const GROUP: usize = 256;

pub(super) fn kept_len(dims: Dims) -> usize {
    dims.rows * dims.vocab + KEPT * dims.rows
}

pub(super) fn forward_scratch_len(dims: Dims) -> usize {
    dims.rows * (dims.vocab.min(PART) + STATS)
}

pub(super) fn backward_scratch_len(dims: Dims) -> usize {
    split_len((dims.rows, dims.vocab, dims.width))
}

pub(super) fn forward(gpu: &Gpu, dims: Dims, args: Forward<'_>) {
    let Dims { rows, width, vocab } = dims;
    if rows == 0 {
        return;
    }
    let part = vocab.min(PART);
    let (scratch, kept) = (args.scratch.gpu(), args.kept.map(|kept| kept.gpu()));
    let (hidden, weight, targets, nll) =
        (args.hidden.gpu(), args.weight.gpu(), args.targets.gpu(), args.nll.gpu());
    let (bias, only) = (args.bias.map(Slice::gpu), args.only_as_target.map(Slice::gpu));
    for first in (0..vocab).step_by(part) {
        let count = part.min(vocab - first);
        // Kept logits are all of a row; others are overwritten by the next part.
        let (logits, stride) = kept.map_or((scratch, part), |kept| (kept.after(first), vocab));
        let product = Product {
            shape: (rows, width, count),
            a: Matrix::rows(hidden, width),
            b: Matrix::rows(weight, width).transposed().from(0, first),
            bias: bias.map(|bias| bias.after(first)),
            c: logits,
            c_stride: stride,
            store: Store::Overwrite,
        };
        product.run(gpu);
        let numbers = [
            rows as u32,
            count as u32,
            stride as u32,
            first as u32,
            u32::from(only.is_some()),
            u32::from(first + count == vocab),
            u32::from(kept.is_some()),
            (rows * part) as u32,
            (rows * vocab) as u32,
            f32::NAN.to_bits(),
            f32::MIN.to_bits(),
        ];
        let only = only.unwrap_or_else(|| gpu.no_input());
        let kept = kept.unwrap_or_else(|| gpu.no_output());
        gpu.run(&LOOK, &[targets, only, scratch, kept, nll], &numbers, groups(rows));
    }
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, args: Backward<'_>) {
    let Dims { rows, width, vocab } = dims;
    let (hidden, weight, targets, store) =
        (args.hidden.gpu(), args.weight.gpu(), args.targets.gpu(), args.store);
    let WeightGradient::Product(d_weight) = args.d_weight else {
        panic!("a decoder's gradient is not kept as factors on a GPU");
    };
    let d = args.kept.gpu();
    let numbers = [rows as u32, vocab as u32, args.scale.to_bits()];
    if rows > 0 {
        gpu.run(&DIFFERENCE, &[targets, d], &numbers, groups((rows * vocab).div_ceil(GROUP)));
    }
    let a = Matrix::rows(d, vocab);
    let (b, c) = (Matrix::rows(weight, width), args.d_hidden.gpu());
    let shape = (rows, vocab, width);
    Product { shape, a, b, bias: None, c, c_stride: width, store: Store::Overwrite }
        .run_split(gpu, args.scratch);
    let (b, c) = (Matrix::rows(hidden, width), d_weight.gpu());
    let shape = (vocab, rows, width);
    Product { shape, a: a.transposed(), b, bias: None, c, c_stride: width, store }.run(gpu);
    if let Some(d_bias) = args.d_bias {
        columns::sum(gpu, (rows, vocab), d, vocab, d_bias.gpu(), store);
    }
}
