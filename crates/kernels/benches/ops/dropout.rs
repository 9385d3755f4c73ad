//! Dropout.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::dropout::{self, Dropout, Key, Mask, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.steps * dims.batch * dims.width;
            let (x, mut y) = (numbers(&device, len), numbers(&device, len));
            for mask in [Mask::Elementwise, Mask::Locked] {
                let dropout =
                    Dropout { probability: 0.2, mask, key: Key { seed: 1, stream: 2 }, columns: None };
                let name = format!("dropout_{mask:?}").to_lowercase();
                measure(criterion, &name, dims, &device, len, || {
                    dropout::backward(&device, dims, dropout, x.slice(), y.slice_mut(), Store::Overwrite);
                });
            }
        }
    }
}
