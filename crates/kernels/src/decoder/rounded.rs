//! The gradient of a chunk's logits when factors are rounded to bf16.
//!
//! Two matrix multiplications need it, one summing over the rows and one over the tokens, and each needs
//! neighbors along its sum in pairs. One pass over the stored values computes both, and the sums for the
//! bias, without ever storing the gradient in `f32`:
//!
//! ```text
//! by token   [chunk, R/2]   (v, 2i)(v, 2i+1)      for  dW = gᵀ·h
//! by row     [chunk/2, R]   (2i, r)(2i+1, r)      for  dh = g·W
//! ```

use crate::cpu::Simd;
use crate::cpu::tile::Matrix;

/// The gradient of a chunk's logits, in both layouts.
pub(super) struct RoundedGradient<'a> {
    /// `R`.
    rows: usize,
    /// `R`, rounded up to a multiple of two of the widest vectors.
    stride: usize,
    /// `[chunk, R/2]` of pairs.
    by_token: &'a mut [f32],
    /// `[chunk/2, R]` of pairs.
    by_row: &'a mut [f32],
}

/// The number of elements that a gradient of `chunk` tokens takes; even.
pub(super) fn places(chunk: usize, stride: usize) -> usize {
    chunk * stride
}

impl<'a> RoundedGradient<'a> {
    /// A gradient of up to `chunk` tokens, stored in [`places`] elements.
    pub(super) fn new(rows: usize, chunk: usize, stride: usize, scratch: &'a mut [f32]) -> Self {
        assert!(chunk.is_multiple_of(2) && scratch.len() == places(chunk, stride), "{chunk} × {stride}");
        assert!(rows <= stride, "{rows} rows with stride {stride}");
        let (by_token, by_row) = scratch.split_at_mut(chunk * stride / 2);
        RoundedGradient { rows, stride, by_token, by_row }
    }

    /// `kept ∘ factors` for each token of `kept: [tokens, R/2]` of pairs, with each token's total in `sums`.
    /// `factors: [R]` is padded with zeros. Of the padding of a token, `kept` has what completes two vectors.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&mut self, s: S, kept: &[f32], factors: &[f32], sums: &mut [f32]) {
        let (stride, tokens) = (self.stride, sums.len());
        let places = stride / 2;
        assert!(stride.is_multiple_of(2 * S::LANES) && factors.len() == stride);
        assert!(kept.len() == tokens * places && self.by_token.len() >= kept.len());
        for first in (0..tokens).step_by(2) {
            let both = first + 1 < tokens;
            let mut totals = [s.splat(0.0); 2];
            for at in (0..self.rows).step_by(2 * S::LANES) {
                // SAFETY: rows are `stride` elements or `places` pairs long, of which there are as many as
                // asserted.
                unsafe {
                    let factors =
                        [s.load(factors.as_ptr().add(at)), s.load(factors.as_ptr().add(at + S::LANES))];
                    let mut gradient = [[s.splat(0.0); 2]; 2];
                    for token in 0..1 + usize::from(both) {
                        let place = (first + token) * places + at / 2;
                        let (a, b) = s.part_neighbors(s.load(kept.as_ptr().add(place)));
                        let (a, b) = (s.mul(a, factors[0]), s.mul(b, factors[1]));
                        totals[token] = s.add(totals[token], s.add(a, b));
                        s.store(self.by_token.as_mut_ptr().add(place), s.pair_neighbors(a, b));
                        gradient[token] = [a, b];
                    }
                    let to = self.by_row.as_mut_ptr().add(first / 2 * stride + at);
                    s.store(to, s.pair(gradient[0][0], gradient[1][0]));
                    s.store(to.add(S::LANES), s.pair(gradient[0][1], gradient[1][1]));
                }
            }
            for token in 0..1 + usize::from(both) {
                sums[first + token] = s.sum(totals[token]);
            }
        }
    }

    /// Subtracts `scale` from the gradient of one logit, that of a target.
    pub(super) fn take(&mut self, kept: &[f32], factors: &[f32], token: usize, row: usize, scale: f32) {
        let place = token * self.stride / 2 + row / 2;
        let half = 16 * (row % 2);
        let exponential = f32::from_bits(kept[place].to_bits() >> half << 16);
        let rounded = u32::from(round(exponential * factors[row] - scale));
        replace_half(&mut self.by_token[place], half, rounded);
        replace_half(&mut self.by_row[token / 2 * self.stride + row], 16 * (token % 2), rounded);
    }

    /// Copies the gradient of the logits of one token, in the rows that `to` has room for.
    pub(super) fn copy_token(&self, token: usize, to: &mut [f32]) {
        let pairs = &self.by_token[token * self.stride / 2..(token + 1) * self.stride / 2];
        for (row, to) in to.iter_mut().enumerate() {
            *to = f32::from_bits(pairs[row / 2].to_bits() >> (16 * (row % 2)) << 16);
        }
    }

    /// The gradient as `[tokens, R]`.
    pub(super) fn by_token(&self) -> Matrix {
        let pointer = self.by_token.as_ptr();
        Matrix { pointer, row_stride: self.stride / 2, column_stride: 1, paired: true }
    }

    /// The gradient as `[R, tokens]`.
    pub(super) fn by_row(&self) -> Matrix {
        let pointer = self.by_row.as_ptr();
        Matrix { pointer, row_stride: 1, column_stride: self.stride, paired: true }
    }
}

/// Writes a bf16 into the lower or the upper half of a pair.
fn replace_half(pair: &mut f32, half: usize, rounded: u32) {
    *pair = f32::from_bits(pair.to_bits() & !(0xffff << half) | rounded << half);
}

/// Rounds to the nearest bf16, ties to even.
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() { (bits >> 16) as u16 | 1 << 6 } else { ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
        let rounded = |x: f32| f32::from_bits(u32::from(round(x)) << 16);
        assert_eq!([1.0, -0.5, 0.0, f32::INFINITY].map(rounded), [1.0, -0.5, 0.0, f32::INFINITY]);
        // Eight significant bits: the next value after 1 is 1 + 2⁻⁷.
        assert_eq!(rounded(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(rounded(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(rounded(1.0 + 1.1 / 256.0), 1.0 + 2.0 / 256.0);
        assert!(rounded(f32::NAN).is_nan());
    }
}
