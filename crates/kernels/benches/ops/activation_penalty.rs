//! What activations are penalized by.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::activation_penalty::{self, Penalty, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.steps * dims.batch * dims.width;
            let (h, mut d_h) = (numbers(&device, len), numbers(&device, len));
            for penalty in Penalty::ALL {
                let name = format!("penalty_{penalty:?}").to_lowercase();
                measure(criterion, &format!("{name}_forward"), dims, &device, len, || {
                    std::hint::black_box(
                        activation_penalty::forward(&device, dims, penalty, h.slice()).unwrap(),
                    );
                });
                measure(criterion, &format!("{name}_backward"), dims, &device, len, || {
                    let (h, to) = (h.slice(), d_h.slice_mut());
                    activation_penalty::backward(&device, dims, penalty, 1.0, h, to, Store::Overwrite);
                });
            }
        }
    }
}
