//! Exponential, tanh and sigmoid of vectors, and iteration over slices by vectors.

use super::Simd;

/// Below this, `exp` returns at least 2^-126, so that no subnormal number slows a kernel down.
const EXP_MIN: f32 = -87.336_54;
/// Above this, `exp` would overflow.
const EXP_MAX: f32 = 88.376_26;

/// `e^x` of each lane, to about 2 units in the last place; `x` is clamped to the range of normal results.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // Adding 1.5·2²³ leaves the nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first exact in 10 bits, so that n·ln 2 is subtracted without error.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = s.max(s.splat(EXP_MIN), s.min(s.splat(EXP_MAX), x)); // This argument order propagates NaN.
    let n = s.sub(s.mul_add(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND)), s.splat(ROUND));
    let r = s.mul_add(n, s.splat(-LN2_HIGH), x);
    let r = s.mul_add(n, s.splat(-LN2_LOW), r);
    // Taylor polynomial of degree 7 on |r| ≤ ln 2 / 2: its truncation error is below half a unit in the last
    // place.
    let mut p = s.splat(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = s.mul_add(p, r, s.splat(coefficient));
    }
    s.mul(p, s.power_of_two(n))
}

/// `tanh x` of each lane, to a few units in the last place: a rational approximation, odd in `x`.
///
/// The coefficients are the minimax fit of degree 13 over 6 used by Eigen and PyTorch.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    const BOUND: f32 = 7.905_311; // tanh is 1 to the last place beyond it.
    const NUMERATOR: [f32; 7] = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297_1e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ];
    const DENOMINATOR: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    let x = s.max(s.splat(-BOUND), s.min(s.splat(BOUND), x)); // This argument order propagates NaN.
    let x2 = s.mul(x, x);
    let mut p = s.splat(NUMERATOR[0]);
    for coefficient in &NUMERATOR[1..] {
        p = s.mul_add(p, x2, s.splat(*coefficient));
    }
    let mut q = s.splat(DENOMINATOR[0]);
    for coefficient in &DENOMINATOR[1..] {
        q = s.mul_add(q, x2, s.splat(*coefficient));
    }
    s.div(s.mul(x, p), q)
}

/// `1 / (1 + e^-x)` of each lane.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let half = s.splat(0.5);
    s.mul_add(tanh(s, s.mul(x, half)), half, half)
}

/// The gradient of `x` through `y = σ(x)`, given `y`'s: `d·y·(1 − y)`.
#[inline(always)]
pub(crate) fn sigmoid_gradient<S: Simd>(s: S, d: S::Vector, y: S::Vector) -> S::Vector {
    s.mul(d, s.mul(y, s.sub(s.splat(1.0), y)))
}

/// `each_vector!(s, len, |offset, count| { … })` runs the block for each vector of `len` elements; `count` is
/// `S::LANES` except for the last.
///
/// It is a macro because closures cannot be marked `#[inline(always)]`: if the compiler does not inline one,
/// it loses the instruction set, and each of its vector instructions becomes a call.
macro_rules! each_vector {
    ($s:expr, $len:expr, |$offset:ident, $count:ident| $body:block) => {{
        let (lanes, len) = ($crate::cpu::math::lanes($s), $len);
        let mut start = 0;
        while start + lanes <= len {
            let ($offset, $count) = (start, lanes);
            $body
            start += lanes;
        }
        if start < len {
            let ($offset, $count) = (start, len - start);
            $body
        }
    }};
}
pub(crate) use each_vector;

/// Elements in a vector.
#[inline(always)]
pub(crate) fn lanes<S: Simd>(_: S) -> usize {
    S::LANES
}

/// Loads `count` elements, using a plain load for a whole vector.
///
/// # Safety
/// As [`Simd::load_first`].
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(s: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: guaranteed by the caller.
    unsafe { if count == S::LANES { s.load(from) } else { s.load_first(from, count) } }
}

/// Stores `count` elements, using a plain store for a whole vector.
///
/// # Safety
/// As [`Simd::store_first`].
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(s: S, to: *mut f32, count: usize, value: S::Vector) {
    // SAFETY: guaranteed by the caller.
    unsafe { if count == S::LANES { s.store(to, value) } else { s.store_first(to, count, value) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::cpu::{InstructionSet, Vectorized};

    /// Applies a vector function to each element of a slice.
    struct Map<'a, F>(&'a mut [f32], F);

    trait Function {
        fn apply<S: Simd>(&self, s: S, x: S::Vector) -> S::Vector;
    }

    impl<F: Function> Vectorized for Map<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let pointer = self.0.as_mut_ptr();
            each_vector!(s, self.0.len(), |offset, count| {
                // SAFETY: offset + count stays within the slice.
                unsafe {
                    let x = load(s, pointer.add(offset), count);
                    store(s, pointer.add(offset), count, self.1.apply(s, x));
                }
            });
        }
    }

    fn check(name: &str, function: impl Function + Copy, exact: fn(f64) -> f64, tolerance: f64) {
        let inputs: Vec<f32> = (-20_003..20_000).map(|i| i as f32 * 1e-3).chain([1e-6, -1e-6, 0.0]).collect();
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let mut outputs = inputs.clone();
            set.run(Precision::F32, Map(&mut outputs, function));
            for (&x, &y) in inputs.iter().zip(&outputs) {
                let exact = exact(f64::from(x));
                let error = (f64::from(y) - exact).abs() / exact.abs().max(1e-30);
                assert!(error < tolerance, "{name}({x}) on {set}: {y} instead of {exact}, error {error:e}");
            }
        }
    }

    #[test]
    fn functions_are_accurate_on_every_path() {
        #[derive(Clone, Copy)]
        struct Exp;
        impl Function for Exp {
            #[inline(always)]
            fn apply<S: Simd>(&self, s: S, x: S::Vector) -> S::Vector {
                exp(s, x)
            }
        }
        #[derive(Clone, Copy)]
        struct Tanh;
        impl Function for Tanh {
            #[inline(always)]
            fn apply<S: Simd>(&self, s: S, x: S::Vector) -> S::Vector {
                tanh(s, x)
            }
        }
        check("exp", Exp, f64::exp, 3e-7);
        check("tanh", Tanh, f64::tanh, 6e-7);
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let mut values = [f32::NAN, f32::NAN];
            set.run(Precision::F32, Map(&mut values[..1], Exp));
            set.run(Precision::F32, Map(&mut values[1..], Tanh));
            assert!(values.iter().all(|value| value.is_nan()), "a NaN is hidden on {set}: {values:?}");
        }
    }
}
