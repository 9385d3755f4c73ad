//! Sums in `f64`, over a partition that is the same on all machines: the result is bitwise
//! independent of the number of threads and the instruction set.

use std::ops::Range;

use super::elements::{LINE, in_parts};
use super::{Cpu, SharedMut, Simd, Vectorized, share};

/// The number of parts that are summed separately, regardless of the number of threads; enough to keep many
/// threads busy.
const PARTS: usize = 64;
/// Independent partial sums within a part, regardless of the vector width; enough to hide the latency of an
/// addition.
const LANES: usize = 32;

/// `Σ x`.
pub(crate) fn all(cpu: &Cpu, x: &[f32]) -> f64 {
    of_parts(cpu, x.len(), |part| cpu.vectorized(All(&x[part])))
}

/// `Σ x²`.
pub(crate) fn squares(cpu: &Cpu, x: &[f32]) -> f64 {
    of_parts(cpu, x.len(), |part| cpu.vectorized(Squares(&x[part])))
}

/// `Σ (a − b)²`, with the difference also in `f64`.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn squared_differences(cpu: &Cpu, a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of a difference");
    of_parts(cpu, a.len(), |part| cpu.vectorized(SquaredDifferences(&a[part.clone()], &b[part])))
}

/// The total of `sum` over the parts of `0..len`, skipping empty ones.
pub(crate) fn of_parts(cpu: &Cpu, len: usize, sum: impl Fn(Range<usize>) -> f64 + Sync) -> f64 {
    let mut sums = [0.0; PARTS];
    {
        let sums = SharedMut::new(&mut sums);
        in_parts(cpu, PARTS, 1, len, |parts| {
            // SAFETY: each thread has its own parts.
            let sums = unsafe { sums.range(parts.clone()) };
            for (part, to) in parts.zip(sums) {
                let part = share(len, LINE, PARTS, part);
                *to = if part.is_empty() { 0.0 } else { sum(part) };
            }
        });
    }
    sums.iter().sum()
}

struct All<'a>(&'a [f32]);

impl Vectorized for All<'_> {
    type Output = f64;

    // A plain loop, which the compiler vectorizes for this instruction set's `f64`.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut sums = [0.0; LANES];
        let (lines, rest) = self.0.as_chunks::<LANES>();
        for line in lines {
            for (sum, &x) in sums.iter_mut().zip(line) {
                *sum += f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(x);
        }
        sums.iter().sum()
    }
}

struct Squares<'a>(&'a [f32]);

impl Vectorized for Squares<'_> {
    type Output = f64;

    // As above.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut sums = [0.0; LANES];
        let (lines, rest) = self.0.as_chunks::<LANES>();
        for line in lines {
            for (sum, &x) in sums.iter_mut().zip(line) {
                let x = f64::from(x);
                *sum += x * x;
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            let x = f64::from(x);
            *sum += x * x;
        }
        sums.iter().sum()
    }
}

struct SquaredDifferences<'a>(&'a [f32], &'a [f32]);

impl Vectorized for SquaredDifferences<'_> {
    type Output = f64;

    // As above.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut sums = [0.0; LANES];
        let ((a, a_rest), (b, b_rest)) = (self.0.as_chunks::<LANES>(), self.1.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                let difference = f64::from(a) - f64::from(b);
                *sum += difference * difference;
            }
        }
        for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
            let difference = f64::from(a) - f64::from(b);
            *sum += difference * difference;
        }
        sums.iter().sum()
    }
}
