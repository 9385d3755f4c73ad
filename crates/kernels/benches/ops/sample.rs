//! Drawing a token of each row of logits.

use criterion::Criterion;
use rondo_kernels::Buffer;
use rondo_kernels::sample::{self, Dims, Forward, Pick, cases::CASES};

use crate::measure::{copy, devices, measure, measure_fresh, numbers};

/// Beyond the cases: several streams of the WikiText-2 recipe's model.
const STREAMS: Dims = Dims { rows: 32, vocab: 33_278 };

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES.iter().chain(&[STREAMS]) {
            let len = dims.rows * dims.vocab;
            let logits = numbers(&device, len);
            let [mut maxima, mut sums] = [(); 2].map(|()| numbers(&device, dims.rows * dims.blocks()));
            let mut forward = |sums: Option<&mut Buffer>| {
                let args = Forward {
                    logits: logits.slice(),
                    caps: None,
                    maxima: maxima.slice_mut(),
                    sums: sums.map(|sums| (0.8, sums.slice_mut())),
                };
                sample::forward(&device, dims, args);
            };
            measure(criterion, "draw_maxima", dims, &device, len, || forward(None));
            measure(criterion, "draw_forward", dims, &device, len, || forward(Some(&mut sums)));
            forward(Some(&mut sums));
            let points: Vec<f64> = (0..dims.rows).map(|row| row as f64 / dims.rows as f64).collect();
            let mut ids = Buffer::zeros(&device, dims.rows);
            let fresh = || copy(&device, &sums);
            measure_fresh(criterion, "draw_pick", dims, &device, dims.rows, fresh, |sums| {
                let args = Pick {
                    temperature: 0.8,
                    logits: logits.slice(),
                    caps: None,
                    maxima: maxima.slice(),
                    sums: sums.slice_mut(),
                    points: &points,
                    ids: ids.slice_mut(),
                };
                sample::pick(&device, dims, args);
            });
        }
    }
}
