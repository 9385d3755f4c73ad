//! How fast each operation is, over the cases that the tests walk.
//!
//! `cargo bench -p rondo-kernels --bench ops -- dropout` runs those whose name contains `dropout`. Criterion reports
//! throughput in elements, so that ns per element and the share of the memory's bandwidth can be read off; for
//! products (`decoder`, `linear`, `product`, `recurrence`) in floating-point operations, so that Gelem/s are GFLOP/s.

#![allow(clippy::unwrap_used)] // A benchmark that cannot start has nothing to tell.

mod activation;
mod activation_penalty;
mod bias;
mod cache_attention;
mod concat;
mod cross_entropy;
mod decoder;
mod dropout;
mod elementwise;
mod embedding;
mod linear;
mod measure;
mod one_hot;
mod optimizer;
mod product;
mod recurrence;
mod sample;
mod softmax;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    operations,
    activation::bench,
    activation_penalty::bench,
    bias::bench,
    cross_entropy::bench,
    decoder::bench,
    sample::bench,
    dropout::bench,
    elementwise::bench,
    embedding::bench,
    concat::bench,
    linear::bench,
    one_hot::bench,
    optimizer::bench,
    product::bench,
    cache_attention::bench,
    recurrence::bench,
    softmax::bench,
);
criterion_main!(operations);
