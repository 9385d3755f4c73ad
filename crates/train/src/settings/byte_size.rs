//! A setting that is an amount of memory.

use std::fmt;
use std::str::FromStr;

/// An amount of memory in bytes; 0 stands for no limit.
///
/// ```
/// use rondo_train::settings::ByteSize;
///
/// assert_eq!("2GB".parse(), Ok(ByteSize(2_000_000_000)));
/// assert_eq!(ByteSize(1_500_000_000).to_string(), "1500MB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// Units with their sizes, largest first.
const UNITS: [(&str, u64); 4] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a size, such as `500MB` or `2GB`, or 0".to_owned();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| expected())?;
        if number == 0 {
            return Ok(Self(0));
        }
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()));
        let bytes = unit.and_then(|(_, bytes)| number.checked_mul(*bytes)).ok_or_else(expected)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            // Only sizes with a unit can be read, so any other one is rounded up.
            None => write!(f, "{}{}", self.0.div_ceil(1000), if self.0 > 0 { "kB" } else { "" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for text in ["0", "1kB", "500MB", "2GB", "1500MB", "3TB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("2 gb".parse(), Ok(ByteSize(2_000_000_000)));
        for text in ["", "5", "GB", "-1GB", "1.5GB", "5GiB", "99999999999TB"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.starts_with("expected a size"), "{text}");
        }
    }
}
