//! The probability of a token under a mixture of the model and another one: a cache, or an n-gram model.

/// The log-weights of the two components.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture {
    /// `ln(1 − λ)`.
    model: f64,
    /// `ln λ`.
    other: f64,
}

impl Mixture {
    /// The mixture that gives the other model the weight `lambda`.
    pub(crate) fn new(lambda: f64) -> Mixture {
        Mixture { model: (-lambda).ln_1p(), other: lambda.ln() }
    }

    /// `−ln((1 − λ) · e^−nll + λ · e^log_share)`, computed in log space because either probability may be too
    /// small for an `f64`. With `λ = 0` it is exactly `nll`.
    pub(crate) fn nll(self, nll: f64, log_share: f64) -> f64 {
        let (model, other) = (self.model - nll, self.other + log_share);
        if other == f64::NEG_INFINITY {
            -model
        } else if model >= other {
            -(model + (other - model).exp().ln_1p())
        } else {
            // NaN takes this branch and stays NaN.
            -(other + (model - other).exp().ln_1p())
        }
    }
}

/// Adds the token's negative log-likelihood under each mixture to its sum. `share` is the cache's
/// probability; with `None` (an empty cache) the model's own is used.
pub(crate) fn add(mixtures: &[Mixture], nll: f32, share: Option<f32>, sums: &mut [f64]) {
    let nll = f64::from(nll);
    let log_share = share.map(|share| f64::from(share).ln());
    for (mixture, sum) in mixtures.iter().zip(sums) {
        *sum += log_share.map_or(nll, |log_share| mixture.nll(nll, log_share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm_of_the_mixed_probability() {
        for lambda in [0.01f64, 0.3, 0.9] {
            for (p, share) in [(0.2f64, 0.5f64), (1e-30, 0.5), (0.9, 1e-30), (0.9, 0.0), (1.0, 1.0)] {
                let want = -((1.0 - lambda) * p + lambda * share).ln();
                let found = Mixture::new(lambda).nll(-p.ln(), share.ln());
                assert!((found - want).abs() < 1e-14 * (1.0 + want), "{lambda}, {p}, {share}: {found}");
            }
        }
    }

    #[test]
    fn what_is_too_small_for_a_number_is_kept_and_a_nan_stays_one() {
        let half = Mixture::new(0.5);
        assert_eq!(half.nll(2000.0, f64::NEG_INFINITY), 2000.0 + 2f64.ln());
        assert!((half.nll(2000.0, -0.5) - 0.5 - 2f64.ln()).abs() < 1e-15);
        assert_eq!(half.nll(f64::INFINITY, f64::NEG_INFINITY), f64::INFINITY);
        assert!(half.nll(f64::NAN, -1.0).is_nan() && half.nll(1.0, f64::NAN).is_nan());
    }

    #[test]
    fn with_lambda_1_it_is_the_other_models() {
        let other = Mixture::new(1.0);
        assert_eq!((other.nll(3.0, -0.5), other.nll(f64::INFINITY, -0.5)), (0.5, 0.5));
        assert_eq!(other.nll(3.0, f64::NEG_INFINITY), f64::INFINITY);
    }

    #[test]
    fn without_a_share_or_with_lambda_0_it_is_the_models_bit_for_bit() {
        for nll in [0.0f32, 0.1, 7.3, 300.0, 1e6] {
            for (lambda, share) in [(0.0, Some(0.5)), (0.0, Some(0.0)), (0.9, None)] {
                let mut sums = [0.0];
                add(&[Mixture::new(lambda)], nll, share, &mut sums);
                assert_eq!(sums, [f64::from(nll)], "{lambda}, {share:?}");
            }
        }
    }
}
