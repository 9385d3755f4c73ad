//! The matrix product that operations share: `C (+)= A·B (+ bias)`.
//!
//! A workgroup computes a tile of C; tiles of A and B pass through its memory. Sums over `k` are split into blocks, each
//! with a sum of its own, since a single chain of thousands of `f32` additions loses too much.

use super::{Gpu, Kernel, View, groups, is_add};
use crate::{SliceMut, Store};

const SOURCE: &str = include_str!("product.wgsl");

const LARGE: Kernel =
    Kernel { name: "matrix product", source: SOURCE, entry: "large", inputs: 3, outputs: 1 };
const THIN: Kernel = Kernel { name: "matrix product", source: SOURCE, entry: "thin", inputs: 3, outputs: 1 };
const JOIN: Kernel =
    Kernel { name: "join", source: include_str!("join.wgsl"), entry: "join", inputs: 1, outputs: 1 };

/// A matrix to be read: element `(i, j)` is at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) view: View<'a>,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// A product to compute.
pub(crate) struct Product<'a> {
    /// `m`, `k`, `n`.
    pub(crate) shape: (usize, usize, usize),
    /// `[m, k]`.
    pub(crate) a: Matrix<'a>,
    /// `[k, n]`.
    pub(crate) b: Matrix<'a>,
    /// `[n]`, added to each row.
    pub(crate) bias: Option<View<'a>>,
    /// `m` rows of `n` elements, `c_stride` apart.
    pub(crate) c: View<'a>,
    pub(crate) c_stride: usize,
    pub(crate) store: Store,
}

/// Rows and columns of a tile of each kernel.
const LARGE_TILE: (usize, usize) = (64, 64);
const THIN_TILE: (usize, usize) = (16, 64);

/// The most terms that a dispatch adds up: software devices stop a loop after 65,535 iterations.
const MAX_TERMS: usize = 32_768;

impl<'a> Matrix<'a> {
    /// A row-major matrix of contiguous rows.
    pub(crate) fn rows(view: View<'a>, columns: usize) -> Self {
        Matrix { view, row_stride: columns, column_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Matrix { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The matrix from this element on.
    pub(crate) fn from(self, row: usize, column: usize) -> Self {
        Matrix { view: self.view.after(row * self.row_stride + column * self.column_stride), ..self }
    }
}

/// The fewest terms that are worth a part of their own.
const PART_TERMS: usize = 1_024;

/// How many workgroups keep a large GPU busy.
const BUSY: usize = 128;

/// The number of parts of the terms that are summed at the same time, so that a product with many terms and few elements
/// keeps the device busy.
fn parts((m, k, n): (usize, usize, usize)) -> usize {
    let tiles = m.div_ceil(LARGE_TILE.0) * n.div_ceil(LARGE_TILE.1);
    (BUSY / tiles.max(1)).min(k / PART_TERMS).max(1)
}

/// The length of the scratch buffer of [`Product::run_split`].
pub(crate) fn split_len(shape: (usize, usize, usize)) -> usize {
    match parts(shape) {
        1 => 0,
        parts => parts * shape.0 * shape.2,
    }
}

impl Product<'_> {
    pub(crate) fn run(self, gpu: &Gpu) {
        let (m, k, n) = self.shape;
        if m == 0 || n == 0 {
            return;
        }
        let mut start = 0;
        loop {
            let terms = (k - start).min(MAX_TERMS);
            self.dispatch(gpu, start, terms, 1);
            start += terms;
            if start >= k {
                break;
            }
        }
    }

    /// The same, with the terms divided into parts that are computed at the same time and then added up in order.
    pub(crate) fn run_split(self, gpu: &Gpu, scratch: SliceMut<'_>) {
        let (m, k, n) = self.shape;
        let parts = parts(self.shape);
        let terms = k.div_ceil(parts);
        if parts == 1 || terms > MAX_TERMS {
            return self.run(gpu);
        }
        let (c, scratch) = (self.c, scratch.gpu());
        let numbers = [m, n, self.c_stride, parts].map(|number| number as u32);
        let add = is_add(self.store);
        Product { c: scratch, c_stride: n, store: Store::Overwrite, ..self }.dispatch(gpu, 0, terms, parts);
        let numbers: Vec<u32> = numbers.into_iter().chain([add]).collect();
        gpu.run(&JOIN, &[scratch, c], &numbers, groups((m * n).div_ceil(256)));
    }

    /// Computes parts of `terms` terms from `start` on; each part but the first has its own place after C.
    fn dispatch(&self, gpu: &Gpu, start: usize, terms: usize, parts: usize) {
        let Product { shape: (m, k, n), a, b, bias, c, c_stride, store } = *self;
        let (kernel, tile) = if m <= THIN_TILE.0 { (&THIN, THIN_TILE) } else { (&LARGE, LARGE_TILE) };
        let columns = n.div_ceil(tile.1);
        let [x, y, _] = groups(m.div_ceil(tile.0) * columns);
        let (a, b) = (a.from(0, start), b.from(start, 0));
        let is_first = start == 0;
        let numbers = [
            m,
            (k - start).min(terms * parts),
            n,
            a.row_stride,
            a.column_stride,
            b.row_stride,
            b.column_stride,
            c_stride,
            columns,
        ];
        let more = [
            if is_first { is_add(store) } else { 1 },
            u32::from(is_first && bias.is_some()),
            terms as u32,
            (m * n) as u32,
        ];
        let numbers: Vec<u32> = numbers.into_iter().map(|number| number as u32).chain(more).collect();
        let bias = bias.unwrap_or_else(|| gpu.no_input());
        gpu.run(kernel, &[a.view, b.view, bias, c], &numbers, [x, y, parts as u32]);
    }
}
