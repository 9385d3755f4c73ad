//! Vectors as arrays, which the compiler maps to the target's instructions.

use super::Simd;
use crate::cpu::tile::Product;

/// Arrays of eight elements; no instructions beyond the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;
type Vector = [f32; LANES];

#[inline(always)]
fn zip(a: Vector, b: Vector, f: impl Fn(f32, f32) -> f32) -> Vector {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Simd for Portable {
    type Vector = Vector;
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 6;
    const BYTE_TILE_ROWS: usize = 3;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        [value; LANES]
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self, a: Vector) -> Vector {
        a.map(f32::sqrt)
    }

    // Rounded twice: without the instruction, `f32::mul_add` would call a slow library function per lane.
    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn where_positive(self, mask: Vector, a: Vector) -> Vector {
        zip(mask, a, |mask, a| if mask > 0.0 { a } else { 0.0 })
    }

    #[inline(always)]
    fn power_of_two(self, n: Vector) -> Vector {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Vector {
        // SAFETY: readable for LANES elements, as the caller guarantees; arrays of f32 need no more
        // alignment.
        unsafe { from.cast::<Vector>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Vector) {
        // SAFETY: writable for LANES elements, as the caller guarantees.
        unsafe { to.cast::<Vector>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, value: Vector) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.store(to, value) }
    }

    #[inline(always)]
    fn prefetch(self, _: *const f32) {}

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Vector {
        // SAFETY: only the first `count` elements are read, which the caller guarantees to be readable.
        std::array::from_fn(|lane| if lane < count { unsafe { *from.add(lane) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: Vector) {
        for (lane, value) in value.into_iter().enumerate().take(count) {
            // SAFETY: only the first `count` elements are written, which the caller guarantees to be
            // writable.
            unsafe { *to.add(lane) = value }
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const i8) -> Vector {
        // SAFETY: readable for LANES bytes, as the caller guarantees.
        std::array::from_fn(|lane| f32::from(unsafe { *from.add(lane) }))
    }

    unsafe fn product(self, product: Product) {
        // SAFETY: guaranteed by the caller.
        unsafe { product.compute(self) }
    }
}
