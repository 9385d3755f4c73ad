//! Sums and gathered bytes, for any number of ranks.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rondo_collective::{Collective, Threads, alone};
use rondo_kernels::{Buffer, Device};

/// Runs a function on each of `size` ranks.
fn on_ranks(size: usize, run: impl Fn(&dyn Collective) + Sync) {
    std::thread::scope(|scope| {
        for rank in Threads::ranks(size) {
            let run = &run;
            scope.spawn(move || run(&rank));
        }
    });
}

#[test]
fn sums_are_those_of_all_ranks_in_the_order_they_were_started() {
    let device = Device::cpu(1).unwrap();
    for size in 1..=4 {
        on_ranks(size, |ranks| {
            let buffer = |values: &[f32]| Buffer::from_slice(&device, values).unwrap();
            for round in 0..50 {
                let of_rank = ranks.rank() as f32 + round as f32;
                ranks.start_sum(buffer(&[of_rank, 1.0, -of_rank]));
                ranks.start_sum(buffer(&[2.0]));
                let sum = (0..size).map(|rank| rank as f32 + round as f32).sum::<f32>();
                assert_eq!(*ranks.finish_sum().unwrap().read().unwrap(), [sum, size as f32, -sum]);
                assert_eq!(*ranks.finish_sum().unwrap().read().unwrap(), [2.0 * size as f32]);
            }
        });
    }
}

#[test]
fn bytes_are_gathered_in_the_order_of_ranks() {
    for size in [1, 3] {
        on_ranks(size, |ranks| {
            let mine = vec![ranks.rank() as u8; ranks.rank()];
            let expected: Vec<Vec<u8>> = (0..size).map(|rank| vec![rank as u8; rank]).collect();
            assert_eq!(ranks.gather(mine).unwrap(), expected);
            assert_eq!(ranks.broadcast(vec![7 + ranks.rank() as u8]).unwrap(), [7]);
            let mut numbers = [ranks.rank() as u8, 5];
            ranks.max(&mut numbers).unwrap();
            assert_eq!(numbers, [size as u8 - 1, 5]);
        });
    }
}

#[test]
fn one_process_keeps_its_values() {
    let ranks = alone();
    let values = Buffer::from_slice(&Device::cpu(1).unwrap(), &[0.1, f32::NAN]).unwrap();
    ranks.start_sum(values);
    assert_eq!(ranks.finish_sum().unwrap().read().unwrap()[0], 0.1);
    let mut numbers = [0.3];
    ranks.sum(&mut numbers).unwrap();
    assert_eq!((numbers, ranks.is_alone(), ranks.leads()), ([0.3], true, true));
}

#[test]
fn a_rank_that_has_ended_is_an_error_for_the_others() {
    on_ranks(3, |ranks| {
        if ranks.rank() < 2 {
            let error = ranks.gather(vec![]).unwrap_err().to_string();
            assert_eq!(error, "another of the 3 processes has ended");
        }
    });
}

#[test]
fn different_lengths_are_an_error_on_all_ranks() {
    let device = Device::cpu(1).unwrap();
    on_ranks(2, |ranks| {
        ranks.start_sum(Buffer::zeros(&device, 1 + ranks.rank()));
        let error = ranks.finish_sum().unwrap_err().to_string();
        assert!(error.starts_with("the processes sent [4, 8] bytes where all should send"), "{error}");
        ranks.gather(vec![]).unwrap();
    });
}

#[test]
fn finishing_what_was_not_started_is_a_bug() {
    let ranks = alone();
    assert!(catch_unwind(AssertUnwindSafe(|| ranks.finish_sum())).is_err());
}
