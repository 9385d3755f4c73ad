//! A row added to every row.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::bias::{self, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.rows * dims.columns;
            let (x, mut y, mut row) =
                (numbers(&device, len), numbers(&device, len), numbers(&device, dims.columns));
            measure(criterion, "bias_forward", dims, &device, len, || {
                bias::forward(&device, dims, x.slice(), row.slice(), y.slice_mut());
            });
            measure(criterion, "bias_backward", dims, &device, len, || {
                bias::backward(&device, dims, x.slice(), row.slice_mut(), Store::Overwrite);
            });
        }
    }
}
