//! CPU implementation: the elements are split between the threads.

use crate::Store;
use crate::cpu::elements::{Function, map};
use crate::cpu::{Cpu, Simd};

pub(super) fn add(cpu: &Cpu, a: &[f32], b: &[f32], y: &mut [f32]) {
    map(cpu, Add, [a, b], y, Store::Overwrite);
}

pub(super) fn multiply(cpu: &Cpu, a: &[f32], b: &[f32], y: &mut [f32], store: Store) {
    map(cpu, Multiply, [a, b], y, store);
}

pub(super) fn scale(cpu: &Cpu, factor: f32, x: &[f32], y: &mut [f32], store: Store) {
    map(cpu, Scale(factor), [x], y, store);
}

#[derive(Clone, Copy)]
struct Add;
#[derive(Clone, Copy)]
struct Multiply;
#[derive(Clone, Copy)]
struct Scale(f32);

impl Function<2> for Add {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [a, b]: [S::Vector; 2]) -> S::Vector {
        s.add(a, b)
    }
}

impl Function<2> for Multiply {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [a, b]: [S::Vector; 2]) -> S::Vector {
        s.mul(a, b)
    }
}

impl Function<1> for Scale {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [x]: [S::Vector; 1]) -> S::Vector {
        s.mul(x, s.splat(self.0))
    }
}
