//! Drawing a token of each row of logits: the part of it that looks at all of a vocabulary.
//!
//! ```text
//! logits   [  block 0  |  block 1  | … ]     256 tokens each, however many threads there are
//! maxima       m₀          m₁                the largest logit of each
//! sums         s₀          s₁                Σ e^((logit − m) / temperature) over each
//! ```
//!
//! [`forward`] goes through the logits once: as a block's exponentials are relative to its own maximum, it needs nothing
//! of the others. [`pick`] then finds the block in which a random point falls, and looks at the tokens of that one alone.
//! Blocks do not depend on the number of threads, so neither does what is drawn; the blocks of a single row are enough
//! for several threads. What is drawn from only the likeliest tokens needs the maxima too: a block whose
//! maximum is below what was found has none of them.
//!
//! Nothing is learnt from a draw, so there is no `backward`.
//! Not here: random numbers, and which tokens are drawn from (`infer`).

pub mod cases;
mod cpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// Tokens in a block; the last one of a row may have fewer.
pub const BLOCK: usize = 256;

/// The sizes of the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `V`, the vocabulary.
    pub vocab: usize,
}

impl Dims {
    /// Blocks of a row.
    pub fn blocks(self) -> usize {
        self.vocab.div_ceil(BLOCK)
    }
}

/// What [`forward`] reads and writes.
pub struct Forward<'a> {
    /// `[R, V]`, read.
    pub logits: Slice<'a>,
    /// `[V]`, read, where there are some: ∞ for a token that may be drawn, −∞ for one that may not.
    pub caps: Option<Slice<'a>>,
    /// `[R, blocks]`, overwritten: the largest logit of each block.
    pub maxima: SliceMut<'a>,
    /// A temperature and, `[R, blocks]`, overwritten, the sums of each block; none if only the maxima are wanted.
    pub sums: Option<(f32, SliceMut<'a>)>,
}

/// The largest number of each block, and what it weighs.
///
/// ```text
/// x[r, v] = min(logits[r, v], caps[v])        the cap where the logit is NaN
/// maxima[r, k] = max_v x[r, v]                sums[r, k] = Σ_v e^((x[r, v] − maxima[r, k]) / temperature)
/// ```
///
/// A maximum of ∞ thus tells of a logit that is NaN or ∞ where it counts, and maxima that are all −∞ that no token is
/// left; the sum of a block whose maximum is not finite is 0. Exponentials below the normal numbers are 0, too.
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
    }
}

/// What [`pick`] reads and writes.
pub struct Pick<'a> {
    /// That of [`forward`].
    pub temperature: f32,
    /// `[R, V]`, read: those of [`forward`].
    pub logits: Slice<'a>,
    /// `[V]`, read: those of [`forward`].
    pub caps: Option<Slice<'a>>,
    /// `[R, blocks]`, read: what [`forward`] has found.
    pub maxima: Slice<'a>,
    /// `[R, blocks]`: what [`forward`] has found on entry; on return relative to the largest logit of the row, not of
    /// the block.
    pub sums: SliceMut<'a>,
    /// `[R]`, read, within `[0, 1)`: a random number for each row. They are in `f64`, and in host memory, where they
    /// are made: those of `f32` are too far apart for the rare tokens of a large vocabulary.
    pub points: &'a [f64],
    /// `[R]`, overwritten: the token of each row.
    pub ids: SliceMut<'a, u32>,
}

/// Finds the token on which each row's point falls, if tokens share `[0, 1)` in their order by their probabilities.
///
/// ```text
/// w[v] = e^(x[r, v] / temperature)        ids[r] = the first v with Σ_{u ≤ v} w[u] > points[r] · Σ_u w[u]
/// ```
///
/// A token without weight is never drawn. If the largest of a row's maxima is not finite, its token is 0.
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
    }
}

#[track_caller]
fn check_temperature(temperature: f32) {
    assert!(temperature > 0.0, "temperature {temperature} is not above 0");
}
