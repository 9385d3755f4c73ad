//! Fused forward and backward operations of recurrent language models, on device buffers.
//!
//! ```text
//!   Device ── a value: the processor and its threads               Buffer ── memory on a device
//!      │                                                              │
//!      └────────────► operation::forward / operation::backward ◄──────┘
//!                     (one folder each: contract, reference, cpu, cases)
//! ```
//!
//! Every operation is a pair of functions: `forward` computes the outputs and the intermediate values needed
//! by `backward`; `backward` turns the gradient of the outputs into the gradient of the inputs. Operations do
//! not allocate: outputs and scratch buffers come from the caller, and `scratch_len` returns the required
//! length. A wrong length is a bug in the caller and panics with both lengths.
//!
//! # Notation
//! `T` steps (sequence length), `B` batch rows (batch size), `R` rows (`T·B` where time and batch are
//! merged), `D` input width, `H` hidden size, `G` gates of a cell, `E` embedding size, `V` vocabulary size,
//! `L` layers. Everything is row-major and time first: an activation is `[T, B, D]` and its row is `t·B + b`.

#![allow(unsafe_code)] // One of two crates that use unsafe code: SIMD, mapped files, and threads that write disjoint parts of a buffer.

pub mod activation;
pub mod activation_penalty;
pub mod adaptive_log_softmax;
mod available;
pub mod bias;
mod buffer;
pub mod cache_attention;
mod choice;
pub mod concat;
pub mod cpu;
pub mod cross_entropy;
pub mod decoder;
mod device;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod int8;
pub mod linear;
mod memory;
pub mod one_hot;
pub mod optimizer;
mod packed;
mod precision;
pub mod prediction;
pub mod product;
pub mod recurrence;
pub mod roofline;
pub mod sample;
pub mod softmax;
pub mod sum;
pub mod target_logits;

pub use available::{AvailableMemory, Bytes, MemoryLimit};
pub use buffer::{Buffer, BufferPool, Element, Slice, SliceMut};
pub use choice::DeviceChoice;
pub use device::{Device, DeviceError};
pub use memory::MappedFile;
pub use packed::Packed;
pub use precision::{Precision, PrecisionChoice, Work};

/// How a result is combined with the old values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// The old values are overwritten.
    Overwrite,
    /// The result is added to the old values.
    Add,
}

/// Checks the length of a buffer passed by the caller.
#[track_caller]
fn check_len(name: &str, found: usize, expected: usize) {
    assert_eq!(found, expected, "length of {name}");
}
