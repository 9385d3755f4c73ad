//! The products of a decoder with a few rows, which read each weight once, in place. The tiles of larger products are wider
//! than such a batch, and would mostly compute what nobody needs.
//!
//! ```text
//! forward     logits[v, r] = W[v]·h[r]          two tokens at a time, along the width
//! backward    dh[r] += Σ_v d[v, r] · W[v]       some columns at a time, along the tokens
//! ```

use crate::cpu::Simd;
use crate::cpu::math::{each_vector, load, store};

/// The most rows that are few.
pub(super) const MAX_ROWS: usize = 8;

/// Vectors of the width whose sums over the tokens of a chunk are in registers at a time.
const COLUMNS: usize = 3;

/// Calls `$function::<S, R>($arguments)` with `R` as the number of rows.
macro_rules! with_rows {
    ($rows:expr, $function:ident($($argument:expr),*)) => {
        match $rows {
            0 => {}
            1 => $function::<S, 1>($($argument),*),
            2 => $function::<S, 2>($($argument),*),
            3 => $function::<S, 3>($($argument),*),
            4 => $function::<S, 4>($($argument),*),
            5 => $function::<S, 5>($($argument),*),
            6 => $function::<S, 6>($($argument),*),
            7 => $function::<S, 7>($($argument),*),
            8 => $function::<S, 8>($($argument),*),
            rows => panic!("{rows} rows are more than {MAX_ROWS}"),
        }
    };
}

/// `logits: [tokens, R]` with this stride between tokens, overwritten: those of `weight: [tokens, H]` for the rows
/// `hidden: [R, H]`.
#[inline(always)]
pub(super) fn forward<S: Simd>(
    s: S,
    weight: &[f32],
    hidden: &[f32],
    rows: usize,
    logits: &mut [f32],
    stride: usize,
) {
    with_rows!(rows, forward_rows(s, weight, hidden, logits, stride));
}

#[inline(always)]
fn forward_rows<S: Simd, const R: usize>(
    s: S,
    weight: &[f32],
    hidden: &[f32],
    logits: &mut [f32],
    stride: usize,
) {
    let width = hidden.len() / R;
    let mut tokens = weight.chunks_exact(2 * width);
    let mut outputs = logits.chunks_exact_mut(2 * stride);
    for (weight, logits) in tokens.by_ref().zip(outputs.by_ref()) {
        let (first, second) = logits.split_at_mut(stride);
        let [a, b] = dot::<S, R, 2>(s, weight, hidden, width);
        first[..R].copy_from_slice(&a);
        second[..R].copy_from_slice(&b);
    }
    let last = tokens.remainder();
    if !last.is_empty() {
        let [a] = dot::<S, R, 1>(s, last, hidden, width);
        outputs.into_remainder()[..R].copy_from_slice(&a);
    }
}

/// The dot products of `T` tokens' weights with all rows.
#[inline(always)]
fn dot<S: Simd, const R: usize, const T: usize>(
    s: S,
    weight: &[f32],
    hidden: &[f32],
    width: usize,
) -> [[f32; R]; T] {
    assert!(weight.len() == T * width && hidden.len() == R * width, "{T} tokens, {R} rows of {width}");
    let (weight, hidden) = (weight.as_ptr(), hidden.as_ptr());
    let mut sums = [[s.splat(0.0); R]; T];
    each_vector!(s, width, |at, count| {
        let mut weights = [s.splat(0.0); T];
        for (token, to) in weights.iter_mut().enumerate() {
            // SAFETY: `at + count` is within the width, and there are `T` tokens.
            *to = unsafe { load(s, weight.add(token * width + at), count) };
        }
        for row in 0..R {
            // SAFETY: as above; there are `R` rows.
            let hidden = unsafe { load(s, hidden.add(row * width + at), count) };
            for (sums, &weight) in sums.iter_mut().zip(&weights) {
                sums[row] = s.mul_add(weight, hidden, sums[row]);
            }
        }
    });
    let mut totals = [[0.0; R]; T];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = s.sum(sum);
        }
    }
    totals
}

/// Adds to `d_hidden: [R, H]` what the gradient `d: [tokens, R]` of the logits, with this stride between tokens, and
/// `weight: [tokens, H]` contribute; `add` is false for the first contribution.
#[inline(always)]
pub(super) fn backward<S: Simd>(
    s: S,
    weight: &[f32],
    d: &[f32],
    (rows, stride): (usize, usize),
    d_hidden: &mut [f32],
    add: bool,
) {
    with_rows!(rows, backward_rows(s, weight, d, stride, d_hidden, add));
}

#[inline(always)]
fn backward_rows<S: Simd, const R: usize>(
    s: S,
    weight: &[f32],
    d: &[f32],
    stride: usize,
    d_hidden: &mut [f32],
    add: bool,
) {
    let width = d_hidden.len() / R;
    let tokens = weight.len() / width;
    assert!(d_hidden.len() == R * width && weight.len() == tokens * width, "{tokens} tokens, {R} × {width}");
    assert!(stride >= R && d.len() >= tokens * stride, "{} gradients of {tokens} tokens", d.len());
    let (weight, d, d_hidden) = (weight.as_ptr(), d.as_ptr(), d_hidden.as_mut_ptr());
    let mut first = 0;
    while first < width {
        let counts: [usize; COLUMNS] =
            std::array::from_fn(|column| width.saturating_sub(first + column * S::LANES).min(S::LANES));
        let mut sums = [[s.splat(0.0); COLUMNS]; R];
        for token in 0..tokens {
            let mut weights = [s.splat(0.0); COLUMNS];
            for (column, to) in weights.iter_mut().enumerate() {
                if counts[column] > 0 {
                    let at = token * width + first + column * S::LANES;
                    // SAFETY: `counts` ends at the width, and there are `tokens` tokens.
                    *to = unsafe { load(s, weight.add(at), counts[column]) };
                }
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `d` has `tokens` rows of `stride` elements, at least `R`.
                let d = s.splat(unsafe { *d.add(token * stride + row) });
                for (sum, &weight) in sums.iter_mut().zip(&weights) {
                    *sum = s.mul_add(d, weight, *sum);
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (column, sum) in sums.into_iter().enumerate() {
                if counts[column] > 0 {
                    // SAFETY: as above; there are `R` rows.
                    unsafe {
                        let to = d_hidden.add(row * width + first + column * S::LANES);
                        let sum = if add { s.add(sum, load(s, to, counts[column])) } else { sum };
                        store(s, to, counts[column], sum);
                    }
                }
            }
        }
        first += COLUMNS * S::LANES;
    }
}
