//! GPU implementation: the product that all operations share.

use super::Dims;
use crate::Store;
use crate::gpu::product::{Matrix, Product};
use crate::gpu::{Gpu, View};

pub(super) fn forward(gpu: &Gpu, Dims { m, k, n }: Dims, a: View<'_>, b: View<'_>, c: View<'_>) {
    let (a, b) = (Matrix::rows(a, k), Matrix::rows(b, n));
    Product { shape: (m, k, n), a, b, bias: None, c, c_stride: n, store: Store::Overwrite }.run(gpu);
}

pub(super) fn backward_a(
    gpu: &Gpu,
    Dims { m, k, n }: Dims,
    d_c: View<'_>,
    b: View<'_>,
    d_a: View<'_>,
    store: Store,
) {
    let (a, b) = (Matrix::rows(d_c, n), Matrix::rows(b, n).transposed());
    Product { shape: (m, n, k), a, b, bias: None, c: d_a, c_stride: k, store }.run(gpu);
}

pub(super) fn backward_b(
    gpu: &Gpu,
    Dims { m, k, n }: Dims,
    a: View<'_>,
    d_c: View<'_>,
    d_b: View<'_>,
    store: Store,
) {
    let (a, b) = (Matrix::rows(a, k).transposed(), Matrix::rows(d_c, n));
    Product { shape: (k, m, n), a, b, bias: None, c: d_b, c_stride: n, store }.run(gpu);
}
