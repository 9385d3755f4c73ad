//! Multiplication by a matrix of bytes with a scale for each column: `C (+)= (A · B) ∘ scales`.
//!
//! A tile is as in the other files of this folder, except that a step of a panel is `PANEL_VECTORS` vectors of bytes, one
//! cache line with the widest vectors, and becomes `f32` on the way into registers. So the products are those of the
//! rounded weight, and for a few rows, where a product takes as long as reading B, they take a quarter of the time.
//! An element has one sum, for tiles of any height: a row is the same alone and among others.
//!
//! ```text
//! packed    scales: one for each of the n columns │ bytes: panel after panel, of each k steps
//! ```
//!
//! Not here: what a scale and a byte are ([`int8`]).

use super::{MAX_LANES, Matrix, Product, SMALL};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::{Store, int8};

/// Vectors of a panel. Fewer would leave the multipliers waiting for each other in a tile of one row.
const PANEL_VECTORS: usize = 4;
/// The bytes in an element of 32 bits.
const BYTES: usize = size_of::<f32>();

/// The length of a packed `[k, n]` matrix, in elements of 32 bits.
pub(crate) const fn packed_len(k: usize, n: usize) -> usize {
    let columns = n.next_multiple_of(MAX_LANES);
    columns + k * columns / BYTES
}

/// Panels of a packed matrix of `n` columns.
#[inline(always)]
pub(crate) fn panel_count<S: Simd>(_: S, n: usize) -> usize {
    n.div_ceil(PANEL_VECTORS * S::LANES)
}

/// The columns of a panel, and how many are stored.
#[inline(always)]
fn columns_of<S: Simd>(_: S, n: usize, panel: usize) -> (std::ops::Range<usize>, usize) {
    let width = PANEL_VECTORS * S::LANES;
    let columns = panel * width..n.min((panel + 1) * width);
    let stored = columns.len().next_multiple_of(S::LANES);
    (columns, stored)
}

/// Packs `wᵀ`, a `[k, n]` matrix whose columns are the rows of `w: [n, k]`, on all threads.
///
/// # Panics
/// If a length does not match.
pub(crate) fn pack_all(cpu: &Cpu, k: usize, n: usize, w: &[f32], packed: &mut [f32]) {
    struct Panels<'a, 'b> {
        shape: (usize, usize),
        w: &'a [f32],
        scales: &'a SharedMut<'b, f32>,
        bytes: &'a SharedMut<'b, f32>,
        thread: usize,
        threads: usize,
    }
    impl Vectorized for Panels<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (k, n) = self.shape;
            for panel in share(panel_count(s, n), 1, self.threads, self.thread) {
                let (columns, stored) = columns_of(s, n, panel);
                for lane in 0..stored {
                    let column = columns.start + lane;
                    let row = if column < n { &self.w[column * k..(column + 1) * k] } else { &[] };
                    let scale = int8::row_scale(row);
                    // SAFETY: the panels are divided between the threads, and there is room for all that are stored.
                    unsafe {
                        *self.scales.at(column) = scale;
                        let to = self.bytes.at(0).cast::<i8>().add(k * columns.start + lane);
                        for step in 0..k {
                            *to.add(step * stored) = row.get(step).map_or(0, |&x| int8::quantized(x, scale));
                        }
                    }
                }
            }
        }
    }
    assert_eq!(w.len(), n * k, "length of w");
    assert_eq!(packed.len(), packed_len(k, n), "length of packed");
    let (scales, bytes) = packed.split_at_mut(n.next_multiple_of(MAX_LANES));
    let (scales, bytes) = (SharedMut::new(scales), SharedMut::new(bytes));
    let shape = (k, n);
    let part = |thread, threads| Panels { shape, w, scales: &scales, bytes: &bytes, thread, threads };
    if k * n < SMALL {
        return cpu.vectorized(part(0, 1));
    }
    let threads = cpu.threads();
    cpu.parallel(|thread| cpu.vectorized(part(thread, threads)));
}

/// Computes a product by a packed matrix of bytes.
///
/// # Safety
/// As [`Product::compute`].
#[inline(always)]
pub(super) unsafe fn compute<S: Simd>(s: S, product: Product, packed: *const f32) {
    let Product { shape: (m, k, n), a, panels, c, c_stride, store, .. } = product;
    debug_assert!(!a.paired, "factors of bytes are not rounded");
    let tiles = m.div_ceil(S::BYTE_TILE_ROWS);
    for panel in panels {
        let (columns, stored) = columns_of(s, n, panel);
        // SAFETY: the panel is within the packed matrix, the rows and columns are the caller's.
        unsafe {
            let scales = packed.add(columns.start);
            let bytes = packed.add(n.next_multiple_of(MAX_LANES)).cast::<i8>().add(k * columns.start);
            for tile in 0..tiles {
                let rows = m * tile / tiles..m * (tile + 1) / tiles;
                // As for tiles of 32 bits, the strides are hidden from the compiler.
                let a = std::hint::black_box(a.offset(rows.start, 0));
                let c = c.add(rows.start * c_stride + columns.start);
                let part = Part { k, a, scales, bytes, c, c_stride, columns: columns.len(), store };
                macro_rules! tile_of {
                    ($($height:literal)*) => {
                        match (rows.len(), stored / S::LANES) {
                            $(($height, PANEL_VECTORS) => part.tile::<S, $height, PANEL_VECTORS>(s),
                            ($height, vectors) => part.narrow::<S, $height>(s, vectors),)*
                            _ => unreachable!("tiles have 1 to 6 rows"),
                        }
                    };
                }
                if S::BYTE_TILE_ROWS == 6 {
                    tile_of!(1 2 3 4 5 6);
                } else if S::BYTE_TILE_ROWS == 5 {
                    tile_of!(1 2 3 4 5);
                } else {
                    tile_of!(1 2 3);
                }
            }
        }
    }
}

/// A tile: some rows of A and of C, and a panel.
#[derive(Clone, Copy)]
struct Part {
    k: usize,
    a: Matrix,
    scales: *const f32,
    bytes: *const i8,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
}

impl Part {
    /// The tile of a panel with fewer vectors than others: the last.
    ///
    /// # Safety
    /// As [`Part::tile`].
    #[inline(always)]
    unsafe fn narrow<S: Simd, const ROWS: usize>(self, s: S, vectors: usize) {
        // SAFETY: as the caller guarantees.
        unsafe {
            match vectors {
                1 => self.tile::<S, ROWS, 1>(s),
                2 => self.tile::<S, ROWS, 2>(s),
                _ => self.tile::<S, ROWS, 3>(s),
            }
        }
    }

    /// `ROWS` rows of `VECTORS` vectors, of which `columns` elements exist.
    ///
    /// # Safety
    /// `a` must be readable as `[ROWS, k]`, `bytes` as `k` times `VECTORS` vectors, `scales` as as many vectors, and
    /// `columns` elements of each of the `ROWS` rows of C must be writable, with no other code accessing them.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // With iterator adaptors, the compiler would not keep the sums in registers.
    unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(self, s: S) {
        let Part { k, a, scales, bytes, c, c_stride, columns, store } = self;
        let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
        // SAFETY: as the caller guarantees.
        unsafe {
            let (mut a_column, mut step) = (a.pointer, bytes);
            for _ in 0..k {
                let mut factors = [s.splat(0.0); ROWS];
                for row in 0..ROWS {
                    factors[row] = s.splat(*a_column.add(row * a.row_stride));
                }
                for v in 0..VECTORS {
                    let vector = s.load_bytes(step.add(v * S::LANES));
                    for row in 0..ROWS {
                        sums[row][v] = s.mul_add(factors[row], vector, sums[row][v]);
                    }
                }
                a_column = a_column.add(a.column_stride);
                step = step.add(VECTORS * S::LANES);
            }
            for v in 0..VECTORS {
                let count = (columns - v * S::LANES).min(S::LANES);
                let scale = s.load(scales.add(v * S::LANES));
                for row in 0..ROWS {
                    let to = c.add(row * c_stride + v * S::LANES);
                    let before = match store {
                        Store::Add => s.load_first(to, count),
                        Store::Overwrite => s.splat(0.0),
                    };
                    s.store_first(to, count, s.mul_add(sums[row][v], scale, before));
                }
            }
        }
    }
}
