//! CPU implementation: the elements are split between the threads.

use super::Activation;
use crate::Store;
use crate::cpu::elements::{Function, map};
use crate::cpu::{Cpu, Simd, math};

pub(super) fn forward(cpu: &Cpu, activation: Activation, x: &[f32], y: &mut [f32]) {
    match activation {
        Activation::Tanh => map(cpu, Tanh, [x], y, Store::Overwrite),
        Activation::Sigmoid => map(cpu, Sigmoid, [x], y, Store::Overwrite),
        Activation::Relu => map(cpu, Relu, [x], y, Store::Overwrite),
    }
}

pub(super) fn backward(
    cpu: &Cpu,
    activation: Activation,
    y: &[f32],
    d_y: &[f32],
    d_x: &mut [f32],
    store: Store,
) {
    match activation {
        Activation::Tanh => map(cpu, TanhBackward, [y, d_y], d_x, store),
        Activation::Sigmoid => map(cpu, SigmoidBackward, [y, d_y], d_x, store),
        Activation::Relu => map(cpu, ReluBackward, [y, d_y], d_x, store),
    }
}

#[derive(Clone, Copy)]
struct Tanh;
#[derive(Clone, Copy)]
struct Sigmoid;
#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct TanhBackward;
#[derive(Clone, Copy)]
struct SigmoidBackward;
#[derive(Clone, Copy)]
struct ReluBackward;

impl Function<1> for Tanh {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [x]: [S::Vector; 1]) -> S::Vector {
        math::tanh(s, x)
    }
}

impl Function<1> for Sigmoid {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [x]: [S::Vector; 1]) -> S::Vector {
        math::sigmoid(s, x)
    }
}

impl Function<1> for Relu {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [x]: [S::Vector; 1]) -> S::Vector {
        s.max(s.splat(0.0), x) // This argument order propagates NaN.
    }
}

impl Function<2> for TanhBackward {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [y, d_y]: [S::Vector; 2]) -> S::Vector {
        s.mul(s.sub(s.splat(1.0), s.mul(y, y)), d_y)
    }
}

impl Function<2> for SigmoidBackward {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [y, d_y]: [S::Vector; 2]) -> S::Vector {
        s.mul(s.mul(y, s.sub(s.splat(1.0), y)), d_y)
    }
}

impl Function<2> for ReluBackward {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [y, d_y]: [S::Vector; 2]) -> S::Vector {
        s.where_positive(y, d_y)
    }
}
