//! Jobs of several processes, which `mpirun` starts: this test program is each of them.

#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::env;
use std::process::{self, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use rondo_collective::{Collective, Mpi};
use rondo_kernels::{Buffer, Device};

/// Names what a process of a job does.
const ROLE: &str = "RONDO_TEST_ROLE";

/// Starts a job of this program.
fn job(size: usize, role: &str) -> (Output, Duration) {
    let begun = Instant::now();
    let output = Command::new("mpirun")
        .args(["--oversubscribe", "-n", &size.to_string()])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "process_of_a_job", "--ignored", "--nocapture"])
        .env(ROLE, role)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .output()
        .expect("`mpirun` starts");
    (output, begun.elapsed())
}

#[test]
fn processes_add_up_and_gather() {
    for size in [1, 2, 4] {
        let (output, _) = job(size, "works");
        assert!(output.status.success(), "{size}: {output:?}");
    }
}

/// A rank that panics, fails, or is killed ends the job, whatever the others are doing.
#[test]
fn a_rank_that_ends_early_ends_the_job() {
    for role in ["panics", "fails", "is killed"] {
        let (output, time) = job(3, role);
        assert!(!output.status.success(), "{role}: {output:?}");
        assert!(time < Duration::from_secs(15), "{role}: {time:?}");
    }
}

/// What each process of a job does.
#[test]
#[ignore = "started by the other tests"]
fn process_of_a_job() {
    let Ok(role) = env::var(ROLE) else { return };
    let mpi = Mpi::start().unwrap();
    let ranks: &dyn Collective = &mpi;
    let (rank, size) = (ranks.rank(), ranks.size());
    if role != "works" {
        // The others wait for this rank.
        if rank == 1 {
            thread::sleep(Duration::from_millis(300));
            match &*role {
                "panics" => panic!("a rank panics"),
                "fails" => process::exit(3),
                _ => {
                    let _ =
                        Command::new("sh").args(["-c", &format!("kill -KILL {}", process::id())]).status();
                }
            }
        }
        let _ = ranks.gather(vec![]);
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let device = Device::cpu(1).unwrap();
    // Longer than the pieces in which values are summed.
    let len = 600_000;
    let value = |rank: usize, at: usize| (rank + 1) as f32 * (at % 1000) as f32;
    let values: Vec<f32> = (0..len).map(|at| value(rank, at)).collect();
    ranks.start_sum(Buffer::from_slice(&device, &values).unwrap());
    ranks.start_sum(Buffer::from_slice(&device, &[1.0]).unwrap());
    let sum = ranks.finish_sum().unwrap();
    for (at, &found) in sum.read().unwrap().iter().enumerate() {
        let expected: f32 = (0..size).map(|rank| value(rank, at)).sum();
        assert!((found - expected).abs() <= 1e-6 * expected, "{at}: {found}, expected {expected}");
    }
    assert_eq!(*ranks.finish_sum().unwrap().read().unwrap(), [size as f32]);
    let lengths = [0, 3, 70_000, 1];
    let all = ranks.gather(vec![rank as u8; lengths[rank]]).unwrap();
    let expected: Vec<Vec<u8>> = (0..size).map(|rank| vec![rank as u8; lengths[rank]]).collect();
    assert!(all == expected);
    let mut numbers = [0.1 * rank as f64];
    ranks.sum(&mut numbers).unwrap();
    assert_eq!(numbers, [(0..size).map(|rank| 0.1 * rank as f64).sum::<f64>()]);
    mpi.finish();
}
