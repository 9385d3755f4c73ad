//! CPU implementation: rows, or the output's panels if rows are few, are split between the threads.

use super::{Backward, Dims, Pack};
use crate::cpu::tile::{self, Matrix, bytes};
use crate::cpu::{Cpu, columns};
use crate::{Packed, Store};

pub(super) fn pack_len(inputs: usize, outputs: usize, kind: Pack) -> usize {
    match kind {
        Pack::Forward => tile::packed_len(inputs, outputs),
        Pack::Backward => tile::packed_len(outputs, inputs),
    }
}

pub(super) fn pack(cpu: &Cpu, inputs: usize, outputs: usize, kind: Pack, w: &[f32], packed: &mut [f32]) {
    let w = Matrix::rows(w, inputs);
    // SAFETY: the caller has checked both lengths.
    unsafe {
        match kind {
            Pack::Forward => tile::pack_all(cpu, inputs, outputs, w.transposed(), packed),
            Pack::Backward => tile::pack_all(cpu, outputs, inputs, w, packed),
        }
    }
}

pub(super) fn int8_pack_len(inputs: usize, outputs: usize) -> usize {
    bytes::packed_len(inputs, outputs)
}

pub(super) fn pack_int8(cpu: &Cpu, inputs: usize, outputs: usize, w: &[f32], packed: &mut [f32]) {
    bytes::pack_all(cpu, inputs, outputs, w, packed);
}

pub(super) fn forward(
    cpu: &Cpu,
    dims: Dims,
    packed: Packed<'_>,
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    let Dims { rows, inputs, outputs } = dims;
    if let Some(bias) = bias {
        for row in y.chunks_exact_mut(outputs) {
            row.copy_from_slice(bias);
        }
    }
    let store = if bias.is_some() { Store::Add } else { Store::Overwrite };
    // SAFETY: the caller has checked the lengths, and packed holds [inputs, outputs].
    unsafe {
        tile::product_by(
            cpu,
            (rows, inputs, outputs),
            Matrix::rows(x, inputs),
            packed.host(),
            y,
            outputs,
            store,
        )
    };
}

pub(super) fn backward_scratch_len(dims: Dims) -> usize {
    tile::packed_len(dims.rows, dims.inputs)
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, args: Backward<'_>) {
    let Dims { rows, inputs, outputs } = dims;
    let d_y = args.d_y.host();
    let d_y_matrix = Matrix::rows(d_y, outputs);
    if let Some((packed, d_x, store)) = args.d_x {
        let shape = (rows, outputs, inputs);
        // SAFETY: the caller has checked the lengths; packed holds W, [outputs, inputs].
        unsafe {
            tile::product_all(cpu, shape, d_y_matrix, packed.host(), d_x.host(), inputs, store);
        }
    }
    let packed_x = &mut args.scratch.host()[..backward_scratch_len(dims)];
    let shape = (outputs, rows, inputs);
    // SAFETY: the caller has checked the lengths; x is packed as [rows, inputs] just before it is used.
    unsafe {
        tile::pack_all(cpu, rows, inputs, Matrix::rows(args.x.host(), inputs), packed_x);
        let d_w = args.d_w.host();
        tile::product_all(cpu, shape, d_y_matrix.transposed(), packed_x, d_w, inputs, args.store);
    }
    if let Some(d_bias) = args.d_bias {
        columns::sum(cpu, d_y, outputs, 0..outputs, d_bias.host(), args.store);
    }
}
