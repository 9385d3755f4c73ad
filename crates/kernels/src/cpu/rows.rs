//! Reductions over a row of elements, on one thread.

use super::Simd;
use super::math::{each_vector, exp, load, store};
use super::tile::MAX_LANES;

/// The largest element of a row; if the row contains NaNs, the largest of some of the other elements.
#[inline(always)]
pub(crate) fn max<S: Simd>(s: S, row: &[f32]) -> f32 {
    if row.len() < S::LANES {
        return row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    }
    let from = row.as_ptr();
    // The last vector overlaps the one before it, which does not affect a maximum.
    let last = row.len() - S::LANES;
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    // SAFETY: each vector ends at the row's end or before, and `lanes` has room for one.
    unsafe {
        let mut largest = s.load(from.add(last));
        for offset in (0..last).step_by(S::LANES) {
            largest = s.max(largest, s.load(from.add(offset)));
        }
        s.store(lanes.as_mut_ptr(), largest);
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = lanes[lane].max(lanes[lane + width]);
        }
    }
    lanes[0]
}

/// `Σ e^((x − shift) · factor)` over a row; NaN if the row contains one. The terms are stored in `terms`, if
/// given.
///
/// Terms below the normal range are 0.
///
/// # Panics
/// If there are terms, but their number is not the row's length.
#[inline(always)]
pub(crate) fn exp_sum<S: Simd>(s: S, row: &[f32], shift: f32, factor: f32, terms: Option<&mut [f32]>) -> f32 {
    let (len, from) = (row.len(), row.as_ptr());
    assert!(terms.as_ref().is_none_or(|terms| terms.len() == len), "terms of a row of {len}");
    let to = terms.map(<[f32]>::as_mut_ptr);
    let (shift, factor) = (s.splat(shift), s.splat(factor));
    let mut sum = s.splat(0.0);
    each_vector!(s, len, |offset, count| {
        // SAFETY: both slices have the length that is iterated over, and `first` room for a vector.
        unsafe {
            let mut term = shifted_exp(s, load(s, from.add(offset), count), shift, factor);
            if let Some(to) = to {
                store(s, to.add(offset), count, term);
            }
            if count < S::LANES {
                // The lanes beyond the row's end have values, but they do not belong to the row.
                let mut first = [0.0; MAX_LANES];
                s.store_first(first.as_mut_ptr(), count, term);
                term = s.load(first.as_ptr());
            }
            sum = s.add(sum, term);
        }
    });
    s.sum(sum)
}

/// `e^((x − shift) · factor)` of each lane; 0 if the result is below the normal range, so that elements
/// excluded by −∞ have exactly zero weight.
#[inline(always)]
pub(crate) fn shifted_exp<S: Simd>(s: S, x: S::Vector, shift: S::Vector, factor: S::Vector) -> S::Vector {
    const SMALLEST: f32 = 87.0; // e^-87 is the last integer power that is a normal number.
    let exponent = s.mul(s.sub(x, shift), factor);
    let value = exp(s, exponent);
    // Written as a difference, so that NaN is propagated.
    let below = s.where_positive(s.sub(s.splat(-SMALLEST), exponent), s.splat(1.0));
    s.sub(value, s.mul(below, value))
}

/// `Σ a · b` over two rows: the dot product.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub(crate) fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths of a dot product");
    let (len, a, b) = (a.len(), a.as_ptr(), b.as_ptr());
    let mut sum = s.splat(0.0);
    each_vector!(s, len, |offset, count| {
        // SAFETY: both slices have the length that is iterated over; lanes beyond it are loaded as zeros.
        unsafe { sum = s.mul_add(load(s, a.add(offset), count), load(s, b.add(offset), count), sum) };
    });
    s.sum(sum)
}
