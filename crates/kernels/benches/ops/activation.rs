//! Tanh, sigmoid and rectifier.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::activation::{self, Activation, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &len in CASES {
            let [x, d_y, mut y, mut d_x] = [(); 4].map(|()| numbers(&device, len));
            for activation in Activation::ALL {
                let name = format!("{activation:?}").to_lowercase();
                measure(criterion, &format!("{name}_forward"), len, &device, len, || {
                    activation::forward(&device, activation, x.slice(), y.slice_mut());
                });
                measure(criterion, &format!("{name}_backward"), len, &device, len, || {
                    let (y, d_y, to) = (y.slice(), d_y.slice(), d_x.slice_mut());
                    activation::backward(&device, activation, y, d_y, to, Store::Overwrite);
                });
            }
        }
    }
}
