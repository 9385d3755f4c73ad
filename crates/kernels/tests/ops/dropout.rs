//! Dropout, element-wise and locked, and the statistics of its masks.

use rondo_kernels::dropout::cases::{CASES, ROW_CASES};
use rondo_kernels::dropout::{self, Columns, Dims, Dropout, Key, Mask, RowDims, reference};
use rondo_kernels::{Device, Store};

use crate::check::{
    Tolerance, assert_close, assert_gradient, devices, dot, filled, ones, random, random_ids, read,
};

const KEY: Key = Key { seed: 0x0123_4567_89ab_cdef, stream: 7 };

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { steps: 3, batch: 2, width: 5 };
    let (x, d_y) = (random(30, 1), random(30, 2));
    for mask in [Mask::Elementwise, Mask::Locked] {
        let dropout = Dropout { probability: 0.4, mask, key: KEY, columns: None };
        let gradient = reference::forward(dims, dropout, &d_y);
        assert_gradient("x", &x, &gradient, |x| dot(&reference::forward(dims, dropout, x), &d_y));
    }
}

#[test]
fn devices_drop_the_same_elements_everywhere() {
    for &dims in CASES {
        let len = dims.steps * dims.batch * dims.width;
        let x: Vec<f32> = random(len, 1).iter().map(|&x| x as f32).collect();
        for (probability, mask) in [(0.0, Mask::Locked), (0.2, Mask::Elementwise), (0.65, Mask::Locked)] {
            let dropout = Dropout { probability, mask, key: KEY, columns: None };
            let want = reference::forward(dims, dropout, &x);
            let want_added: Vec<f32> = want.iter().map(|want| 1.0 + want).collect();
            for device in devices() {
                let name = |what: &str| format!("{what} of {dims:?}, {dropout:?} on {device}");
                let from = filled(&device, &x);
                let mut y = ones(&device, len);
                dropout::forward(&device, dims, dropout, from.slice(), y.slice_mut());
                assert_close(&name("y"), &read(&y), &want, Tolerance::Exact);
                dropout::backward(&device, dims, dropout, from.slice(), y.slice_mut(), Store::Overwrite);
                assert_close(&name("d_x"), &read(&y), &want, Tolerance::Exact);
                let mut added = ones(&device, len);
                dropout::backward(&device, dims, dropout, from.slice(), added.slice_mut(), Store::Add);
                // A GPU may fuse the product and the sum, and so round once.
                let is_cpu = matches!(device, Device::Cpu(_));
                let tolerance = if is_cpu { Tolerance::Exact } else { Tolerance::Elementwise };
                assert_close(&name("d_x, added"), &read(&added), &want_added, tolerance);
                let mut values = from;
                dropout::in_place(&device, dims, dropout, values.slice_mut());
                assert_close(&name("values"), &read(&values), &want, Tolerance::Exact);
            }
        }
    }
}

/// A batch divided by columns, whose parts are smaller and larger than a group of the mask, and begin within one.
#[test]
fn columns_have_their_part_of_the_mask_of_the_batch() {
    for width in [1, 5, 205, 1500] {
        let (steps, all) = (3, 7);
        let whole = Dims { steps, batch: all, width };
        let x: Vec<f32> = random(steps * all * width, 1).iter().map(|&x| x as f32).collect();
        let of_columns = |values: &[f32], first: usize, batch: usize| -> Vec<f32> {
            values
                .chunks(all * width)
                .flat_map(|step| &step[first * width..(first + batch) * width])
                .copied()
                .collect()
        };
        for mask in [Mask::Elementwise, Mask::Locked] {
            let dropout = Dropout { probability: 0.4, mask, key: KEY, columns: None };
            let want = reference::forward(whole, dropout, &x);
            for (first, batch) in [(0, 7), (0, 3), (3, 4), (6, 1), (2, 2)] {
                let dims = Dims { steps, batch, width };
                let dropout = Dropout { columns: Some(Columns { first, all }), ..dropout };
                let (x, want) = (of_columns(&x, first, batch), of_columns(&want, first, batch));
                assert_close("reference", &reference::forward(dims, dropout, &x), &want, Tolerance::Exact);
                for device in devices() {
                    let mut y = filled(&device, &x);
                    dropout::in_place(&device, dims, dropout, y.slice_mut());
                    let name = format!("{dims:?}, {dropout:?} on {device}");
                    assert_close(&name, &read(&y), &want, Tolerance::Exact);
                }
            }
        }
    }
}

#[test]
fn rows_are_their_own_backward() {
    let dims = RowDims { rows: 12, width: 3 };
    let (ids, x, d_y) = (random_ids(12, 8, 3), random(36, 1), random(36, 2));
    let gradient = reference::rows(dims, 0.5, KEY, &ids, &d_y);
    assert!(gradient.contains(&0.0) && gradient.iter().any(|&number| number != 0.0));
    assert_gradient("x", &x, &gradient, |x| dot(&reference::rows(dims, 0.5, KEY, &ids, x), &d_y));
}

#[test]
fn devices_drop_the_same_rows_everywhere() {
    for &dims in ROW_CASES {
        let ids = random_ids(dims.rows, 2 * dims.rows, 3);
        let x: Vec<f32> = random(dims.rows * dims.width, 1).iter().map(|&x| x as f32).collect();
        for probability in [0.0, 0.1, 0.65] {
            let want = reference::rows(dims, probability, KEY, &ids, &x);
            for device in devices() {
                let name = format!("values of {dims:?}, {probability} on {device}");
                let (ids, mut values) = (filled(&device, &ids), filled(&device, &x));
                dropout::rows_in_place(&device, dims, probability, KEY, ids.slice(), values.slice_mut());
                assert_close(&name, &read(&values), &want, Tolerance::Exact);
            }
        }
    }
}

#[test]
fn probability_zero_is_the_identity() {
    let dims = Dims { steps: 2, batch: 3, width: 4 };
    let x = random(24, 1);
    for mask in [Mask::Elementwise, Mask::Locked] {
        let dropout = Dropout { probability: 0.0, mask, key: KEY, columns: None };
        assert_eq!(reference::forward(dims, dropout, &x), x);
    }
}

#[test]
fn a_locked_mask_is_the_same_at_each_step() {
    let dims = Dims { steps: 4, batch: 3, width: 500 };
    let (locked, elementwise) = (kept(dims, Mask::Locked, 0.5, KEY), kept(dims, Mask::Elementwise, 0.5, KEY));
    let steps = |mask: &[bool]| mask.chunks(1500).map(<[bool]>::to_vec).collect::<Vec<_>>();
    assert!(steps(&locked).windows(2).all(|pair| pair[0] == pair[1]));
    assert!(steps(&elementwise).windows(2).all(|pair| pair[0] != pair[1]));
}

/// Of n draws with probability p, the number lies within 5·√(n·p·(1−p)) of n·p but for one seed in two million.
#[test]
fn elements_are_dropped_as_often_as_told_and_independently() {
    let dims = Dims { steps: 1, batch: 1000, width: 1000 };
    let assert_share = |name: &str, events: &mut dyn Iterator<Item = bool>, p: f64| {
        let (mut n, mut count) = (0.0, 0.0);
        events.for_each(|event| {
            n += 1.0;
            count += f64::from(u8::from(event));
        });
        let bound = 5.0 * (n * p * (1.0 - p)).sqrt();
        assert!((count - n * p).abs() < bound, "{name}: {count} of {n}, expected {} ± {bound}", n * p);
    };
    for p in [0.05, 0.2, 0.5, 0.9] {
        let exact = f64::from(p);
        let mask = kept(dims, Mask::Elementwise, p, KEY);
        assert_share("dropped", &mut mask.iter().map(|&kept| !kept), exact);
        // Neighbors, the elements that share a block of the generator, and those of neighboring groups.
        for distance in [1, 128, 256, 1024] {
            let pairs = mask.iter().zip(&mask[distance..]);
            assert_share("dropped together", &mut pairs.map(|(&a, &b)| !a && !b), exact * exact);
        }
        let other_seed = Key { seed: KEY.seed + 1, ..KEY };
        let other_stream = Key { stream: KEY.stream + 1, ..KEY };
        for key in [other_seed, other_stream] {
            let other = kept(dims, Mask::Elementwise, p, key);
            let pairs = mask.iter().zip(&other);
            assert_share("dropped by both", &mut pairs.map(|(&a, &b)| !a && !b), exact * exact);
        }
    }
}

#[test]
#[should_panic(expected = "dropout probability must be at least 0 and below 1, but is 1")]
fn dropping_everything_is_refused() {
    let device = Device::cpu(1).unwrap();
    let dropout = Dropout { probability: 1.0, mask: Mask::Locked, key: KEY, columns: None };
    let dims = Dims { steps: 1, batch: 1, width: 1 };
    dropout::in_place(&device, dims, dropout, ones(&device, 1).slice_mut());
}

/// Which elements a kernel keeps.
fn kept(dims: Dims, mask: Mask, probability: f32, key: Key) -> Vec<bool> {
    let device = Device::cpu(1).unwrap();
    let mut values = ones(&device, dims.steps * dims.batch * dims.width);
    dropout::in_place(&device, dims, Dropout { probability, mask, key, columns: None }, values.slice_mut());
    read(&values).iter().map(|&value| value != 0.0).collect()
}
