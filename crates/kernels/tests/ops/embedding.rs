//! The look-up of rows, and its two gradients.

use rondo_kernels::embedding::{self, Dims, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, devices, dot, filled, random, random_ids, read,
};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 5, vocab: 4, width: 3 };
    let ids = [2, 0, 2, 3, 2];
    let (table, d_out) = (random(12, 1), random(15, 2));
    let gradient = reference::backward(dims, &ids, &d_out);
    assert_gradient("table", &table, &gradient, |table| dot(&reference::forward(dims, table, &ids), &d_out));
}

#[test]
fn the_sparse_gradient_is_the_dense_ones_rows() {
    let dims = Dims { rows: 5, vocab: 4, width: 2 };
    let ids = [2, 0, 2, 3, 2];
    let d_out: Vec<f64> = (1..=10).map(f64::from).collect();
    let (rows, values) = reference::backward_sparse(dims, &ids, &d_out);
    assert_eq!(rows, [0, 2, 3]);
    assert_eq!(values, [3.0, 4.0, 1.0 + 5.0 + 9.0, 2.0 + 6.0 + 10.0, 7.0, 8.0]);
}

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let Dims { rows, vocab, width } = dims;
        let ids = random_ids(rows, vocab, 3);
        let table: Vec<f32> = random(vocab * width, 1).iter().map(|&x| x as f32).collect();
        let d_out: Vec<f32> = random(rows * width, 2).iter().map(|&x| x as f32).collect();
        let want_out = reference::forward(dims, &table, &ids);
        let want_dense = reference::backward(dims, &ids, &d_out);
        let (want_rows, want_values) = reference::backward_sparse(dims, &ids, &d_out);
        for device in devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let [table, d_out] = [&table, &d_out].map(|values| filled(&device, values));
            let ids = filled(&device, &ids);
            let mut out = buffer(&device, &random(rows * width, 4));
            embedding::forward(&device, dims, table.slice(), ids.slice(), out.slice_mut());
            assert_close(&name("out"), &read(&out), &want_out, Tolerance::Exact);

            // Tokens are summed in their order on every path, so the sums are the same bit for bit.
            let mut d_table = Buffer::zeros(&device, vocab * width);
            embedding::backward(&device, dims, ids.slice(), d_out.slice(), d_table.slice_mut());
            assert_close(&name("d_table"), &read(&d_table), &want_dense, Tolerance::Exact);
            let (found_rows, values) = sparse(&device, dims, &ids, &d_out);
            assert_eq!(found_rows, want_rows, "{}", name("rows"));
            assert_close(&name("values"), &values, &want_values, Tolerance::Exact);
        }
    }
}

#[test]
fn the_dense_gradient_is_added() {
    let dims = Dims { rows: 2, vocab: 3, width: 2 };
    for device in devices() {
        let ids = filled(&device, &[2, 2]);
        let d_out = filled(&device, &[1.0, 2.0, 3.0, 4.0]);
        let mut d_table = filled(&device, &[10.0; 6]);
        embedding::backward(&device, dims, ids.slice(), d_out.slice(), d_table.slice_mut());
        assert_eq!(read(&d_table), [10.0, 10.0, 10.0, 10.0, 14.0, 16.0]);
    }
}

#[test]
fn frequent_words_in_long_batches_are_added_in_order() {
    let dims = Dims { rows: 9_001, vocab: 5, width: 3 };
    let ids = random_ids(dims.rows, dims.vocab, 1);
    let d_out: Vec<f32> = random(dims.rows * dims.width, 2).iter().map(|&x| x as f32).collect();
    let want = reference::backward(dims, &ids, &d_out);
    let (_, want_values) = reference::backward_sparse(dims, &ids, &d_out);
    for device in devices() {
        let (ids, d_out) = (filled(&device, &ids), filled(&device, &d_out));
        let mut d_table = Buffer::zeros(&device, dims.vocab * dims.width);
        embedding::backward(&device, dims, ids.slice(), d_out.slice(), d_table.slice_mut());
        assert_close("d_table", &read(&d_table), &want, Tolerance::Exact);
        assert_close("values", &sparse(&device, dims, &ids, &d_out).1, &want_values, Tolerance::Exact);
    }
}

#[test]
#[should_panic(expected = "id 3 at position 1 is out of range for a table of 3 rows")]
fn an_id_beyond_the_table_is_refused() {
    let device = Device::cpu(1).unwrap();
    let dims = Dims { rows: 2, vocab: 3, width: 1 };
    let (table, ids) = (Buffer::zeros(&device, 3), filled(&device, &[2, 3]));
    embedding::forward(&device, dims, table.slice(), ids.slice(), Buffer::zeros(&device, 2).slice_mut());
}

#[test]
#[cfg(feature = "gpu")]
fn on_a_gpu_an_id_beyond_the_table_is_told_by_nan() {
    let dims = Dims { rows: 3, vocab: 3, width: 2 };
    if let Some(device) = crate::check::gpu() {
        let (table, ids) = (filled(&device, &[1.0; 6]), filled(&device, &[2, 3, u32::MAX]));
        let mut out = Buffer::zeros(&device, 6);
        embedding::forward(&device, dims, table.slice(), ids.slice(), out.slice_mut());
        let out = read(&out);
        assert!(out[..2] == [1.0; 2] && out[2..].iter().all(|x| x.is_nan()), "{out:?}");
        let mut d_table = Buffer::zeros(&device, 6);
        embedding::backward(&device, dims, ids.slice(), table.slice(), d_table.slice_mut());
        assert_eq!(read(&d_table), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    }
}

/// The gradient's rows and their values.
fn sparse(device: &Device, dims: Dims, ids: &Buffer<u32>, d_out: &Buffer) -> (Vec<u32>, Vec<f32>) {
    let [mut order, mut starts, mut rows] = [dims.rows, dims.rows + 1, dims.rows].map(|len| vec![0; len]);
    let unique = embedding::plan_rows(&read(ids), &mut order, &mut starts, &mut rows);
    let (order, starts) = (filled(device, &order), filled(device, &starts));
    let mut values = filled(device, &vec![f32::NAN; unique * dims.width]);
    let (order, starts) = (order.slice(), starts.range(0..unique + 1));
    embedding::backward_sparse(device, dims, d_out.slice(), order, starts, values.slice_mut());
    (rows[..unique].to_vec(), read(&values).to_vec())
}
