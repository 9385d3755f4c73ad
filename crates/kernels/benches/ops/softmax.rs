//! Softmax with a temperature.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::softmax::{self, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.rows * dims.columns;
            let [x, mut y, mut d_x] = [(); 3].map(|()| numbers(&device, len));
            measure(criterion, "softmax_forward", dims, &device, len, || {
                softmax::forward(&device, dims, 0.8, x.slice(), y.slice_mut());
            });
            measure(criterion, "softmax_backward", dims, &device, len, || {
                let (y, d_y, to) = (y.slice(), x.slice(), d_x.slice_mut());
                softmax::backward(&device, dims, 0.8, y, d_y, to, Store::Overwrite);
            });
        }
    }
}
