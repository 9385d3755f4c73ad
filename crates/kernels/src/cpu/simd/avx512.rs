//! Vectors of sixteen elements with AVX-512 F, and bf16 matrix multiplications if the processor also has
//! BF16, in its tile registers if it has AMX, and products of bytes, by VNNI if it has that.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::amx::Amx;
use super::avx2::{Avx2, UNSIGNED};
use super::{Simd, Vectorized};
use crate::cpu::tile::Product;
use crate::cpu::tile::bytes::{self, ByteProducts, GROUP};

/// Proof that the processor has AVX-512 F; with `PAIRED`, also BF16 and BW; with `TILED`, also AMX.
/// With `SPLIT`, factors are in two parts.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const PAIRED: bool, const TILED: bool, const SPLIT: bool>(());

/// Compiles `work` with AVX-512 F and runs it.
///
/// # Safety
/// The processor must have it.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn run<W: Vectorized>(work: W) -> W::Output {
    work.run(Avx512::<false, false, false>(()))
}

/// Compiles `work` with AVX-512 F, BW and BF16 and runs it.
///
/// # Safety
/// The processor must have them.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_paired<W: Vectorized>(work: W) -> W::Output {
    work.run(Avx512::<true, false, false>(()))
}

/// The same for a processor that has AMX too.
///
/// # Safety
/// The processor must have them, and the operating system must have given the permission to use AMX.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_tiled<W: Vectorized>(work: W) -> W::Output {
    work.run(Avx512::<true, true, false>(()))
}

/// The same with factors in two parts.
///
/// # Safety
/// As [`run_tiled`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_split<W: Vectorized>(work: W) -> W::Output {
    work.run(Avx512::<true, true, true>(()))
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Avx512::<false, false, false>(())) }
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
unsafe fn paired_product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Avx512::<true, false, false>(())) }
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
unsafe fn tiled_product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Avx512::<true, true, false>(())) }
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
unsafe fn split_product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Avx512::<true, true, true>(())) }
}

/// # Safety
/// As [`bytes::compute`].
#[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
unsafe fn product_by_fours(product: Product, packed: *const f32) {
    // SAFETY: guaranteed by the caller.
    unsafe { bytes::compute(Avx512::<false, false, false>(()), Vnni(()), product, packed) }
}

/// # Safety
/// As [`bytes::compute`].
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn product_by_halves(product: Product, packed: *const f32) {
    // SAFETY: guaranteed by the caller.
    unsafe { bytes::compute(Avx512::<false, false, false>(()), Halves(Avx2(())), product, packed) }
}

#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// Runs instructions on values: what they need is that the processor has them.
macro_rules! instructions {
    ($work:expr) => {
        // SAFETY: an `Avx512`, `Vnni` or `Halves` exists only in functions whose callers promise the
        // instructions; those of pairs are reached with `PAIRED` only. What is transmuted is vectors of the same size.
        unsafe { $work }
    };
}

impl<const PAIRED: bool, const TILED: bool, const SPLIT: bool> Simd for Avx512<PAIRED, TILED, SPLIT> {
    type Vector = __m512;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const BYTE_OFFSET: i32 = UNSIGNED;
    const PAIRED: bool = PAIRED;
    const TILED: bool = TILED;
    const SPLIT: bool = SPLIT;
    type Tiles = Amx;

    #[inline(always)]
    fn tile_registers(self) -> Amx {
        assert!(TILED);
        // SAFETY: with `TILED`, it exists only inside `run_tiled` and `run_split`, whose callers promise the registers.
        unsafe { Amx::new() }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        instructions!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        instructions!(_mm512_sqrt_ps(a))
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        instructions!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn where_positive(self, mask: __m512, a: __m512) -> __m512 {
        instructions!(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(mask, _mm512_setzero_ps()), a))
    }

    #[inline(always)]
    fn power_of_two(self, n: __m512) -> __m512 {
        instructions!(_mm512_scalef_ps(_mm512_set1_ps(1.0), n))
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        instructions!(_mm512_reduce_add_ps(a))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, value: __m512) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_stream_ps(to, value) }
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
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m512 {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_maskz_loadu_ps(first_lanes(count), from) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: __m512) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_mask_storeu_ps(to, first_lanes(count), value) }
    }

    // Four elements of each of four columns are in each quarter of a vector, and are transposed there.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe {
            for row in (0..16).step_by(4) {
                let mut quarters = [_mm512_setzero_ps(); 4];
                for (first, vector) in quarters.iter_mut().enumerate() {
                    let from = from.add(first * from_stride + row);
                    *vector = _mm512_castps128_ps512(_mm_loadu_ps(from));
                    *vector = _mm512_insertf32x4::<1>(*vector, _mm_loadu_ps(from.add(4 * from_stride)));
                    *vector = _mm512_insertf32x4::<2>(*vector, _mm_loadu_ps(from.add(8 * from_stride)));
                    *vector = _mm512_insertf32x4::<3>(*vector, _mm_loadu_ps(from.add(12 * from_stride)));
                }
                let [a, b, c, d] = quarters;
                let low = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                let high = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                for (next, (ab, cd)) in [low, high].into_iter().enumerate() {
                    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                    let to = to.add((row + 2 * next) * to_stride);
                    _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)));
                    _mm512_storeu_ps(to.add(to_stride), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
                }
            }
        }
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe {
            match (PAIRED, TILED, SPLIT) {
                (_, _, true) => split_product(product),
                (_, true, false) => tiled_product(product),
                (true, false, false) => paired_product(product),
                (false, false, false) => self::product(product),
            }
        }
    }

    unsafe fn product_by_bytes(self, product: Product, packed: *const f32) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe {
            if is_x86_feature_detected!("avx512vnni") {
                product_by_fours(product, packed)
            } else {
                product_by_halves(product, packed)
            }
        }
    }

    #[inline(always)]
    fn multiply_accumulate(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if !PAIRED {
            return self.mul_add(a, b, c);
        }
        // The same bits, as sixteen pairs.
        instructions!(_mm512_dpbf16_ps(c, transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b)))
    }

    #[inline(always)]
    fn part(self, pairs: __m512) -> (__m512, __m512) {
        assert!(PAIRED);
        // A bf16 is the upper half of an `f32`.
        instructions!({
            let both = _mm512_castps_si512(pairs);
            let lower = _mm512_slli_epi32::<16>(both);
            let upper = _mm512_slli_epi32::<16>(_mm512_srli_epi32::<16>(both));
            (_mm512_castsi512_ps(lower), _mm512_castsi512_ps(upper))
        })
    }

    #[inline(always)]
    fn pair(self, low: __m512, high: __m512) -> __m512 {
        assert!(PAIRED);
        instructions!({
            let halves = _mm512_cvtne2ps_pbh(high, low);
            let alternate = _mm512_permutexvar_epi16(
                _mm512_set_epi16(
                    31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                    19, 3, 18, 2, 17, 1, 16, 0,
                ),
                transmute::<__m512bh, __m512i>(halves),
            );
            _mm512_castsi512_ps(alternate)
        })
    }

    #[inline(always)]
    fn pair_neighbors(self, first: __m512, second: __m512) -> __m512 {
        assert!(PAIRED);
        instructions!(transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(second, first)))
    }

    #[inline(always)]
    fn part_neighbors(self, pairs: __m512) -> (__m512, __m512) {
        assert!(PAIRED);
        // A bf16 is the upper half of an `f32`.
        instructions!({
            let halves = _mm512_castps_si512(pairs);
            let first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(halves));
            let second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(halves));
            let [first, second] = [first, second].map(|half| _mm512_slli_epi32::<16>(half));
            (_mm512_castsi512_ps(first), _mm512_castsi512_ps(second))
        })
    }
}

/// Products of four bytes each, with VNNI. A value of the type proves that the processor has AVX-512 F and VNNI.
#[derive(Clone, Copy)]
struct Vnni(());

impl ByteProducts<Avx512<false, false, false>> for Vnni {
    const ROWS: usize = 3;
    type Weights = __m512i;
    type Inputs = (__m512i, __m512i);
    type Sums = (__m512i, __m512i);

    #[inline(always)]
    fn zero(self) -> (__m512i, __m512i) {
        instructions!((_mm512_setzero_si512(), _mm512_setzero_si512()))
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m512i {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> (__m512i, __m512i) {
        // SAFETY: as above.
        unsafe {
            (
                _mm512_set1_epi32(high.cast::<i32>().read_unaligned()),
                _mm512_set1_epi32(low.cast::<i32>().read_unaligned()),
            )
        }
    }

    #[inline(always)]
    fn multiply(
        self,
        weights: __m512i,
        (high, low): (__m512i, __m512i),
        sums: (__m512i, __m512i),
    ) -> (__m512i, __m512i) {
        instructions!((_mm512_dpbusd_epi32(sums.0, weights, high), _mm512_dpbusd_epi32(sums.1, weights, low)))
    }

    #[inline(always)]
    fn finish(self, (high, low): (__m512i, __m512i), excess: i32) -> __m512 {
        instructions!({
            let sums = _mm512_add_epi32(_mm512_slli_epi32::<7>(high), low);
            _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, _mm512_set1_epi32(excess)))
        })
    }
}

/// The same without VNNI: two vectors of AVX2. A value of the type proves that the processor has AVX-512 F and AVX2.
#[derive(Clone, Copy)]
struct Halves(Avx2);

impl ByteProducts<Avx512<false, false, false>> for Halves {
    const ROWS: usize = 1;
    type Weights = [__m256i; 2];
    type Inputs = (__m256i, __m256i);
    type Sums = [__m256i; 2];

    #[inline(always)]
    fn zero(self) -> [__m256i; 2] {
        [self.0.zero(); 2]
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> [__m256i; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [self.0.weights(from), self.0.weights(from.add(GROUP * Avx2::LANES))] }
    }

    #[inline(always)]
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> (__m256i, __m256i) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.inputs(high, low) }
    }

    #[inline(always)]
    fn multiply(self, weights: [__m256i; 2], inputs: (__m256i, __m256i), sums: [__m256i; 2]) -> [__m256i; 2] {
        [self.0.multiply(weights[0], inputs, sums[0]), self.0.multiply(weights[1], inputs, sums[1])]
    }

    #[inline(always)]
    fn finish(self, [first, second]: [__m256i; 2], excess: i32) -> __m512 {
        instructions!({
            let sums = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
            _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, _mm512_set1_epi32(excess)))
        })
    }
}

#[cfg(test)]
mod tests;
