//! Softmax and cross-entropy of given logits.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::cross_entropy::{self, cases::CASES};

use crate::measure::{devices, ids, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.rows * dims.vocab;
            let (logits, mut d_logits) = (numbers(&device, len), numbers(&device, len));
            let targets = ids(&device, dims.rows, dims.vocab);
            let (mut nll, mut log_sums) = (numbers(&device, dims.rows), numbers(&device, dims.rows));
            measure(criterion, "cross_entropy_forward", dims, &device, len, || {
                let (n, s) = (nll.slice_mut(), log_sums.slice_mut());
                cross_entropy::forward(&device, dims, logits.slice(), targets.slice(), n, s);
            });
            measure(criterion, "cross_entropy_backward", dims, &device, len, || {
                let (l, t, s) = (logits.slice(), targets.slice(), log_sums.slice());
                let to = d_logits.slice_mut();
                cross_entropy::backward(&device, dims, 0.1, l, t, s, to, Store::Overwrite);
            });
        }
    }
}
