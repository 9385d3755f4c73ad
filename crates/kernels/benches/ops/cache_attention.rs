//! The neural cache's share of a softmax.

use criterion::Criterion;
use rondo_kernels::cache_attention::{self, cases::CASES};

use crate::measure::{devices, ids, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let scores = numbers(&device, dims.rows * dims.positions);
            // The words of a text, of which few follow more than once within a window.
            let next = ids(&device, dims.positions, 10_000);
            let mut shares = numbers(&device, dims.rows);
            let compared: usize = (0..dims.rows).map(|row| dims.window_of(row).len()).sum();
            measure(criterion, "cache_attention", dims, &device, compared, || {
                cache_attention::forward(
                    &device,
                    dims,
                    0.662,
                    scores.slice(),
                    next.slice(),
                    shares.slice_mut(),
                );
            });
        }
    }
}
