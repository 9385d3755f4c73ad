//! How fast each operation is, over the cases that the tests walk.
//!
//! `cargo bench -p rondo-kernels --bench ops -- dropout` runs those whose name contains `dropout`. Criterion reports
//! throughput in elements, so that ns per element and the share of the memory's bandwidth can be read off.

#![allow(clippy::unwrap_used)] // A benchmark that cannot start has nothing to tell.

mod activation;
mod activation_penalty;
mod bias;
mod cross_entropy;
mod dropout;
mod embedding;
mod measure;
mod optimiser;
mod softmax;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    operations,
    activation::bench,
    activation_penalty::bench,
    bias::bench,
    cross_entropy::bench,
    dropout::bench,
    embedding::bench,
    optimiser::bench,
    softmax::bench,
);
criterion_main!(operations);
