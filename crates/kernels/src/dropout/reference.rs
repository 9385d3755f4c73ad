//! The reference implementation: plain loops.

use num_traits::Float;

use super::philox;
use super::{Columns, Dims, Dropout, Key, Mask, RowDims, threshold};

/// Masks are generated in groups of this many elements; each group takes 128 blocks of the generator, eight
/// values per block.
pub(super) const GROUP: usize = 1024;
/// Generator blocks per group.
pub(super) const BLOCKS: usize = GROUP / 8;

/// Whether element `index` of a mask is kept.
///
/// Element `e` of group `g` uses value `e / 128` of block `128·g + e mod 128`: so a vector of neighbors takes
/// the same sixteen bits of neighboring blocks. The block index is the low half of the generator's counter,
/// the stream the high half, and the seed its key; the values are the halves of the four words, low half
/// first.
pub fn is_kept(key: Key, probability: f32, index: usize) -> bool {
    let (group, element) = (index / GROUP, index % GROUP);
    let number = (group * BLOCKS + element % BLOCKS) as u64;
    let words = philox::block(&philox::round_keys(key.seed), counter(number, key.stream));
    let draw = element / BLOCKS;
    let bits = (words[draw / 2] >> (16 * (draw % 2))) as u32 & 0xffff;
    bits >= threshold(probability)
}

/// `y = m ∘ x / (1 − p)`; the backward pass applies the same function to the gradient.
pub fn forward<F: Float + From<f32>>(dims: Dims, dropout: Dropout, x: &[F]) -> Vec<F> {
    let scale = F::one() / (F::one() - dropout.probability.into());
    let Columns { first, all } = dropout.columns.unwrap_or(Columns { first: 0, all: dims.batch });
    let element = |(index, &x): (usize, &F)| {
        let (row, unit) = (index / dims.width, index % dims.width);
        let step = match dropout.mask {
            Mask::Elementwise => row / dims.batch,
            Mask::Locked => 0,
        };
        let column = first + row % dims.batch;
        let kept = is_kept(dropout.key, dropout.probability, (step * all + column) * dims.width + unit);
        if kept { x * scale } else { F::zero() }
    };
    x.iter().enumerate().map(element).collect()
}

/// `m[ids[r]] · values[r] / (1 − p)` for each row; element `id` of the mask applies to all rows with that id.
pub fn rows<F: Float + From<f32>>(
    dims: RowDims,
    probability: f32,
    key: Key,
    ids: &[u32],
    values: &[F],
) -> Vec<F> {
    let scale = F::one() / (F::one() - probability.into());
    let element = |(index, &value): (usize, &F)| {
        let kept = is_kept(key, probability, ids[index / dims.width] as usize);
        if kept { value * scale } else { F::zero() }
    };
    values.iter().enumerate().map(element).collect()
}

/// The generator's counter for a block of a stream.
#[inline(always)]
pub(super) fn counter(block: u64, stream: u64) -> [u64; 4] {
    [block & 0xffff_ffff, block >> 32, stream & 0xffff_ffff, stream >> 32]
}
