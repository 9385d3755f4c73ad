//! The adaptive softmax: how the vocabulary is divided into clusters.

use rondo_kernels::adaptive_log_softmax::Dims;
use serde::{Deserialize, Serialize};

use crate::{NnError, Result, RnnLmConfig};

/// Each tail's projection is this many times narrower than the one before it; the first, than the hidden state.
const DIVISOR: usize = 4;

/// The division of a vocabulary for an adaptive softmax: the most frequent words form the head, the others one or more
/// tails.
///
/// ```text
/// rank   0 …      C₁ …     C₂ … V−1
///        head     tail 0   tail 1        p(word) = p(word | head)                     for a word of the head
///                                        p(word) = p(tail | head) · p(word | tail)    for a word of a tail
/// ```
///
/// The head predicts its words and the tails at full width. Tail `i` reads a projection of width `H / 4^(i+1)`, and only
/// where the next word is one of its own. No part has a bias.
///
/// *Source*: Grave et al. 2017, "Efficient softmax approximation for GPUs"; sizes as in PyTorch's
/// `AdaptiveLogSoftmaxWithLoss` with its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveSoftmax {
    /// The rank at which each tail begins: increasing, at least 1 and below `V`.
    cutoffs: Vec<usize>,
    /// `[V]`: the token with each rank, most frequent first. Empty if the tokens are in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order: Vec<u32>,
}

impl AdaptiveSoftmax {
    /// Tails that begin at these ranks, of a vocabulary whose tokens are ordered by frequency.
    pub fn new(cutoffs: Vec<usize>) -> AdaptiveSoftmax {
        AdaptiveSoftmax { cutoffs, order: vec![] }
    }

    /// The same tails, with the tokens ranked in this order: `[V]`, a permutation. Where a word stands within its cluster
    /// does not matter, so each cluster keeps its tokens in the order of their ids.
    #[must_use]
    pub fn with_order(self, mut order: Vec<u32>) -> AdaptiveSoftmax {
        let mut rest = &mut order[..];
        let mut begin = 0;
        for &end in &self.cutoffs {
            let (cluster, later) = rest.split_at_mut(end.saturating_sub(begin).min(rest.len()));
            cluster.sort_unstable();
            (rest, begin) = (later, end);
        }
        rest.sort_unstable();
        let is_identity = order.iter().zip(0..).all(|(&id, rank)| id == rank);
        AdaptiveSoftmax { order: if is_identity { vec![] } else { order }, ..self }
    }

    /// The rank at which each tail begins.
    pub fn cutoffs(&self) -> &[usize] {
        &self.cutoffs
    }

    /// `[V]`: the token with each rank; `None` if the tokens are in this order.
    pub fn order(&self) -> Option<&[u32]> {
        Some(self.order.as_slice()).filter(|order| !order.is_empty())
    }

    /// Appends tokens up to a vocabulary of `vocab_size`: they are the least frequent.
    pub(crate) fn extend(&mut self, vocab_size: usize) {
        if !self.order.is_empty() {
            self.order.extend(self.order.len() as u32..vocab_size as u32);
        }
    }

    /// The sizes of a softmax over a vocabulary, for `rows` rows.
    pub(crate) fn dims(&self, vocab: usize, rows: usize) -> Dims<'_> {
        Dims { rows, cutoffs: &self.cutoffs, vocab }
    }

    /// The width of the projection that tail `tail` reads, of a hidden state of this width.
    pub(crate) fn projection_width(tail: usize, hidden: usize) -> usize {
        (0..=tail).fold(hidden, |width, _| width / DIVISOR)
    }

    /// Checks that the clusters divide a vocabulary, and that no projection of a hidden state of this width is empty.
    pub(crate) fn check(&self, vocab: usize, hidden: usize) -> Result<()> {
        let refuse = |reason: String| Err(NnError::Config { field: "softmax", reason });
        let Some(&last) = self.cutoffs.last() else {
            return refuse("must have at least one cutoff".to_owned());
        };
        if self.cutoffs[0] == 0 || !self.cutoffs.is_sorted_by(|a, b| a < b) {
            let list = self.cutoffs.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            return refuse(format!("must have increasing cutoffs of at least 1, but has {list}"));
        }
        if last >= vocab {
            return refuse(format!(
                "must have cutoffs below the vocabulary size ({vocab}), but the last is {last}"
            ));
        }
        let most = (0..).take_while(|&tail| Self::projection_width(tail, hidden) > 0).count();
        if self.cutoffs.len() > most {
            return refuse(format!(
                "has {} cutoffs, but the last hidden size ({hidden}) is enough for {most}, because each tail is \
                 {DIVISOR} times narrower than the one before",
                self.cutoffs.len()
            ));
        }
        if self.order().is_some_and(|order| !is_permutation(order, vocab)) {
            return refuse("must have an order that lists each token of the vocabulary once".to_owned());
        }
        Ok(())
    }
}

/// Whether a list contains each id below `len` once.
fn is_permutation(ids: &[u32], len: usize) -> bool {
    let mut found = vec![false; ids.len()];
    let mut is_new =
        |&id: &u32| found.get_mut(id as usize).is_some_and(|found| !std::mem::replace(found, true));
    ids.len() == len && ids.iter().all(&mut is_new)
}

impl RnnLmConfig {
    /// The multiplications per token of the decoder in training: `H·V`, or fewer with an adaptive softmax, where only the
    /// tail of the next word is computed. How often it is one of a tail follows from Zipf's law.
    pub fn decoder_products(&self) -> f64 {
        let hidden = self.hidden_sizes.last().copied().unwrap_or(0);
        let Some(softmax) = &self.adaptive_softmax else { return hidden as f64 * self.vocab_size as f64 };
        let dims = softmax.dims(self.vocab_size, 1);
        let of_tail = |tail: usize| {
            let width = AdaptiveSoftmax::projection_width(tail, hidden);
            tail_frequency(dims, tail) * (width as f64 * (hidden + dims.tail(tail).len()) as f64)
        };
        hidden as f64 * dims.head_width() as f64 + (0..dims.cutoffs.len()).map(of_tail).sum::<f64>()
    }
}

/// The fraction of a text's words that are in a tail, by Zipf's law: the frequency of a word is inverse to its rank, so
/// that of the ranks from `a` to `b` is `(ln b − ln a) / (ln V + γ)`.
pub(crate) fn tail_frequency(dims: Dims<'_>, tail: usize) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    let ranks = dims.tail(tail);
    let ln = |rank: usize| (rank as f64).ln();
    (ln(ranks.end) - ln(ranks.start)) / (ln(dims.vocab) + EULER_GAMMA)
}
