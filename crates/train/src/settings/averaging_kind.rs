//! Which weights are evaluated and saved: the setting, with its parameter. Not here: averaging (`averaging`).

use std::fmt;
use std::str::FromStr;

/// Which weights are evaluated and saved: the latest ones or an average.
///
/// ```
/// use rondo_train::settings::AveragingKind;
///
/// assert_eq!("tail:0.25".parse(), Ok(AveragingKind::Tail { fraction: 0.25 }));
/// assert_eq!(AveragingKind::Ema { decay: 0.999 }.to_string(), "ema:0.999");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AveragingKind {
    /// The latest weights.
    Off,
    /// The average since the validation loss stopped improving (NT-ASGD).
    NtAsgd,
    /// The average since a given epoch (ASGD).
    Asgd,
    /// The average over the last steps of the run.
    Tail {
        /// Their fraction of the run's steps, above 0 and at most 1.
        fraction: f64,
    },
    /// The exponential moving average over all steps.
    Ema {
        /// Its decay, above 0 and below 1.
        decay: f64,
    },
}

impl FromStr for AveragingKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, fits: fn(f64) -> bool| text.parse().ok().filter(|&number| fits(number));
        match text.split_once(':') {
            None if text == "off" => Ok(AveragingKind::Off),
            None if text == "nt-asgd" => Ok(AveragingKind::NtAsgd),
            None if text == "asgd" => Ok(AveragingKind::Asgd),
            Some(("tail", fraction)) => number(fraction, |fraction| fraction > 0.0 && fraction <= 1.0)
                .map(|fraction| AveragingKind::Tail { fraction })
                .ok_or_else(|| "expected a fraction of the steps above 0 and at most 1, such as `tail:0.25`".to_owned()),
            Some(("ema", decay)) => number(decay, |decay| decay > 0.0 && decay < 1.0)
                .map(|decay| AveragingKind::Ema { decay })
                .ok_or_else(|| "expected a decay above 0 and below 1, such as `ema:0.999`".to_owned()),
            _ => Err("expected `off`, `nt-asgd`, `asgd`, `tail:FRACTION` such as `tail:0.25`, or `ema:DECAY` such as \
                      `ema:0.999`"
                .to_owned()),
        }
    }
}

impl fmt::Display for AveragingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AveragingKind::Off => f.write_str("off"),
            AveragingKind::NtAsgd => f.write_str("nt-asgd"),
            AveragingKind::Asgd => f.write_str("asgd"),
            AveragingKind::Tail { fraction } => write!(f, "tail:{fraction}"),
            AveragingKind::Ema { decay } => write!(f, "ema:{decay}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_read_back_as_written() {
        for text in ["off", "nt-asgd", "asgd", "tail:1", "tail:0.25", "ema:0.999"] {
            assert_eq!(text.parse::<AveragingKind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<AveragingKind>().unwrap_err();
        for text in ["tail:0", "tail:1.5", "tail:", "tail:nan"] {
            assert!(
                error(text).starts_with("expected a fraction of the steps above 0 and at most 1"),
                "{text}"
            );
        }
        for text in ["ema:0", "ema:1", "ema:-0.5", "ema:x"] {
            assert!(error(text).starts_with("expected a decay above 0 and below 1"), "{text}");
        }
        for text in ["tail", "ema", "swa", "off:1", ""] {
            assert!(error(text).starts_with("expected `off`, `nt-asgd`, `asgd`, `tail:FRACTION`"), "{text}");
        }
    }
}
