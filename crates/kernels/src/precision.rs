//! How exact matrix products are.

use std::fmt;
use std::str::FromStr;

use crate::DeviceError;

/// What the factors of matrix products are rounded to. Everything else, sums of products included, is `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// They are not rounded.
    #[default]
    F32,
    /// To bfloat16, 8 significant bits with the exponents of `f32`, where the processor multiplies it: twice as fast.
    Bf16,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::Bf16];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        Precision::ALL
            .into_iter()
            .find(|precision| precision.to_string() == name)
            .ok_or_else(|| DeviceError::UnknownPrecision { name: name.to_owned() })
    }
}
