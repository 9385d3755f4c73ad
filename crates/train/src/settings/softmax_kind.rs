//! The softmax over the vocabulary: the settings, with their parameters. Not here: sampling (`sampler`).

use std::fmt;
use std::str::FromStr;

/// The softmax over the vocabulary.
///
/// ```
/// use rondo_train::settings::SoftmaxKind;
///
/// assert_eq!("sampled:4096".parse(), Ok(SoftmaxKind::Sampled { draws: 4096 }));
/// assert_eq!("adaptive:2000,10000".parse(), Ok(SoftmaxKind::Adaptive { cutoffs: vec![2_000, 10_000] }));
/// assert_eq!(SoftmaxKind::Full.to_string(), "full");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SoftmaxKind {
    /// Over all tokens.
    #[default]
    Full,
    /// In training, over the targets and a sample of all tokens; evaluations are exact.
    Sampled {
        /// The number of tokens drawn in each step, with replacement.
        draws: usize,
    },
    /// Adaptive, a property of the model: frequent tokens are predicted directly, the others in two steps.
    Adaptive {
        /// The frequency ranks at which the clusters of rarer tokens begin, increasing.
        cutoffs: Vec<usize>,
    },
}

impl FromStr for SoftmaxKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "full" => Ok(SoftmaxKind::Full),
            Some(("sampled", draws)) => {
                let draws = draws.parse().ok().filter(|&draws| draws > 0);
                let expected = "expected a number of tokens to draw in each step, such as `sampled:4096`";
                draws.map(|draws| SoftmaxKind::Sampled { draws }).ok_or_else(|| expected.to_owned())
            }
            Some(("adaptive", cutoffs)) => {
                let cutoffs: Option<Vec<usize>> = cutoffs
                    .split(',')
                    .map(|cutoff| cutoff.parse().ok().filter(|&cutoff| cutoff > 0))
                    .collect();
                let cutoffs = cutoffs.filter(|cutoffs| cutoffs.is_sorted_by(|a, b| a < b));
                let expected = "expected increasing frequency ranks at which clusters begin, such as \
                                `adaptive:2000,10000`";
                cutoffs.map(|cutoffs| SoftmaxKind::Adaptive { cutoffs }).ok_or_else(|| expected.to_owned())
            }
            _ => {
                Err("expected `full`, `sampled:DRAWS` such as `sampled:4096`, or `adaptive:CUTOFFS` such as \
                      `adaptive:2000,10000`"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for SoftmaxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SoftmaxKind::Full => f.write_str("full"),
            SoftmaxKind::Sampled { draws } => write!(f, "sampled:{draws}"),
            SoftmaxKind::Adaptive { cutoffs } => {
                let cutoffs = cutoffs.iter().map(usize::to_string).collect::<Vec<_>>();
                write!(f, "adaptive:{}", cutoffs.join(","))
            }
        }
    }
}

/// The distribution that the tokens of a sampled softmax are drawn from.
///
/// ```
/// use rondo_train::settings::SamplerKind;
///
/// assert_eq!("unigram:0.75".parse(), Ok(SamplerKind::Unigram { power: 0.75 }));
/// assert_eq!(SamplerKind::default().to_string(), "unigram:0.75");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SamplerKind {
    /// In proportion to a power of the token's count in the training text.
    Unigram {
        /// The power, from 0 (uniform) to 1.
        power: f64,
    },
    /// Log-uniform over frequency ranks: `ln((r + 2) / (r + 1)) / ln(V + 1)` for the token with rank `r` from 0, which
    /// follows Zipf's law.
    LogUniform,
}

impl Default for SamplerKind {
    fn default() -> Self {
        SamplerKind::Unigram { power: 0.75 }
    }
}

impl FromStr for SamplerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "log-uniform" => Ok(SamplerKind::LogUniform),
            Some(("unigram", power)) => {
                let power = power.parse().ok().filter(|power| (0.0..=1.0).contains(power));
                let expected =
                    "expected a power of the unigram distribution from 0 to 1, such as `unigram:0.75`";
                power.map(|power| SamplerKind::Unigram { power }).ok_or_else(|| expected.to_owned())
            }
            _ => Err("expected `log-uniform`, or `unigram:POWER` such as `unigram:0.75`".to_owned()),
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SamplerKind::Unigram { power } => write!(f, "unigram:{power}"),
            SamplerKind::LogUniform => f.write_str("log-uniform"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_back_as_written() {
        for text in ["full", "sampled:1", "sampled:4096", "adaptive:1", "adaptive:2000,10000"] {
            assert_eq!(text.parse::<SoftmaxKind>().unwrap().to_string(), text);
        }
        for text in ["log-uniform", "unigram:0", "unigram:0.75", "unigram:1"] {
            assert_eq!(text.parse::<SamplerKind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (texts, expected) in [
            (["sampled:0", "sampled:", "sampled:-1", "sampled:0.5"], "expected a number of tokens to draw"),
            (
                ["adaptive:", "adaptive:0,5", "adaptive:9,5", "adaptive:5,5"],
                "expected increasing frequency ranks",
            ),
            (["sampled", "adaptive", "full:1", ""], "expected `full`, `sampled:DRAWS` such as"),
        ] {
            for text in texts {
                let error = text.parse::<SoftmaxKind>().unwrap_err();
                assert!(error.starts_with(expected), "{text}: {error}");
            }
        }
        for (texts, expected) in [
            (["unigram:-1", "unigram:2", "unigram:nan"], "expected a power of the unigram distribution"),
            (["unigram", "uniform", ""], "expected `log-uniform`, or `unigram:POWER`"),
        ] {
            for text in texts {
                let error = text.parse::<SamplerKind>().unwrap_err();
                assert!(error.starts_with(expected), "{text}: {error}");
            }
        }
    }
}
