//! CPU implementation of dynamic evaluation steps: the elements are split between the threads, or the rows if the gradient
//! is a product.

use super::{ProductGradient, RmsScale};
use crate::cpu::elements::{LINE, in_parts};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::sums;
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};
use crate::optimizer::factors::DynamicFactors;

pub(super) fn step(
    cpu: &Cpu,
    factors: DynamicFactors,
    rms_scale: Option<RmsScale<'_>>,
    gradient: Option<&[f32]>,
    trained: &[f32],
    weight: &mut [f32],
) {
    let rms = rms_scale.map(|rms_scale| rms_scale.rms.host());
    let len = weight.len();
    let weight = SharedMut::new(weight);
    in_parts(cpu, len, LINE, len, |part| {
        // SAFETY: parts do not overlap.
        let weight = unsafe { weight.range(part.clone()) };
        let gradient = gradient.map(|gradient| &gradient[part.clone()]);
        let rms = rms.map(|rms| &rms[part.clone()]);
        cpu.vectorized(Step { factors, gradient, rms, trained: &trained[part], weight });
    });
}

struct Step<'a> {
    factors: DynamicFactors,
    gradient: Option<&'a [f32]>,
    rms: Option<&'a [f32]>,
    trained: &'a [f32],
    weight: &'a mut [f32],
}

impl Step<'_> {
    /// Panics unless all lengths are those of the weights, which it returns.
    fn len(&self) -> usize {
        let len = self.weight.len();
        for (name, found) in [
            ("gradients", self.gradient.map_or(len, <[f32]>::len)),
            ("RMS gradients", self.rms.map_or(len, <[f32]>::len)),
            ("trained weights", self.trained.len()),
        ] {
            assert!(found == len, "{found} {name}, {len} weights");
        }
        len
    }
}

impl Vectorized for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let len = self.len();
        let vectors = Vectors::new(s, self.factors);
        let Step { gradient, rms, trained, weight, .. } = self;
        let (gradient, rms) = (gradient.map(<[f32]>::as_ptr), rms.map(<[f32]>::as_ptr));
        let (trained, weight) = (trained.as_ptr(), weight.as_mut_ptr());
        each_vector!(s, len, |at, count| {
            // SAFETY: all slices have the length that is iterated over.
            unsafe {
                let gradient = match gradient {
                    Some(gradient) => load(s, gradient.add(at), count),
                    None => s.splat(0.0),
                };
                let rms = rms.map(|rms| load(s, rms.add(at), count));
                let from = load(s, trained.add(at), count);
                let w = vectors.step(s, gradient, rms, from, load(s, weight.add(at), count));
                store(s, weight.add(at), count, w);
            }
        });
    }
}

/// The numbers of a step, in all lanes.
struct Vectors<S: Simd> {
    rate: S::Vector,
    decay: S::Vector,
    decays: u32,
    epsilon: S::Vector,
}

impl<S: Simd> Vectors<S> {
    #[inline(always)]
    fn new(s: S, factors: DynamicFactors) -> Self {
        let DynamicFactors { rate, decay, decays, epsilon } = factors;
        Vectors { rate: s.splat(rate), decay: s.splat(decay), decays, epsilon: s.splat(epsilon) }
    }

    /// The weights `w` after a step.
    #[inline(always)]
    fn step(
        &self,
        s: S,
        gradient: S::Vector,
        rms: Option<S::Vector>,
        trained: S::Vector,
        w: S::Vector,
    ) -> S::Vector {
        let mut step = s.mul(gradient, self.rate);
        let mut share = self.decay;
        if let Some(rms) = rms {
            let divisor = s.add(rms, self.epsilon);
            step = s.where_positive(divisor, s.div(step, divisor));
            share = s.min(s.splat(1.0), s.mul(rms, self.decay));
        }
        if self.decays != 1 {
            share = s.sub(s.splat(1.0), power(s, s.sub(s.splat(1.0), share), self.decays));
        }
        s.mul_add(share, s.sub(trained, w), s.add(w, step))
    }
}

/// `xⁿ` of each lane, by repeated squaring.
#[inline(always)]
fn power<S: Simd>(s: S, x: S::Vector, n: u32) -> S::Vector {
    let (mut square, mut power, mut left) = (x, s.splat(1.0), n);
    while left > 0 {
        if left % 2 == 1 {
            power = s.mul(power, square);
        }
        square = s.mul(square, square);
        left /= 2;
    }
    power
}

pub(super) fn product_step(
    cpu: &Cpu,
    factors: DynamicFactors,
    rms_scale: Option<RmsScale<'_>>,
    gradient: ProductGradient<'_>,
    trained: &[f32],
    weight: &mut [f32],
) {
    let (vocab, width) = gradient.sizes();
    let rms = rms_scale.map(|rms_scale| rms_scale.rms.host());
    let (left, right) = (gradient.left.host(), gradient.right.host());
    let len = weight.len();
    let weight = SharedMut::new(weight);
    in_parts(cpu, vocab, 1, len, |part| {
        let elements = part.start * width..part.end * width;
        // SAFETY: parts do not overlap.
        let weight = unsafe { weight.range(elements.clone()) };
        let rms = rms.map(|rms| &rms[elements.clone()]);
        let step = Step { factors, gradient: None, rms, trained: &trained[elements], weight };
        let left = &left[part.start * gradient.rows..part.end * gradient.rows];
        cpu.vectorized(ProductStep { step, left, right, rows: gradient.rows });
    });
}

/// A step of some rows of the weights. Its own gradient is `left·right`.
struct ProductStep<'a> {
    step: Step<'a>,
    left: &'a [f32],
    right: &'a [f32],
    rows: usize,
}

impl Vectorized for ProductStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ProductStep { step, left, right, rows } = self;
        let (len, width) = (step.len(), right.len() / rows);
        let vectors = Vectors::new(s, step.factors);
        let Step { rms, trained, weight, .. } = step;
        assert!(left.len() / rows * width == len, "{} × {width} gradients, {len} weights", left.len() / rows);
        let (rms, right) = (rms.map(<[f32]>::as_ptr), right.as_ptr());
        let (trained, weight) = (trained.as_ptr(), weight.as_mut_ptr());
        for (first, left) in (0..len).step_by(width).zip(left.chunks_exact(rows)) {
            each_vector!(s, width, |offset, count| {
                let at = first + offset;
                // SAFETY: there are `width` weights from `first` on, and `rows` rows of `width` elements in `right`.
                unsafe {
                    let mut gradient = s.splat(0.0);
                    for (row, &left) in left.iter().enumerate() {
                        let right = load(s, right.add(row * width + offset), count);
                        gradient = s.mul_add(s.splat(left), right, gradient);
                    }
                    let rms = rms.map(|rms| load(s, rms.add(at), count));
                    let from = load(s, trained.add(at), count);
                    let w = vectors.step(s, gradient, rms, from, load(s, weight.add(at), count));
                    store(s, weight.add(at), count, w);
                }
            });
        }
    }
}

pub(super) fn squared_norm_of_product(cpu: &Cpu, product: ProductGradient<'_>) -> f64 {
    let ProductGradient { rows, .. } = product;
    let (left, right) = (product.left.host(), product.right.host());
    let width = right.len() / rows;
    let row = |r: usize| &right[r * width..(r + 1) * width];
    let mut sum = 0.0;
    for (r, s) in (0..rows).flat_map(|r| (0..=r).map(move |s| (r, s))) {
        let products = |part: std::ops::Range<usize>| {
            let columns = left[part.start * rows..part.end * rows].chunks_exact(rows);
            columns.map(|left| f64::from(left[r]) * f64::from(left[s])).sum::<f64>()
        };
        let of_left = sums::of_parts(cpu, left.len() / rows, products);
        let of_right: f64 = row(r).iter().zip(row(s)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        sum += of_left * of_right * if r == s { 1.0 } else { 2.0 };
    }
    // Rounding can make the sum of a tiny gradient negative.
    sum.max(0.0)
}
