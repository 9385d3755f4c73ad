//! Ids as one-hot rows.

use rondo_kernels::Device;
use rondo_kernels::one_hot::{self, Dims, cases::CASES, reference};

use crate::check::{Tolerance, assert_close, devices, filled, ones, random_ids, read};

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let ids = random_ids(dims.rows, dims.vocab, 1);
        let want = reference::forward::<f64>(dims, &ids);
        assert_eq!(want.iter().sum::<f64>(), dims.rows as f64);
        for device in devices() {
            let (ids, mut out) = (filled(&device, &ids), ones(&device, want.len()));
            one_hot::forward(&device, dims, ids.slice(), out.slice_mut());
            assert_close(&format!("{dims:?} on {device}"), &read(&out), &want, Tolerance::Exact);
        }
    }
}

#[test]
#[should_panic(expected = "id 2 is out of range for 2 columns")]
fn an_id_beyond_the_columns_is_refused() {
    let device = Device::cpu(1).unwrap();
    let ids = filled(&device, &[2]);
    one_hot::forward(&device, Dims { rows: 1, vocab: 2 }, ids.slice(), ones(&device, 2).slice_mut());
}
