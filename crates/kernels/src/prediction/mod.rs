//! What each row of logits predicts about one token: its probability, its rank, and how open the prediction is.
//!
//! ```text
//! logits    [ … x[v] … x[t] … ]      p(v) = e^x[v] / Σ_u e^x[u]
//! log p(t)                           minus the surprisal of token t
//! rank                               1 + the number of tokens that are more likely
//! entropy                            −Σ_v p(v) · log p(v): the expected surprisal
//! ```
//!
//! The result is not differentiated, so there is no `backward`.
//! Not here: which tokens make up a word (`infer`).

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// The shape of the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// `[R, V]`, read.
    pub logits: Slice<'a>,
    /// `[R]`, read: the token of each row, below `V`.
    pub targets: Slice<'a, u32>,
    /// `[R]`, overwritten: the natural logarithm of each token's probability.
    pub log_probs: SliceMut<'a>,
    /// `[R]`, overwritten: the entropy of each row's distribution, in nats.
    pub entropies: SliceMut<'a>,
    /// `[R]`, overwritten: one more than the number of tokens with a larger logit.
    pub ranks: SliceMut<'a, u32>,
}

/// Computes the log-probability, the entropy and the rank of each row's token.
///
/// ```text
/// log_probs[r] = x[t] − log Σ_v e^x[v]
/// entropies[r] = log Σ_v e^x[v] − Σ_v p[v] · x[v]
/// ranks[r]     = 1 + |{v : x[v] > x[t]}|
/// ```
///
/// A logit of −∞ is a token of probability 0, which adds nothing to the entropy. If a row has a NaN or ∞, or only −∞,
/// its log-probability is NaN, and its other results are undefined.
///
/// # Panics
/// If a length does not match `dims`, or a token is not below `V`. On a GPU tokens are not checked, and the log-probability
/// of one that is not below `V` is NaN.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    check_len("logits", args.logits.len(), dims.rows * dims.vocab);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("log_probs", args.log_probs.len(), dims.rows);
    check_len("entropies", args.entropies.len(), dims.rows);
    check_len("ranks", args.ranks.len(), dims.rows);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, args),
    }
}
