//! A weight that has been packed for matrix multiplications, and what it has been packed as.

use crate::{Device, Slice};

/// A packed weight, as operations read it.
#[derive(Clone, Copy)]
pub enum Packed<'a> {
    /// As numbers, in the precision of the device.
    Numbers(Slice<'a>),
    /// As bytes, with a scale for each output ([`int8`](crate::int8)); CPU only. The memory is that of 32-bit elements, but
    /// they are no numbers. What they are multiplied by is rounded to integers of 14 bits, relative to the largest of its row.
    Int8(Slice<'a>),
}

impl<'a> Packed<'a> {
    /// Whether this device multiplies by weights of bytes.
    pub fn supports_int8(device: &Device) -> bool {
        matches!(device, Device::Cpu(_))
    }

    /// The number of elements in memory.
    pub(crate) fn len(self) -> usize {
        match self {
            Packed::Numbers(values) | Packed::Int8(values) => values.len(),
        }
    }

    /// Its numbers.
    ///
    /// # Panics
    /// If they are bytes.
    #[cfg(feature = "gpu")]
    pub(crate) fn numbers(self) -> Slice<'a> {
        match self {
            Packed::Numbers(values) => values,
            Packed::Int8(_) => panic!("only a CPU multiplies by bytes"),
        }
    }
}

impl<'a> From<Slice<'a>> for Packed<'a> {
    fn from(values: Slice<'a>) -> Packed<'a> {
        Packed::Numbers(values)
    }
}
