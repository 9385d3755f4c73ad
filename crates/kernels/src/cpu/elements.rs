//! Work on independent items, split between the threads, and element-wise functions.

use std::ops::Range;

use super::math::{each_vector, load, store};
use super::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::Store;

/// Below this many elements the calling thread does the work alone: starting a parallel region costs one or
/// two microseconds, in which a thread moves some ten thousand elements.
const SMALL: usize = 16_384;

/// Elements per cache line; parts made of whole lines avoid false sharing.
pub(crate) const LINE: usize = 16;

/// Calls `work` with parts of `0..items` that together cover it, one for each thread that has work to do.
///
/// Parts begin at multiples of `grain`. `numbers` is the total number of elements touched: if it is small,
/// the calling thread does everything.
pub(crate) fn in_parts(
    cpu: &Cpu,
    items: usize,
    grain: usize,
    numbers: usize,
    work: impl Fn(Range<usize>) + Sync,
) {
    if items == 0 {
        return;
    }
    if numbers < SMALL || cpu.threads() == 1 {
        return work(0..items);
    }
    cpu.parallel(|thread| {
        let part = share(items, grain, cpu.threads(), thread);
        if !part.is_empty() {
            work(part);
        }
    });
}

/// A function of `N` inputs, vector by vector. `apply` must be `#[inline(always)]`.
pub(crate) trait Function<const N: usize>: Copy + Sync {
    /// The value in each lane.
    fn apply<S: Simd>(self, s: S, inputs: [S::Vector; N]) -> S::Vector;
}

/// Stores `function` of the inputs' elements in `out`, element-wise.
///
/// # Panics
/// If the lengths of an input and `out` differ.
pub(crate) fn map<const N: usize>(
    cpu: &Cpu,
    function: impl Function<N>,
    inputs: [&[f32]; N],
    out: &mut [f32],
    how: Store,
) {
    let len = out.len();
    let out = SharedMut::new(out);
    in_parts(cpu, len, LINE, len, |part| {
        let inputs = inputs.map(|input| &input[part.clone()]);
        // SAFETY: parts do not overlap.
        let out = unsafe { out.range(part) };
        cpu.vectorized(Map { function, inputs, out, how });
    });
}

struct Map<'a, F, const N: usize> {
    function: F,
    inputs: [&'a [f32]; N],
    out: &'a mut [f32],
    how: Store,
}

impl<F: Function<N>, const N: usize> Vectorized for Map<'_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Map { function, inputs, out, how } = self;
        let to = out.as_mut_ptr();
        each_vector!(s, out.len(), |offset, count| {
            // SAFETY: all slices are as long as `out`, which is iterated over.
            unsafe {
                let mut vectors = [s.splat(0.0); N];
                for (vector, input) in vectors.iter_mut().zip(&inputs) {
                    *vector = load(s, input.as_ptr().add(offset), count);
                }
                let mut value = function.apply(s, vectors);
                if how == Store::Add {
                    value = s.add(load(s, to.add(offset), count), value);
                }
                store(s, to.add(offset), count, value);
            }
        });
    }
}

/// The identity: with overwriting it copies, with adding it accumulates.
#[derive(Clone, Copy)]
pub(crate) struct Identity;

impl Function<1> for Identity {
    #[inline(always)]
    fn apply<S: Simd>(self, _: S, [x]: [S::Vector; 1]) -> S::Vector {
        x
    }
}

/// Adds `from` to `to`, on this thread.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub(crate) fn add_to<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "lengths of a sum");
    let (from, len, to) = (from.as_ptr(), to.len(), to.as_mut_ptr());
    each_vector!(s, len, |offset, count| {
        // SAFETY: both slices have the length that is iterated over.
        unsafe {
            let sum = s.add(load(s, to.add(offset), count), load(s, from.add(offset), count));
            store(s, to.add(offset), count, sum);
        }
    });
}
