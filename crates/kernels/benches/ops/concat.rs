//! Blocks copied between matrices.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::concat::{self, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let [mut source, mut target] = [dims.source, dims.target]
                .map(|place| numbers(&device, (place.row + dims.rows) * place.width));
            let len = dims.rows * dims.columns;
            measure(criterion, "join_forward", dims, &device, len, || {
                concat::forward(&device, dims, source.slice(), target.slice_mut());
            });
            measure(criterion, "join_backward", dims, &device, len, || {
                concat::backward(&device, dims, target.slice(), source.slice_mut(), Store::Overwrite);
            });
        }
    }
}
