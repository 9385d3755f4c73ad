//! The window of past positions that a cache looks back at.
//!
//! ```text
//! hidden  [ remembered, at most `window`         | those of the current batch  ]      [positions, H]
//! next    [ ...............................................................  ]      [positions]
//! ```
//!
//! A batch is compared in blocks of rows: the scores of a block are one matrix multiplication, small enough
//! for the result to stay in the processor's cache while every θ reads it.

use rondo_kernels::{Buffer, Device, Slice, cache_attention, linear};
use rondo_nn::NnError;

use crate::Result;

/// Rows whose scores are computed at a time. A larger block computes more scores for positions that no row
/// looks back at; a smaller one packs each position more often.
const BLOCK_ROWS: usize = 128;

/// Past hidden states, each with the token that followed.
pub(super) struct Memory {
    window: usize,
    /// `H`, the hidden width.
    width: usize,
    /// The number of remembered positions.
    len: usize,
    /// Whether any text has been read yet.
    begun: bool,
    hidden: Buffer,
    next: Buffer<u32>,
    packed: Buffer,
    scores: Buffer,
    shares: Buffer,
}

impl Memory {
    /// An empty memory of `window` positions, for batches of at most `longest` rows of `width` elements.
    pub(super) fn new(device: &Device, window: usize, width: usize, longest: usize) -> Memory {
        let rows = BLOCK_ROWS.min(longest);
        Memory {
            window,
            width,
            len: 0,
            begun: false,
            hidden: Buffer::zeros(device, (window + longest) * width),
            next: Buffer::zeros(device, window + longest),
            packed: Buffer::zeros(
                device,
                linear::pack_len(device, width, window + rows, linear::Pack::Forward),
            ),
            scores: Buffer::zeros(device, rows * (window + rows)),
            shares: Buffer::zeros(device, rows),
        }
    }

    /// Reads a batch of `hidden: [R, H]` with the next tokens `next: [R]`. For each block of rows and each of
    /// `thetas`, calls `each` with the index of θ, the first row, and the cache's probabilities of the rows'
    /// next tokens; `None` for the first token of a text, for which the cache is empty.
    pub(super) fn read(
        &mut self,
        device: &Device,
        hidden: Slice<'_>,
        next: &[u32],
        thetas: &[f64],
        mut each: impl FnMut(usize, usize, &mut dyn Iterator<Item = Option<f32>>),
    ) -> Result<()> {
        let (len, width) = (self.len, self.width);
        self.hidden.range_mut(len * width..(len + next.len()) * width).copy_from(hidden);
        self.next.range_mut(len..len + next.len()).write_from(next).map_err(NnError::from)?;
        for row in (0..next.len()).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(next.len() - row);
            let dims = self.score(device, row, rows);
            for (index, &theta) in thetas.iter().enumerate() {
                let end = len + row + rows;
                cache_attention::forward(
                    device,
                    dims,
                    theta as f32,
                    self.scores.range(0..rows * dims.positions),
                    self.next.range(end - dims.positions..end),
                    self.shares.range_mut(0..rows),
                );
                let silent = if self.begun || row > 0 { 0 } else { 1 };
                let shares = self.shares.range(0..rows).read().map_err(NnError::from)?;
                let shares = shares.iter().enumerate();
                each(index, row, &mut shares.map(|(at, &share)| (at >= silent).then_some(share)));
            }
        }
        self.begun = true;
        self.forget(len + next.len());
        Ok(())
    }

    /// Computes the dot products of `rows` rows, starting at `row`, with all positions from the first one's
    /// window on.
    fn score(&mut self, device: &Device, row: usize, rows: usize) -> cache_attention::Dims {
        let (own, end, width) = (self.len + row, self.len + row + rows, self.width);
        let start = own.saturating_sub(self.window);
        let positions = end - start;
        let packed_len = linear::pack_len(device, width, positions, linear::Pack::Forward);
        linear::pack(
            device,
            width,
            positions,
            linear::Pack::Forward,
            self.hidden.range(start * width..end * width),
            self.packed.range_mut(0..packed_len),
        );
        linear::forward(
            device,
            linear::Dims { rows, inputs: width, outputs: positions },
            self.packed.range(0..packed_len),
            None,
            self.hidden.range(own * width..end * width),
            self.scores.range_mut(0..rows * positions),
        );
        cache_attention::Dims { rows, positions, window: self.window }
    }

    /// Keeps the last `window` of `len` positions.
    fn forget(&mut self, len: usize) {
        self.len = len.min(self.window);
        let (from, width) = (len - self.len, self.width);
        self.hidden.copy_within(from * width..len * width, 0);
        self.next.copy_within(from..len, 0);
    }
}
