//! The model's distribution over the next token, computed from logits.

use std::cmp::Ordering;

use rondo_kernels::sample::BLOCK;

use crate::logit_blocks::RowBlocks;
use crate::{InferError, Result};

/// The probabilities of all tokens of a vocabulary.
///
/// ```text
/// log p(id) = (logits[id] − largest) − log Σ exp(logits − largest)        in f64
/// ```
///
/// For a model's own output, the exponentials are computed in `f32` like the logits, so probabilities sum to
/// one within a millionth.
///
/// ```
/// use rondo_infer::Distribution;
///
/// let distribution = Distribution::new(&[1.0, 3.0, 1.0])?;
/// let two = distribution.most_likely(2, |_| true);
/// assert_eq!([two[0].id, two[1].id], [1, 0]); // ties: the smaller id first
/// let sum: f64 = (0..3).map(|id| distribution.log_prob(id).exp()).sum();
/// assert!((sum - 1.0).abs() < 1e-12);
/// # Ok::<(), rondo_infer::InferError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a> {
    logits: &'a [f32],
    /// The largest logit of each block; empty if unknown.
    maxima: &'a [f32],
    largest: f64,
    /// `log Σ exp(logits − largest)`.
    log_sum: f64,
}

/// A [`Distribution`] that owns its values.
#[derive(Debug)]
pub(crate) struct OwnedDistribution {
    logits: Vec<f32>,
    maxima: Vec<f32>,
    largest: f64,
    log_sum: f64,
}

impl OwnedDistribution {
    pub(crate) fn get(&self) -> Distribution<'_> {
        let OwnedDistribution { logits, maxima, largest, log_sum } = self;
        Distribution { logits, maxima, largest: *largest, log_sum: *log_sum }
    }
}

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: u32,
    /// Its log-probability (natural logarithm).
    pub log_prob: f64,
}

impl<'a> Distribution<'a> {
    /// The distribution of these logits: `[V]`.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if a logit is NaN or +∞, or all are −∞.
    pub fn new(logits: &'a [f32]) -> Result<Self> {
        // Most comparisons with NaN are false, so the largest logit alone would not reveal one.
        let damaged = logits.iter().any(|logit| logit.is_nan());
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if damaged || !largest.is_finite() {
            return Err(InferError::NonFiniteLogits);
        }
        let largest = f64::from(largest);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Ok(Distribution { logits, maxima: &[], largest, log_sum: sum.ln() })
    }

    /// The same for logits whose blocks were summed at temperature 1, without caps.
    ///
    /// # Errors
    /// As [`Distribution::new`].
    pub(crate) fn of_blocks(logits: &'a [f32], blocks: RowBlocks<'a>) -> Result<Self> {
        let largest = blocks.largest();
        if !largest.is_finite() {
            return Err(InferError::NonFiniteLogits);
        }
        let log_sum = blocks.weight_sum(1.0).ln();
        Ok(Distribution { logits, maxima: blocks.maxima, largest: f64::from(largest), log_sum })
    }

    /// The logits: `[V]`.
    pub(crate) fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// The same with values of its own.
    pub(crate) fn to_owned_values(self) -> OwnedDistribution {
        let Distribution { logits, maxima, largest, log_sum } = self;
        OwnedDistribution { logits: logits.to_vec(), maxima: maxima.to_vec(), largest, log_sum }
    }

    /// `ln Σ eˣ` over the logits: the logarithm of the normalizer.
    pub(crate) fn log_normalizer(&self) -> f64 {
        self.largest + self.log_sum
    }

    /// The log-probability (natural logarithm) of a token.
    ///
    /// # Panics
    /// If the id is not below the vocabulary size.
    #[must_use]
    pub fn log_prob(&self, id: u32) -> f64 {
        self.log_prob_of(self.logits[id as usize])
    }

    /// The `count` most likely allowed tokens, most likely first, ties broken by the smaller id. Fewer if no
    /// more have a nonzero probability.
    #[must_use]
    pub fn most_likely(&self, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Candidate> {
        let mut best = Best::new(count, |a: &Candidate, b: &Candidate| {
            b.log_prob.total_cmp(&a.log_prob).then(a.id.cmp(&b.id))
        });
        self.offer_to(&mut best, allowed, |candidate| candidate);
        best.into_sorted()
    }

    /// Offers `make(candidate)` to `best` for each allowed token with a nonzero probability, skipping tokens
    /// that are known to be refused. Requires that of two tokens the one with the larger probability is
    /// better, and of equals the smaller id.
    pub(crate) fn offer_to<T: Copy, F: Fn(&T, &T) -> Ordering>(
        &self,
        best: &mut Best<T, F>,
        allowed: impl Fn(u32) -> bool,
        make: impl Fn(Candidate) -> T,
    ) {
        let candidate = |id, logit| Candidate { id, log_prob: self.log_prob_of(logit) };
        for (block, logits) in self.logits.chunks(BLOCK).enumerate() {
            let start = (block * BLOCK) as u32;
            // No token of the block beats its first id with the block's largest logit.
            if self.maxima.get(block).is_some_and(|&max| best.refuses(&make(candidate(start, max)))) {
                continue;
            }
            for (id, &logit) in (start..).zip(logits) {
                let item = make(candidate(id, logit));
                // Checking `allowed` can be slower than checking for refusal.
                if logit > f32::NEG_INFINITY && !best.refuses(&item) && allowed(id) {
                    best.offer(item);
                }
            }
        }
    }

    fn log_prob_of(&self, logit: f32) -> f64 {
        // The largest logit is subtracted first: added to a large one, the log-sum would be rounded away.
        f64::from(logit) - self.largest - self.log_sum
    }
}

/// Keeps the first `count`, in some order, of the items it is offered.
pub(crate) struct Best<T, F> {
    count: usize,
    compare: F,
    /// A superset of the best so far; truncated when it has twice as many.
    items: Vec<T>,
    /// An item must come before this one to be among the best, once there are enough items.
    bound: Option<T>,
}

impl<T: Copy, F: Fn(&T, &T) -> Ordering> Best<T, F> {
    pub(crate) fn new(count: usize, compare: F) -> Self {
        Best { count, compare, items: Vec::new(), bound: None }
    }

    pub(crate) fn offer(&mut self, item: T) {
        if self.refuses(&item) {
            return;
        }
        self.items.push(item);
        if self.items.len() >= self.count.saturating_mul(2) {
            self.items.select_nth_unstable_by(self.count - 1, &self.compare);
            self.items.truncate(self.count);
            self.bound = self.items.last().copied();
        }
    }

    /// Whether an item is already known not to be among the best.
    pub(crate) fn refuses(&self, item: &T) -> bool {
        self.count == 0 || self.bound.as_ref().is_some_and(|bound| (self.compare)(item, bound).is_ge())
    }

    pub(crate) fn into_sorted(mut self) -> Vec<T> {
        if self.count < self.items.len() {
            self.items.select_nth_unstable_by(self.count, &self.compare);
            self.items.truncate(self.count);
        }
        self.items.sort_unstable_by(&self.compare);
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logit_blocks::LogitBlocks;
    use rondo_kernels::{Buffer, Device};

    #[test]
    fn the_best_are_those_of_a_whole_sort() {
        // Many ties, which the position must break.
        let items: Vec<(u64, usize)> = (0..500_u64).map(|n| n * n * 7919 % 83).zip(0..).collect();
        let mut sorted = items.clone();
        sorted.sort_unstable();
        for count in [0, 1, 2, 7, 499, 500, 501, usize::MAX] {
            let mut best = Best::new(count, |a: &(u64, usize), b: &(u64, usize)| a.cmp(b));
            items.iter().for_each(|&item| best.offer(item));
            assert_eq!(best.into_sorted(), sorted[..count.min(sorted.len())], "{count}");
        }
    }

    #[test]
    fn blocks_tell_what_the_logits_tell() {
        let device = Device::cpu(1).unwrap();
        // Several blocks, many ties among the logits, and one block without a token.
        let logit =
            |n: u32| if n / BLOCK as u32 == 1 { f32::NEG_INFINITY } else { (n * 7919 % 83) as f32 / 9.0 };
        let logits: Vec<f32> = (0..1_000).map(logit).collect();
        let mut blocks = LogitBlocks::new(&device);
        let on_device = Buffer::from_slice(&device, &logits).unwrap();
        blocks.look(logits.len(), on_device.slice(), None, Some(1.0));
        let blocks = blocks.read().unwrap();
        let found = Distribution::of_blocks(&logits, blocks.rows().next().unwrap()).unwrap();
        let plain = Distribution::new(&logits).unwrap();
        assert!((found.log_prob(7) - plain.log_prob(7)).abs() < 1e-6);
        for count in [0, 1, 12, 13, 300, 2_000] {
            let ids = |distribution: &Distribution<'_>| -> Vec<u32> {
                distribution.most_likely(count, |id| id % 3 != 0).iter().map(|c| c.id).collect()
            };
            assert_eq!(ids(&found), ids(&plain), "{count}");
        }
    }

    #[test]
    fn large_logits_do_not_overflow_and_impossible_tokens_are_no_candidates() {
        let distribution = Distribution::new(&[3e38, f32::NEG_INFINITY, 3e38]).unwrap();
        assert!((distribution.log_prob(2) + 2.0_f64.ln()).abs() < 1e-9);
        assert_eq!(distribution.log_prob(1), f64::NEG_INFINITY);
        let ids: Vec<u32> = distribution.most_likely(5, |_| true).iter().map(|c| c.id).collect();
        assert_eq!(ids, [0, 2]);
    }

    #[test]
    fn logits_that_are_no_distribution_are_refused() {
        for logits in [&[f32::NAN, 1.0][..], &[1.0, f32::INFINITY], &[f32::NEG_INFINITY], &[]] {
            assert!(matches!(Distribution::new(logits), Err(InferError::NonFiniteLogits)), "{logits:?}");
        }
    }
}
