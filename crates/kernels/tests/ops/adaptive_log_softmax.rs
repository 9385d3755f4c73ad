//! The log-probabilities of an adaptive softmax.

use rondo_kernels::adaptive_log_softmax::{self, Backward, Dims, Forward, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, cpus, dot, filled, ones, random, read, set,
};

/// The head, the tails, and a gradient of the log-probabilities.
fn inputs(dims: Dims<'_>) -> (Vec<f64>, Vec<Vec<f64>>, Vec<f64>) {
    let tail = |k| random(dims.rows * dims.tail(k).len(), 10 + k as u64).iter().map(|x| 5.0 * x).collect();
    let tails = (0..dims.cutoffs.len()).map(tail).collect();
    (random(dims.rows * dims.head_width(), 1), tails, random(dims.rows * dims.vocab, 2))
}

/// The order of the ranks, and one in which no token keeps its place.
fn orders(vocab: usize) -> [Vec<u32>; 2] {
    let order: Vec<u32> = (0..vocab as u32).collect();
    let mut moved: Vec<u32> = order.iter().rev().copied().collect();
    moved.rotate_left(vocab / 3);
    [order, moved]
}

#[test]
fn backward_is_the_gradient_of_forward() {
    let dims = Dims { rows: 2, cutoffs: &[2, 3, 5], vocab: 9 };
    let (head, tails, d) = inputs(dims);
    for order in orders(dims.vocab) {
        let (_, log_sums) = reference::forward(dims, &head, &tails, &order);
        let (d_head, d_tails) = reference::backward(dims, (&head, &tails), &order, &log_sums, &d);
        let loss =
            |head: &[f64], tails: &[Vec<f64>]| dot(&reference::forward(dims, head, tails, &order).0, &d);
        assert_gradient("head", &head, &d_head, |head| loss(head, &tails));
        for k in 0..tails.len() {
            assert_gradient("tail", &tails[k], &d_tails[k], |tail| {
                let mut tails = tails.clone();
                tails[k] = tail.to_vec();
                loss(&head, &tails)
            });
        }
    }
}

#[test]
fn probabilities_are_those_of_two_steps() {
    let dims = Dims { rows: 1, cutoffs: &[2, 4], vocab: 7 };
    let (head, tails, _) = inputs(dims);
    let softmax = |x: &[f64]| -> Vec<f64> {
        let sum: f64 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| x.exp() / sum).collect()
    };
    let steps = softmax(&head);
    let mut want = steps[..2].to_vec();
    for (k, tail) in tails.iter().enumerate() {
        want.extend(softmax(tail).iter().map(|p| steps[2 + k] * p));
    }
    let [order, _] = orders(dims.vocab);
    let found: Vec<f64> = reference::forward(dims, &head, &tails, &order).0.iter().map(|x| x.exp()).collect();
    assert!(found.iter().zip(&want).all(|(found, want)| (found - want).abs() < 1e-12), "{found:?} {want:?}");
}

/// Runs both passes, the second with the logarithms that the first computed.
fn run(
    device: &Device,
    dims: Dims<'_>,
    (head, tails): (&Buffer, &[Buffer]),
    order: Option<&Buffer<u32>>,
    d_log_probs: &Buffer,
) -> (Vec<f32>, Vec<f32>, Vec<Vec<f32>>) {
    let mut log_probs = ones(device, dims.rows * dims.vocab);
    let mut log_sums = ones(device, dims.rows * (1 + dims.cutoffs.len()));
    let tails: Vec<_> = tails.iter().map(Buffer::slice).collect();
    let order = order.map(Buffer::slice);
    adaptive_log_softmax::forward(
        device,
        dims,
        Forward {
            head: head.slice(),
            tails: &tails,
            order,
            log_sums: log_sums.slice_mut(),
            log_probs: log_probs.slice_mut(),
        },
    );
    let mut d_head = ones(device, head.len());
    let mut d_tails: Vec<Buffer> = tails.iter().map(|tail| ones(device, tail.len())).collect();
    adaptive_log_softmax::backward(
        device,
        dims,
        Backward {
            head: head.slice(),
            tails: &tails,
            order,
            log_sums: log_sums.slice(),
            d_log_probs: d_log_probs.slice(),
            d_head: d_head.slice_mut(),
            d_tails: d_tails.iter_mut().map(Buffer::slice_mut).collect(),
        },
    );
    (read(&log_probs), read(&d_head), d_tails.iter().map(read).collect())
}

#[test]
fn cpu_agrees_with_the_reference() {
    for &dims in CASES {
        let (head, tails, d) = inputs(dims);
        for (order, is_given) in orders(dims.vocab).into_iter().zip([false, true]) {
            let (want, log_sums) = reference::forward(dims, &head, &tails, &order);
            let (want_head, want_tails) = reference::backward(dims, (&head, &tails), &order, &log_sums, &d);
            for device in cpus() {
                let name = |what: &str| format!("{what} of {dims:?} on {device}");
                let own: Vec<Buffer> = tails.iter().map(|tail| buffer(&device, tail)).collect();
                let given = is_given.then(|| filled(&device, &order));
                let from = (&buffer(&device, &head), own.as_slice());
                let found = run(&device, dims, from, given.as_ref(), &buffer(&device, &d));
                assert_close(&name("log_probs"), &found.0, &want, Tolerance::Function);
                assert_close(&name("d_head"), &found.1, &want_head, Tolerance::Sum);
                for (found, want) in found.2.iter().zip(&want_tails) {
                    assert_close(&name("d_tail"), found, want, Tolerance::Sum);
                }
            }
        }
    }
}

#[test]
fn a_nan_spoils_its_tail_only() {
    let dims = Dims { rows: 1, cutoffs: &[2, 20], vocab: 40 };
    for device in cpus() {
        let mut tails = [ones(&device, 18), ones(&device, 20)];
        set(&mut tails[0], 17, f32::NAN);
        let (log_probs, _, _) = run(&device, dims, (&ones(&device, 4), &tails), None, &ones(&device, 40));
        assert!(log_probs.iter().enumerate().all(|(w, x)| x.is_nan() == (2..20).contains(&w)));
    }
}

#[test]
#[should_panic(expected = "token 4 is out of range for a vocabulary of 4")]
fn a_token_beyond_the_vocabulary_is_refused() {
    let device = &cpus()[0];
    let dims = Dims { rows: 1, cutoffs: &[2], vocab: 4 };
    let order = filled(device, &[0, 1, 4, 2]);
    run(device, dims, (&ones(device, 3), &[ones(device, 2)]), Some(&order), &ones(device, 4));
}
