//! Draws a token from a model's logits.
//!
//! ```text
//! logits ─ forbidden out ─ ÷ temperature ─ top-k ─ softmax ─ top-p ─ softmax again ─ draw
//! ```
//!
//! Promises: a draw is a function of logits, settings and the random numbers alone; where logits are equal, the
//! smaller id counts as the larger logit.
//! Not here: where logits come from (`generate`).

use std::cmp::Ordering;

use rand::{Rng, RngExt};

use crate::{InferError, Result};

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 likely tokens become likelier, above 1 all become alike. At 0 the likeliest
    /// token is taken, without chance.
    pub temperature: f32,
    /// Only this many of the likeliest tokens are drawn from; none is off.
    pub top_k: Option<usize>,
    /// Only the smallest set of likeliest tokens that has this much probability, at temperature and after `top_k`,
    /// is drawn from; none or 1 is off. *Source*: nucleus sampling, Holtzman et al. 2020.
    pub top_p: Option<f32>,
    /// Tokens that are never drawn.
    pub forbidden: Vec<u32>,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, top_p: None, forbidden: Vec::new() }
    }
}

/// Draws tokens; it keeps the memory that a draw needs.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    /// For each token, whether it is never drawn.
    forbidden: Vec<bool>,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    logit: f32,
    /// Its probability times some factor that is the same for all.
    weight: f32,
}

impl Sampler {
    /// A sampler over a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// [`InferError::Temperature`], [`InferError::TopP`] or [`InferError::ZeroSize`] if a setting is out of its
    /// range, [`InferError::IdOutOfRange`] for a forbidden token that does not exist, [`InferError::AllForbidden`] if
    /// no token is left.
    pub fn new(sampling: &Sampling, vocab_size: usize) -> Result<Self> {
        let Sampling { temperature, top_k, top_p, forbidden: ref never } = *sampling;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(InferError::Temperature { found: temperature });
        }
        if top_k == Some(0) {
            return Err(InferError::ZeroSize { name: "top_k" });
        }
        if let Some(found) = top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(InferError::TopP { found });
        }
        let mut forbidden = vec![false; vocab_size];
        for &id in never {
            match forbidden.get_mut(id as usize) {
                Some(forbidden) => *forbidden = true,
                None => return Err(InferError::IdOutOfRange { id, vocab_size }),
            }
        }
        if !forbidden.contains(&false) {
            return Err(InferError::AllForbidden { vocab_size });
        }
        Ok(Sampler { temperature, top_k, top_p, forbidden, candidates: Vec::with_capacity(vocab_size) })
    }

    /// Draws a token from `logits: [V]`.
    ///
    /// # Panics
    /// If there are not as many logits as the vocabulary has tokens.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if a logit is NaN or +∞, or all are −∞.
    pub fn draw(&mut self, logits: &[f32], rng: &mut impl Rng) -> Result<u32> {
        assert_eq!(logits.len(), self.forbidden.len(), "number of logits");
        let allowed = logits.iter().zip(&self.forbidden).zip(0..).filter(|((_, forbidden), _)| !**forbidden);
        self.candidates.clear();
        self.candidates.extend(allowed.map(|((&logit, _), id)| Candidate { id, logit, weight: 0.0 }));
        let best = self.candidates.iter().copied().min_by(by_falling_logit);
        // The order puts NaN first or last, by its sign, so the best one alone does not tell.
        let damaged = self.candidates.iter().any(|candidate| candidate.logit.is_nan());
        let Some(best) = best.filter(|best| best.logit.is_finite() && !damaged) else {
            return Err(InferError::NonFiniteLogits);
        };
        if self.temperature == 0.0 {
            return Ok(best.id);
        }
        if let Some(top_k) = self.top_k {
            keep_likeliest(&mut self.candidates, top_k);
            self.candidates.truncate(top_k);
        }
        for candidate in &mut self.candidates {
            candidate.weight = ((candidate.logit - best.logit) / self.temperature).exp();
        }
        if let Some(top_p) = self.top_p.filter(|&p| p < 1.0) {
            keep_nucleus(&mut self.candidates, top_p);
        }
        let mut left = rng.random::<f64>() * weight_sum(&self.candidates);
        for candidate in &self.candidates {
            let weight = f64::from(candidate.weight);
            if left < weight {
                return Ok(candidate.id);
            }
            left -= weight;
        }
        // Rounding can leave a last trace of the sum to no candidate.
        Ok(best.id)
    }
}

/// The likelier one first.
fn by_falling_logit(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

fn weight_sum(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
}

/// Brings the `count` likeliest candidates to the front, in order.
fn keep_likeliest(candidates: &mut [Candidate], count: usize) {
    let count = count.min(candidates.len());
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, by_falling_logit);
    }
    candidates[..count].sort_unstable_by(by_falling_logit);
}

/// Drops all but the smallest set of likeliest candidates that has the share `top_p` of the weight.
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f32) {
    // The nucleus is small as a rule: sorting a few candidates at a time is far cheaper than a whole vocabulary.
    const FIRST_COUNT: usize = 64;
    let wanted = f64::from(top_p) * weight_sum(candidates);
    let mut count = FIRST_COUNT;
    loop {
        keep_likeliest(candidates, count);
        let mut sum = 0.0;
        let reached = candidates.iter().take(count).position(|candidate| {
            sum += f64::from(candidate.weight);
            sum >= wanted
        });
        match reached {
            Some(last) => return candidates.truncate(last + 1),
            None if count >= candidates.len() => return,
            None => count *= 4,
        }
    }
}
