//! Statistics of logits by block of the vocabulary, found in one pass: the maximum and the sum of
//! exponentials.

use std::borrow::Cow;

use rondo_kernels::sample::{self, Dims};
use rondo_kernels::{Buffer, Device, Slice};
use rondo_nn::NnError;

use crate::Result;

/// The block statistics of some rows, and the memory for them.
#[derive(Debug)]
pub(crate) struct LogitBlocks {
    device: Device,
    /// The sizes of the rows processed last.
    dims: Dims,
    /// At least as long as the number of blocks.
    maxima: Buffer,
    sums: Buffer,
}

/// The block statistics of some rows, on the host.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    dims: Dims,
    maxima: Cow<'a, [f32]>,
    sums: Cow<'a, [f32]>,
}

/// The block statistics of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBlocks<'a> {
    /// The largest logit of each block.
    pub(crate) maxima: &'a [f32],
    /// The sum of exponentials of each block relative to its maximum; undefined unless it was requested.
    pub(crate) sums: &'a [f32],
}

impl LogitBlocks {
    /// No rows yet, for logits on `device`.
    pub(crate) fn new(device: &Device) -> LogitBlocks {
        let [maxima, sums] = [(); 2].map(|()| Buffer::zeros(device, 0));
        LogitBlocks { device: device.clone(), dims: Dims { rows: 0, vocab: 0 }, maxima, sums }
    }

    /// Processes `logits: [R, V]` under `caps: [V]`; computes sums only if a temperature is given.
    ///
    /// # Panics
    /// If the logits are not whole rows.
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

    /// Samples a token from each row processed last, at the same temperature and under the same caps. The
    /// sums are undefined afterwards.
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

    /// The statistics of the rows processed last, on the host.
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
    /// The statistics, row by row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = RowBlocks<'_>> {
        let blocks = self.dims.blocks();
        (0..self.dims.rows).map(move |row| {
            let here = row * blocks..(row + 1) * blocks;
            RowBlocks { maxima: &self.maxima[here.clone()], sums: &self.sums[here] }
        })
    }
}

impl RowBlocks<'_> {
    /// The largest logit; not finite if the row is not a valid distribution.
    pub(crate) fn largest(self) -> f32 {
        self.maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// `log Σ e^logit`, for blocks summed at temperature 1 without caps.
    pub(crate) fn log_sum(self) -> f64 {
        f64::from(self.largest()) + self.weight_sum(1.0).ln()
    }

    /// `Σ e^((logit − largest) / temperature)`, at the temperature the blocks were summed at.
    pub(crate) fn weight_sum(self, temperature: f64) -> f64 {
        let largest = f64::from(self.largest());
        let share = |max: f32| ((f64::from(max) - largest) / temperature).exp();
        self.maxima.iter().zip(self.sums).map(|(&max, &sum)| f64::from(sum) * share(max)).sum()
    }
}
