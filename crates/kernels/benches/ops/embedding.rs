//! The look-up of rows, and its two gradients.

use criterion::Criterion;
use rondo_kernels::Buffer;
use rondo_kernels::embedding::{self, cases::CASES};

use crate::measure::{devices, ids, measure, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    for device in devices() {
        for &dims in CASES {
            let len = dims.rows * dims.width;
            let (mut table, ids) =
                (numbers(&device, dims.vocab * dims.width), ids(&device, dims.rows, dims.vocab));
            let mut out = numbers(&device, len);
            measure(criterion, "embedding_forward", dims, &device, len, || {
                embedding::forward(&device, dims, table.slice(), ids.slice(), out.slice_mut());
            });
            measure(criterion, "embedding_backward", dims, &device, len, || {
                embedding::backward(&device, dims, ids.slice(), out.slice(), table.slice_mut());
            });
            let on_host = ids.read().unwrap().into_owned();
            let [mut o, mut s, mut r] = [dims.rows, dims.rows + 1, dims.rows].map(|len| vec![0; len]);
            let [mut order, mut starts] = [o.len(), s.len()].map(|len| Buffer::zeros(&device, len));
            let mut values = numbers(&device, len);
            measure(criterion, "embedding_backward_sparse", dims, &device, len, || {
                let unique = embedding::plan_rows(&on_host, &mut o, &mut s, &mut r);
                order.write_from(&o).unwrap();
                starts.write_from(&s).unwrap();
                let (order, starts) = (order.slice(), starts.range(0..unique + 1));
                let values = values.range_mut(0..unique * dims.width);
                embedding::backward_sparse(&device, dims, out.slice(), order, starts, values);
            });
        }
    }
}
