//! Each operation's definition is right, and its fast version agrees with it.
//!
//! One file per operation. Each checks the reference's backward against central differences in `f64`, and the CPU
//! against the reference over the operation's own cases, with every instruction set of this machine and one, two
//! and three threads.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod activation;
mod activation_penalty;
mod adaptive_log_softmax;
mod bias;
mod cache_attention;
mod check;
mod concat;
mod cross_entropy;
mod decoder;
mod dropout;
mod elementwise;
mod embedding;
mod linear;
mod one_hot;
mod optimizer;
mod prediction;
mod product;
mod recurrence;
mod sample;
mod softmax;
mod sum;
mod target_logits;
