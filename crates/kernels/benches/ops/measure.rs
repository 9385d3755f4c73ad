//! What the benchmarks share: devices, inputs, and the way of naming a measurement.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rondo_kernels::{Buffer, Device};

/// The CPU with its best instruction set, on one thread and on all cores.
pub(crate) fn devices() -> Vec<Device> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores];
    threads.dedup();
    threads.into_iter().map(|threads| Device::cpu(threads).unwrap()).collect()
}

/// A buffer of numbers in [-1, 1), spread evenly: what they are does not change how long a kernel takes.
pub(crate) fn numbers(device: &Device, len: usize) -> Buffer {
    let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 2048) as f32 / 1024.0 - 1.0).collect();
    Buffer::from_slice(device, &values)
}

/// Ids below `bound` that occur as words do: the k-th with a frequency of 1 / k.
pub(crate) fn ids(device: &Device, len: usize, bound: usize) -> Buffer<u32> {
    let id = |i: usize| {
        let quantile = (i * 7919 % 2048) as f64 / 2048.0;
        ((bound as f64).powf(quantile) as u32).min(bound as u32 - 1)
    };
    let values: Vec<u32> = (0..len).map(id).collect();
    Buffer::from_slice(device, &values)
}

/// Measures `body`, which handles `elements` numbers, as `operation/case/device`.
pub(crate) fn measure(
    criterion: &mut Criterion,
    operation: &str,
    case: impl std::fmt::Debug,
    device: &Device,
    elements: usize,
    mut body: impl FnMut(),
) {
    let mut group = criterion.benchmark_group(operation);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    group.sample_size(20).throughput(Throughput::Elements(elements as u64));
    group.bench_function(BenchmarkId::new(format!("{case:?}"), device), |bencher| bencher.iter(&mut body));
}
