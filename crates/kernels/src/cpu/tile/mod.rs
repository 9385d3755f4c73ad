//! Tiled matrix multiplication: `C (+)= A · B` with B packed into panels and A read in place.
//!
//! ```text
//!            panel of B: [K, width], k after k in memory, width = 2 vectors
//!            ┌──┬──┬──┐
//!          K │  │  │  │
//!            └──┴──┴──┘
//!   ┌────┐   ┌──┬──┬──┐   A tile is up to ROWS × width of C, held in registers while k runs:
//! M │ A  │   │C │  │  │   for each k, two vectors of B and one broadcast element of A per row.
//!   └────┘   └──┴──┴──┘
//! ```
//!
//! Since A is only ever broadcast, it needs no packing and can be read with any strides, transposed too; the
//! cost of packing B (`K·N` copies) is amortized over `M` uses, and a weight is packed once for all time
//! steps of a batch.
//!
//! If factors are rounded to bf16 ([`Simd::PAIRED`]), two neighbors along `K` share the space of one element,
//! in the panels and in a block of A that is rounded just before it is used; from there on the tiles are the
//! same.
//!
//! A packed matrix can also be one of bytes with scales, see [`bytes`].
//!
//! This is a single file because a product is one nest of loops, from the threads down to a tile.

mod block;
mod by_lane;
pub(crate) mod bytes;
mod pack;
mod packed;
pub(crate) mod registers;

use super::elements::LINE;
use super::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::Store;
use block::{Block, Room, tiles};
pub(crate) use pack::pack;
pub(crate) use packed::PackedMatrix;
use registers::TileRegisters as _;

/// A matrix to be read: element `(i, j)` is at `pointer + i·row_stride + j·column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) pointer: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
    /// Whether each element is a pair of two rounded neighbors in a row, as [`Simd::PAIRED`] multiplications
    /// take them.
    pub(crate) paired: bool,
}

// SAFETY: a Matrix is only dereferenced inside kernels, while the slice it was made from is borrowed.
unsafe impl Send for Matrix {}
// SAFETY: as above; it only reads.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A row-major matrix with contiguous rows of `columns` elements.
    pub(crate) fn rows(values: &[f32], columns: usize) -> Matrix {
        Matrix { pointer: values.as_ptr(), row_stride: columns, column_stride: 1, paired: false }
    }

    /// The transposed view of the same elements.
    pub(crate) fn transposed(self) -> Matrix {
        Matrix { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The matrix that starts at element `(row, column)` of this one.
    ///
    /// # Safety
    /// The element must be within the same allocation.
    #[inline(always)]
    pub(crate) unsafe fn offset(self, row: usize, column: usize) -> Matrix {
        // SAFETY: within the allocation, as the caller guarantees.
        let pointer = unsafe { self.pointer.add(row * self.row_stride + column * self.column_stride) };
        Matrix { pointer, ..self }
    }
}

/// Vectors per panel row.
pub(crate) const PANEL_VECTORS: usize = 2;
/// The widest vector of any instruction set: packed matrices have room for it, whichever instruction set is
/// used.
pub(crate) const MAX_LANES: usize = 16;
/// The maximum number of steps of a tile before it stores its sums: the block of A then stays in the
/// second-level cache. A multiple of the steps of a tile register.
const K_BLOCK: usize = 704;
/// Rows of A that are processed for all panels before the next rows, a multiple of the rows of a tile: of registers of
/// vectors, and of tile registers.
const M_BLOCK: usize = 120;
const M_BLOCK_OF_REGISTERS: usize = 128;

/// Below this many elements to pack, or multiplications, the calling thread does the work alone.
const SMALL: usize = 16_384;

/// The length of a packed `[k, n]` matrix. Factors in two parts are padded to whole tile registers of both; pairs need half
/// of it.
pub(crate) const fn packed_len(k: usize, n: usize) -> usize {
    k.next_multiple_of(2 * registers::SIZE) * n.next_multiple_of(MAX_LANES)
}

/// Panels of a packed matrix of `n` columns.
#[inline(always)]
pub(crate) fn panel_count<S: Simd>(_: S, n: usize) -> usize {
    n.div_ceil(PANEL_VECTORS * S::LANES)
}

/// Steps of a tile along `k`: one per element, or per pair, up to whole tile registers; two per pair in two parts.
#[inline(always)]
fn steps<S: Simd>(_: S, k: usize) -> usize {
    k.div_ceil(if S::PAIRED { 2 } else { 1 }).next_multiple_of(padding::<S>()) * parts::<S>()
}

/// What the number of elements, or pairs, along `k` is padded to a multiple of.
#[inline(always)]
const fn padding<S: Simd>() -> usize {
    if S::TILED { registers::SIZE } else { 1 }
}

/// Parts of each factor.
#[inline(always)]
const fn parts<S: Simd>() -> usize {
    if S::SPLIT { 2 } else { 1 }
}

/// The step that begins the pairs of step `pair`, without parts: those of a register are followed by their low parts.
#[inline(always)]
fn place_of_pair<S: Simd>(_: S, pair: usize) -> usize {
    pair / padding::<S>() * padding::<S>() * parts::<S>() + pair % padding::<S>()
}

/// A matrix multiplication to compute: `C (+)= A · B` for `m` rows of A and the columns of the given panels
/// of B.
pub(crate) struct Product {
    /// `m`, `k`, `n`.
    pub(crate) shape: (usize, usize, usize),
    /// `[m, k]`, or the corresponding number of pairs.
    pub(crate) a: Matrix,
    /// A packed `[k, n]` matrix.
    pub(crate) packed: PackedMatrix,
    /// The panels whose columns are computed.
    pub(crate) panels: std::ops::Range<usize>,
    /// `m` rows, `c_stride` apart; column 0 is the matrix's first, regardless of the panels.
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    pub(crate) store: Store,
}

impl Product {
    /// Computes it. Called only by each instruction set's [`Simd::product`], so that the many tiles are
    /// compiled once per instruction set and not at every use.
    ///
    /// # Safety
    /// `a` must be readable as `[m, k]`, `packed` must contain a `[k, n]` matrix packed for the same
    /// instruction set, and no other code may access the panels' columns of C.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(self, s: S) {
        let Product { shape: (m, k, n), a, packed, panels, c, c_stride, store } = self;
        let packed = match packed {
            PackedMatrix::Numbers(packed) => packed,
            PackedMatrix::Bytes(bytes) => {
                let product = Product { shape: (m, k, n), a, packed, panels, c, c_stride, store };
                // SAFETY: as the caller guarantees.
                return unsafe { s.product_by_bytes(product, bytes) };
            }
        };
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
        let unit = padding::<S>() * parts::<S>();
        let m_block = if S::TILED { M_BLOCK_OF_REGISTERS } else { M_BLOCK };
        if S::TILED {
            // SAFETY: with `TILED`, there are tile registers.
            unsafe { s.tile_registers().configure() };
        }
        for block in 0..blocks {
            let start = steps / unit * block / blocks * unit;
            let len = steps / unit * (block + 1) / blocks * unit - start;
            let store = if start == 0 { store } else { Store::Add };
            let mut m_start = 0;
            while m_start < m {
                let m_len = (m - m_start).min(m_block);
                // SAFETY: the block is within A; the one before is no longer in use.
                let a = unsafe {
                    let rounds = S::PAIRED && !a.paired;
                    // What the steps of this block take of a row: elements, or pairs.
                    let (first, k) = match S::PAIRED {
                        true if rounds => {
                            let (start, len) = (2 * start / parts::<S>(), 2 * len / parts::<S>());
                            (start, (k - start).min(len))
                        }
                        true => (start, (k.div_ceil(2) - start).min(len)),
                        false => (start, len),
                    };
                    room.block(s, (m_len, k), a.offset(m_start, first), panels.len())
                };
                for panel in panels.clone() {
                    let first = panel * width;
                    let columns = (n - first).min(width);
                    // Where the part of a panel for these steps starts.
                    let part = |panel: usize| {
                        let stored = (n - panel * width).min(width).next_multiple_of(S::LANES);
                        steps * panel * width + start * stored
                    };
                    let next = if panel + 1 < panels.end { panel + 1 } else { panels.start };
                    // SAFETY: offsets stay within the matrices, as the caller guarantees.
                    unsafe {
                        let b = Panel { pointer: packed.add(part(panel)), next: packed.add(part(next)) };
                        let c = c.add(m_start * c_stride + first);
                        if S::TILED {
                            let a = a.rows(0..m_len);
                            registers::row_blocks(s, m_len, len, a, b.pointer, c, c_stride, columns, store);
                        } else {
                            row_blocks(s, m_len, len, a, b, c, c_stride, columns, store);
                        }
                    }
                }
                m_start += m_len;
            }
        }
        if S::TILED {
            // SAFETY: as above.
            unsafe { s.tile_registers().release() };
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
    impl Vectorized for Panels<'_, '_> {
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
    assert!(
        packed.len() >= packed_len(k, n),
        "packed has {} elements, needs {}",
        packed.len(),
        packed_len(k, n)
    );
    let shape = (k, n);
    if k * n < SMALL {
        return cpu.vectorized(Panels { shape, b, packed: &packed, thread: 0, threads: 1 });
    }
    let threads = cpu.threads();
    cpu.parallel(|thread| cpu.vectorized(Panels { shape, b, packed: &packed, thread, threads }));
}

/// `C (+)= A · B` on all threads, C row-major with rows `c_stride` apart: the longer dimension of C is split.
///
/// # Safety
/// `a` must be readable as `[m, k]` and `packed` must contain a packed `[k, n]` matrix.
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
    if m == 0 || n == 0 {
        return;
    }
    let needed = packed_len(k, n);
    assert!(packed.len() >= needed, "packed has {} elements, needs {needed}", packed.len());
    let packed = PackedMatrix::Numbers(packed.as_ptr());
    // SAFETY: as the caller guarantees.
    unsafe { product_by(cpu, (m, k, n), a, packed, c, c_stride, store) }
}

/// [`product_all`] by a packed matrix of any kind.
///
/// # Safety
/// As [`product_all`]; the packed matrix must be readable.
/// # Panics
/// If C does not fit.
pub(crate) unsafe fn product_by(
    cpu: &Cpu,
    (m, k, n): (usize, usize, usize),
    a: Matrix,
    packed: PackedMatrix,
    c: &mut [f32],
    c_stride: usize,
    store: Store,
) {
    struct Part {
        shape: (usize, usize, usize),
        a: Matrix,
        packed: PackedMatrix,
        c: *mut f32,
        c_stride: usize,
        store: Store,
        thread: usize,
        threads: usize,
    }
    impl Vectorized for Part {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Part { shape: (m, k, n), a, packed, c, c_stride, store, thread, threads } = self;
            let panels = packed.panel_count(s, n);
            // SAFETY: the outer caller guarantees the matrices; each thread has its own rows or panels.
            unsafe {
                if m >= panels {
                    let rows = share(m, 1, threads, thread);
                    let (a, c) = (a.offset(rows.start, 0), c.add(rows.start * c_stride));
                    let (shape, panels) = ((rows.len(), k, n), 0..panels);
                    s.product(Product { shape, a, packed, panels, c, c_stride, store });
                } else {
                    let panels = share(panels, 1, threads, thread);
                    s.product(Product { shape: (m, k, n), a, packed, panels, c, c_stride, store });
                }
            }
        }
    }
    if m == 0 || n == 0 {
        return;
    }
    let needed = (m - 1) * c_stride + n;
    assert!(n <= c_stride && c.len() >= needed, "C has {} elements, needs {needed}", c.len());
    let shape = (m, k, n);
    let c = SharedMut::new(c);
    let part = |thread, threads| Part { shape, a, packed, c: c.at(0), c_stride, store, thread, threads };
    if m * k * n < SMALL {
        return cpu.vectorized(part(0, 1));
    }
    let threads = cpu.threads();
    cpu.parallel(|thread| cpu.vectorized(part(thread, threads)));
}

/// Packs the `[k, n]` matrix `b` and multiplies by it on all threads: `C (+)= A · B`, C row-major and contiguous.
///
/// If B has enough panels, each thread multiplies by those that it has packed: they stay in its cache, and no thread
/// waits between the two.
///
/// # Safety
/// `a` must be readable as `[m, k]`, `b` as `[k, n]`.
/// # Panics
/// If C or the packed matrix does not fit.
pub(crate) unsafe fn pack_and_multiply(
    cpu: &Cpu,
    (m, k, n): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    packed: &mut [f32],
    c: &mut [f32],
    store: Store,
) {
    struct PanelCount(usize);
    impl Vectorized for PanelCount {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> usize {
            panel_count(s, self.0)
        }
    }
    struct Part<'a, 'b> {
        shape: (usize, usize, usize),
        a: Matrix,
        b: Matrix,
        packed: &'a SharedMut<'b, f32>,
        c: *mut f32,
        store: Store,
        panels: std::ops::Range<usize>,
    }
    impl Vectorized for Part<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Part { shape: (m, k, n), a, b, packed, c, store, panels } = self;
            // SAFETY: the outer caller guarantees the matrices; each thread has its own panels.
            unsafe {
                pack(s, k, n, b, packed, panels.clone());
                let packed = PackedMatrix::Numbers(packed.at(0));
                s.product(Product { shape: (m, k, n), a, packed, panels, c, c_stride: n, store });
            }
        }
    }
    let panels = cpu.vectorized(PanelCount(n));
    let threads = if m * k * n < SMALL { 1 } else { cpu.threads() };
    if !panels.is_multiple_of(threads) && panels < 4 * threads {
        // Panels alone would not keep all threads busy.
        // SAFETY: as the caller guarantees.
        unsafe {
            pack_all(cpu, k, n, b, packed);
            product_all(cpu, (m, k, n), a, packed, c, n, store);
        }
        return;
    }
    assert!(c.len() >= m * n, "C has {} elements, needs {}", c.len(), m * n);
    let needed = packed_len(k, n);
    assert!(packed.len() >= needed, "packed has {} elements, needs {needed}", packed.len());
    let (packed, c) = (SharedMut::new(packed), SharedMut::new(c));
    let part = |panels| Part { shape: (m, k, n), a, b, packed: &packed, c: c.at(0), store, panels };
    if threads == 1 {
        return cpu.vectorized(part(0..panels));
    }
    cpu.parallel(|thread| cpu.vectorized(part(share(panels, 1, threads, thread))));
}

/// A panel of B, or as many steps of it as a tile takes, and the panel after it.
#[derive(Clone, Copy)]
struct Panel {
    pointer: *const f32,
    /// Never read, only prefetched while this one is used: otherwise, with a weight larger than the
    /// second-level cache, the first tile of each panel would wait.
    next: *const f32,
}

/// The tiles of `m` rows and one panel.
///
/// # Safety
/// `a` must be readable as `[m, k]`, `b` must be a packed panel of `k` steps with at least `columns` columns, and
/// `columns` elements of each of the `m` rows of C must be writable, with no other code accessing them.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn row_blocks<S: Simd>(
    s: S,
    m: usize,
    k: usize,
    a: Block,
    b: Panel,
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
            // The strides are hidden from the compiler. Otherwise it would generate separate code for each
            // case, and the tallest tile would not fit in the registers. If several steps are written out, one
            // stride is 1.
            let a = std::hint::black_box(a.rows(rows));
            macro_rules! tile_of {
                ($a:expr, $($height:literal)*) => {
                    match (height, columns > S::LANES) {
                        $(($height, true) => tile::<S, $height, 2>(s, k, $a, b, c, c_stride, columns, store),
                        ($height, false) => tile::<S, $height, 1>(s, k, $a, b, c, c_stride, columns, store),)*
                        _ => unreachable!("tiles have 1 to 12 rows"),
                    }
                };
            }
            if S::TILE_ROWS == 12 {
                tile_of!(a, 1 2 3 4 5 6 7 8 9 10 11 12);
            } else if S::TILE_ROWS == 8 {
                tile_of!(a, 1 2 3 4 5 6 7 8);
            } else if S::STEPS > 1 && a.row_stride == 1 {
                tile_of!(Matrix { row_stride: 1, ..a }, 1 2 3 4 5 6);
            } else if S::STEPS > 1 && a.column_stride == 1 {
                tile_of!(Matrix { column_stride: 1, ..a }, 1 2 3 4 5 6);
            } else {
                tile_of!(a, 1 2 3 4 5 6);
            }
        }
    }
}

/// One tile of C: `ROWS` rows of `VECTORS` vectors, of which `columns` elements exist.
///
/// # Safety
/// `a` must be readable as `[ROWS, k]`, `b` must be readable as `k` times `VECTORS` vectors, and `columns` elements of
/// each of the `ROWS` rows of C must be writable, with no other code accessing them.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
#[allow(clippy::needless_range_loop)] // With iterator adaptors, the compiler would not keep the sums in registers.
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    k: usize,
    a: Matrix,
    b: Panel,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
) {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    // SAFETY: the caller guarantees ROWS × k of A, k × VECTORS vectors of B and ROWS × columns of C.
    unsafe {
        // C may not be cached; while the tile is computed there is time to prefetch it.
        for row in 0..ROWS {
            for v in 0..VECTORS {
                s.prefetch(c.wrapping_add(row * c_stride + v * S::LANES));
            }
        }
        // A short tile does so little with a panel that the processor streams it from memory, which works
        // best without prefetching.
        let asks_ahead = 2 * ROWS > S::TILE_ROWS;
        let done = if S::BY_LANE { by_lane::steps(s, k, a, b, asks_ahead, &mut sums) } else { 0 };
        let mut a_column = a.pointer.add(done * a.column_stride);
        let mut b_row = b.pointer.add(done * VECTORS * S::LANES);
        let mut next_row = b.next.wrapping_add(done * VECTORS * S::LANES);
        macro_rules! steps {
            ($count:expr) => {
                for step in 0..$count {
                    let mut vectors = [s.splat(0.0); VECTORS];
                    for v in 0..VECTORS {
                        let at = (step * VECTORS + v) * S::LANES;
                        vectors[v] = s.load(b_row.add(at));
                        // Once for each line of the cache.
                        if asks_ahead && (v * S::LANES).is_multiple_of(LINE) {
                            s.prefetch(next_row.wrapping_add(at));
                        }
                    }
                    for row in 0..ROWS {
                        let factor = s.splat(*a_column.add(row * a.row_stride + step * a.column_stride));
                        for v in 0..VECTORS {
                            sums[row][v] = s.multiply_accumulate(factor, vectors[v], sums[row][v]);
                        }
                    }
                }
                a_column = a_column.add($count * a.column_stride);
                b_row = b_row.add($count * VECTORS * S::LANES);
                next_row = next_row.wrapping_add($count * VECTORS * S::LANES);
            };
        }
        let together = (k - done) / S::STEPS;
        for _ in 0..together {
            steps!(S::STEPS);
        }
        for _ in done + together * S::STEPS..k {
            steps!(1);
        }
        // Each case has its own loops, without a branch inside: otherwise the sums would be spilled to
        // memory.
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
