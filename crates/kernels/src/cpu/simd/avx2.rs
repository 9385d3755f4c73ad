//! Vectors of eight elements with AVX2 and FMA.

use std::arch::x86_64::*;

use super::{Simd, Vectorized};
use crate::cpu::tile::Product;
use crate::cpu::tile::bytes::{self, ByteProducts};
use crate::cpu::tile::registers::NoTiles;

/// What makes a byte unsigned, see [`Simd::BYTE_OFFSET`].
pub(super) const UNSIGNED: i32 = 128;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub(super) ());

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

/// # Safety
/// As [`bytes::compute`].
#[target_feature(enable = "avx2,fma")]
unsafe fn product_by_bytes(s: Avx2, product: Product, packed: *const f32) {
    // SAFETY: guaranteed by the caller.
    unsafe { bytes::compute(s, s, product, packed) }
}

#[inline(always)]
fn first_lanes(count: usize) -> __m256i {
    // SAFETY: an `Avx2` value proves that the instructions are available.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// Runs instructions on values: what they need is that the processor has them.
macro_rules! instructions {
    ($work:expr) => {
        // SAFETY: an `Avx2` exists only in functions whose callers promise the instructions.
        unsafe { $work }
    };
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const STEPS: usize = 4;
    const BYTE_OFFSET: i32 = UNSIGNED;

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

    // Four elements of each of four columns are in each half of a vector, and are transposed there.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe {
            for row in [0, 4] {
                let halves = |column: usize| {
                    let from = from.add(column * from_stride + row);
                    let low = _mm256_castps128_ps256(_mm_loadu_ps(from));
                    _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add(4 * from_stride)))
                };
                let [a, b, c, d] = [halves(0), halves(1), halves(2), halves(3)];
                let low = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let high = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                for (next, (ab, cd)) in [low, high].into_iter().enumerate() {
                    let to = to.add((row + 2 * next) * to_stride);
                    _mm256_storeu_ps(to, _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd));
                    _mm256_storeu_ps(to.add(to_stride), _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd));
                }
            }
        }
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { self::product(self, product) }
    }

    unsafe fn product_by_bytes(self, product: Product, packed: *const f32) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { self::product_by_bytes(self, product, packed) }
    }
}

impl ByteProducts<Self> for Avx2 {
    const ROWS: usize = 2;
    type Weights = __m256i;
    type Inputs = (__m256i, __m256i);
    type Sums = __m256i;

    #[inline(always)]
    fn zero(self) -> __m256i {
        instructions!(_mm256_setzero_si256())
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m256i {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> (__m256i, __m256i) {
        // SAFETY: as above.
        unsafe {
            (
                _mm256_set1_epi32(high.cast::<i32>().read_unaligned()),
                _mm256_set1_epi32(low.cast::<i32>().read_unaligned()),
            )
        }
    }

    #[inline(always)]
    fn multiply(self, weights: __m256i, (high, low): (__m256i, __m256i), sums: __m256i) -> __m256i {
        // A sum of two products fits in 16 bits, because digits are at most 64.
        instructions!({
            let high = _mm256_madd_epi16(_mm256_maddubs_epi16(weights, high), _mm256_set1_epi16(128));
            let low = _mm256_madd_epi16(_mm256_maddubs_epi16(weights, low), _mm256_set1_epi16(1));
            _mm256_add_epi32(sums, _mm256_add_epi32(high, low))
        })
    }

    #[inline(always)]
    fn finish(self, sums: __m256i, excess: i32) -> __m256 {
        instructions!(_mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_set1_epi32(excess))))
    }
}
