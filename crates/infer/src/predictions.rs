//! What rows of logits predict about one token each: its log-probability and rank, and the entropy; with the memory for it.

use rondo_kernels::prediction::{self, Dims};
use rondo_kernels::{Buffer, Device, Slice};
use rondo_nn::{Hidden, Model, NnError, Tape};

use crate::Result;

/// The size of the logits of a batch, in numbers; of an approximate model, of those that are summed and of the units.
pub(crate) const LOGITS: usize = 1 << 22;

/// The predictions of the last batch, on the device.
#[derive(Debug)]
pub(crate) struct Predictions {
    device: Device,
    targets: Buffer<u32>,
    log_probs: Buffer,
    entropies: Buffer,
    ranks: Buffer<u32>,
}

/// The same, on the host.
pub(crate) struct HostPredictions {
    pub(crate) log_probs: Vec<f32>,
    pub(crate) entropies: Vec<f32>,
    pub(crate) ranks: Vec<u32>,
}

impl Predictions {
    /// No rows yet.
    pub(crate) fn new(device: &Device) -> Predictions {
        Predictions::of_rows(device, 0)
    }

    fn of_rows(device: &Device, rows: usize) -> Predictions {
        let floats = || Buffer::zeros(device, rows);
        let ids = || Buffer::zeros(device, rows);
        Predictions {
            device: device.clone(),
            targets: ids(),
            log_probs: floats(),
            entropies: floats(),
            ranks: ids(),
        }
    }

    /// Computes what the logits predict about each row's target.
    pub(crate) fn predict(&mut self, dims: Dims, logits: Slice<'_>, targets: &[u32]) -> Result<()> {
        if self.targets.len() < dims.rows {
            *self = Predictions::of_rows(&self.device, dims.rows);
        }
        let all = 0..dims.rows;
        self.targets.range_mut(all.clone()).write_from(targets).map_err(NnError::from)?;
        let args = prediction::Forward {
            logits,
            targets: self.targets.range(all.clone()),
            log_probs: self.log_probs.range_mut(all.clone()),
            entropies: self.entropies.range_mut(all.clone()),
            ranks: self.ranks.range_mut(all),
        };
        prediction::forward(&self.device, dims, args);
        Ok(())
    }

    /// The predictions of the first rows.
    pub(crate) fn read(&self, rows: usize) -> Result<HostPredictions> {
        let floats = |buffer: &Buffer| buffer.range(0..rows).read().map(std::borrow::Cow::into_owned);
        Ok(HostPredictions {
            log_probs: floats(&self.log_probs).map_err(NnError::from)?,
            entropies: floats(&self.entropies).map_err(NnError::from)?,
            ranks: self.ranks.range(0..rows).read().map_err(NnError::from)?.into_owned(),
        })
    }

    /// The log-probability and the rank of each row's target, where the tokens `excluded` do not count among those above
    /// it.
    pub(crate) fn ranked(
        &mut self,
        model: &dyn Model,
        tape: &mut Tape<'_>,
        hidden: Hidden,
        targets: &[u32],
        excluded: &[u32],
    ) -> Result<HostPredictions> {
        let logits = model.logits(tape, hidden);
        let dims = Dims { rows: targets.len(), vocab: model.vocab_size() };
        self.predict(dims, tape.values(logits), targets)?;
        let mut found = self.read(dims.rows)?;
        if !excluded.is_empty() {
            let logits = tape.read(logits)?;
            let rows = logits.chunks_exact(dims.vocab).zip(targets).zip(&mut found.ranks);
            for ((logits, &target), rank) in rows {
                let target = logits[target as usize];
                *rank -= excluded.iter().filter(|id| logits[**id as usize] > target).count() as u32;
            }
        }
        Ok(found)
    }
}
