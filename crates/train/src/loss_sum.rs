//! Sums of what training steps measure.

use serde::{Deserialize, Serialize};

/// The sums over some steps, in `f64` to stay precise over millions of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossSum {
    nll_sum: f64,
    tokens: u64,
    seconds: f64,
    /// The sum of the gradient norms before clipping, and their number; checkpoints of version 0.1.0 do not have
    /// them.
    #[serde(default)]
    norm_sum: f64,
    #[serde(default)]
    norms: u64,
}

impl LossSum {
    /// Adds a step: the sum of its losses, its tokens, its time, and its gradient norm before clipping.
    pub(crate) fn add(&mut self, nll_sum: f64, tokens: u64, seconds: f64, gradient_norm: f64) {
        self.nll_sum += nll_sum;
        self.tokens += tokens;
        self.seconds += seconds;
        self.norm_sum += gradient_norm;
        self.norms += 1;
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The mean loss in nats per token; NaN if there are no tokens.
    pub(crate) fn nll_mean(&self) -> f64 {
        self.nll_sum / self.tokens as f64
    }

    /// The mean gradient norm before clipping; NaN if there are no steps.
    pub(crate) fn gradient_norm_mean(&self) -> f64 {
        self.norm_sum / self.norms as f64
    }

    /// Tokens per second of the steps alone.
    pub(crate) fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_losses_count_beside_many_tokens() {
        let mut sum = LossSum::default();
        sum.add(1e9, 100_000_000, 1.0, 0.0);
        for _ in 0..1000 {
            sum.add(1e-3, 1, 0.0, 0.0);
        }
        assert!((sum.nll_mean() * 100_001_000.0 - 1_000_000_001.0).abs() < 1e-3);
    }

    #[test]
    fn means_are_over_tokens_and_over_steps() {
        let mut sum = LossSum::default();
        sum.add(30.0, 10, 1.0, 2.0);
        sum.add(6.0, 2, 2.0, 5.0);
        assert_eq!((sum.nll_mean(), sum.gradient_norm_mean(), sum.tokens_per_s()), (3.0, 3.5, 4.0));
    }

    #[test]
    fn a_sum_of_version_0_1_0_continues_with_its_losses() {
        let mut sum: LossSum = serde_json::from_str(r#"{"nll_sum":30.0,"tokens":10,"seconds":1.0}"#).unwrap();
        sum.add(6.0, 2, 2.0, 5.0);
        assert_eq!((sum.nll_mean(), sum.gradient_norm_mean()), (3.0, 5.0));
    }
}
