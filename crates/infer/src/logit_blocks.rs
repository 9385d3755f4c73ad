//! What one pass over rows of logits tells of them: the largest logit and the weight of each block of the vocabulary.

use std::borrow::Cow;

use rondo_kernels::sample::{self, Dims};
use rondo_kernels::{Buffer, Device, Slice};
use rondo_nn::NnError;

use crate::Result;

/// The blocks of some rows, and the memory for them.
#[derive(Debug)]
pub(crate) struct LogitBlocks {
    device: Device,
    /// Those of the rows that were looked at last.
    dims: Dims,
    /// At least as many as there are blocks.
    maxima: Buffer,
    sums: Buffer,
}

/// What the blocks of some rows hold, for the host.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    dims: Dims,
    maxima: Cow<'a, [f32]>,
    sums: Cow<'a, [f32]>,
}

/// The blocks of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBlocks<'a> {
    /// The largest logit of each block.
    pub(crate) maxima: &'a [f32],
    /// What each block weighs relative to its maximum; of no meaning where that was not asked for.
    pub(crate) sums: &'a [f32],
}

impl LogitBlocks {
    /// Blocks of no row yet, for logits on `device`.
    pub(crate) fn new(device: &Device) -> LogitBlocks {
        let [maxima, sums] = [(); 2].map(|()| Buffer::zeros(device, 0));
        LogitBlocks { device: device.clone(), dims: Dims { rows: 0, vocab: 0 }, maxima, sums }
    }

    /// Looks at `logits: [R, V]` under `caps: [V]`, and weighs blocks if there is a temperature to do so at.
    ///
    /// # Panics
    /// If the logits are no whole rows.
    pub(crate) fn look(
        &mut self,
        vocab: usize,
        logits: Slice<'_>,
        caps: Option<&Buffer>,
        temperature: Option<f32>,
    ) {
        self.dims = Dims { rows: logits.len() / vocab, vocab };
        let len = self.dims.rows * self.dims.blocks();
        if self.maxima.len() < len {
            for buffer in [&mut self.maxima, &mut self.sums] {
                *buffer = Buffer::zeros(&self.device, len);
            }
        }
        let args = sample::Forward {
            logits,
            caps: caps.map(Buffer::slice),
            maxima: self.maxima.range_mut(0..len),
            sums: temperature.map(|temperature| (temperature, self.sums.range_mut(0..len))),
        };
        sample::forward(&self.device, self.dims, args);
    }

    /// Picks a token of each row that was looked at, at the same temperature and under the same caps. What the blocks
    /// weigh is of no meaning afterwards.
    pub(crate) fn pick(
        &mut self,
        logits: Slice<'_>,
        caps: Option<&Buffer>,
        temperature: f32,
        points: &[f64],
        ids: &mut Buffer<u32>,
    ) {
        let len = self.dims.rows * self.dims.blocks();
        let args = sample::Pick {
            temperature,
            logits,
            caps: caps.map(Buffer::slice),
            maxima: self.maxima.range(0..len),
            sums: self.sums.range_mut(0..len),
            points,
            ids: ids.slice_mut(),
        };
        sample::pick(&self.device, self.dims, args);
    }

    /// What was found in the rows that were looked at, for the host.
    pub(crate) fn read(&self) -> Result<Blocks<'_>> {
        let len = self.dims.rows * self.dims.blocks();
        let [maxima, sums] = [&self.maxima, &self.sums].map(|buffer| buffer.range(0..len).read());
        Ok(Blocks {
            dims: self.dims,
            maxima: maxima.map_err(NnError::from)?,
            sums: sums.map_err(NnError::from)?,
        })
    }
}

impl Blocks<'_> {
    /// Row by row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = RowBlocks<'_>> {
        let blocks = self.dims.blocks();
        (0..self.dims.rows).map(move |row| {
            let here = row * blocks..(row + 1) * blocks;
            RowBlocks { maxima: &self.maxima[here.clone()], sums: &self.sums[here] }
        })
    }
}

impl RowBlocks<'_> {
    /// The largest logit: not finite if the row is no distribution.
    pub(crate) fn largest(self) -> f32 {
        self.maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// `log Σ e^logit`, of blocks that were weighed at temperature 1 without caps.
    pub(crate) fn log_sum(self) -> f64 {
        f64::from(self.largest()) + self.weight_sum(1.0).ln()
    }

    /// `Σ e^((logit − largest) / temperature)`, at the temperature that the blocks were weighed at.
    pub(crate) fn weight_sum(self, temperature: f64) -> f64 {
        let largest = f64::from(self.largest());
        let share = |max: f32| ((f64::from(max) - largest) / temperature).exp();
        self.maxima.iter().zip(self.sums).map(|(&max, &sum)| f64::from(sum) * share(max)).sum()
    }
}
