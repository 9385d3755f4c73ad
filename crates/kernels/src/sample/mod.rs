//! Sampling a token from each row of logits: the part that reads the whole vocabulary.
//!
//! ```text
//! logits   [  block 0  |  block 1  | … ]     256 tokens each, for any number of threads
//! maxima       m₀          m₁                the largest logit of each block
//! sums         s₀          s₁                Σ e^((logit − m) / temperature) over each block
//! ```
//!
//! [`forward`] reads the logits once: a block's exponentials are relative to its own maximum, so it needs
//! nothing from the other blocks. [`pick`] then finds the block in which a random point falls, and reads only
//! the tokens of that block. Blocks do not depend on the number of threads, so neither does the sample; the
//! blocks of a single row are enough for several threads. Sampling from only the most likely tokens uses the
//! maxima too: a block whose maximum is below those already found contains none of them.
//!
//! Sampling is not differentiated, so there is no `backward`.
//! Not here: random numbers, and which tokens are sampled from (`infer`).

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// Tokens per block; the last block of a row may have fewer.
pub const BLOCK: usize = 256;

/// The shape of the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

impl Dims {
    /// The number of blocks per row.
    pub fn blocks(self) -> usize {
        self.vocab.div_ceil(BLOCK)
    }
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// `[R, V]`, read.
    pub logits: Slice<'a>,
    /// `[V]`, read, optional: ∞ for an allowed token, −∞ for a forbidden one.
    pub caps: Option<Slice<'a>>,
    /// `[R, blocks]`, overwritten: the largest logit of each block.
    pub maxima: SliceMut<'a>,
    /// A temperature and `[R, blocks]`, overwritten: the sums of each block; `None` if only the maxima are
    /// needed.
    pub sums: Option<(f32, SliceMut<'a>)>,
}

/// Computes the maximum of each block, and its sum of exponentials.
///
/// ```text
/// x[r, v] = min(logits[r, v], caps[v])        the cap if the logit is NaN
/// maxima[r, k] = max_v x[r, v]                sums[r, k] = Σ_v e^((x[r, v] − maxima[r, k]) / temperature)
/// ```
///
/// A maximum of ∞ thus indicates an allowed logit that is NaN or ∞, and maxima that are all −∞ indicate that
/// no token is left. The sum of a block whose maximum is not finite is 0. Exponentials below the normal range
/// are also 0.
///
/// # Panics
/// If a length does not match `dims`, or the temperature is not above 0.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    let len = dims.rows * dims.blocks();
    check_len("logits", args.logits.len(), dims.rows * dims.vocab);
    check_len("caps", args.caps.map_or(dims.vocab, |caps| caps.len()), dims.vocab);
    check_len("maxima", args.maxima.len(), len);
    if let Some((temperature, sums)) = &args.sums {
        check_len("sums", sums.len(), len);
        check_temperature(*temperature);
    }
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, args),
    }
}

/// The arguments of [`pick`].
pub struct Pick<'a> {
    /// As in [`forward`].
    pub temperature: f32,
    /// `[R, V]`, read: as in [`forward`].
    pub logits: Slice<'a>,
    /// `[V]`, read: as in [`forward`].
    pub caps: Option<Slice<'a>>,
    /// `[R, blocks]`, read: as computed by [`forward`].
    pub maxima: Slice<'a>,
    /// `[R, blocks]`: as computed by [`forward`] on entry; on return relative to the largest logit of the row
    /// instead of the block.
    pub sums: SliceMut<'a>,
    /// `[R]`, read, in `[0, 1)`: a random number for each row. They are in `f64`, and in host memory, where
    /// they are generated: `f32` is too coarse for the rare tokens of a large vocabulary.
    pub points: &'a [f64],
    /// `[R]`, overwritten: the token of each row.
    pub ids: SliceMut<'a, u32>,
}

/// Finds the token at which each row's point falls: the tokens divide `[0, 1)`, in order, in proportion to
/// their probabilities.
///
/// ```text
/// w[v] = e^(x[r, v] / temperature)        ids[r] = the first v with Σ_{u ≤ v} w[u] > points[r] · Σ_u w[u]
/// ```
///
/// A token with zero weight is never sampled. On a GPU, weights are rounded down to multiples of 2⁻⁴² of the row's largest.
/// If the largest of a row's maxima is not finite, its token is 0.
///
/// # Panics
/// If a length does not match `dims`, or the temperature is not above 0.
pub fn pick(device: &Device, dims: Dims, args: Pick<'_>) {
    let len = dims.rows * dims.blocks();
    check_temperature(args.temperature);
    check_len("logits", args.logits.len(), dims.rows * dims.vocab);
    check_len("caps", args.caps.map_or(dims.vocab, |caps| caps.len()), dims.vocab);
    check_len("maxima", args.maxima.len(), len);
    check_len("sums", args.sums.len(), len);
    check_len("points", args.points.len(), dims.rows);
    check_len("ids", args.ids.len(), dims.rows);
    match device {
        Device::Cpu(cpu) => cpu::pick(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::pick(gpu, dims, args),
    }
}

#[track_caller]
fn check_temperature(temperature: f32) {
    assert!(temperature > 0.0, "temperature must be above 0, but is {temperature}");
}
