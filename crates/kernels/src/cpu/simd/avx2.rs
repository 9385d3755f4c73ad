//! Vectors of eight elements with AVX2 and FMA.

use std::arch::x86_64::*;

use super::{Simd, Vectorized};
use crate::cpu::tile::Product;
use crate::cpu::tile::registers::NoTiles;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Compiles `work` with AVX2 and FMA and runs it.
///
/// # Safety
/// The processor must have both.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<W: Vectorized>(work: W) -> W::Output {
    work.run(Avx2(()))
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "avx2,fma")]
unsafe fn product(s: Avx2, product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(s) }
}

#[inline(always)]
fn first_lanes(count: usize) -> __m256i {
    // SAFETY: an `Avx2` value proves that the instructions are available.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// Runs instructions on values: what they need is that the processor has them.
macro_rules! instructions {
    ($work:expr) => {
        // SAFETY: an `Avx2` exists only inside `run`, whose caller promises the instructions.
        unsafe { $work }
    };
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const BYTE_TILE_ROWS: usize = 3;

    type Tiles = NoTiles;

    #[inline(always)]
    fn tile_registers(self) -> NoTiles {
        unreachable!("no tile registers")
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        instructions!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        instructions!(_mm256_sqrt_ps(a))
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        instructions!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn where_positive(self, mask: __m256, a: __m256) -> __m256 {
        instructions!(_mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(mask, _mm256_setzero_ps()), a))
    }

    #[inline(always)]
    fn power_of_two(self, n: __m256) -> __m256 {
        instructions!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        instructions!({
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, value: __m256) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_stream_ps(to, value) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        instructions!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
    }

    #[inline(always)]
    fn fence(self) {
        instructions!(_mm_sfence())
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m256 {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_maskload_ps(from, first_lanes(count)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: __m256) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_maskstore_ps(to, first_lanes(count), value) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const i8) -> __m256 {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { self::product(self, product) }
    }
}
