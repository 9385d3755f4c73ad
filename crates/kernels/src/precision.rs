//! The precision of matrix multiplications.

use std::fmt;
use std::str::FromStr;

use crate::DeviceError;

/// The precision to which the factors of matrix multiplications are rounded. Everything else, including the
/// accumulated sums, is `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32`: no rounding.
    #[default]
    F32,
    /// bfloat16, 8 significant bits with the exponent range of `f32`, if the processor supports it: twice as
    /// fast.
    Bf16,
}

impl Precision {
    /// All precisions, most precise first.
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
