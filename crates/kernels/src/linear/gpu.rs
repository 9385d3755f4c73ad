//! GPU implementation: the product that all operations share; the weight is packed as it is.

use super::{Backward, Dims};
use crate::Store;
use crate::gpu::product::{Matrix, Product};
use crate::gpu::{Gpu, View, columns};

pub(super) fn forward(gpu: &Gpu, dims: Dims, w: View<'_>, bias: Option<View<'_>>, x: View<'_>, y: View<'_>) {
    let Dims { rows, inputs, outputs } = dims;
    let (a, b) = (Matrix::rows(x, inputs), Matrix::rows(w, inputs).transposed());
    let shape = (rows, inputs, outputs);
    Product { shape, a, b, bias, c: y, c_stride: outputs, store: Store::Overwrite }.run(gpu);
}

pub(super) fn backward(gpu: &Gpu, dims: Dims, args: Backward<'_>) {
    let Dims { rows, inputs, outputs } = dims;
    let (x, d_y, store) = (args.x.gpu(), args.d_y.gpu(), args.store);
    let a = Matrix::rows(d_y, outputs);
    if let Some((w, d_x, store)) = args.d_x {
        let (b, c) = (Matrix::rows(w.gpu(), inputs), d_x.gpu());
        let shape = (rows, outputs, inputs);
        Product { shape, a, b, bias: None, c, c_stride: inputs, store }.run(gpu);
    }
    let (a, b, c) = (a.transposed(), Matrix::rows(x, inputs), args.d_w.gpu());
    let shape = (outputs, rows, inputs);
    Product { shape, a, b, bias: None, c, c_stride: inputs, store }.run(gpu);
    if let Some(d_bias) = args.d_bias {
        columns::sum(gpu, (rows, outputs), d_y, outputs, d_bias.gpu(), store);
    }
}
