//! CPU implementation: the elements of a step are contiguous, so neighbors in time are three slices of the
//! same buffer, one step apart.

use crate::Store;
use crate::cpu::elements::{Function, map};
use crate::cpu::{Cpu, Simd};

pub(super) fn size_backward(cpu: &Cpu, factor: f32, h: &[f32], d_h: &mut [f32], store: Store) {
    map(cpu, Size(factor), [h], d_h, store);
}

/// `row` is the number of elements per step. There must be at least two steps.
pub(super) fn change_backward(cpu: &Cpu, row: usize, factor: f32, h: &[f32], d_h: &mut [f32], store: Store) {
    let last = h.len() - row;
    let (first_step, rest) = d_h.split_at_mut(row);
    let (between, last_step) = rest.split_at_mut(last - row);
    map(cpu, End(factor), [&h[..row], &h[row..2 * row]], first_step, store);
    map(cpu, Between(factor), [&h[row..last], &h[..last - row], &h[2 * row..]], between, store);
    map(cpu, End(factor), [&h[last..], &h[last - row..last]], last_step, store);
}

#[derive(Clone, Copy)]
struct Size(f32);
/// A step with one neighbor: the first or the last.
#[derive(Clone, Copy)]
struct End(f32);
/// A step with a neighbor before and after it.
#[derive(Clone, Copy)]
struct Between(f32);

impl Function<1> for Size {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [h]: [S::Vector; 1]) -> S::Vector {
        s.mul(h, s.splat(self.0))
    }
}

impl Function<2> for End {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [h, neighbor]: [S::Vector; 2]) -> S::Vector {
        s.mul(s.sub(h, neighbor), s.splat(self.0))
    }
}

impl Function<3> for Between {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [h, before, after]: [S::Vector; 3]) -> S::Vector {
        s.mul(s.sub(s.sub(h, before), s.sub(after, h)), s.splat(self.0))
    }
}
