//! Vectors as arrays, which the compiler maps to the target's instructions.

use super::Simd;
use crate::cpu::tile::Product;
use crate::cpu::tile::bytes::{self, ByteProducts, GROUP};

/// Arrays of `LANES` elements; no instructions beyond the target's baseline. If `TILED`, factors of matrix multiplications
/// are pairs of bf16, with `SPLIT` in two parts, multiplied in emulated tile registers: for tests.
#[derive(Clone, Copy)]
pub(crate) struct Arrays<const LANES: usize, const TILED: bool, const SPLIT: bool>;

/// The portable instruction set.
#[allow(non_upper_case_globals)]
pub(crate) const Portable: Arrays<8, false, false> = Arrays;

/// The twin of AMX.
#[cfg(test)]
#[allow(non_upper_case_globals)]
pub(crate) const Emulated: Arrays<16, true, false> = Arrays;

/// The same with factors in two parts.
#[cfg(test)]
#[allow(non_upper_case_globals)]
pub(crate) const EmulatedSplit: Arrays<16, true, true> = Arrays;

#[cfg(test)]
type Tiles = super::emulated::EmulatedTiles;
#[cfg(not(test))]
type Tiles = crate::cpu::tile::registers::NoTiles;

#[inline(always)]
fn zip<const LANES: usize>(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

/// The bits of the nearest bf16, ties to even.
fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() { bits >> 16 | 0x40 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
}

/// Two bf16 in the space of one element.
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(bf16(high) << 16 | bf16(low))
}

impl<const LANES: usize, const TILED: bool, const SPLIT: bool> Simd for Arrays<LANES, TILED, SPLIT> {
    type Vector = [f32; LANES];
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 6;
    const BYTE_OFFSET: i32 = 0;
    const PAIRED: bool = TILED;
    const TILED: bool = TILED;
    const SPLIT: bool = SPLIT;
    type Tiles = Tiles;

    #[inline(always)]
    fn tile_registers(self) -> Tiles {
        assert!(TILED);
        #[cfg(test)]
        return super::emulated::EmulatedTiles;
        #[cfg(not(test))]
        return crate::cpu::tile::registers::NoTiles;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self, a: [f32; LANES]) -> [f32; LANES] {
        a.map(f32::sqrt)
    }

    // Rounded twice: without the instruction, `f32::mul_add` would call a slow library function per lane.
    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn where_positive(self, mask: [f32; LANES], a: [f32; LANES]) -> [f32; LANES] {
        zip(mask, a, |mask, a| if mask > 0.0 { a } else { 0.0 })
    }

    #[inline(always)]
    fn power_of_two(self, n: [f32; LANES]) -> [f32; LANES] {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn sum(self, a: [f32; LANES]) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; LANES] {
        // SAFETY: readable for LANES elements, as the caller guarantees; arrays of f32 need no more
        // alignment.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: [f32; LANES]) {
        // SAFETY: writable for LANES elements, as the caller guarantees.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, value: [f32; LANES]) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.store(to, value) }
    }

    #[inline(always)]
    fn prefetch(self, _: *const f32) {}

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> [f32; LANES] {
        // SAFETY: only the first `count` elements are read, which the caller guarantees to be readable.
        std::array::from_fn(|lane| if lane < count { unsafe { *from.add(lane) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: [f32; LANES]) {
        for (lane, value) in value.into_iter().enumerate().take(count) {
            // SAFETY: only the first `count` elements are written, which the caller guarantees to be
            // writable.
            unsafe { *to.add(lane) = value }
        }
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: guaranteed by the caller.
        unsafe { product.compute(self) }
    }

    unsafe fn product_by_bytes(self, product: Product, packed: *const f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { bytes::compute(self, self, product, packed) }
    }

    #[inline(always)]
    fn part(self, pairs: [f32; LANES]) -> ([f32; LANES], [f32; LANES]) {
        assert!(TILED);
        let lower = pairs.map(|pair| f32::from_bits(pair.to_bits() << 16));
        (lower, pairs.map(|pair| f32::from_bits(pair.to_bits() & 0xffff_0000)))
    }

    #[inline(always)]
    fn pair(self, low: [f32; LANES], high: [f32; LANES]) -> [f32; LANES] {
        assert!(TILED);
        zip(low, high, pair)
    }

    #[inline(always)]
    fn pair_neighbors(self, first: [f32; LANES], second: [f32; LANES]) -> [f32; LANES] {
        assert!(TILED);
        let both = |i: usize| if i < LANES { first[i] } else { second[i - LANES] };
        std::array::from_fn(|lane| pair(both(2 * lane), both(2 * lane + 1)))
    }

    #[inline(always)]
    fn part_neighbors(self, pairs: [f32; LANES]) -> ([f32; LANES], [f32; LANES]) {
        assert!(TILED);
        let half = |i: usize| {
            let bits = pairs[i / 2].to_bits();
            f32::from_bits(if i.is_multiple_of(2) { bits << 16 } else { bits & 0xffff_0000 })
        };
        (std::array::from_fn(half), std::array::from_fn(|i| half(LANES + i)))
    }
}

impl<const LANES: usize, const TILED: bool, const SPLIT: bool> ByteProducts<Self>
    for Arrays<LANES, TILED, SPLIT>
{
    const ROWS: usize = 1;
    type Weights = [[i16; GROUP]; LANES];
    type Inputs = [i16; GROUP];
    type Sums = [i32; LANES];

    #[inline(always)]
    fn zero(self) -> [i32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> [[i16; GROUP]; LANES] {
        // SAFETY: readable, as the caller guarantees; bytes need no alignment.
        unsafe { from.cast::<[[i8; GROUP]; LANES]>().read() }.map(|group| group.map(i16::from))
    }

    #[inline(always)]
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> [i16; GROUP] {
        // SAFETY: as above.
        let (high, low) = unsafe { (high.cast::<[i8; GROUP]>().read(), low.cast::<[i8; GROUP]>().read()) };
        std::array::from_fn(|i| i16::from(high[i]) * 128 + i16::from(low[i]))
    }

    #[inline(always)]
    fn multiply(
        self,
        weights: [[i16; GROUP]; LANES],
        inputs: [i16; GROUP],
        sums: [i32; LANES],
    ) -> [i32; LANES] {
        std::array::from_fn(|lane| {
            let products: [i32; GROUP] =
                std::array::from_fn(|i| i32::from(weights[lane][i]) * i32::from(inputs[i]));
            products.iter().fold(sums[lane], |sum, &product| sum.wrapping_add(product))
        })
    }

    #[inline(always)]
    fn finish(self, sums: [i32; LANES], excess: i32) -> [f32; LANES] {
        sums.map(|sum| sum.wrapping_sub(excess) as f32)
    }
}
