//! How exact matrix products are.

use std::fmt;
use std::str::FromStr;

use super::InstructionSet;
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

    /// Whether this processor can do it with these instructions.
    pub fn is_available(self, instructions: InstructionSet) -> bool {
        match self {
            Precision::F32 => true,
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => {
                instructions == InstructionSet::Avx512
                    && is_x86_feature_detected!("avx512bf16")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => false,
        }
    }
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
