//! Vectors of four elements with NEON, and bf16 matrix multiplications if the processor also has BF16.
//!
//! Instructions that Rust has no stable functions for are written as assembly: prefetching, and those of bf16.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Simd, Vectorized};
use crate::cpu::tile::Product;
use crate::cpu::tile::bytes::{self, ByteProducts};
use crate::cpu::tile::registers::NoTiles;

/// Proof that the processor has NEON; with `PAIRED`, also BF16.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const PAIRED: bool>(());

/// Compiles `work` with NEON and runs it.
///
/// # Safety
/// The processor must have it.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run<W: Vectorized>(work: W) -> W::Output {
    work.run(Neon::<false>(()))
}

/// Compiles `work` with NEON and BF16 and runs it.
///
/// # Safety
/// The processor must have both.
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn run_paired<W: Vectorized>(work: W) -> W::Output {
    work.run(Neon::<true>(()))
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "neon")]
unsafe fn product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Neon::<false>(())) }
}

/// # Safety
/// As [`Product::compute`].
#[target_feature(enable = "neon,bf16")]
unsafe fn paired_product(product: Product) {
    // SAFETY: guaranteed by the caller.
    unsafe { product.compute(Neon::<true>(())) }
}

/// # Safety
/// As [`bytes::compute`].
#[target_feature(enable = "neon")]
unsafe fn product_by_bytes(product: Product, packed: *const f32) {
    // SAFETY: guaranteed by the caller.
    unsafe { bytes::compute(Neon::<false>(()), Neon::<false>(()), product, packed) }
}

/// Runs instructions on values: what they need is that the processor has them.
macro_rules! instructions {
    ($work:expr) => {
        // SAFETY: a `Neon` exists only inside `run` or, with `PAIRED`, `run_paired`, whose callers promise the
        // instructions; those of pairs are reached with `PAIRED` only.
        unsafe { $work }
    };
}

/// Eight elements, the first four from `low`, rounded to bf16.
///
/// # Safety
/// The processor must have BF16.
#[inline(always)]
unsafe fn rounded(low: float32x4_t, high: float32x4_t) -> uint16x8_t {
    let rounded: uint16x8_t;
    // SAFETY: the processor has the instructions, as the caller promises; they only compute.
    unsafe {
        asm!(
            "bfcvtn {to:v}.4h, {low:v}.4s",
            "bfcvtn2 {to:v}.8h, {high:v}.4s",
            to = out(vreg) rounded,
            low = in(vreg) low,
            high = in(vreg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    rounded
}

impl<const PAIRED: bool> Simd for Neon<PAIRED> {
    type Vector = float32x4_t;
    const LANES: usize = 4;
    const TILE_ROWS: usize = 8;
    const BYTE_OFFSET: i32 = 0;
    const PAIRED: bool = PAIRED;
    const BY_LANE: bool = true;

    type Tiles = NoTiles;

    #[inline(always)]
    fn tile_registers(self) -> NoTiles {
        unreachable!("no tile registers")
    }

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        instructions!(vdupq_n_f32(value))
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vdivq_f32(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        instructions!(vsqrtq_f32(a))
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        instructions!(vfmaq_f32(c, a, b))
    }

    // Not `fmax` and `fmin`, which return NaN if either is NaN.
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }

    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        instructions!(vbslq_f32(vcltq_f32(a, b), a, b))
    }

    #[inline(always)]
    fn where_positive(self, mask: float32x4_t, a: float32x4_t) -> float32x4_t {
        instructions!(vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(mask), vreinterpretq_u32_f32(a))))
    }

    #[inline(always)]
    fn power_of_two(self, n: float32x4_t) -> float32x4_t {
        instructions!({
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        instructions!(vaddvq_f32(a))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: float32x4_t) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { vst1q_f32(to, value) }
    }

    // Non-temporal stores are of two vectors.
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, value: float32x4_t) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.store(to, value) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        instructions!(asm!(
            "prfm pldl2keep, [{at}]",
            at = in(reg) at.addr(),
            options(nomem, nostack, preserves_flags),
        ))
    }

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> float32x4_t {
        // SAFETY: only the first `count` elements are read, which the caller guarantees to be readable.
        unsafe {
            let zero = vdup_n_f32(0.0);
            match count {
                0 => self.splat(0.0),
                1 => vcombine_f32(vld1_lane_f32::<0>(from, zero), zero),
                2 => vcombine_f32(vld1_f32(from), zero),
                3 => vcombine_f32(vld1_f32(from), vld1_lane_f32::<0>(from.add(2), zero)),
                _ => self.load(from),
            }
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: float32x4_t) {
        // SAFETY: only the first `count` elements are written, which the caller guarantees to be writable.
        unsafe {
            match count {
                0 => {}
                1 => vst1q_lane_f32::<0>(to, value),
                2 => vst1_f32(to, vget_low_f32(value)),
                3 => {
                    vst1_f32(to, vget_low_f32(value));
                    vst1q_lane_f32::<2>(to.add(2), value);
                }
                _ => self.store(to, value),
            }
        }
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe {
            let column = |i: usize| vld1q_f32(from.add(i * from_stride));
            let [a, b, c, d] = [column(0), column(1), column(2), column(3)];
            let even = [vtrn1q_f32(a, b), vtrn1q_f32(c, d)].map(|pair| vreinterpretq_f64_f32(pair));
            let odd = [vtrn2q_f32(a, b), vtrn2q_f32(c, d)].map(|pair| vreinterpretq_f64_f32(pair));
            for (row, [first, second]) in [even, odd].into_iter().enumerate() {
                let to = to.add(row * to_stride);
                vst1q_f32(to, vreinterpretq_f32_f64(vtrn1q_f64(first, second)));
                vst1q_f32(to.add(2 * to_stride), vreinterpretq_f32_f64(vtrn2q_f64(first, second)));
            }
        }
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { if PAIRED { paired_product(product) } else { self::product(product) } }
    }

    unsafe fn product_by_bytes(self, product: Product, packed: *const f32) {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { self::product_by_bytes(product, packed) }
    }

    #[inline(always)]
    fn multiply_accumulate(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        if !PAIRED {
            return self.mul_add(a, b, c);
        }
        let mut sum = c;
        instructions!(asm!(
            "bfdot {sum:v}.4s, {a:v}.8h, {b:v}.8h",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        ));
        sum
    }

    #[inline(always)]
    fn multiply_by_lane<const LANE: i32>(
        self,
        factors: float32x4_t,
        b: float32x4_t,
        c: float32x4_t,
    ) -> float32x4_t {
        if !PAIRED {
            return instructions!(vfmaq_laneq_f32::<LANE>(c, b, factors));
        }
        let mut sum = c;
        instructions!(asm!(
            "bfdot {sum:v}.4s, {b:v}.8h, {factors:v}.2h[{lane}]",
            sum = inout(vreg) sum,
            b = in(vreg) b,
            factors = in(vreg) factors,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        ));
        sum
    }

    #[inline(always)]
    fn pair(self, low: float32x4_t, high: float32x4_t) -> float32x4_t {
        assert!(PAIRED);
        instructions!({
            let halves = rounded(low, high);
            vreinterpretq_f32_u16(vzip1q_u16(halves, vextq_u16::<4>(halves, halves)))
        })
    }

    #[inline(always)]
    fn pair_neighbors(self, first: float32x4_t, second: float32x4_t) -> float32x4_t {
        assert!(PAIRED);
        instructions!(vreinterpretq_f32_u16(rounded(first, second)))
    }

    #[inline(always)]
    fn part_neighbors(self, pairs: float32x4_t) -> (float32x4_t, float32x4_t) {
        assert!(PAIRED);
        // A bf16 is the upper half of an `f32`.
        instructions!({
            let halves = vreinterpretq_u16_f32(pairs);
            let first = vshll_n_u16::<16>(vget_low_u16(halves));
            let second = vshll_high_n_u16::<16>(halves);
            (vreinterpretq_f32_u32(first), vreinterpretq_f32_u32(second))
        })
    }
}

impl ByteProducts<Self> for Neon<false> {
    const ROWS: usize = 1;
    type Weights = int8x16_t;
    type Inputs = [int8x16_t; 2];
    /// For the upper and the lower digits: the sums of two products each, of four columns.
    type Sums = [[int32x4_t; 2]; 2];

    #[inline(always)]
    fn zero(self) -> [[int32x4_t; 2]; 2] {
        instructions!([[vdupq_n_s32(0); 2]; 2])
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> int8x16_t {
        // SAFETY: the instructions are there, and the caller keeps the promises of the trait.
        unsafe { vld1q_s8(from.cast()) }
    }

    #[inline(always)]
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> [int8x16_t; 2] {
        // SAFETY: as above.
        unsafe {
            [high, low].map(|digits| vreinterpretq_s8_s32(vdupq_n_s32(digits.cast::<i32>().read_unaligned())))
        }
    }

    #[inline(always)]
    fn multiply(
        self,
        weights: int8x16_t,
        inputs: [int8x16_t; 2],
        sums: [[int32x4_t; 2]; 2],
    ) -> [[int32x4_t; 2]; 2] {
        std::array::from_fn(|digit| {
            let (inputs, [first, second]) = (inputs[digit], sums[digit]);
            instructions!([
                vpadalq_s16(first, vmull_s8(vget_low_s8(weights), vget_low_s8(inputs))),
                vpadalq_s16(second, vmull_high_s8(weights, inputs)),
            ])
        })
    }

    #[inline(always)]
    fn finish(self, [high, low]: [[int32x4_t; 2]; 2], excess: i32) -> float32x4_t {
        instructions!({
            let high = vshlq_n_s32::<7>(vpaddq_s32(high[0], high[1]));
            let sums = vaddq_s32(high, vpaddq_s32(low[0], low[1]));
            vcvtq_f32_s32(vsubq_s32(sums, vdupq_n_s32(excess)))
        })
    }
}
