//! Products in tile registers, which multiply whole blocks of bf16: Intel's AMX.
//!
//! ```text
//!                      B: a panel, 16 pairs of rows × 16 columns in each register
//!                    ┌────┬────┐
//!                    │ 6  │ 7  │
//!                    └────┴────┘
//!             ┌────┐ ┌────┬────┐
//!   A: 16 rows│ 4  │ │ 0  │ 1  │  sums: 16 rows × 16 columns in each register
//!   × 16 pairs├────┤ ├────┼────┤
//!             │ 5  │ │ 2  │ 3  │
//!             └────┘ └────┴────┘
//! ```
//!
//! Panels and rounded blocks of A are those of vectors of pairs, padded with zeros to whole registers along the sum: a row
//! of a panel, sixteen or thirty-two pairs, is what a row of a register takes. If factors are in two parts, the pairs of each
//! register are followed by their low parts.
//!
//! Not here: the instructions (`simd/amx.rs`), and which block is multiplied by which panel (`tile`).

use super::{Matrix, parts};
use crate::Store;
use crate::cpu::Simd;

#[cfg(test)]
mod tests;

/// Rows of a register, and 32-bit elements in each row.
pub(crate) const SIZE: usize = 16;

/// Eight registers of [`SIZE`] rows of [`SIZE`] 32-bit elements, in each thread. Strides are in elements.
pub(crate) trait TileRegisters: Copy {
    /// Enables all registers of this thread at their full size.
    ///
    /// # Safety
    /// The processor and the operating system must have them.
    unsafe fn configure(self);
    /// Disables them, so that the operating system does not save them.
    ///
    /// # Safety
    /// As [`TileRegisters::configure`].
    unsafe fn release(self);
    /// Sets a register to zero.
    ///
    /// # Safety
    /// The registers of this thread must be configured.
    unsafe fn zero<const REGISTER: u8>(self);
    /// Loads a register.
    ///
    /// # Safety
    /// As [`TileRegisters::zero`]; the rows must be readable.
    unsafe fn load<const REGISTER: u8>(self, from: *const f32, stride: usize);
    /// Stores a register.
    ///
    /// # Safety
    /// As [`TileRegisters::zero`]; the rows must be writable.
    unsafe fn store<const REGISTER: u8>(self, to: *mut f32, stride: usize);
    /// Adds the product of `A`, rows of pairs, and `B`, pairs of rows, to `SUMS`.
    ///
    /// # Safety
    /// As [`TileRegisters::zero`].
    unsafe fn multiply<const SUMS: u8, const A: u8, const B: u8>(self);
}

/// Instructions without tile registers.
#[derive(Clone, Copy)]
pub(crate) struct NoTiles;

impl TileRegisters for NoTiles {
    unsafe fn configure(self) {}
    unsafe fn release(self) {}
    unsafe fn zero<const REGISTER: u8>(self) {}
    unsafe fn load<const REGISTER: u8>(self, _: *const f32, _: usize) {}
    unsafe fn store<const REGISTER: u8>(self, _: *mut f32, _: usize) {}
    unsafe fn multiply<const SUMS: u8, const A: u8, const B: u8>(self) {}
}

/// `C (+)= A · B` for `m` rows and one panel.
///
/// # Safety
/// The registers of this thread must be configured. `a` must be rows of `steps` pairs, whole registers, and readable up to a
/// multiple of [`SIZE`] rows; `b` must be a packed panel of that many steps for `columns` columns. `columns`
/// elements of each of the `m` rows of C must be writable, with no other code accessing them.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn row_blocks<S: Simd>(
    s: S,
    m: usize,
    steps: usize,
    a: Matrix,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
) {
    for first in (0..m).step_by(2 * SIZE) {
        let rows = (m - first).min(2 * SIZE);
        // SAFETY: these rows are the caller's.
        unsafe {
            let (a, c) = (a.offset(first, 0), c.add(first * c_stride));
            let place = Place { c, c_stride, rows, columns, store };
            match (rows > SIZE, columns > SIZE) {
                (true, true) => block::<S, 2, 2>(s, steps, a, b, place),
                (true, false) => block::<S, 2, 1>(s, steps, a, b, place),
                (false, true) => block::<S, 1, 2>(s, steps, a, b, place),
                (false, false) => block::<S, 1, 1>(s, steps, a, b, place),
            }
        }
    }
}

/// A block of C of at most two by two registers.
#[derive(Clone, Copy)]
struct Place {
    c: *mut f32,
    c_stride: usize,
    rows: usize,
    columns: usize,
    store: Store,
}

/// One block of C, of `ROWS` × `COLUMNS` registers.
///
/// # Safety
/// As [`row_blocks`].
#[inline(always)]
unsafe fn block<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    steps: usize,
    a: Matrix,
    b: *const f32,
    place: Place,
) {
    let t = s.tile_registers();
    let b_stride = COLUMNS * SIZE;
    // SAFETY: guaranteed by the caller.
    unsafe {
        macro_rules! each_sum {
            ($what:ident) => {
                place.$what::<S, 0>(s, 0, 0);
                if COLUMNS == 2 {
                    place.$what::<S, 1>(s, 0, 1);
                }
                if ROWS == 2 {
                    place.$what::<S, 2>(s, 1, 0);
                }
                if ROWS == 2 && COLUMNS == 2 {
                    place.$what::<S, 3>(s, 1, 1);
                }
            };
        }
        each_sum!(begin);
        for step in (0..steps).step_by(SIZE * parts::<S>()) {
            // Where the parts begin whose products are added.
            let products: &[(usize, usize)] =
                if S::SPLIT { &[(0, 0), (SIZE, 0), (0, SIZE)] } else { &[(0, 0)] };
            for (of_a, of_b) in products {
                let a = a.offset(0, step + of_a);
                let b = b.add((step + of_b) * b_stride);
                t.load::<4>(a.pointer, a.row_stride);
                t.load::<6>(b, b_stride);
                t.multiply::<0, 4, 6>();
                if COLUMNS == 2 {
                    t.load::<7>(b.add(SIZE), b_stride);
                    t.multiply::<1, 4, 7>();
                }
                if ROWS == 2 {
                    t.load::<5>(a.offset(SIZE, 0).pointer, a.row_stride);
                    t.multiply::<2, 5, 6>();
                }
                if ROWS == 2 && COLUMNS == 2 {
                    t.multiply::<3, 5, 7>();
                }
            }
        }
        each_sum!(end);
    }
}

impl Place {
    /// What exists of a register's block of C: where it starts, its rows, and its columns.
    ///
    /// # Safety
    /// The register must be one of the block's.
    #[inline(always)]
    unsafe fn part(self, row: usize, column: usize) -> (*mut f32, usize, usize) {
        let (first_row, first_column) = (row * SIZE, column * SIZE);
        let (rows, columns) = ((self.rows - first_row).min(SIZE), (self.columns - first_column).min(SIZE));
        // SAFETY: within the block, as the caller guarantees.
        (unsafe { self.c.add(first_row * self.c_stride + first_column) }, rows, columns)
    }

    /// What the sums start from. A part of a register comes from a copy: nothing beyond C is read.
    ///
    /// # Safety
    /// As [`row_blocks`].
    #[inline(always)]
    unsafe fn begin<S: Simd, const REGISTER: u8>(self, s: S, row: usize, column: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let t = s.tile_registers();
            if self.store == Store::Overwrite {
                return t.zero::<REGISTER>();
            }
            let (c, rows, columns) = self.part(row, column);
            if (rows, columns) == (SIZE, SIZE) {
                return t.load::<REGISTER>(c, self.c_stride);
            }
            let mut copy = [0.0; SIZE * SIZE];
            for row in 0..rows {
                let values = s.load_first(c.add(row * self.c_stride), columns);
                s.store(copy.as_mut_ptr().add(row * SIZE), values);
            }
            t.load::<REGISTER>(copy.as_ptr(), SIZE);
        }
    }

    /// Stores the sums. Of a part of a register, only what exists is written.
    ///
    /// # Safety
    /// As [`row_blocks`].
    #[inline(always)]
    unsafe fn end<S: Simd, const REGISTER: u8>(self, s: S, row: usize, column: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let t = s.tile_registers();
            let (c, rows, columns) = self.part(row, column);
            if (rows, columns) == (SIZE, SIZE) {
                return t.store::<REGISTER>(c, self.c_stride);
            }
            let mut copy = [0.0; SIZE * SIZE];
            t.store::<REGISTER>(copy.as_mut_ptr(), SIZE);
            for row in 0..rows {
                let values = s.load(copy.as_ptr().add(row * SIZE));
                s.store_first(c.add(row * self.c_stride), columns, values);
            }
        }
    }
}
