//! Ids as rows of zeros with a single one.

use criterion::Criterion;
use rondo_kernels::one_hot::{self, cases::CASES};

use crate::measure::{devices, ids, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.rows * dims.vocab;
            let (ids, mut out) = (ids(&device, dims.rows, dims.vocab), numbers(&device, len));
            measure(criterion, "one_hot", dims, &device, len, || {
                one_hot::forward(&device, dims, ids.slice(), out.slice_mut());
            });
        }
    }
}
