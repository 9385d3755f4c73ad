//! Vectors of `f32` in several widths, selected at run time.
//!
//! Kernels are written once, generic over [`Simd`], and compiled for each instruction set:
//! [`InstructionSet::run`] enters a function that has the instructions enabled, into which everything
//! `#[inline(always)]` below it is compiled.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod emulated;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::fmt;
use std::str::FromStr;

use super::tile::Product;
use super::tile::registers::TileRegisters;
use crate::{DeviceError, Precision};
use portable::Portable;
#[cfg(test)]
pub(crate) use portable::{Emulated, EmulatedSplit};

/// The vector instructions used by the CPU kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// The compiler's baseline for the target.
    Portable,
    /// NEON, of 64-bit ARM processors: 4 elements at a time.
    Neon,
    /// AVX2 and FMA: 8 elements at a time.
    Avx2,
    /// AVX-512 F: 16 elements at a time.
    Avx512,
    /// AVX-512 F, and AMX for matrix multiplications in bf16: 16 × 16 sums at a time.
    Amx,
}

impl InstructionSet {
    /// All instruction sets, of those of one processor the slowest first.
    pub const ALL: [InstructionSet; 5] = [
        InstructionSet::Portable,
        InstructionSet::Neon,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
        InstructionSet::Amx,
    ];

    /// The fastest instruction set available on this processor.
    pub fn detect() -> InstructionSet {
        InstructionSet::ALL
            .into_iter()
            .rev()
            .find(|set| set.is_available())
            .unwrap_or(InstructionSet::Portable)
    }

    /// Whether this processor (and its operating system) supports it.
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Portable => true,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Amx => has_pairs() && amx::is_available(),
            // Of other processors.
            _ => false,
        }
    }

    /// Whether it supports matrix multiplications of this precision on this processor.
    pub fn multiplies(self, precision: Precision) -> bool {
        match precision {
            Precision::F32 => true,
            #[cfg(target_arch = "aarch64")]
            Precision::Bf16 => {
                self == InstructionSet::Neon && std::arch::is_aarch64_feature_detected!("bf16")
            }
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => matches!(self, InstructionSet::Avx512 | InstructionSet::Amx) && has_pairs(),
            #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
            Precision::Bf16 => false,
            // In vectors, three products in bf16 take longer than one in `f32`.
            Precision::Bf16x3 => self == InstructionSet::Amx,
        }
    }

    /// Whether it computes matrix multiplications of this precision, where many rows share the weights, faster than those of
    /// `f32`.
    ///
    /// The rule for bf16: AMX multiplies several times as many numbers per cycle as the vectors of `f32`. The vectors of AMD's
    /// processors that have it (Zen 4 and later) multiply twice as many, Intel's half as many. On 64-bit ARM, an instruction
    /// multiplies twice as many.
    pub fn multiplies_fast(self, precision: Precision) -> bool {
        #[cfg(target_arch = "x86_64")]
        let is_fast = precision == Precision::F32 || self == InstructionSet::Amx || !is_by_intel();
        #[cfg(not(target_arch = "x86_64"))]
        let is_fast = true;
        is_fast && self.multiplies(precision)
    }

    /// Runs `work` compiled for this instruction set, with matrix multiplications of this precision.
    ///
    /// # Panics
    /// If the processor does not support either; [`crate::Device`] never contains such a combination.
    pub(crate) fn run<W: Vectorized>(self, precision: Precision, work: W) -> W::Output {
        assert!(self.is_available(), "this processor does not support {self}");
        assert!(
            self.multiplies(precision),
            "this processor does not support {precision} matrix multiplication with {self}"
        );
        match self {
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the processor has the instructions, as checked above.
            InstructionSet::Neon if precision == Precision::Bf16 => unsafe { neon::run_paired(work) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            InstructionSet::Neon => unsafe { neon::run(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Amx if precision == Precision::Bf16 => unsafe { avx512::run_tiled(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Amx if precision == Precision::Bf16x3 => unsafe { avx512::run_split(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx512 if precision == Precision::Bf16 => unsafe { avx512::run_paired(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx2 => unsafe { avx2::run(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx512 | InstructionSet::Amx => unsafe { avx512::run(work) },
            // The portable one: those of other processors are not available.
            _ => work.run(Portable),
        }
    }
}

/// Whether AVX-512 multiplies pairs of bf16, and has what it takes to make them.
#[cfg(target_arch = "x86_64")]
fn has_pairs() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512bw")
}

/// Whether Intel made this processor.
#[cfg(target_arch = "x86_64")]
fn is_by_intel() -> bool {
    let about = cpuid(0);
    let name = [about.ebx, about.edx, about.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"GenuineIntel"
}

/// What the processor says about itself: a leaf of CPUID, or its first part.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "the oldest supported version of Rust needs the block")]
fn cpuid(leaf: u32) -> std::arch::x86_64::CpuidResult {
    // SAFETY: all x86-64 processors have the instruction.
    unsafe { std::arch::x86_64::__cpuid_count(leaf, 0) }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstructionSet::Portable => "portable",
            InstructionSet::Neon => "neon",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Amx => "amx",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        InstructionSet::ALL
            .into_iter()
            .find(|set| set.to_string() == name)
            .ok_or_else(|| DeviceError::UnknownInstructionSet { name: name.to_owned() })
    }
}

/// A computation with vector instructions. `run` must be `#[inline(always)]`, and so must everything it
/// calls.
pub(crate) trait Vectorized {
    /// The result.
    type Output;
    /// Runs the computation.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set's vectors of `f32`. A value of the type proves that the processor has the instructions.
///
/// The memory functions take raw pointers: tiles iterate over several rows of several matrices at once, and a
/// bounds check for each load would cost more than the load.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `LANES` elements.
    type Vector: Copy;
    /// The number of elements in a vector.
    const LANES: usize;
    /// The most rows of a tile of a product: sums of two vectors per row, and operands, fill the registers.
    const TILE_ROWS: usize;
    /// Steps of a tile that are written out one after the other, for strides that are known: with few rows and narrow vectors,
    /// the instructions between the multiplications would otherwise be too many to decode.
    const STEPS: usize = 1;
    /// What is added to the bytes of packed weights, because the instructions multiply unsigned bytes by signed ones.
    const BYTE_OFFSET: i32;

    fn splat(self, value: f32) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a·b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` if either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` if either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where `mask > 0`, else 0.
    fn where_positive(self, mask: Self::Vector, a: Self::Vector) -> Self::Vector;
    /// `2^n` for integer `n` within the range of normal exponents.
    fn power_of_two(self, n: Self::Vector) -> Self::Vector;
    /// The sum of the lanes.
    fn sum(self, a: Self::Vector) -> f32;

    /// Loads a vector.
    ///
    /// # Safety
    /// `from` must be readable for `LANES` elements; no alignment is required.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// Stores a vector.
    ///
    /// # Safety
    /// `to` must be writable for `LANES` elements; no alignment is required.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);
    /// Stores a vector bypassing the caches (non-temporal), if the processor can; [`Simd::fence`] must follow
    /// before another thread reads it.
    ///
    /// # Safety
    /// `to` must be writable for `LANES` elements and aligned to the vector.
    unsafe fn stream(self, to: *mut f32, value: Self::Vector);
    /// Prefetches the cache line at `at` into the second-level cache. Nothing is read: any address is
    /// allowed.
    fn prefetch(self, at: *const f32);
    /// Makes non-temporal stores visible to other threads.
    fn fence(self);
    /// Loads the first `count` lanes and zeros the others.
    ///
    /// # Safety
    /// `from` must be readable for `count` ≤ `LANES` elements.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::Vector;
    /// Stores the first `count` lanes.
    ///
    /// # Safety
    /// `to` must be writable for `count` ≤ `LANES` elements.
    unsafe fn store_first(self, to: *mut f32, count: usize, value: Self::Vector);

    /// Transposes a square: `LANES` columns, `from_stride` apart, become rows, `to_stride` apart.
    ///
    /// # Safety
    /// The columns must be readable, and the rows writable.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for row in 0..Self::LANES {
            for column in 0..Self::LANES {
                // SAFETY: within the square, as the caller guarantees.
                unsafe { *to.add(row * to_stride + column) = *from.add(column * from_stride + row) };
            }
        }
    }

    /// Computes a matrix multiplication, in a separate function.
    ///
    /// # Safety
    /// As [`Product::compute`].
    unsafe fn product(self, product: Product);
    /// Computes a matrix multiplication by bytes, in a separate function.
    ///
    /// # Safety
    /// As [`bytes::compute`](super::tile::bytes::compute).
    unsafe fn product_by_bytes(self, product: Product, packed: *const f32);

    /// Whether the factors of matrix multiplications are rounded to bf16 and taken in pairs: two neighbors
    /// along the sum share the space of one `f32`.
    const PAIRED: bool = false;
    /// The multiply-accumulate of a tile: `a·b + c`, or with pairs `a₀·b₀ + a₁·b₁ + c`.
    #[inline(always)]
    fn multiply_accumulate(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.mul_add(a, b, c)
    }

    /// Whether pairs are multiplied in tile registers.
    const TILED: bool = false;
    /// Whether each factor is the sum of two bf16, a high and a low part: three products of pairs, all but that of the low
    /// parts, are nearly that of `f32`. Only in tile registers.
    const SPLIT: bool = false;
    /// Whether factors are rounded for good, so that they can be kept as pairs.
    const ROUNDED: bool = Self::PAIRED && !Self::SPLIT;
    /// The registers, if there are any.
    type Tiles: TileRegisters;
    /// The tile registers of this thread.
    ///
    /// # Panics
    /// If products are not [tiled](Simd::TILED).
    fn tile_registers(self) -> Self::Tiles;

    /// Whether a vector can be multiplied by any lane of another.
    const BY_LANE: bool = false;
    /// [`Simd::multiply_accumulate`] with lane `LANE` of `factors` in all lanes of `a`.
    ///
    /// # Panics
    /// If vectors cannot be multiplied by a lane.
    fn multiply_by_lane<const LANE: i32>(
        self,
        _factors: Self::Vector,
        _b: Self::Vector,
        _c: Self::Vector,
    ) -> Self::Vector {
        unreachable!("no multiplication by a lane")
    }

    /// The bf16 that are the lower halves of pairs, and those that are the upper ones.
    ///
    /// # Panics
    /// If factors are not paired.
    fn part(self, _pairs: Self::Vector) -> (Self::Vector, Self::Vector) {
        unreachable!("factors are not paired")
    }
    /// Pairs of bf16: lane `i` of the result consists of lanes `i` of `low` and `high`.
    ///
    /// # Panics
    /// If factors are not paired.
    fn pair(self, _low: Self::Vector, _high: Self::Vector) -> Self::Vector {
        unreachable!("factors are not paired")
    }
    /// Pairs of bf16: lanes 2i and 2i + 1 of `first` followed by `second` become lane `i`.
    ///
    /// # Panics
    /// If factors are not paired.
    fn pair_neighbors(self, _first: Self::Vector, _second: Self::Vector) -> Self::Vector {
        unreachable!("factors are not paired")
    }
    /// Undoes [`Simd::pair_neighbors`]: the rounded elements, in order.
    ///
    /// # Panics
    /// If factors are not paired.
    fn part_neighbors(self, _pairs: Self::Vector) -> (Self::Vector, Self::Vector) {
        unreachable!("factors are not paired")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_a_name_that_the_error_lists() {
        let error = "mmx".parse::<InstructionSet>().unwrap_err().to_string();
        for set in InstructionSet::ALL {
            assert_eq!(set.to_string().parse::<InstructionSet>().unwrap(), set);
            assert!(error.contains(&format!("`{set}`")), "{set} is not in: {error}");
        }
    }
}
