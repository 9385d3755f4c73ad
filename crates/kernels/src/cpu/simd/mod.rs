//! Vectors of `f32` in three widths, one of which is chosen at run time.
//!
//! Kernels are written once, generic over [`Simd`], and are compiled for each instruction set:
//! [`InstructionSet::run`] enters a function that has the instructions enabled, into which everything
//! `#[inline(always)]` below it is compiled.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::fmt;
use std::str::FromStr;

use super::tile::Product;
use crate::{DeviceError, Precision};
use portable::Portable;

/// The vector instructions that the CPU kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Whatever the compiler's baseline for the target has.
    Portable,
    /// AVX2 and FMA: 8 numbers at a time.
    Avx2,
    /// AVX-512 F: 16 numbers at a time.
    Avx512,
}

impl InstructionSet {
    /// All of them, slowest first.
    pub const ALL: [InstructionSet; 3] =
        [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512];

    /// The fastest that this processor has.
    pub fn detect() -> InstructionSet {
        InstructionSet::ALL
            .into_iter()
            .rev()
            .find(|set| set.is_available())
            .unwrap_or(InstructionSet::Portable)
    }

    /// Whether this processor (and its operating system) has it.
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Portable => true,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Whether matrix products of this precision can be computed with it on this processor.
    pub fn multiplies(self, precision: Precision) -> bool {
        match precision {
            Precision::F32 => true,
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => {
                self == InstructionSet::Avx512
                    && is_x86_feature_detected!("avx512bf16")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => false,
        }
    }

    /// Runs `work` compiled for this instruction set, matrix products being of this precision.
    ///
    /// # Panics
    /// If the processor lacks either; [`crate::Device`] never holds such a one.
    pub(crate) fn run<W: Vectorized>(self, precision: Precision, work: W) -> W::Output {
        assert!(self.is_available(), "this processor lacks {self}");
        assert!(self.multiplies(precision), "{self} has no {precision} products here");
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the instructions, as checked above.
            InstructionSet::Avx512 if precision == Precision::Bf16 => unsafe { avx512::run_paired(work) },
            InstructionSet::Portable => work.run(Portable),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the instructions, as checked above.
            InstructionSet::Avx2 => unsafe { avx2::run(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx512 => unsafe { avx512::run(work) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => work.run(Portable),
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstructionSet::Portable => "portable",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
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

/// Something to compute with vector instructions. `run` must be `#[inline(always)]`, and so must what it calls.
pub(crate) trait Vectorized {
    /// What it computes.
    type Output;
    /// Computes it.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set's vectors of `f32`. A value of the type is proof that the processor has the instructions.
///
/// The memory functions take raw pointers: tiles walk several rows of several matrices at once, and a bounds
/// check for each load would cost more than the load.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `LANES` numbers.
    type Vector: Copy;
    /// How many numbers a vector has.
    const LANES: usize;

    fn splat(self, value: f32) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a·b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` if either is a NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` if either is a NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where `mask > 0`, else 0.
    fn where_positive(self, mask: Self::Vector, a: Self::Vector) -> Self::Vector;
    /// `2^n` for whole `n` within the range of normal exponents.
    fn power_of_two(self, n: Self::Vector) -> Self::Vector;
    /// The sum of the lanes.
    fn sum(self, a: Self::Vector) -> f32;

    /// Loads a vector.
    ///
    /// # Safety
    /// `from` must be readable for `LANES` numbers; no alignment is asked for.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// Stores a vector.
    ///
    /// # Safety
    /// `to` must be writable for `LANES` numbers; no alignment is asked for.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);
    /// Stores a vector past the caches, where the processor can; [`Simd::fence`] must follow before another thread reads
    /// it.
    ///
    /// # Safety
    /// `to` must be writable for `LANES` numbers and aligned to the vector.
    unsafe fn stream(self, to: *mut f32, value: Self::Vector);
    /// Asks for the cache line at `at`, so that it is in the second-level cache soon. Nothing is read: any address will do.
    fn prefetch(self, at: *const f32);
    /// Makes what has been streamed visible to other threads.
    fn fence(self);
    /// Loads the first `count` lanes and zeros the others.
    ///
    /// # Safety
    /// `from` must be readable for `count` ≤ `LANES` numbers.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::Vector;
    /// Stores the first `count` lanes.
    ///
    /// # Safety
    /// `to` must be writable for `count` ≤ `LANES` numbers.
    unsafe fn store_first(self, to: *mut f32, count: usize, value: Self::Vector);

    /// Copies a square of `LANES` columns, `from_stride` apart, as rows, `to_stride` apart.
    ///
    /// # Safety
    /// The columns must be readable, and the rows writable.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for row in 0..Self::LANES {
            for column in 0..Self::LANES {
                // SAFETY: within the square, as the caller promises.
                unsafe { *to.add(row * to_stride + column) = *from.add(column * from_stride + row) };
            }
        }
    }

    /// Computes a matrix product, in a function of its own.
    ///
    /// # Safety
    /// As [`Product::compute`].
    unsafe fn product(self, product: Product);

    /// Whether the factors of products are rounded to bf16 and taken in pairs: two neighbors along the sum share the
    /// place of one `f32`.
    const PAIRED: bool = false;
    /// What a tile adds to its sums: `a·b + c`, or with pairs `a₀·b₀ + a₁·b₁ + c`.
    #[inline(always)]
    fn multiply_accumulate(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.mul_add(a, b, c)
    }
    /// Pairs of bf16: lane `i` of the result is made of lanes `i` of `low` and `high`.
    ///
    /// # Panics
    /// If products are not paired.
    fn pair(self, _low: Self::Vector, _high: Self::Vector) -> Self::Vector {
        unreachable!("these products are not paired")
    }
    /// Pairs of bf16: lanes 2i and 2i + 1 of `first` followed by `second` become lane `i`.
    ///
    /// # Panics
    /// If products are not paired.
    fn pair_neighbors(self, _first: Self::Vector, _second: Self::Vector) -> Self::Vector {
        unreachable!("these products are not paired")
    }
    /// The numbers that [`Simd::pair_neighbors`] has rounded, in their order.
    ///
    /// # Panics
    /// If products are not paired.
    fn part_neighbors(self, _pairs: Self::Vector) -> (Self::Vector, Self::Vector) {
        unreachable!("these products are not paired")
    }
}
