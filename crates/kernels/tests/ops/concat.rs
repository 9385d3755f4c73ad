//! Blocks copied between matrices of different widths.

use rondo_kernels::Store;
use rondo_kernels::concat::{self, Dims, Place, cases::CASES, reference};

use crate::check::{Tolerance, assert_close, assert_gradient, buffer, devices, dot, random, read};

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = CASES[1];
    let (source_len, target_len) = (len(dims.rows, dims.source), len(dims.rows, dims.target));
    let (source, d_target) = (random(source_len, 1), random(target_len, 2));
    let mut gradient = vec![0.0; source_len];
    reference::backward(dims, &d_target, &mut gradient);
    assert_gradient("source", &source, &gradient, |source| {
        let mut target = vec![0.0; target_len];
        reference::forward(dims, source, &mut target);
        dot(&target, &d_target)
    });
}

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let (source_len, target_len) = (len(dims.rows, dims.source), len(dims.rows, dims.target));
        let (source, target) = (random(source_len, 1), random(target_len, 2));
        let mut want_target = target.clone();
        reference::forward(dims, &source, &mut want_target);
        let mut want_added = source.clone();
        reference::backward(dims, &target, &mut want_added);
        // Copying back is copying with the places exchanged.
        let mut want_copied = source.clone();
        let mirrored = Dims { source: dims.target, target: dims.source, ..dims };
        reference::forward(mirrored, &target, &mut want_copied);
        for device in devices() {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let (from, mut to) = (buffer(&device, &source), buffer(&device, &target));
            concat::forward(&device, dims, from.slice(), to.slice_mut());
            assert_close(&name("target"), &read(&to), &want_target, Tolerance::Exact);
            for (store, want) in [(Store::Overwrite, &want_copied), (Store::Add, &want_added)] {
                let (d_target, mut d_source) = (buffer(&device, &target), buffer(&device, &source));
                concat::backward(&device, dims, d_target.slice(), d_source.slice_mut(), store);
                assert_close(&name("d_source"), &read(&d_source), want, Tolerance::Elementwise);
            }
        }
    }
}

#[test]
#[should_panic(expected = "the target matrix, with 6 elements in rows of 3, has no block [2, 2] at (0, 2)")]
fn a_block_beyond_the_edge_is_refused() {
    let device = &devices()[0];
    let (source, mut target) = (buffer(device, &random(4, 1)), buffer(device, &random(6, 2)));
    let dims = Dims {
        rows: 2,
        columns: 2,
        source: Place { width: 2, row: 0, column: 0 },
        target: Place { width: 3, row: 0, column: 2 },
    };
    concat::forward(device, dims, source.slice(), target.slice_mut());
}

/// A matrix with a row below the block, too.
fn len(rows: usize, place: Place) -> usize {
    (place.row + rows + 1) * place.width
}
