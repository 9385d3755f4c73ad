//! What a model expects next, from its logits.

use std::cmp::Ordering;

use crate::{InferError, Result};

/// The probabilities of all tokens of a vocabulary.
///
/// ```text
/// log p(id) = (logits[id] − largest) − log Σ exp(logits − largest)        in f64
/// ```
///
/// ```
/// use rondo_infer::Distribution;
///
/// let distribution = Distribution::new(&[1.0, 3.0, 1.0])?;
/// let two = distribution.likeliest(2, |_| true);
/// assert_eq!([two[0].id, two[1].id], [1, 0]); // of equals the smaller id
/// let sum: f64 = (0..3).map(|id| distribution.log_prob(id).exp()).sum();
/// assert!((sum - 1.0).abs() < 1e-12);
/// # Ok::<(), rondo_infer::InferError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a> {
    logits: &'a [f32],
    largest: f64,
    /// `log Σ exp(logits − largest)`.
    log_sum: f64,
}

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: u32,
    /// The natural logarithm of its probability.
    pub log_prob: f64,
}

impl<'a> Distribution<'a> {
    /// The distribution of these logits: `[V]`.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if a logit is NaN or +∞, or all are −∞.
    pub fn new(logits: &'a [f32]) -> Result<Self> {
        // Most comparisons with NaN are false, so that the largest logit alone would not tell.
        let damaged = logits.iter().any(|logit| logit.is_nan());
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if damaged || !largest.is_finite() {
            return Err(InferError::NonFiniteLogits);
        }
        let largest = f64::from(largest);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Ok(Distribution { logits, largest, log_sum: sum.ln() })
    }

    /// The natural logarithm of a token's probability.
    ///
    /// # Panics
    /// If the vocabulary has no such token.
    #[must_use]
    pub fn log_prob(&self, id: u32) -> f64 {
        self.log_prob_of(self.logits[id as usize])
    }

    /// The `count` likeliest of the tokens that are allowed, the likeliest first and of equals the smaller id. Fewer
    /// if no more have a probability above zero.
    #[must_use]
    pub fn likeliest(&self, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Candidate> {
        let mut best = Best::new(count, |a: &Candidate, b: &Candidate| {
            b.log_prob.total_cmp(&a.log_prob).then(a.id.cmp(&b.id))
        });
        for candidate in self.possible().filter(|candidate| allowed(candidate.id)) {
            best.offer(candidate);
        }
        best.into_sorted()
    }

    /// All tokens that have a probability above zero, by their ids.
    pub(crate) fn possible(&self) -> impl Iterator<Item = Candidate> {
        let candidates = (0..).zip(self.logits).filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        candidates.map(|(id, &logit)| Candidate { id, log_prob: self.log_prob_of(logit) })
    }

    fn log_prob_of(&self, logit: f32) -> f64 {
        // The largest is taken off first: beside a large one the logarithm of the sum would be rounded away.
        f64::from(logit) - self.largest - self.log_sum
    }
}

/// Keeps the first `count`, in some order, of what it is offered.
pub(crate) struct Best<T, F> {
    count: usize,
    compare: F,
    /// At least the best so far; cut back when there are twice as many.
    items: Vec<T>,
    /// What an item must come before to be among the best, once there are enough of them.
    bound: Option<T>,
}

impl<T: Copy, F: Fn(&T, &T) -> Ordering> Best<T, F> {
    pub(crate) fn new(count: usize, compare: F) -> Self {
        Best { count, compare, items: Vec::new(), bound: None }
    }

    pub(crate) fn offer(&mut self, item: T) {
        if self.bound.is_some_and(|bound| (self.compare)(&item, &bound).is_ge()) || self.count == 0 {
            return;
        }
        self.items.push(item);
        if self.items.len() >= self.count.saturating_mul(2) {
            self.items.select_nth_unstable_by(self.count - 1, &self.compare);
            self.items.truncate(self.count);
            self.bound = self.items.last().copied();
        }
    }

    /// What an item must come before to be among the best, if so much is known yet.
    pub(crate) fn bound(&self) -> Option<&T> {
        self.bound.as_ref()
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

    #[test]
    fn the_best_are_those_of_a_whole_sort() {
        // Many equals among them, which the place must tell apart.
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
    fn large_logits_do_not_overflow_and_impossible_tokens_are_no_candidates() {
        let distribution = Distribution::new(&[3e38, f32::NEG_INFINITY, 3e38]).unwrap();
        assert!((distribution.log_prob(2) + 2.0_f64.ln()).abs() < 1e-9);
        assert_eq!(distribution.log_prob(1), f64::NEG_INFINITY);
        let ids: Vec<u32> = distribution.likeliest(5, |_| true).iter().map(|c| c.id).collect();
        assert_eq!(ids, [0, 2]);
    }

    #[test]
    fn logits_that_are_no_distribution_are_refused() {
        for logits in [&[f32::NAN, 1.0][..], &[1.0, f32::INFINITY], &[f32::NEG_INFINITY], &[]] {
            assert!(matches!(Distribution::new(logits), Err(InferError::NonFiniteLogits)), "{logits:?}");
        }
    }
}
