//! What the benchmarks share: devices, inputs, and the way of naming a measurement.
//!
//! Throughput is in elements. For what moves numbers these are the numbers; for products they are floating-point
//! operations, a product and a sum being two, so that Gelem/s reads as GFLOP/s and compares with the processor's peak.

use std::fmt::Debug;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Buffer, Device, Precision};

/// The CPU with its best instruction set, or that of `RONDO_CPU`, in f32 or in the precision of `RONDO_PRECISION`, on one
/// thread and on all cores.
pub(crate) fn devices() -> Vec<Device> {
    let instructions = match std::env::var("RONDO_CPU") {
        Ok(name) => name.parse().unwrap(),
        Err(_) => InstructionSet::detect(),
    };
    let precision = std::env::var("RONDO_PRECISION").map_or(Precision::F32, |name| name.parse().unwrap());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores];
    threads.dedup();
    let device =
        |threads| Device::cpu_with(threads, instructions).unwrap().with_precision(precision).unwrap();
    threads.into_iter().map(device).collect()
}

/// A buffer of numbers in [-1, 1), spread evenly: what they are does not change how long a kernel takes.
pub(crate) fn numbers(device: &Device, len: usize) -> Buffer {
    let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 2048) as f32 / 1024.0 - 1.0).collect();
    Buffer::from_slice(device, &values).unwrap()
}

/// Ids below `bound` that occur as words do: the k-th with a frequency of 1 / k.
pub(crate) fn ids(device: &Device, len: usize, bound: usize) -> Buffer<u32> {
    let id = |i: usize| {
        let quantile = (i * 7919 % 2048) as f64 / 2048.0;
        ((bound as f64).powf(quantile) as u32).min(bound as u32 - 1)
    };
    let values: Vec<u32> = (0..len).map(id).collect();
    Buffer::from_slice(device, &values).unwrap()
}

/// Another buffer with the same numbers, for what is written over.
pub(crate) fn copy(device: &Device, buffer: &Buffer) -> Buffer {
    Buffer::from_slice(device, &buffer.read().unwrap()).unwrap()
}

/// Measures `body`, which handles `count` numbers or computes so many sums and products, as `operation/case/device`.
pub(crate) fn measure(
    criterion: &mut Criterion,
    operation: &str,
    case: impl Debug,
    device: &Device,
    count: usize,
    mut body: impl FnMut(),
) {
    let id = BenchmarkId::new(format!("{case:?}"), device);
    group(criterion, operation, count).bench_function(id, |bencher| bencher.iter(&mut body));
}

/// The same for an operation that writes over what it reads: each run begins with what `fresh` makes, which is not
/// measured.
pub(crate) fn measure_fresh<T>(
    criterion: &mut Criterion,
    operation: &str,
    case: impl Debug,
    device: &Device,
    count: usize,
    mut fresh: impl FnMut() -> T,
    mut body: impl FnMut(&mut T),
) {
    let id = BenchmarkId::new(format!("{case:?}"), device);
    group(criterion, operation, count).bench_function(id, |bencher| {
        bencher.iter_batched_ref(&mut fresh, &mut body, BatchSize::PerIteration);
    });
}

fn group<'c>(criterion: &'c mut Criterion, operation: &str, count: usize) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(operation);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    group.sample_size(20).throughput(Throughput::Elements(count as u64));
    group
}
