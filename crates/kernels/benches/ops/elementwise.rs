//! Sums, products and multiples.

use criterion::Criterion;
use rondo_kernels::Store;
use rondo_kernels::elementwise::{self, cases::CASES};

use crate::measure::{devices, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        // The last is more than most caches hold.
        for &len in CASES.iter().chain(&[6_655_600]) {
            let [a, b, mut y] = [(); 3].map(|()| numbers(&device, len));
            measure(criterion, "add", len, &device, len, || {
                elementwise::add(&device, a.slice(), b.slice(), y.slice_mut());
            });
            // The product is its own backward.
            measure(criterion, "multiply", len, &device, len, || {
                elementwise::multiply(&device, a.slice(), b.slice(), y.slice_mut(), Store::Overwrite);
            });
            measure(criterion, "scale", len, &device, len, || {
                elementwise::scale(&device, 0.5, a.slice(), y.slice_mut(), Store::Overwrite);
            });
        }
    }
}
