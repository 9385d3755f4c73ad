//! Multiplication by a matrix of bytes with a scale for each column: `C (+)= (A · B) ∘ scales`.
//!
//! A row of A becomes integers of 14 bits with a scale ([`int8`]), in two digits of 7 bits: the instructions multiply four
//! bytes at once. Sums are integers, so they are exact: the same on all processors, in any order, and for a row alone and
//! among others.
//!
//! ```text
//! packed    scales: one for each of the n columns │ bytes: panel after panel
//! panel     four rows of a column, those of the next column, …; the next four rows, …
//! A         128 · upper digit + lower digit, each from −64 to 64
//! ```
//!
//! For a few rows, a product takes as long as reading B: a quarter of the time of 32-bit numbers.
//!
//! Not here: what a scale and an integer are ([`int8`]), and the instructions (`simd`).

use std::mem::MaybeUninit;

use super::{MAX_LANES, Product, SMALL};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::{Store, int8};

/// Vectors of a panel. Fewer would leave the multipliers waiting for each other in a tile of one row.
const PANEL_VECTORS: usize = 4;
/// Bytes of a column that are multiplied at once, in a lane of 32 bits.
pub(crate) const GROUP: usize = 4;
/// The bits of a digit.
const DIGIT_BITS: u32 = 7;
/// Elements of a row whose products are summed as integers: 2,048 · 8,191 · 127 < 2³¹.
const K_BLOCK: usize = 2_048;
/// Rows that become integers before they are multiplied by all panels.
const M_BLOCK: usize = 24;

/// Multiplies groups of four bytes. The weights have [`Simd::BYTE_OFFSET`] added.
pub(crate) trait ByteProducts<S: Simd>: Copy {
    /// The most rows of a tile: sums of four vectors per row, and operands, fill the registers.
    const ROWS: usize;
    /// A group of each of `LANES` columns.
    type Weights: Copy;
    /// A group of a row, for all columns.
    type Inputs: Copy;
    /// For each column, a sum, modulo 2³².
    type Sums: Copy;

    /// Sums of nothing.
    fn zero(self) -> Self::Sums;
    /// Loads weights.
    ///
    /// # Safety
    /// `from` must be readable for `LANES` groups.
    unsafe fn weights(self, from: *const u8) -> Self::Weights;
    /// Loads inputs: their upper and their lower digits.
    ///
    /// # Safety
    /// Both must be readable for a group.
    unsafe fn inputs(self, high: *const i8, low: *const i8) -> Self::Inputs;
    /// Adds the products of a group to the sum of each column.
    fn multiply(self, weights: Self::Weights, inputs: Self::Inputs, sums: Self::Sums) -> Self::Sums;
    /// The sums less `excess`, which is what the offset of the weights has added.
    fn finish(self, sums: Self::Sums, excess: i32) -> S::Vector;
}

/// The length of a packed `[k, n]` matrix, in elements of 32 bits.
pub(crate) const fn packed_len(k: usize, n: usize) -> usize {
    let columns = n.next_multiple_of(MAX_LANES);
    columns + k.div_ceil(GROUP) * columns
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
            let groups = k.div_ceil(GROUP);
            for panel in share(panel_count(s, n), 1, self.threads, self.thread) {
                let (columns, stored) = columns_of(s, n, panel);
                for lane in 0..stored {
                    let column = columns.start + lane;
                    let row = if column < n { &self.w[column * k..(column + 1) * k] } else { &[] };
                    let scale = int8::row_scale(row);
                    // SAFETY: the panels are divided between the threads, and there is room for all that are stored.
                    unsafe {
                        *self.scales.at(column) = scale;
                        let to = self.bytes.at(0).cast::<u8>().add(GROUP * (groups * columns.start + lane));
                        for step in 0..GROUP * groups {
                            let byte = row.get(step).map_or(0, |&x| int8::quantized(x, scale));
                            let place = step / GROUP * GROUP * stored + step % GROUP;
                            *to.add(place) = (i32::from(byte) + S::BYTE_OFFSET) as u8;
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

/// Rows of A as integers.
struct Inputs {
    /// The upper and the lower digits of each row.
    digits: [[[MaybeUninit<i8>; K_BLOCK]; 2]; M_BLOCK],
    scales: [f32; M_BLOCK],
    /// The sum of each row, times [`Simd::BYTE_OFFSET`].
    excess: [i32; M_BLOCK],
}

impl Inputs {
    #[inline(always)]
    fn new() -> Inputs {
        let digits = [[[MaybeUninit::uninit(); K_BLOCK]; 2]; M_BLOCK];
        Inputs { digits, scales: [0.0; M_BLOCK], excess: [0; M_BLOCK] }
    }

    /// Sets a row. The rest of its last group becomes 0.
    #[inline(always)]
    fn set<S: Simd>(&mut self, _: S, row: usize, values: &[f32]) {
        const LOWEST: i32 = -1 << (DIGIT_BITS - 1);
        const MASK: i32 = (1 << DIGIT_BITS) - 1;
        let scale = int8::input_scale(values);
        let factor = int8::input_factor(scale);
        let padded = values.len().next_multiple_of(GROUP);
        let [high, low] = &mut self.digits[row];
        let mut sum = 0i32;
        for ((&x, high), low) in values.iter().zip(&mut *high).zip(&mut *low) {
            let integer = int8::rounded_input(x, factor);
            sum = sum.wrapping_add(integer);
            let lower = (integer.wrapping_sub(LOWEST) & MASK) + LOWEST;
            high.write((integer.wrapping_sub(lower) >> DIGIT_BITS) as i8);
            low.write(lower as i8);
        }
        high[values.len()..padded].fill(MaybeUninit::new(0));
        low[values.len()..padded].fill(MaybeUninit::new(0));
        self.scales[row] = scale;
        self.excess[row] = sum.wrapping_mul(S::BYTE_OFFSET);
    }
}

/// Computes a product by a packed matrix of bytes.
///
/// # Safety
/// As [`Product::compute`], with rows of A that are contiguous.
#[inline(always)]
pub(crate) unsafe fn compute<S: Simd, B: ByteProducts<S>>(s: S, b: B, product: Product, packed: *const f32) {
    let Product { shape: (m, k, n), a, panels, c, c_stride, store, .. } = product;
    debug_assert!(!a.paired, "factors of bytes are not rounded");
    assert_eq!(a.column_stride, 1, "the rows of a factor of bytes are contiguous");
    let groups = k.div_ceil(GROUP);
    let mut inputs = Inputs::new();
    // Without a single element, C is still to be overwritten.
    for start in (0..k.max(1)).step_by(K_BLOCK) {
        let len = (k - start).min(K_BLOCK);
        let store = if start == 0 { store } else { Store::Add };
        for first in (0..m).step_by(M_BLOCK) {
            let m_len = (m - first).min(M_BLOCK);
            for row in 0..m_len {
                // SAFETY: the row is within A.
                inputs.set(s, row, unsafe {
                    std::slice::from_raw_parts(a.offset(first + row, start).pointer, len)
                });
            }
            for panel in panels.clone() {
                let (columns, stored) = columns_of(s, n, panel);
                // SAFETY: the panel is within the packed matrix, the rows and columns are the caller's.
                unsafe {
                    let bytes = packed.add(n.next_multiple_of(MAX_LANES)).cast::<u8>();
                    let part = Part {
                        groups: len.div_ceil(GROUP),
                        inputs: &inputs,
                        scales: packed.add(columns.start),
                        bytes: bytes.add(GROUP * groups * columns.start + start * stored),
                        c: c.add(first * c_stride + columns.start),
                        c_stride,
                        columns: columns.len(),
                        store,
                    };
                    for row in (0..m_len).step_by(B::ROWS) {
                        macro_rules! tile_of {
                            ($($height:literal)*) => {
                                match ((m_len - row).min(B::ROWS), stored / S::LANES) {
                                    $(($height, PANEL_VECTORS) => part.tile::<S, B, $height, PANEL_VECTORS>(s, b, row),
                                    ($height, vectors) => part.narrow::<S, B, $height>(s, b, row, vectors),)*
                                    _ => unreachable!("tiles have 1 to 3 rows"),
                                }
                            };
                        }
                        if B::ROWS == 3 {
                            tile_of!(1 2 3);
                        } else if B::ROWS == 2 {
                            tile_of!(1 2);
                        } else {
                            tile_of!(1);
                        }
                    }
                }
            }
        }
    }
}

/// A block of rows and a panel, as far as their products are one sum of integers.
struct Part<'a> {
    groups: usize,
    inputs: &'a Inputs,
    scales: *const f32,
    bytes: *const u8,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    store: Store,
}

impl Part<'_> {
    /// The tile of a panel with fewer vectors than others: the last.
    ///
    /// # Safety
    /// As [`Part::tile`].
    #[inline(always)]
    unsafe fn narrow<S: Simd, B: ByteProducts<S>, const ROWS: usize>(
        &self,
        s: S,
        b: B,
        row: usize,
        vectors: usize,
    ) {
        // SAFETY: as the caller guarantees.
        unsafe {
            match vectors {
                1 => self.tile::<S, B, ROWS, 1>(s, b, row),
                2 => self.tile::<S, B, ROWS, 2>(s, b, row),
                _ => self.tile::<S, B, ROWS, 3>(s, b, row),
            }
        }
    }

    /// `ROWS` rows, from `first`, of `VECTORS` vectors, of which `columns` elements exist.
    ///
    /// # Safety
    /// The inputs of the rows must have been set, `bytes` must be readable as the groups of `VECTORS` vectors, `scales` as as
    /// many vectors, and `columns` elements of each of the rows of C must be writable, with no other code accessing them.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // With iterator adaptors, the compiler would not keep the sums in registers.
    unsafe fn tile<S: Simd, B: ByteProducts<S>, const ROWS: usize, const VECTORS: usize>(
        &self,
        s: S,
        b: B,
        first: usize,
    ) {
        let mut sums = [[b.zero(); VECTORS]; ROWS];
        let digits = self.inputs.digits.as_ptr().cast::<i8>();
        // SAFETY: as the caller guarantees.
        unsafe {
            for group in 0..self.groups {
                let weights = self.bytes.add(group * GROUP * VECTORS * S::LANES);
                for row in 0..ROWS {
                    let high = digits.add((first + row) * 2 * K_BLOCK + group * GROUP);
                    let inputs = b.inputs(high, high.add(K_BLOCK));
                    for v in 0..VECTORS {
                        let weights = b.weights(weights.add(v * GROUP * S::LANES));
                        sums[row][v] = b.multiply(weights, inputs, sums[row][v]);
                    }
                }
            }
            for v in 0..VECTORS {
                let count = (self.columns - v * S::LANES).min(S::LANES);
                let scale = s.load(self.scales.add(v * S::LANES));
                for row in 0..ROWS {
                    let to = self.c.add((first + row) * self.c_stride + v * S::LANES);
                    let sum = b.finish(sums[row][v], self.inputs.excess[first + row]);
                    // Not fused, so that it is the same on all processors.
                    let value = s.mul(sum, s.mul(scale, s.splat(self.inputs.scales[first + row])));
                    let value = match self.store {
                        Store::Add => s.add(s.load_first(to, count), value),
                        Store::Overwrite => value,
                    };
                    s.store_first(to, count, value);
                }
            }
        }
    }
}
