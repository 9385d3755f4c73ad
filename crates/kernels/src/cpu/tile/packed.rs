//! A packed matrix of either kind: numbers in the panels of this folder, or bytes with scales.
//!
//! Not here: the packing of either.

use super::{bytes, packed_len, panel_count};
use crate::Packed;
use crate::cpu::Simd;

/// A packed matrix: what it contains, and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PackedMatrix {
    /// Numbers, or pairs of them, in panels.
    Numbers(*const f32),
    /// Scales and bytes.
    Bytes(*const f32),
}

impl PackedMatrix {
    /// The number of its panels, for `n` columns.
    #[inline(always)]
    pub(crate) fn panel_count<S: Simd>(self, s: S, n: usize) -> usize {
        match self {
            PackedMatrix::Numbers(_) => panel_count(s, n),
            PackedMatrix::Bytes(_) => bytes::panel_count(s, n),
        }
    }

    /// The length of a packed `[k, n]` matrix of this kind.
    pub(crate) fn len(self, k: usize, n: usize) -> usize {
        match self {
            PackedMatrix::Numbers(_) => packed_len(k, n),
            PackedMatrix::Bytes(_) => bytes::packed_len(k, n),
        }
    }

    /// The packed matrix of the same kind that follows, in the same memory, this one of `[k, n]`.
    pub(crate) fn after(self, k: usize, n: usize) -> PackedMatrix {
        let len = self.len(k, n);
        match self {
            PackedMatrix::Numbers(pointer) => PackedMatrix::Numbers(pointer.wrapping_add(len)),
            PackedMatrix::Bytes(pointer) => PackedMatrix::Bytes(pointer.wrapping_add(len)),
        }
    }
}

impl Packed<'_> {
    /// Where it is, on the host.
    pub(crate) fn host(self) -> PackedMatrix {
        match self {
            Packed::Numbers(values) => PackedMatrix::Numbers(values.host().as_ptr()),
            Packed::Int8(values) => PackedMatrix::Bytes(values.host().as_ptr()),
        }
    }
}

// SAFETY: it is only dereferenced inside kernels, while the slice that it was made from is borrowed.
unsafe impl Send for PackedMatrix {}
// SAFETY: as above; it only reads.
unsafe impl Sync for PackedMatrix {}
