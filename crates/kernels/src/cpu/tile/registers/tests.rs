//! Products by emulated tile registers, of all layouts and shapes at the edges of registers and blocks; and the emulated
//! registers beside those of the processor.

use super::{SIZE, TileRegisters as _};
use crate::cpu::simd::{Emulated, EmulatedSplit};
use crate::cpu::tile::{Matrix, PackedMatrix, Product, pack, packed_len, panel_count};
use crate::cpu::{InstructionSet, SharedMut, Simd, Vectorized};
use crate::{Precision, Store};

/// Random bits, the same for the same seed.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 16
    }
}

/// Small multiples of a power of two: exact in bf16, and so are their sums in `f32`.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut random = random(seed);
    std::iter::repeat_with(|| ((random() >> 24) % 17) as f32 / 8.0 - 1.0).take(len).collect()
}

/// How the first factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Rows,
    Columns,
    PairsInRows,
    PairsInColumns,
}

const LAYOUTS: [Layout; 4] = [Layout::Rows, Layout::Columns, Layout::PairsInRows, Layout::PairsInColumns];

/// Element `(row, column)` of a matrix of `rows` of `width` elements.
fn transposed(values: &[f32], rows: usize, width: usize) -> Vec<f32> {
    (0..width * rows).map(|at| values[at % rows * width + at / rows]).collect()
}

/// The rows of `[m, k]` as pairs.
fn pairs(values: &[f32], k: usize) -> Vec<f32> {
    let half = |value: Option<&f32>| value.map_or(0, |value| value.to_bits() >> 16);
    let row = |row: &[f32]| -> Vec<f32> {
        row.chunks(2).map(|two| f32::from_bits(half(two.get(1)) << 16 | half(two.first()))).collect()
    };
    values.chunks(k).flat_map(row).collect()
}

/// `C (+)= A · B` by emulated registers, with two columns more in C that must not change.
fn product<S: Simd>(
    s: S,
    (m, k, n): (usize, usize, usize),
    layout: Layout,
    b_is_transposed: bool,
    store: Store,
) {
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let c_stride = n + 2;
    let before = numbers(m * c_stride, 3);
    let mut expected = before.clone();
    for row in 0..m {
        for column in 0..n {
            let sum: f32 = (0..k).map(|step| a[row * k + step] * b[step * n + column]).sum();
            let at = &mut expected[row * c_stride + column];
            *at = if store == Store::Add { *at + sum } else { sum };
        }
    }
    let steps = k.div_ceil(2);
    let stored = match layout {
        Layout::Rows => a.clone(),
        Layout::Columns => transposed(&a, m, k),
        Layout::PairsInRows => pairs(&a, k),
        Layout::PairsInColumns => transposed(&pairs(&a, k), m, steps),
    };
    let is_paired = matches!(layout, Layout::PairsInRows | Layout::PairsInColumns);
    let width = if is_paired { steps } else { k };
    let matrix = match layout {
        Layout::Rows | Layout::PairsInRows => Matrix::rows(&stored, width),
        Layout::Columns | Layout::PairsInColumns => Matrix::rows(&stored, m).transposed(),
    };
    let matrix = Matrix { paired: is_paired, ..matrix };
    let stored_b = if b_is_transposed { transposed(&b, k, n) } else { b };
    let factor =
        if b_is_transposed { Matrix::rows(&stored_b, k).transposed() } else { Matrix::rows(&stored_b, n) };
    // What is not written must not matter.
    let mut packed = vec![f32::NAN; packed_len(k, n)];
    let panels = 0..panel_count(s, n);
    let mut c = before;
    // SAFETY: all matrices have these shapes.
    unsafe {
        pack(s, k, n, factor, &SharedMut::new(&mut packed), panels.clone());
        let packed = PackedMatrix::Numbers(packed.as_ptr());
        let c = c.as_mut_ptr();
        s.product(Product { shape: (m, k, n), a: matrix, packed, panels, c, c_stride, store });
    }
    assert_eq!(c, expected, "{m} × {k} × {n}, {layout:?}, transposed {b_is_transposed}, {store:?}");
}

/// Products of these sizes, of all layouts.
#[derive(Clone, Copy)]
struct Products<'a>(&'a [(usize, usize, usize)]);

impl Vectorized for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for &(m, k, n) in self.0 {
            // Pairs have no low parts.
            for layout in LAYOUTS.into_iter().take(if S::SPLIT { 2 } else { 4 }) {
                product(s, (m, k, n), layout, (m + k) % 2 == 0, Store::Overwrite);
                product(s, (m, k, n), layout, (k + n) % 2 == 0, Store::Add);
            }
        }
    }
}

impl Products<'_> {
    /// In the twin, and in the registers of the processor if it has some.
    fn check(self) {
        self.run(Emulated);
        self.run(EmulatedSplit);
        if InstructionSet::Amx.is_available() {
            InstructionSet::Amx.run(Precision::Bf16, self);
            InstructionSet::Amx.run(Precision::Bf16x3, self);
        }
    }
}

#[test]
fn products_at_the_edges_of_registers_are_exact() {
    let sizes: &[usize] = if cfg!(miri) { &[1, 17] } else { &[1, 2, 15, 16, 17, 31, 32, 33, 50] };
    let columns = |m, k| sizes.iter().map(move |&n| (m, k, n));
    let rows = |m| sizes.iter().flat_map(move |&k| columns(m, k));
    let shapes: Vec<_> = sizes.iter().flat_map(|&m| rows(m)).collect();
    Products(&shapes).check();
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn products_of_several_blocks_are_exact() {
    Products(&[(130, 40, 33), (3, 1_500, 17), (129, 1_409, 3), (1, 3_000, 1)]).check();
}

/// The largest error of the elements of a product of random numbers in [-1, 1), relative to the norms of a row and a column.
fn largest_error<S: Simd>(s: S, (m, k, n): (usize, usize, usize)) -> f64 {
    let mut random = random(4);
    let mut numbers = |len: usize| -> Vec<f32> {
        std::iter::repeat_with(|| (random() >> 24) as f32 / (1 << 23) as f32 - 1.0).take(len).collect()
    };
    let (a, b) = (numbers(m * k), numbers(k * n));
    let (mut packed, mut c) = (vec![f32::NAN; packed_len(k, n)], vec![f32::NAN; m * n]);
    let panels = 0..panel_count(s, n);
    // SAFETY: all matrices have these shapes.
    unsafe {
        pack(s, k, n, Matrix::rows(&b, n), &SharedMut::new(&mut packed), panels.clone());
        let packed = PackedMatrix::Numbers(packed.as_ptr());
        let (a, c) = (Matrix::rows(&a, k), c.as_mut_ptr());
        s.product(Product { shape: (m, k, n), a, packed, panels, c, c_stride: n, store: Store::Overwrite });
    }
    let norm =
        |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let mut largest = 0.0_f64;
    for row in 0..m {
        for column in 0..n {
            let (a, b) = (&a[row * k..][..k], b.iter().copied().skip(column).step_by(n));
            let exact: f64 = a.iter().zip(b.clone()).map(|(&a, b)| f64::from(a) * f64::from(b)).sum();
            let norms = norm(&mut a.iter().copied()) * norm(&mut b.clone());
            largest = largest.max((f64::from(c[row * n + column]) - exact).abs() / norms);
        }
    }
    largest
}

#[test]
fn factors_in_two_parts_are_nearly_as_exact_as_numbers_of_32_bits() {
    let shapes: &[_] = if cfg!(miri) { &[(2, 33, 2)] } else { &[(20, 200, 33), (33, 1_500, 17), (5, 7, 3)] };
    for &shape in shapes {
        let (rounded, split) = (largest_error(Emulated, shape), largest_error(EmulatedSplit, shape));
        assert!(rounded > 1e-4 && rounded < 1e-2, "{shape:?}: {rounded:e} of rounded factors");
        assert!(split < 4e-6, "{shape:?}: {split:e} of factors in two parts");
    }
}

/// `C += A · B` in registers, three times, with numbers of all magnitudes, denormal ones and zeros among them.
struct OneProduct;

impl Vectorized for OneProduct {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<u32> {
        let t = s.tile_registers();
        let mut random = random(5);
        // Neither infinite nor NaN, whose bits may differ.
        let mut half = |exponents: u64| {
            let bits = random();
            (bits & 0x807f) as u32 | (((bits >> 32) % exponents) as u32 * 0x80)
        };
        let mut values = |exponents: u64| -> Vec<f32> {
            let bits = |_| f32::from_bits(half(exponents) << 16 | half(exponents));
            (0..SIZE * SIZE).map(bits).collect()
        };
        let mut found = Vec::new();
        // All magnitudes; those whose products are denormal; denormal numbers.
        for exponents in [180, 64, 1] {
            let (a, b, mut c) = (values(exponents), values(exponents), values(exponents));
            // SAFETY: the registers are there, and all matrices have their size.
            unsafe {
                t.configure();
                t.load::<0>(c.as_ptr(), SIZE);
                t.load::<4>(a.as_ptr(), SIZE);
                t.load::<6>(b.as_ptr(), SIZE);
                t.multiply::<0, 4, 6>();
                t.store::<0>(c.as_mut_ptr(), SIZE);
                t.release();
            }
            found.extend(c.into_iter().map(f32::to_bits));
        }
        found
    }
}

#[test]
fn the_registers_of_the_processor_give_the_bits_of_the_emulated_ones() {
    let emulated = OneProduct.run(Emulated);
    assert!(emulated.iter().all(|&bits| !f32::from_bits(bits).is_subnormal()));
    if InstructionSet::Amx.is_available() {
        assert_eq!(InstructionSet::Amx.run(Precision::Bf16, OneProduct), emulated);
    } else {
        eprintln!("skipped in the registers of the processor: it does not have AMX");
    }
}
