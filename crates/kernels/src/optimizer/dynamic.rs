//! CPU implementation of dynamic evaluation steps: the elements are split between the threads.

use super::RmsScale;
use super::factors::DynamicFactors;
use crate::cpu::elements::{LINE, in_parts};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};

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

impl Vectorized for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Step { factors, gradient, rms, trained, weight } = self;
        let len = weight.len();
        for (name, found) in [
            ("gradients", gradient.map_or(len, <[f32]>::len)),
            ("RMS gradients", rms.map_or(len, <[f32]>::len)),
            ("trained weights", trained.len()),
        ] {
            assert!(found == len, "{found} {name}, {len} weights");
        }
        let (rate, epsilon) = (s.splat(factors.rate), s.splat(factors.epsilon));
        let (decay, one) = (s.splat(factors.decay), s.splat(1.0));
        let (gradient, rms) = (gradient.map(<[f32]>::as_ptr), rms.map(<[f32]>::as_ptr));
        let (trained, weight) = (trained.as_ptr(), weight.as_mut_ptr());
        each_vector!(s, len, |offset, count| {
            // SAFETY: all slices have the length that is iterated over.
            unsafe {
                let mut step = s.splat(0.0);
                if let Some(gradient) = gradient {
                    step = s.mul(load(s, gradient.add(offset), count), rate);
                }
                let mut share = decay;
                if let Some(rms) = rms {
                    let rms = load(s, rms.add(offset), count);
                    let divisor = s.add(rms, epsilon);
                    step = s.where_positive(divisor, s.div(step, divisor));
                    share = s.min(one, s.mul(rms, decay));
                }
                let w = load(s, weight.add(offset), count);
                let back = s.sub(load(s, trained.add(offset), count), w);
                store(s, weight.add(offset), count, s.mul_add(share, back, s.add(w, step)));
            }
        });
    }
}
