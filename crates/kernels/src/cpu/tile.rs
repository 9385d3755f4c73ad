//! Matrix products in tiles: `C (+)= A · B` with B packed into panels and A read where it lies.
//!
//! ```text
//!            panel of B: [K, width], k after k in memory, width = 2 vectors
//!            ┌──┬──┬──┐
//!          K │  │  │  │
//!            └──┴──┴──┘
//!   ┌────┐   ┌──┬──┬──┐   A tile is up to ROWS × width of C, held in registers while k runs:
//! M │ A  │   │C │  │  │   for each k, two vectors of B and one broadcast number of A per row.
//!   └────┘   └──┴──┴──┘
//! ```
//!
//! Since A is only ever broadcast, it needs no packing and may be read by any strides, transposed too; the cost of
//! packing B (`K·N` copies) is repaid by `M` uses, and a weight is packed once for all time steps of a chunk.
//!
//! Where factors are rounded to bf16 ([`Simd::PAIRED`]), two neighbours along `K` share the place of one number, in
//! the panels and in a block of A that is rounded just before it is used; from there on the tiles are the same.

mod block;

use super::{Cpu, SharedMut, Simd, Vectorised, math, share};
use crate::Store;
use block::{Block, Room, tiles};

/// A matrix to be read: element `(i, j)` lies at `pointer + i·row_stride + j·column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) pointer: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
    /// Whether each element is a pair of two neighbours in a row, rounded, as [`Simd::PAIRED`] products take them.
    pub(crate) paired: bool,
}

// SAFETY: a Matrix is only followed inside kernels, while the slice it was made from is borrowed.
unsafe impl Send for Matrix {}
// SAFETY: as above; it only reads.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A row-major matrix with rows of `columns` numbers, one after the other.
    pub(crate) fn rows(values: &[f32], columns: usize) -> Matrix {
        Matrix { pointer: values.as_ptr(), row_stride: columns, column_stride: 1, paired: false }
    }

    /// The same numbers, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Matrix {
        Matrix { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The matrix that starts at element `(row, column)` of this one.
    ///
    /// # Safety
    /// The element must lie within the same allocation.
    #[inline(always)]
    pub(crate) unsafe fn offset(self, row: usize, column: usize) -> Matrix {
        // SAFETY: within the allocation, as the caller promises.
        let pointer = unsafe { self.pointer.add(row * self.row_stride + column * self.column_stride) };
        Matrix { pointer, ..self }
    }
}

/// Vectors side by side in a panel.
pub(crate) const PANEL_VECTORS: usize = 2;
/// The widest vector of any instruction set: packed matrices have room for it, whichever is used.
pub(crate) const MAX_LANES: usize = 16;
/// Steps that a tile runs at most before it stores its sums: the block of A then stays in the second-level cache.
const K_BLOCK: usize = 512;
/// Rows of A that are walked for all panels before the next rows.
const M_BLOCK: usize = 120;

/// Below this many numbers to pack, or multiplications, the calling thread does the work alone.
const SMALL: usize = 16_384;

/// Numbers that a packed `[k, n]` matrix takes.
pub(crate) const fn packed_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(MAX_LANES)
}

/// Panels of a packed matrix of `n` columns.
#[inline(always)]
pub(crate) fn panel_count<S: Simd>(_: S, n: usize) -> usize {
    n.div_ceil(PANEL_VECTORS * S::LANES)
}

/// Steps that a tile takes along `k`: one for each number, or for each pair.
#[inline(always)]
fn steps<S: Simd>(_: S, k: usize) -> usize {
    if S::PAIRED { k.div_ceil(2) } else { k }
}

/// Packs panels `panels` of the `[k, n]` matrix `b`; columns beyond `n` become zeros.
///
/// # Safety
/// `b` must be readable as `[k, n]`; `packed` must have [`packed_len`] numbers, and nobody else may touch those of
/// the panels given.
#[inline(always)]
pub(crate) unsafe fn pack<S: Simd>(
    s: S,
    k: usize,
    n: usize,
    b: Matrix,
    packed: &SharedMut<'_, f32>,
    panels: std::ops::Range<usize>,
) {
    let width = PANEL_VECTORS * S::LANES;
    for panel in panels {
        let first = panel * width;
        let columns = (n - first).min(width);
        let stored = columns.next_multiple_of(S::LANES);
        let start = steps(s, k) * first;
        // SAFETY: panels do not overlap, and this one is the caller's; reads stay within [k, n].
        unsafe {
            let panel = packed.range(start..start + steps(s, k) * stored);
            let b = b.offset(0, first);
            if S::PAIRED {
                pack_pairs(s, (k, columns), b, stored, panel.as_mut_ptr());
            } else if b.column_stride == 1 {
                for (row, out) in panel.chunks_exact_mut(stored).enumerate() {
                    let from = std::slice::from_raw_parts(b.offset(row, 0).pointer, columns);
                    out[..columns].copy_from_slice(from);
                    out[columns..].fill(0.0);
                }
            } else {
                // Sixteen rows at a time: where rows are contiguous, a cache line of each column is used up.
                for from_row in (0..k).step_by(16) {
                    let to_row = (from_row + 16).min(k);
                    for column in 0..stored {
                        for row in from_row..to_row {
                            panel[row * stored + column] =
                                if column < columns { *b.offset(row, column).pointer } else { 0.0 };
                        }
                    }
                }
            }
        }
    }
}

/// Packs a `[k, columns]` matrix as rows of `stored` pairs, neighbours along `k` in a pair; what is beyond the matrix
/// becomes zeros.
///
/// # Safety
/// `b` must be readable as `[k, columns]`, and `to` writable for the rows.
#[inline(always)]
unsafe fn pack_pairs<S: Simd>(s: S, (k, columns): (usize, usize), b: Matrix, stored: usize, to: *mut f32) {
    let rows = steps(s, k);
    // SAFETY: reads stay within [k, columns], as the caller vouches, and writes within the panel's rows.
    unsafe {
        if b.column_stride == 1 {
            for row in 0..rows {
                for column in (0..columns).step_by(S::LANES) {
                    let count = (columns - column).min(S::LANES);
                    let low = math::load(s, b.offset(2 * row, column).pointer, count);
                    let high = if 2 * row + 1 < k {
                        math::load(s, b.offset(2 * row + 1, column).pointer, count)
                    } else {
                        s.splat(0.0)
                    };
                    s.store(to.add(row * stored + column), s.pair(low, high));
                }
            }
        } else if b.row_stride == 1 {
            let mut pairs = [0.0; MAX_LANES];
            for from_row in (0..rows).step_by(S::LANES) {
                let to_row = (from_row + S::LANES).min(rows);
                for column in 0..stored {
                    let ahead = if column < columns { k - 2 * from_row } else { 0 };
                    let from = b.offset(2 * from_row, column.min(columns - 1)).pointer;
                    s.store(pairs.as_mut_ptr(), neighbours(s, from, ahead));
                    for row in from_row..to_row {
                        *to.add(row * stored + column) = pairs[row - from_row];
                    }
                }
            }
        } else {
            unreachable!("a matrix to pack has contiguous rows or columns");
        }
    }
}

/// Pairs of the numbers from `from` on, of which `count` or enough for a vector of pairs are read; others are zero.
///
/// # Safety
/// `count` numbers must be readable.
#[inline(always)]
unsafe fn neighbours<S: Simd>(s: S, from: *const f32, count: usize) -> S::Vector {
    let (first, second) = (count.min(S::LANES), count.saturating_sub(S::LANES).min(S::LANES));
    // SAFETY: as the caller vouches; the second vector is looked for only where there is one.
    unsafe {
        let low = math::load(s, from, first);
        let high = if second > 0 { math::load(s, from.add(S::LANES), second) } else { s.splat(0.0) };
        s.pair_neighbours(low, high)
    }
}

/// A product to compute: `C (+)= A · B` for `m` rows of A and the columns of the given panels of B.
pub(crate) struct Product {
    /// `m`, `k`, `n`.
    pub(crate) shape: (usize, usize, usize),
    /// `[m, k]`, or of as many pairs as that makes.
    pub(crate) a: Matrix,
    /// A packed `[k, n]` matrix.
    pub(crate) packed: *const f32,
    /// The panels whose columns are wanted.
    pub(crate) panels: std::ops::Range<usize>,
    /// `m` rows, `c_stride` apart; column 0 is the matrix's first, whatever the panels.
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    pub(crate) store: Store,
}

impl Product {
    /// Computes it. Called by each instruction set's [`Simd::product`] alone, so that the many tiles are compiled once
    /// for each and not wherever a product is wanted.
    ///
    /// # Safety
    /// `a` must be readable as `[m, k]`, `packed` must hold a `[k, n]` matrix packed for the same instruction set, and
    /// nobody else may touch the panels' columns of C.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(self, s: S) {
        let Product { shape: (m, k, n), a, packed, panels, c, c_stride, store } = self;
        let width = PANEL_VECTORS * S::LANES;
        if k == 0 && store == Store::Overwrite {
            for row in 0..m {
                let (first, last) = (panels.start * width, (panels.end * width).min(n));
                // SAFETY: these are the caller's rows and columns of C.
                unsafe {
                    std::slice::from_raw_parts_mut(c.add(row * c_stride + first), last - first).fill(0.0)
                };
            }
            return;
        }
        let steps = steps(s, k);
        let mut room = Room::new();
        let blocks = steps.div_ceil(K_BLOCK);
        for block in 0..blocks {
            let start = steps * block / blocks;
            let len = steps * (block + 1) / blocks - start;
            let store = if start == 0 { store } else { Store::Add };
            let mut m_start = 0;
            while m_start < m {
                let m_len = (m - m_start).min(M_BLOCK);
                // SAFETY: the block lies within A; the one before has been used up.
                let a = unsafe {
                    let rounds = S::PAIRED && !a.paired;
                    let (first, k) =
                        if rounds { (2 * start, (k - 2 * start).min(2 * len)) } else { (start, len) };
                    room.block(s, (m_len, k), a.offset(m_start, first), panels.len())
                };
                let mut panel = panels.start;
                while panel < panels.end {
                    let first = panel * width;
                    let columns = (n - first).min(width);
                    let stored = columns.next_multiple_of(S::LANES);
                    // SAFETY: offsets stay within the matrices that the caller vouches for.
                    unsafe {
                        let b = packed.add(steps * first + start * stored);
                        let c = c.add(m_start * c_stride + first);
                        row_blocks(s, m_len, len, a, b, c, c_stride, columns, store);
                    }
                    panel += 1;
                }
                m_start += m_len;
            }
        }
    }
}

/// Packs the whole `[k, n]` matrix `b` on all threads.
///
/// # Safety
/// `b` must be readable as `[k, n]`.
pub(crate) unsafe fn pack_all(cpu: &Cpu, k: usize, n: usize, b: Matrix, packed: &mut [f32]) {
    struct Panels<'a, 'b> {
        shape: (usize, usize),
        b: Matrix,
        packed: &'a SharedMut<'b, f32>,
        thread: usize,
        threads: usize,
    }
    impl Vectorised for Panels<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (k, n) = self.shape;
            let panels = share(panel_count(s, n), 1, self.threads, self.thread);
            // SAFETY: b is readable, as the outer caller promises; each thread has its own panels.
            unsafe { pack(s, k, n, self.b, self.packed, panels) }
        }
    }
    let packed = SharedMut::new(packed);
    assert!(packed.len() >= packed_len(k, n), "packed holds {}, needs {}", packed.len(), packed_len(k, n));
    let shape = (k, n);
    if k * n < SMALL {
        return cpu.vectorised(Panels { shape, b, packed: &packed, thread: 0, threads: 1 });
    }
    let threads = cpu.threads();
    cpu.parallel(|thread| cpu.vectorised(Panels { shape, b, packed: &packed, thread, threads }));
}

/// `C (+)= A · B` on all threads, C row-major with rows `c_stride` apart: the longer of C's sides is split.
///
/// # Safety
/// `a` must be readable as `[m, k]` and `packed` must hold a packed `[k, n]` matrix.
/// # Panics
/// If C does not fit.
pub(crate) unsafe fn product_all(
    cpu: &Cpu,
    (m, k, n): (usize, usize, usize),
    a: Matrix,
    packed: &[f32],
    c: &mut [f32],
    c_stride: usize,
    store: Store,
) {
    struct Part<'a> {
        shape: (usize, usize, usize),
        a: Matrix,
        packed: &'a [f32],
        c: *mut f32,
        c_stride: usize,
        store: Store,
        thread: usize,
        threads: usize,
    }
    impl Vectorised for Part<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Part { shape: (m, k, n), a, packed, c, c_stride, store, thread, threads } = self;
            let panels = panel_count(s, n);
            // SAFETY: the outer caller vouches for the matrices; each thread has rows or panels of its own.
            unsafe {
                if m >= panels {
                    let rows = share(m, 1, threads, thread);
                    let (a, c) = (a.offset(rows.start, 0), c.add(rows.start * c_stride));
                    let (shape, packed, panels) = ((rows.len(), k, n), packed.as_ptr(), 0..panels);
                    s.product(Product { shape, a, packed, panels, c, c_stride, store });
                } else {
                    let panels = share(panels, 1, threads, thread);
                    let packed = packed.as_ptr();
                    s.product(Product { shape: (m, k, n), a, packed, panels, c, c_stride, store });
                }
            }
        }
    }
    if m == 0 || n == 0 {
        return;
    }
    let needed = (m - 1) * c_stride + n;
    assert!(n <= c_stride && c.len() >= needed, "C holds {}, needs {needed}", c.len());
    assert!(packed.len() >= packed_len(k, n), "packed holds {}, needs {}", packed.len(), packed_len(k, n));
    let shape = (m, k, n);
    let c = SharedMut::new(c);
    let part = |thread, threads| Part { shape, a, packed, c: c.at(0), c_stride, store, thread, threads };
    if m * k * n < SMALL {
        return cpu.vectorised(part(0, 1));
    }
    let threads = cpu.threads();
    cpu.parallel(|thread| cpu.vectorised(part(thread, threads)));
}

/// Rows of a tile, at most: with two vectors a row, sums and operands fill the 32 registers of AVX-512, or the 16 of
/// AVX2.
#[inline(always)]
fn tile_height<S: Simd>(_: S) -> usize {
    if S::LANES == 16 { 12 } else { 6 }
}

/// The tiles of `m` rows and one panel.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn row_blocks<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: Block,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
) {
    for rows in tiles(s, m) {
        let height = rows.len();
        // SAFETY: these rows are the caller's.
        unsafe {
            let c = c.add(rows.start * c_stride);
            // What is known of its strides is hidden from the compiler, which would make code of its own of each case,
            // and that of the highest tile would not find room in the registers.
            let a = std::hint::black_box(a.rows(rows));
            macro_rules! tile_of {
                ($($height:literal)*) => {
                    match (height, columns > S::LANES) {
                        $(($height, true) => tile::<S, $height, 2>(s, k, a, b, c, c_stride, columns, store),
                        ($height, false) => tile::<S, $height, 1>(s, k, a, b, c, c_stride, columns, store),)*
                        _ => unreachable!("tiles have 1 to 12 rows"),
                    }
                };
            }
            if S::LANES == 16 {
                tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
            } else {
                tile_of!(1 2 3 4 5 6);
            }
        }
    }
}

/// One tile of C: `ROWS` rows of `VECTORS` vectors, of which `columns` numbers exist.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
#[allow(clippy::needless_range_loop)] // Iterator adaptors would stand between the compiler and the registers.
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    k: usize,
    a: Matrix,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
) {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    // SAFETY: the caller vouches for ROWS × k of A, k × VECTORS vectors of B and ROWS × columns of C.
    unsafe {
        // C may lie in memory, and while the tile is computed there is time to bring it near.
        for row in 0..ROWS {
            for v in 0..VECTORS {
                s.prefetch(c.wrapping_add(row * c_stride + v * S::LANES));
            }
        }
        let mut a_column = a.pointer;
        let mut b_row = b;
        for _ in 0..k {
            let mut vectors = [s.splat(0.0); VECTORS];
            for v in 0..VECTORS {
                vectors[v] = s.load(b_row.add(v * S::LANES));
            }
            for row in 0..ROWS {
                let factor = s.splat(*a_column.add(row * a.row_stride));
                for v in 0..VECTORS {
                    sums[row][v] = s.multiply_accumulate(factor, vectors[v], sums[row][v]);
                }
            }
            a_column = a_column.add(a.column_stride);
            b_row = b_row.add(VECTORS * S::LANES);
        }
        // Each case has loops of its own, without a branch inside: otherwise the sums would go through memory.
        let last = columns - (VECTORS - 1) * S::LANES;
        macro_rules! each_sum {
            (|$to:ident, $sum:ident| $whole:expr, $first:expr) => {
                for row in 0..ROWS {
                    for v in 0..VECTORS {
                        let $to = c.add(row * c_stride + v * S::LANES);
                        let $sum = &mut sums[row][v];
                        if v + 1 < VECTORS { $whole } else { $first }
                    }
                }
            };
        }
        if last == S::LANES {
            if store == Store::Add {
                each_sum!(|to, sum| *sum = s.add(*sum, s.load(to)), *sum = s.add(*sum, s.load(to)));
            }
            each_sum!(|to, sum| s.store(to, *sum), s.store(to, *sum));
        } else {
            if store == Store::Add {
                each_sum!(
                    |to, sum| *sum = s.add(*sum, s.load(to)),
                    *sum = s.add(*sum, s.load_first(to, last))
                );
            }
            each_sum!(|to, sum| s.store(to, *sum), s.store_first(to, last, *sum));
        }
    }
}
