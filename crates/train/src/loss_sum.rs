//! Sums of losses over steps.

use serde::{Deserialize, Serialize};

/// The sum of losses over steps, in `f64` to stay precise over millions of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossSum {
    nll_sum: f64,
    tokens: u64,
    seconds: f64,
}

impl LossSum {
    pub(crate) fn add(&mut self, nll_sum: f64, tokens: u64, seconds: f64) {
        self.nll_sum += nll_sum;
        self.tokens += tokens;
        self.seconds += seconds;
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The mean loss in nats per token; NaN if there are no tokens.
    pub(crate) fn nll_mean(&self) -> f64 {
        self.nll_sum / self.tokens as f64
    }

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
        sum.add(1e9, 100_000_000, 1.0);
        for _ in 0..1000 {
            sum.add(1e-3, 1, 0.0);
        }
        assert!((sum.nll_mean() * 100_001_000.0 - 1_000_000_001.0).abs() < 1e-3);
    }
}
