//! The logits of an adaptive softmax: those of its head and of its tails, combined into those of the vocabulary.
//!
//! ```text
//! rank      0 … C₁−1           C₁ … C₂−1      C₂ … V−1          ranks: frequent words first
//! head      a logit each,  and one for tail 0 and one for tail 1
//! tail 0                       a logit each
//! tail 1                                      a logit each
//! ```
//!
//! A word of a tail is predicted in two steps: `p(word) = p(tail) · p(word | tail)`. The tails are normalized here, the
//! head is not, so the softmax of the result is exactly this distribution.
//!
//! *Source*: Grave et al. 2017; the order of the head's logits is that of PyTorch's `AdaptiveLogSoftmaxWithLoss`.
//! Not here: the matrix multiplications ([`linear`](crate::linear)), and training, which never computes all logits
//! ([`decoder`](crate::decoder)).

use std::ops::Range;

use crate::{Device, Slice, SliceMut, check_len};

pub mod cases;
mod cpu;
pub mod reference;

/// The shape of an adaptive softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims<'a> {
    /// `R`, the rows.
    pub rows: usize,
    /// `C`, the rank at which each of the `K` tails begins: increasing, at least 1 and below `V`.
    pub cutoffs: &'a [usize],
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

impl Dims<'_> {
    /// The number of words of the head: `C₁`, or `V` without tails.
    pub fn head_words(self) -> usize {
        self.cutoffs.first().map_or(self.vocab, |&first| first)
    }

    /// The width of the head: a logit for each of its words, and one for each tail.
    pub fn head_width(self) -> usize {
        self.head_words() + self.cutoffs.len()
    }

    /// The ranks of the words of a tail.
    ///
    /// # Panics
    /// If there is no such tail.
    pub fn tail(self, tail: usize) -> Range<usize> {
        self.cutoffs[tail]..self.cutoffs.get(tail + 1).map_or(self.vocab, |&next| next)
    }
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// `[R, C₁ + K]`, read: the logits of frequent words, and then of the tails.
    pub head: Slice<'a>,
    /// For each tail, the logits of its words, read: `[R, N]` with `N` words.
    pub tails: &'a [Slice<'a>],
    /// `[V]`, read: the token with each rank, a permutation. `None` if the tokens are in this order.
    pub order: Option<Slice<'a, u32>>,
    /// `[R, K]`, overwritten: the logarithm of the sum of the exponentials of each tail.
    pub log_sums: SliceMut<'a>,
    /// `[R, V]`, overwritten.
    pub logits: SliceMut<'a>,
}

/// Combines the logits.
///
/// ```text
/// logits[r, order[w]] = head[r, w]                                             for the words w of the head
/// logits[r, order[w]] = head[r, C₁ + k] + tail_k[r, w − C_k] − log_sum[r, k]   for the words w of tail k
/// log_sum[r, k]       = log Σ_n e^tail_k[r, n]
/// ```
///
/// If a row of a tail has a NaN or ∞, all its words become NaN.
///
/// # Panics
/// If a length does not match `dims`, or the order has a token that is not below `V`.
pub fn forward(device: &Device, dims: Dims<'_>, args: Forward<'_>) {
    check_len("head", args.head.len(), dims.rows * dims.head_width());
    check_tails(dims, args.tails.iter().map(|tail| tail.len()));
    check_len("order", args.order.map_or(dims.vocab, |order| order.len()), dims.vocab);
    check_len("log_sums", args.log_sums.len(), dims.rows * dims.cutoffs.len());
    check_len("logits", args.logits.len(), dims.rows * dims.vocab);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
    }
}

/// The arguments of [`backward`].
pub struct Backward<'a> {
    /// For each tail `[R, N]`, read.
    pub tails: &'a [Slice<'a>],
    /// `[V]`, read: as in [`forward`].
    pub order: Option<Slice<'a, u32>>,
    /// `[R, K]`, read: as computed by [`forward`].
    pub log_sums: Slice<'a>,
    /// `[R, V]`, read: the gradient of the logits.
    pub d_logits: Slice<'a>,
    /// `[R, C₁ + K]`, overwritten: the gradient of the head.
    pub d_head: SliceMut<'a>,
    /// For each tail `[R, N]`, overwritten: its gradient.
    pub d_tails: Vec<SliceMut<'a>>,
}

/// The gradients of the head and the tails.
///
/// ```text
/// d_head[r, w]      = d[r, order[w]]                                     for the words w of the head
/// d_head[r, C₁ + k] = Σ_w d[r, order[w]]                                 over the words w of tail k
/// d_tail_k[r, n]    = d[r, order[C_k + n]] − p_k[r, n] · d_head[r, C₁ + k]   with p_k = e^(tail_k − log_sum)
/// ```
///
/// # Panics
/// As [`forward`].
pub fn backward(device: &Device, dims: Dims<'_>, args: Backward<'_>) {
    check_tails(dims, args.tails.iter().map(|tail| tail.len()));
    check_len("order", args.order.map_or(dims.vocab, |order| order.len()), dims.vocab);
    check_len("log_sums", args.log_sums.len(), dims.rows * dims.cutoffs.len());
    check_len("d_logits", args.d_logits.len(), dims.rows * dims.vocab);
    check_len("d_head", args.d_head.len(), dims.rows * dims.head_width());
    check_tails(dims, args.d_tails.iter().map(SliceMut::len));
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
    }
}

/// Checks the number of tails and their lengths.
#[track_caller]
fn check_tails(dims: Dims<'_>, lengths: impl ExactSizeIterator<Item = usize>) {
    assert_eq!(lengths.len(), dims.cutoffs.len(), "number of tails");
    for (tail, len) in lengths.enumerate() {
        check_len("a tail", len, dims.rows * dims.tail(tail).len());
    }
}
