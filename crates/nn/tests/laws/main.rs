//! What must hold of any model and any recording, whatever its weights.
//!
//! - `adaptive`: the adaptive softmax is its definition, in any order of tokens.
//! - `primitives`: the gradient of every operation on the tape, by differences.
//! - `cells`: a cell written from the primitives computes what the fused layer does, gradients included.
//! - `recurrence`: state, batches, batch rows, ties, inputs.
//! - `quantized`: models with int8 weights.
//! - `regularize`: dropped words and weights, penalties on activations.
//! - `modes`: training, evaluation, dropout, and what a workspace keeps from one tape to the next.
//! - `observer`: who is told of operations is told of all, in their order.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod adaptive;
mod cells;
mod check;
mod modes;
mod observer;
mod primitives;
mod quantized;
mod recurrence;
mod regularize;
mod sampled;
