//! Loss and perplexity, and how they are printed.
//!
//! Both fit their column at any size: a large loss has fewer decimals, and huge values have an exponent.

use std::fmt;

/// The exponential of the mean negative log-likelihood per token. A model with perplexity `n` is, on average, as
/// uncertain as if it chose among `n` equally likely tokens.
///
/// ```
/// use rondo_runs::Perplexity;
///
/// assert_eq!(Perplexity::from_nll_mean(5.0).to_string(), "148.41");
/// assert_eq!(format!("{:.0}", Perplexity::from_nll_mean(5.0)), "148");
/// assert_eq!(Perplexity::from_nll_mean(50.0).to_string(), "5.18e21");
/// assert_eq!(Perplexity::from_nll_mean(800.0).to_string(), "inf");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Perplexity {
    nll_mean: f64,
}

impl Perplexity {
    /// Larger perplexities are recorded and compared as infinite. The perplexity of a uniform guess is the vocabulary
    /// size, and no vocabulary is this large, so a larger value only shows that training has diverged.
    pub const BOUND: f64 = 1e8;

    /// The width of a column of perplexities with two decimals: wide enough for every value.
    pub const WIDTH: usize = 8;

    /// The perplexity for `nll_mean` nats per token.
    pub fn from_nll_mean(nll_mean: f64) -> Self {
        Perplexity { nll_mean }
    }

    /// The value: at most [`Perplexity::BOUND`], infinite, or NaN.
    pub fn value(self) -> f64 {
        let perplexity = self.nll_mean.exp();
        if perplexity > Self::BOUND { f64::INFINITY } else { perplexity }
    }
}

impl fmt::Display for Perplexity {
    /// With two decimals by default; from 100,000, with an exponent; `nan` for NaN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, decimals) = (f.width().unwrap_or(0), f.precision().unwrap_or(2));
        let value = self.nll_mean.exp();
        // 99,999.995 would be rounded to 100,000.00, which is too wide.
        let text = match value {
            _ if value.is_nan() => "nan".to_owned(),
            _ if value.is_infinite() => "inf".to_owned(),
            _ if value >= 99_999.995 => format!("{value:.2e}"),
            _ => format!("{value:.decimals$}"),
        };
        write!(f, "{text:>width$}")
    }
}

/// A loss, in nats per token, as it is printed: four decimals below 10, and never more than
/// [`Loss::WIDTH`] characters.
///
/// ```
/// use rondo_runs::Loss;
///
/// assert_eq!(Loss(5.0).to_string(), "5.0000");
/// assert_eq!(Loss(12.3456).to_string(), "12.346");
/// assert_eq!(Loss(41_543_364_289_447.234).to_string(), "4.2e13");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Loss(pub f64);

impl Loss {
    /// The width of a column of losses.
    pub const WIDTH: usize = 6;
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = f.width().unwrap_or(0);
        let fits = |text: &String| text.len() <= Self::WIDTH;
        let text = match self.0 {
            value if value.is_nan() => "nan".to_owned(),
            value if value.is_infinite() => value.to_string(),
            value => {
                let plain = (0..=4).rev().map(|decimals| format!("{value:.decimals$}")).find(fits);
                // An `f64` has at most three digits of exponent: `2e308` fits.
                let exponent = || (0..=2).rev().map(|decimals| format!("{value:.decimals$e}")).find(fits);
                plain.or_else(exponent).unwrap_or_else(|| format!("{value:.0e}"))
            }
        };
        write!(f, "{text:>width$}")
    }
}

/// A number of any size that is printed with all its digits and no more: `20`, `0.001`, `1e30`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compact(pub f64);

impl fmt::Display for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compact(number) = *self;
        let is_plain = number == 0.0 || (1e-6..1e9).contains(&number.abs()) || !number.is_finite();
        f.pad(&if is_plain { format!("{number}") } else { format!("{number:e}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_number_has_an_exponent_if_it_would_be_long() {
        let numbers = [20.0, 0.001, 0.0, 1e30, -2.5e-9, f64::INFINITY, 123_456_789.5];
        let texts = numbers.map(|number| Compact(number).to_string());
        assert_eq!(texts, ["20", "0.001", "0", "1e30", "-2.5e-9", "inf", "123456789.5"]);
    }

    fn printed(nll_mean: f64) -> String {
        Perplexity::from_nll_mean(nll_mean).to_string()
    }

    #[test]
    fn it_is_printed_with_two_decimals_or_as_what_it_is() {
        assert_eq!(printed(0.0), "1.00");
        assert_eq!(printed(4.6), "99.48");
        assert_eq!(printed(f64::INFINITY), "inf");
        assert_eq!(printed(f64::NAN), "nan");
    }

    #[test]
    fn it_is_aligned_as_numbers_are() {
        assert_eq!(format!("{:8.1}|", Perplexity::from_nll_mean(4.6)), "    99.5|");
        assert_eq!(format!("{:>8}|", Perplexity::from_nll_mean(f64::NAN)), "     nan|");
    }

    #[test]
    fn a_huge_perplexity_has_an_exponent_but_is_infinite_as_a_value() {
        assert_eq!(printed(99_999.99_f64.ln()), "99999.99");
        assert_eq!(printed(100_000_f64.ln()), "1.00e5");
        assert_eq!(format!("{:.0}", Perplexity::from_nll_mean(18.4)), "9.80e7");
        assert_eq!(printed(18.5), "1.08e8");
        assert_eq!(Perplexity::from_nll_mean(18.4).value().round(), 97_953_164.0);
        assert_eq!(Perplexity::from_nll_mean(18.5).value(), f64::INFINITY);
        assert!(Perplexity::from_nll_mean(f64::NAN).value().is_nan());
    }

    #[test]
    fn a_loss_has_as_many_decimals_as_fit() {
        let printed = [0.0, 9.9999, 9.99995, 99.99951, 1234.5678, 99_999.9, 999_999.4, 1e6, 1.26e10, 1e300]
            .map(|loss| Loss(loss).to_string());
        let expected = [
            "0.0000", "9.9999", "10.000", "100.00", "1234.6", "100000", "999999", "1.00e6", "1.3e10", "1e300",
        ];
        assert_eq!(printed, expected);
        assert_eq!([f64::NAN, f64::INFINITY].map(|loss| Loss(loss).to_string()), ["nan", "inf"]);
    }

    #[test]
    fn nothing_is_wider_than_its_column() {
        for exponent in -20..=308 {
            for digits in [1.0, 1.2345, 5.0, 9.994_999, 9.995, 9.999_999_9] {
                let value = digits * 10_f64.powi(exponent);
                let loss = format!("{:>6}", Loss(value));
                assert_eq!(loss.chars().count(), Loss::WIDTH, "{value:e}: {loss}");
                let perplexity = format!("{:>8}", Perplexity::from_nll_mean(value));
                assert_eq!(perplexity.chars().count(), Perplexity::WIDTH, "{value:e}: {perplexity}");
                let perplexity = format!("{:>8}", Perplexity::from_nll_mean(value.ln()));
                assert_eq!(perplexity.chars().count(), Perplexity::WIDTH, "{value:e}: {perplexity}");
            }
        }
    }
}
