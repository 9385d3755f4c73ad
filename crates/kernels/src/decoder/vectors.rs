//! Passes over one token's logits of all rows, one vector at a time.

use crate::cpu::Simd;
use crate::cpu::math::{each_vector, exp, load, store};

/// How far below the largest logit another one is negligible: a weight of `e^-60` changes no sum.
pub(super) const NEGLIGIBLE: f32 = 60.0;

/// Adds one token's bias to its logits and updates the maxima.
#[inline(always)]
pub(super) fn add_and_maximize<S: Simd>(s: S, bias: f32, logits: &mut [f32], max: &mut [f32]) {
    let (logits, max, len) = (logits.as_mut_ptr(), max.as_mut_ptr(), logits.len().min(max.len()));
    let bias = s.splat(bias);
    each_vector!(s, len, |at, count| {
        // SAFETY: both slices are at least `len` long.
        unsafe {
            let logit = s.add(load(s, logits.add(at), count), bias);
            store(s, logits.add(at), count, logit);
            store(s, max.add(at), count, s.max(logit, load(s, max.add(at), count)));
        }
    });
}

/// Raises both maxima to the larger of the two, and rescales the running sums accordingly.
#[inline(always)]
pub(super) fn raise<S: Simd>(s: S, max: &mut [f32], running_max: &mut [f32], running_sum: &mut [f32]) {
    let len = max.len().min(running_max.len()).min(running_sum.len());
    let (max, running_max, running_sum) =
        (max.as_mut_ptr(), running_max.as_mut_ptr(), running_sum.as_mut_ptr());
    each_vector!(s, len, |at, count| {
        // SAFETY: the slices are at least `len` long.
        unsafe {
            let before = load(s, running_max.add(at), count);
            let after = s.max(before, load(s, max.add(at), count));
            let sum = s.mul(load(s, running_sum.add(at), count), exp(s, s.sub(before, after)));
            store(s, max.add(at), count, after);
            store(s, running_max.add(at), count, after);
            store(s, running_sum.add(at), count, sum);
        }
    });
}

/// Turns one token's logits into exponentials relative to `max` and adds them to the sums.
///
/// They are stored in `kept`, if given, with non-temporal stores: they are not read before the backward pass.
/// If factors are rounded, so are they, and two neighbors share one element.
#[inline(always)]
pub(super) fn exponentiate<S: Simd>(
    s: S,
    logits: &[f32],
    max: &[f32],
    sums: &mut [f32],
    kept: Option<&mut [f32]>,
) {
    let len = logits.len().min(max.len()).min(sums.len());
    let (logits, max, sums) = (logits.as_ptr(), max.as_ptr(), sums.as_mut_ptr());
    if let Some(kept) = &kept {
        let places =
            if S::ROUNDED { len.next_multiple_of(2 * S::LANES) / 2 } else { len.next_multiple_of(S::LANES) };
        assert!(kept.len() >= places, "kept has {} elements, too few for {len}", kept.len());
    }
    let kept = kept.map(<[f32]>::as_mut_ptr);
    if S::ROUNDED {
        for at in (0..len).step_by(2 * S::LANES) {
            let left = len - at;
            // SAFETY: the slices are at least `len` long, and `kept` consists of whole vectors.
            unsafe {
                let first = exponentials(s, logits, max, sums, at, left.min(S::LANES));
                let second = if left > S::LANES {
                    exponentials(s, logits, max, sums, at + S::LANES, (left - S::LANES).min(S::LANES))
                } else {
                    s.splat(0.0)
                };
                if let Some(kept) = kept {
                    s.stream(kept.add(at / 2), s.pair_neighbors(first, second));
                }
            }
        }
    } else {
        each_vector!(s, len, |at, count| {
            // SAFETY: as above.
            unsafe {
                let values = exponentials(s, logits, max, sums, at, count);
                if let Some(kept) = kept {
                    s.stream(kept.add(at), values);
                }
            }
        });
    }
}

/// The exponentials of a vector of logits relative to `max`, added to the sums.
///
/// # Safety
/// `at + count` must be within all three.
#[inline(always)]
unsafe fn exponentials<S: Simd>(
    s: S,
    logits: *const f32,
    max: *const f32,
    sums: *mut f32,
    at: usize,
    count: usize,
) -> S::Vector {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let values = exp(s, s.sub(load(s, logits.add(at), count), load(s, max.add(at), count)));
        store(s, sums.add(at), count, s.add(load(s, sums.add(at), count), values));
        values
    }
}

/// `scale·exp(max − log_sum)`: the factor that turns a chunk's exponentials into gradients. One that is negligible stays
/// large enough that their products are not subnormal, which some processors take a hundred times as long for.
#[inline(always)]
pub(super) fn factors_of<S: Simd>(s: S, max: &[f32], log_sums: &[f32], scale: f32, factors: &mut [f32]) {
    let len = max.len().min(log_sums.len()).min(factors.len());
    let (max, log_sums, factors) = (max.as_ptr(), log_sums.as_ptr(), factors.as_mut_ptr());
    let scale = s.splat(scale);
    each_vector!(s, len, |at, count| {
        // SAFETY: the slices are at least `len` long.
        unsafe {
            let difference = s.sub(load(s, max.add(at), count), load(s, log_sums.add(at), count));
            let difference = s.max(s.splat(-NEGLIGIBLE), difference); // This argument order propagates NaN.
            store(s, factors.add(at), count, s.mul(scale, exp(s, difference)));
        }
    });
}

/// `values ∘ factors`, in place, and their sum.
#[inline(always)]
pub(super) fn multiply<S: Simd>(s: S, values: &mut [f32], factors: &[f32]) -> f32 {
    let (values, factors, len) = (values.as_mut_ptr(), factors.as_ptr(), values.len().min(factors.len()));
    let mut total = s.splat(0.0);
    each_vector!(s, len, |at, count| {
        // SAFETY: both slices are at least `len` long.
        unsafe {
            let product = s.mul(load(s, values.add(at), count), load(s, factors.add(at), count));
            store(s, values.add(at), count, product);
            total = s.add(total, product);
        }
    });
    s.sum(total)
}
