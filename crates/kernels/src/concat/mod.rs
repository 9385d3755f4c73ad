//! Copies blocks between matrices of different widths: slicing and concatenation, by columns and by rows.
//!
//! ```text
//!   source              target           slice a matrix: the block fills the target
//!   ┌───────────┐       ┌──────┐         concat matrices: the block fills the source, with one call per
//!   │   ┌────┐  │       │┌────┐│         source, placed next to or below the others
//!   │   │    │  │  ──►  ││    ││
//!   │   └────┘  │       │└────┘│
//!   └───────────┘       └──────┘
//! ```

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store};

/// The position of a block in a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The width of the whole matrix.
    pub width: usize,
    /// The block's first row in the matrix.
    pub row: usize,
    /// The block's first column in the matrix.
    pub column: usize,
}

/// The shape of a block, and its position in both matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// The block's rows.
    pub rows: usize,
    /// The block's columns.
    pub columns: usize,
    /// Its position in the matrix it is copied from.
    pub source: Place,
    /// Its position in the matrix it is copied to.
    pub target: Place,
}

/// Copies the block: `target[row + r, column + c] = source[row + r, column + c]`, with each matrix's own row
/// and column offset.
///
/// # Shapes
/// - `source`, rows of `dims.source.width`, the block read.
/// - `target`, rows of `dims.target.width`, the block overwritten, everything else unchanged.
/// # Panics
/// If the block is not within both matrices.
pub fn forward(device: &Device, dims: Dims, source: Slice<'_>, target: SliceMut<'_>) {
    copy(device, dims.rows, dims.columns, (dims.source, source), (dims.target, target), Store::Overwrite);
}

/// Copies the gradient back: the block of `d_target` to that of `d_source`.
///
/// # Shapes
/// - `d_target`, rows of `dims.target.width`, the block read.
/// - `d_source`, rows of `dims.source.width`, the block stored according to `store`, everything else
///   unchanged.
///
/// # Panics
/// If the block is not within both matrices.
pub fn backward(device: &Device, dims: Dims, d_target: Slice<'_>, d_source: SliceMut<'_>, store: Store) {
    copy(device, dims.rows, dims.columns, (dims.target, d_target), (dims.source, d_source), store);
}

fn copy(
    device: &Device,
    rows: usize,
    columns: usize,
    from: (Place, Slice<'_>),
    to: (Place, SliceMut<'_>),
    store: Store,
) {
    check_place("the source matrix", rows, columns, from.0, from.1.len());
    check_place("the target matrix", rows, columns, to.0, to.1.len());
    if columns == 0 {
        return;
    }
    match device {
        Device::Cpu(cpu) => {
            cpu::copy(cpu, rows, columns, (from.0, from.1.host()), (to.0, to.1.host()), store);
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::copy(gpu, rows, columns, (from.0, from.1.gpu()), (to.0, to.1.gpu()), store);
        }
    }
}

#[track_caller]
fn check_place(name: &str, rows: usize, columns: usize, place: Place, len: usize) {
    let Place { width, row, column } = place;
    let fits = column + columns <= width && (row + rows) * width <= len;
    assert!(
        fits,
        "{name}, with {len} elements in rows of {width}, has no block [{rows}, {columns}] at ({row}, {column})"
    );
}
