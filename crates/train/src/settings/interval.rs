//! Settings that are times: how often a checkpoint is written, and how long a run takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How often a checkpoint is written, in addition to the end of each epoch.
///
/// ```
/// use std::time::Duration;
/// use rondo_train::settings::CheckpointEvery;
///
/// assert_eq!("90s".parse(), Ok(CheckpointEvery::Time(Duration::from_secs(90))));
/// assert_eq!("500steps".parse(), Ok(CheckpointEvery::Steps(500)));
/// assert_eq!(CheckpointEvery::default().to_string(), "10m");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointEvery {
    /// Only at the end of each epoch.
    Epoch,
    /// Each time this duration has passed.
    Time(Duration),
    /// Each time the optimizer has taken this many steps.
    Steps(u64),
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        CheckpointEvery::Time(Duration::from_secs(600))
    }
}

/// Time units with their length in seconds, largest first.
const UNITS: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];

impl FromStr for CheckpointEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a number with a unit, such as `30s`, `10m`, `2h` or `500steps`, or 0".to_owned();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| expected())?;
        let unit = unit.trim_start();
        match UNITS.iter().find(|(name, _)| *name == unit) {
            _ if number == 0 => Ok(CheckpointEvery::Epoch),
            Some((_, seconds)) => {
                let seconds = number.checked_mul(*seconds).ok_or_else(expected)?;
                Ok(CheckpointEvery::Time(Duration::from_secs(seconds)))
            }
            None if matches!(unit, "steps" | "step") => Ok(CheckpointEvery::Steps(number)),
            None => Err(expected()),
        }
    }
}

impl fmt::Display for CheckpointEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointEvery::Epoch => f.write_str("0"),
            CheckpointEvery::Steps(steps) => write!(f, "{steps}steps"),
            CheckpointEvery::Time(time) => {
                let seconds = time.as_secs();
                let fits = |(_, unit): &&(&str, u64)| seconds.is_multiple_of(*unit);
                let (name, unit) = UNITS.iter().find(fits).unwrap_or(&("s", 1));
                write!(f, "{}{name}", seconds / unit)
            }
        }
    }
}

/// The time of a whole run.
///
/// ```
/// use std::time::Duration;
/// use rondo_train::settings::TimeLimit;
///
/// assert_eq!("10m".parse(), Ok(TimeLimit(Some(Duration::from_secs(600)))));
/// assert_eq!(TimeLimit::default().to_string(), "0");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(CheckpointEvery::Epoch) => Ok(TimeLimit(None)),
            Ok(CheckpointEvery::Time(time)) => Ok(TimeLimit(Some(time))),
            _ => Err("expected a time with a unit, such as `30s`, `10m` or `2h`, or 0".to_owned()),
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(CheckpointEvery::Epoch, CheckpointEvery::Time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_a_time() {
        for text in ["0", "1s", "90s", "10m", "2h"] {
            assert_eq!(text.parse::<TimeLimit>().unwrap().to_string(), text);
        }
        for text in ["10", "5steps", "fast", "-1s", ""] {
            let error = text.parse::<TimeLimit>().unwrap_err();
            assert!(error.starts_with("expected a time with a unit"), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["0", "1s", "90s", "2m", "10m", "1h", "61m", "3601s", "1steps", "500steps"] {
            assert_eq!(text.parse::<CheckpointEvery>().unwrap().to_string(), text);
        }
        assert_eq!("0m".parse(), Ok(CheckpointEvery::Epoch));
        assert_eq!("60s".parse::<CheckpointEvery>().unwrap().to_string(), "1m");
        assert_eq!("1 step".parse(), Ok(CheckpointEvery::Steps(1)));
    }

    #[test]
    fn what_makes_no_sense_is_told_what_would() {
        for text in
            ["", "10", "m", "-5m", "5d", "1.5h", "99999999999999999h", "99999999999999999999s", "5 m s"]
        {
            let error = text.parse::<CheckpointEvery>().unwrap_err();
            assert!(error.starts_with("expected a number with a unit"), "{text}");
        }
    }
}
