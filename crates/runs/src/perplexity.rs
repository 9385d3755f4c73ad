//! Perplexity, and how it is printed.

use std::fmt;

/// The exponential of the mean negative log-likelihood per token. A model with perplexity `n` is, on average, as
/// uncertain as if it chose among `n` equally likely tokens.
///
/// ```
/// use rondo_runs::Perplexity;
///
/// assert_eq!(Perplexity::from_nll_mean(5.0).to_string(), "148.41");
/// assert_eq!(format!("{:.0}", Perplexity::from_nll_mean(5.0)), "148");
/// assert_eq!(Perplexity::from_nll_mean(800.0).to_string(), "inf");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Perplexity(f64);

impl Perplexity {
    /// Larger perplexities are treated as infinite. The perplexity of a uniform guess is the vocabulary size, and no
    /// vocabulary is this large, so a larger value only shows that training has diverged.
    pub const BOUND: f64 = 1e8;

    /// The perplexity for `nll_mean` nats per token.
    pub fn from_nll_mean(nll_mean: f64) -> Self {
        let perplexity = nll_mean.exp();
        Perplexity(if perplexity > Self::BOUND { f64::INFINITY } else { perplexity })
    }

    /// The value: at most [`Perplexity::BOUND`], infinite, or NaN.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Perplexity {
    /// With two decimals by default; `inf` above the bound and `nan` for NaN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, decimals) = (f.width().unwrap_or(0), f.precision().unwrap_or(2));
        match self.0 {
            value if value.is_nan() => write!(f, "{:>width$}", "nan"),
            value => write!(f, "{value:width$.decimals$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(nll_mean: f64) -> String {
        Perplexity::from_nll_mean(nll_mean).to_string()
    }

    #[test]
    fn it_is_printed_with_two_decimals_or_as_what_it_is() {
        assert_eq!(printed(0.0), "1.00");
        assert_eq!(printed(4.6), "99.48");
        assert_eq!(format!("{:.0}", Perplexity::from_nll_mean(18.4)), "97953164");
        assert_eq!(printed(18.5), "inf");
        assert_eq!(printed(f64::INFINITY), "inf");
        assert_eq!(printed(f64::NAN), "nan");
    }

    #[test]
    fn it_is_aligned_as_numbers_are() {
        assert_eq!(format!("{:8.1}|", Perplexity::from_nll_mean(4.6)), "    99.5|");
        assert_eq!(format!("{:>8}|", Perplexity::from_nll_mean(f64::NAN)), "     nan|");
    }
}
