//! GPU implementation: the mask is generated where it is applied, the same as on a CPU.

use super::reference::{BLOCKS, GROUP};
use super::{Dims, Dropout, Key, Mask, RowDims, Step, threshold};
use crate::gpu::{Gpu, Kernel, View, groups, is_add};
use crate::{SliceMut, Store};

const SOURCE: &str = include_str!("dropout.wgsl");
const ELEMENTS: Kernel = Kernel { name: "dropout", source: SOURCE, entry: "elements", inputs: 2, outputs: 1 };
const ROWS: Kernel = Kernel { name: "dropout", source: SOURCE, entry: "rows", inputs: 2, outputs: 1 };

/// Invocations of a workgroup that share the elements.
const INVOCATIONS: usize = 256;

/// Applies dropout to the elements of `from`, or to those of `to` if `from` is `None`.
pub(super) fn apply(
    gpu: &Gpu,
    dims: Dims,
    dropout: Dropout,
    from: Option<View<'_>>,
    to: SliceMut<'_>,
    store: Store,
) {
    if to.is_empty() || (from.is_none() && dropout.probability == 0.0) {
        return;
    }
    let Step { before, own, all } = Step::new(dims, dropout.columns);
    let (repeats, mask_len) = match dropout.mask {
        Mask::Elementwise => (1, dims.steps * all),
        Mask::Locked => (dims.steps, all),
    };
    let blocks = mask_len.div_ceil(GROUP) * BLOCKS;
    let is_in_place = u32::from(from.is_none());
    let bindings = [from.unwrap_or_else(|| gpu.no_input()), gpu.no_input(), to.gpu()];
    let mut numbers = draw(dropout.probability, dropout.key).to_vec();
    numbers.extend([blocks as u32, mask_len as u32, repeats as u32, is_in_place, is_add(store)]);
    numbers.extend([before, own, all].map(|count| count as u32));
    gpu.run(&ELEMENTS, &bindings, &numbers, groups((blocks * repeats).div_ceil(INVOCATIONS)));
}

/// Drops rows by their ids.
pub(super) fn rows_in_place(
    gpu: &Gpu,
    RowDims { rows, width }: RowDims,
    probability: f32,
    key: Key,
    ids: View<'_>,
    values: View<'_>,
) {
    if rows == 0 || width == 0 || probability == 0.0 {
        return;
    }
    let mut numbers = draw(probability, key).to_vec();
    numbers.extend([rows as u32, width as u32]);
    gpu.run(&ROWS, &[gpu.no_input(), ids, values], &numbers, groups(rows));
}

/// What a kernel draws: the key's words, the threshold, and the scale of what is kept.
fn draw(probability: f32, Key { seed, stream }: Key) -> [u32; 6] {
    let scale = 1.0 / (1.0 - probability);
    let (seed, stream) = ([seed as u32, (seed >> 32) as u32], [stream as u32, (stream >> 32) as u32]);
    [seed[0], seed[1], stream[0], stream[1], threshold(probability), scale.to_bits()]
}
