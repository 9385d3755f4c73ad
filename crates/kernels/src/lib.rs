//! Fused forward and backward operations of recurrent language models, on buffers.
//!
//! ```text
//!   Device ── a value: which processor, with how many threads      Buffer ── memory on a device
//!      │                                                              │
//!      └────────────► operation::forward / operation::backward ◄──────┘
//!                     (one folder each: contract, reference, cpu, cases)
//! ```
//!
//! Every operation is a pair of functions: `forward` computes the outputs and whatever `backward` will need,
//! `backward` turns the gradient of the outputs into the gradient of the inputs. Operations do not allocate:
//! outputs and scratch come from the caller, and `scratch_len` says how much of it is wanted.
//! A wrong length is a broken promise between crates and panics with both sizes.
//!
//! # Letters
//! `T` steps, `B` batch rows, `R` rows (`T·B` where time and batch are taken together), `D` input width,
//! `H` hidden width, `G` gates of a cell, `E` embedding width, `V` vocabulary, `L` layers.
//! Everything is row-major and time first: an activation is `[T, B, D]` and its row `t·B + b`.

#![allow(unsafe_code)] // The one crate that may: SIMD, and threads that write disjoint parts of a buffer.

pub mod activation;
pub mod activation_penalty;
pub mod bias;
mod buffer;
pub mod cache_attention;
pub mod concat;
pub mod cpu;
pub mod cross_entropy;
pub mod decoder;
mod device;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod linear;
mod memory;
pub mod one_hot;
pub mod optimizer;
mod precision;
pub mod product;
pub mod recurrence;
pub mod roofline;
pub mod sample;
pub mod softmax;

pub use buffer::{Buffer, BufferPool, Element, Slice, SliceMut};
pub use device::{Device, DeviceError};
pub use precision::Precision;

/// What happens to the old values of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// They are overwritten.
    Overwrite,
    /// The result is added to them.
    Add,
}

/// Holds a caller to the promised length.
#[track_caller]
fn check_len(name: &str, found: usize, expected: usize) {
    assert_eq!(found, expected, "length of {name}");
}
