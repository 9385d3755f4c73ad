//! The matrix product for one's own cells.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::product::{self, Dims, cases::CASES};

use crate::measure::{devices, measure, numbers};

/// Beyond the cases: a step of a medium LSTM written out, and a square one.
const WORKLOADS: [Dims; 2] = [Dims { m: 20, k: 650, n: 2_600 }, Dims { m: 512, k: 512, n: 512 }];

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES.iter().chain(&WORKLOADS) {
            let Dims { m, k, n } = dims;
            let flop = 2 * m * k * n;
            let [mut a, mut b, mut c] = [m * k, k * n, m * n].map(|len| numbers(&device, len));
            let mut scratch = numbers(&device, product::forward_scratch_len(&device, dims));
            measure(criterion, "product_forward", dims, &device, flop, || {
                let (to, scratch) = (c.slice_mut(), scratch.slice_mut());
                product::forward(&device, dims, a.slice(), b.slice(), to, scratch);
            });
            let mut scratch = numbers(&device, product::backward_scratch_len(&device, dims));
            let d_c = numbers(&device, m * n);
            measure(criterion, "product_backward_a", dims, &device, flop, || {
                let (to, scratch) = (a.slice_mut(), scratch.slice_mut());
                product::backward_a(&device, dims, d_c.slice(), b.slice(), to, Store::Overwrite, scratch);
            });
            measure(criterion, "product_backward_b", dims, &device, flop, || {
                let (to, scratch) = (b.slice_mut(), scratch.slice_mut());
                product::backward_b(&device, dims, a.slice(), d_c.slice(), to, Store::Overwrite, scratch);
            });
        }
    }
}
