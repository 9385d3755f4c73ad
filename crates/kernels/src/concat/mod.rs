//! Blocks copied between matrices of different widths: slicing and joining, by columns and by rows.
//!
//! ```text
//!   source              target           slice a matrix: the block fills the target
//!   ┌───────────┐       ┌──────┐         join matrices: the block fills the source, and one call for each
//!   │   ┌────┐  │       │┌────┐│         source puts it beside or below the others
//!   │   │    │  │  ──►  ││    ││
//!   │   └────┘  │       │└────┘│
//!   └───────────┘       └──────┘
//! ```

pub mod cases;
mod cpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store};

/// Where a block lies in a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The width of the whole matrix.
    pub width: usize,
    /// The matrix's row that is the block's first.
    pub row: usize,
    /// The matrix's column that is the block's first.
    pub column: usize,
}

/// The sizes of a block, and where it lies in both matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// The block's rows.
    pub rows: usize,
    /// The block's columns.
    pub columns: usize,
    /// Where it lies in the matrix it is copied from.
    pub source: Place,
    /// Where it lies in the matrix it is copied to.
    pub target: Place,
}

/// Copies the block: `target[row + r, column + c] = source[row + r, column + c]`, with each matrix's own row and column.
///
/// # Shapes
/// - `source`, rows of `dims.source.width`, the block read.
/// - `target`, rows of `dims.target.width`, the block overwritten, all else left as it is.
/// # Panics
/// If the block does not lie within both matrices.
pub fn forward(device: &Device, dims: Dims, source: Slice<'_>, target: SliceMut<'_>) {
    copy(device, dims.rows, dims.columns, (dims.source, source), (dims.target, target), Store::Overwrite);
}

/// Copies the gradient back: the block of `d_target` to that of `d_source`.
///
/// # Shapes
/// - `d_target`, rows of `dims.target.width`, the block read.
/// - `d_source`, rows of `dims.source.width`, the block stored as `store` says, all else left as it is.
/// # Panics
/// If the block does not lie within both matrices.
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
    check_place("the matrix read", rows, columns, from.0, from.1.len());
    check_place("the matrix written", rows, columns, to.0, to.1.len());
    if columns == 0 {
        return;
    }
    match device {
        Device::Cpu(cpu) => {
            cpu::copy(cpu, rows, columns, (from.0, from.1.host()), (to.0, to.1.host()), store);
        }
    }
}

#[track_caller]
fn check_place(name: &str, rows: usize, columns: usize, place: Place, len: usize) {
    let Place { width, row, column } = place;
    let fits = column + columns <= width && (row + rows) * width <= len;
    assert!(fits, "{name} holds {len} in rows of {width}, no block [{rows}, {columns}] at ({row}, {column})");
}
