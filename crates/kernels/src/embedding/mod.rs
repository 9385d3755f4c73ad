//! Embedding: looks up rows of a table by id.
//!
//! The gradient comes in two forms. *Dense*: it is added to a whole `[V, E]` matrix, which is needed if the
//! table is tied to the decoder, whose gradient fills the matrix anyway. *Row-sparse*: it contains only the
//! rows that were looked up; of 33,278 words, a batch of 700 tokens contains some 350, and the dense gradient
//! would be mostly zeros.
//!
//! ```text
//! ids     7 2 7 9            plan_rows:  order   1 0 2 3    positions, sorted by id, then by position
//! d_out   a b c d                        starts  0 1 3 4    where each row's positions begin, and the end
//!                                        rows    2 7 9      the ids that occur, increasing
//!                     backward_sparse:   values  b a+c d
//! ```

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// The shape of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the number of ids looked up.
    pub rows: usize,
    /// `V`, the number of rows of the table.
    pub vocab: usize,
    /// `E`, the row width.
    pub width: usize,
}

/// Looks up rows: `out[r] = table[ids[r]]`.
///
/// # Shapes
/// - `table: [V, E]`, read.
/// - `ids: [R]`, read.
/// - `out: [R, E]`, overwritten.
/// # Panics
/// If a length does not match `dims`, or an id is not below `V`. On a GPU ids are not checked, and the row of one that is
/// not below `V` becomes NaN.
pub fn forward(device: &Device, dims: Dims, table: Slice<'_>, ids: Slice<'_, u32>, out: SliceMut<'_>) {
    check_len("table", table.len(), dims.vocab * dims.width);
    check_len("ids", ids.len(), dims.rows);
    check_len("out", out.len(), dims.rows * dims.width);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, table.host(), ids.host(), out.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, table.gpu(), ids.gpu(), out.gpu()),
    }
}

/// Adds the gradient to a dense one: `d_table[ids[r]] += d_out[r]`, for each `r` in order.
///
/// # Shapes
/// - `ids: [R]`, read.
/// - `d_out: [R, E]`, read.
/// - `d_table: [V, E]`, added to.
/// # Panics
/// If a length does not match `dims`, or an id is not below `V`. On a GPU ids are not checked, and one that is not below
/// `V` adds nothing.
pub fn backward(device: &Device, dims: Dims, ids: Slice<'_, u32>, d_out: Slice<'_>, d_table: SliceMut<'_>) {
    check_len("ids", ids.len(), dims.rows);
    check_len("d_out", d_out.len(), dims.rows * dims.width);
    check_len("d_table", d_table.len(), dims.vocab * dims.width);
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, ids.host(), d_out.host(), d_table.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, dims, ids, d_out, d_table.gpu()),
    }
}

/// Finds the rows of a sparse gradient on the host, and returns their number `U`.
///
/// # Shapes
/// - `ids: [R]`, read.
/// - `order: [R]`, overwritten: positions in `ids`, sorted by id, then by position.
/// - `starts: [R+1]`, the first `U + 1` overwritten: where each row's positions begin in `order`, and the end.
/// - `rows: [R]`, the first `U` overwritten: the ids that occur, increasing.
/// # Panics
/// If a length does not match, or `R` does not fit in 32 bits.
pub fn plan_rows(ids: &[u32], order: &mut [u32], starts: &mut [u32], rows: &mut [u32]) -> usize {
    check_len("order", order.len(), ids.len());
    check_len("starts", starts.len(), ids.len() + 1);
    check_len("rows", rows.len(), ids.len());
    cpu::plan_rows(ids, order, starts, rows)
}

/// Computes the gradient's rows: `values[u] = Σ d_out[r]` over the positions `r` of row `u`, in order.
///
/// # Shapes
/// - `d_out: [R, E]`, read.
/// - `order: [R]` and `starts: [U+1]`, read: as written by [`plan_rows`].
/// - `values: [U, E]`, overwritten.
/// # Panics
/// If a length does not match `dims` and `starts`, or `order` and `starts` are not a plan for `R` ids.
pub fn backward_sparse(
    device: &Device,
    dims: Dims,
    d_out: Slice<'_>,
    order: Slice<'_, u32>,
    starts: Slice<'_, u32>,
    values: SliceMut<'_>,
) {
    check_len("d_out", d_out.len(), dims.rows * dims.width);
    check_len("order", order.len(), dims.rows);
    assert!(!starts.is_empty(), "`starts` is empty, but must end with the length of `order`");
    check_len("values", values.len(), (starts.len() - 1) * dims.width);
    match device {
        Device::Cpu(cpu) => {
            cpu::backward_sparse(cpu, dims, d_out.host(), order.host(), starts.host(), values.host());
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward_sparse(gpu, dims, d_out.gpu(), order.gpu(), starts, values.gpu()),
    }
}
