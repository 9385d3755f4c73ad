//! The log-probabilities of an adaptive softmax, of all tokens, from the logits of its head and of its tails.
//!
//! ```text
//! rank      0 … C₁−1           C₁ … C₂−1      C₂ … V−1          ranks: frequent words first
//! head      a logit each,  and one for tail 0 and one for tail 1
//! tail 0                       a logit each
//! tail 1                                      a logit each
//! ```
//!
//! A word of a tail is predicted in two steps: `p(word) = p(tail) · p(word | tail)`.
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
    /// `[R, 1 + K]`, overwritten: the logarithm of the sum of the exponentials of the head, and of each tail.
    pub log_sums: SliceMut<'a>,
    /// `[R, V]`, overwritten: the log-probability of each token.
    pub log_probs: SliceMut<'a>,
}

/// Computes the log-probabilities.
///
/// ```text
/// head'[r]               = log softmax(head[r])
/// log_probs[r, order[w]] = head'[r, w]                                            for the words w of the head
/// log_probs[r, order[w]] = head'[r, C₁ + k] + log softmax(tail_k[r])[w − C_k]     for the words w of tail k
/// ```
///
/// If a row of a tail has a NaN or ∞, all words of the tail become NaN; if one of the head has, all words.
///
/// # Panics
/// If a length does not match `dims`, the order has a token that is not below `V`, or the device is a GPU.
pub fn forward(device: &Device, dims: Dims<'_>, args: Forward<'_>) {
    check_len("head", args.head.len(), dims.rows * dims.head_width());
    check_tails(dims, args.tails.iter().map(|tail| tail.len()));
    check_len("order", args.order.map_or(dims.vocab, |order| order.len()), dims.vocab);
    check_len("log_sums", args.log_sums.len(), dims.rows * (1 + dims.cutoffs.len()));
    check_len("log_probs", args.log_probs.len(), dims.rows * dims.vocab);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        // Models refuse it before.
        Device::Gpu(_) => panic!("an adaptive softmax is not available on a GPU"),
    }
}

/// The arguments of [`backward`].
pub struct Backward<'a> {
    /// `[R, C₁ + K]`, read.
    pub head: Slice<'a>,
    /// For each tail `[R, N]`, read.
    pub tails: &'a [Slice<'a>],
    /// `[V]`, read: as in [`forward`].
    pub order: Option<Slice<'a, u32>>,
    /// `[R, 1 + K]`, read: as computed by [`forward`].
    pub log_sums: Slice<'a>,
    /// `[R, V]`, read: the gradient of the log-probabilities.
    pub d_log_probs: Slice<'a>,
    /// `[R, C₁ + K]`, overwritten: the gradient of the head.
    pub d_head: SliceMut<'a>,
    /// For each tail `[R, N]`, overwritten: its gradient.
    pub d_tails: Vec<SliceMut<'a>>,
}

/// The gradients of the head and the tails.
///
/// ```text
/// d'[r, w]       = d[r, order[w]]                                         for the words w of the head
/// d'[r, C₁ + k]  = Σ_w d[r, order[w]]                                     over the words w of tail k
/// d_head[r]      = d'[r] − softmax(head[r]) · Σ d'[r]
/// d_tail_k[r, n] = d[r, order[C_k + n]] − softmax(tail_k[r])[n] · d'[r, C₁ + k]
/// ```
///
/// # Panics
/// As [`forward`].
pub fn backward(device: &Device, dims: Dims<'_>, args: Backward<'_>) {
    check_len("head", args.head.len(), dims.rows * dims.head_width());
    check_tails(dims, args.tails.iter().map(|tail| tail.len()));
    check_len("order", args.order.map_or(dims.vocab, |order| order.len()), dims.vocab);
    check_len("log_sums", args.log_sums.len(), dims.rows * (1 + dims.cutoffs.len()));
    check_len("d_log_probs", args.d_log_probs.len(), dims.rows * dims.vocab);
    check_len("d_head", args.d_head.len(), dims.rows * dims.head_width());
    check_tails(dims, args.d_tails.iter().map(SliceMut::len));
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        // Models refuse it before.
        Device::Gpu(_) => panic!("an adaptive softmax is not available on a GPU"),
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
