//! The precision of matrix multiplications, and which one to compute with.

use std::fmt;
use std::str::FromStr;

use crate::{Device, DeviceError};

/// The precision to which the factors of matrix multiplications are rounded. Everything else, including the
/// accumulated sums, is `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32`: no rounding.
    #[default]
    F32,
    /// bfloat16, 8 significant bits with the exponent range of `f32`, if the processor supports it. It takes half the
    /// memory; [`Device::is_faster_in`] tells where it is faster.
    Bf16,
    /// The sum of two bfloat16, a high and a low part, if the processor has AMX: three products, all but that of the low
    /// parts, have an error of about 2⁻¹⁶ of each term, and are added in `f32`.
    Bf16x3,
}

impl Precision {
    /// All precisions, most precise first.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16x3, Precision::Bf16];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Bf16x3 => "bf16x3",
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

/// Which precision to compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrecisionChoice {
    /// This one, unless the device does not support it or would be slower than in `f32`.
    Of(Precision),
    /// The fastest one that the device has for the work.
    Auto,
}

/// What a device is going to compute, as far as the fastest precision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Many rows share the weights of a product, so that the speed of multiplications is the limit: training and evaluation.
    Batches,
    /// One row, or a few, so that reading the weights from memory is the limit: generation.
    Streams,
}

impl Default for PrecisionChoice {
    fn default() -> Self {
        PrecisionChoice::Of(Precision::F32)
    }
}

impl PrecisionChoice {
    /// The device with the precision of this choice; instead of a precision that it does not have, `f32`, and why. The same
    /// for a precision that makes it slower, unless `is_forced`.
    pub fn apply(self, device: Device, work: Work, is_forced: bool) -> (Device, Option<DeviceError>) {
        let precision = match self {
            PrecisionChoice::Of(precision) => precision,
            PrecisionChoice::Auto if device.is_faster_in(Precision::Bf16, work) => Precision::Bf16,
            PrecisionChoice::Auto => Precision::F32,
        };
        match device.clone().with_precision(precision) {
            Ok(_) if precision != Precision::F32 && !is_forced && !device.is_faster_in(precision, work) => {
                (device, Some(DeviceError::SlowPrecision { wanted: precision }))
            }
            Ok(device) => (device, None),
            Err(error) => (device, Some(error)),
        }
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrecisionChoice::Of(precision) => precision.fmt(f),
            PrecisionChoice::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        if name == "auto" { Ok(PrecisionChoice::Auto) } else { name.parse().map(PrecisionChoice::Of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::InstructionSet;

    #[test]
    fn every_choice_has_a_name_that_the_error_lists() {
        let error = "f16".parse::<PrecisionChoice>().unwrap_err().to_string();
        let choices = Precision::ALL.into_iter().map(PrecisionChoice::Of).chain([PrecisionChoice::Auto]);
        for choice in choices {
            assert_eq!(choice.to_string().parse::<PrecisionChoice>().unwrap(), choice);
            assert!(error.contains(&format!("`{choice}`")), "{choice} is not in: {error}");
        }
    }

    #[test]
    fn no_choice_makes_a_device_slower_than_in_f32() {
        for instructions in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let device = Device::cpu_with(1, instructions).unwrap();
            for work in [Work::Batches, Work::Streams] {
                let is_faster = device.is_faster_in(Precision::Bf16, work);
                let (chosen, error) = PrecisionChoice::Of(Precision::Bf16).apply(device.clone(), work, false);
                assert_eq!(chosen.precision() == Precision::Bf16, is_faster, "{instructions}, {work:?}");
                assert_eq!(error.is_none(), is_faster, "{error:?}");
                let (auto, error) = PrecisionChoice::Auto.apply(device.clone(), work, true);
                assert_eq!((auto.precision(), error.is_none()), (chosen.precision(), true));
                let (forced, error) = PrecisionChoice::Of(Precision::Bf16).apply(device.clone(), work, true);
                assert_eq!(forced.precision() == Precision::Bf16, instructions.multiplies(Precision::Bf16));
                assert_eq!(forced.precision() == Precision::Bf16, error.is_none());
                let (exact, _) = PrecisionChoice::default().apply(device.clone(), work, false);
                assert_eq!(exact.precision(), Precision::F32);
            }
            // What is slow in batches can be fast for single streams, but not the other way round.
            let is_faster = |work| device.is_faster_in(Precision::Bf16, work);
            assert!(is_faster(Work::Streams) || !is_faster(Work::Batches));
        }
    }
}
