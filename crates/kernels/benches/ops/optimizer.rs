//! Optimizer steps.

use criterion::Criterion;
use rondo_kernels::optimizer::{self, Adam, Decay, Sgd, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    // So small a learning rate that the weights stay as they are, however often this runs.
    let sgd = Sgd { learning_rate: 1e-30, momentum: 0.0, weight_decay: 0.0 };
    let adam = Adam {
        learning_rate: 1e-30,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decay: Decay::Weight,
    };
    for device in devices() {
        // The last is the embedding of WikiText-2 at width 200, which no cache holds.
        for &len in CASES.iter().chain(&[6_655_600]) {
            let [gradient, mut weight, mut first, mut second] = [(); 4].map(|()| numbers(&device, len));
            measure(criterion, "squared_norm", len, &device, len, || {
                std::hint::black_box(optimizer::squared_norm(&device, gradient.slice()).unwrap());
            });
            measure(criterion, "sgd", len, &device, len, || {
                optimizer::sgd(&device, &sgd, 0.5.into(), gradient.slice(), weight.slice_mut(), None);
            });
            measure(criterion, "sgd_momentum", len, &device, len, || {
                let options = Sgd { momentum: 0.5, ..sgd };
                let velocity = Some(first.slice_mut());
                optimizer::sgd(&device, &options, 0.5.into(), gradient.slice(), weight.slice_mut(), velocity);
            });
            second.slice_mut().fill(1.0); // The mean of squares is not negative.
            measure(criterion, "adam", len, &device, len, || {
                let (g, w) = (gradient.slice(), weight.slice_mut());
                let (m, v) = (first.slice_mut(), second.slice_mut());
                optimizer::adam(&device, &adam, 1, 0.5.into(), g, w, m, v);
            });
        }
    }
}
