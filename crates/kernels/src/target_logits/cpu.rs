//! CPU implementation: the rows are split between the threads.

use super::{Dims, Forward};
use crate::cpu::elements::in_parts;
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    let (hidden, weight, bias) = (args.hidden.host(), args.weight.host(), args.bias.map(|bias| bias.host()));
    let (targets, width) = (args.targets.host(), dims.hidden);
    let logits = SharedMut::new(args.logits.host());
    in_parts(cpu, dims.rows, 1, hidden.len(), |part| {
        // SAFETY: parts do not overlap.
        let logits = unsafe { logits.range(part.clone()) };
        for (logit, row) in logits.iter_mut().zip(part) {
            let target = targets[row] as usize;
            let [h, w] =
                [(hidden, row), (weight, target)].map(|(from, at)| &from[at * width..(at + 1) * width]);
            *logit = cpu.vectorized(Dot(h, w)) + bias.map_or(0.0, |bias| bias[target]);
        }
    });
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl Vectorized for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        rows::dot(s, self.0, self.1)
    }
}
