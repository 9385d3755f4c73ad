//! Adds up the gradients of the processes that train together, while the backward pass is still running.
//!
//! ```text
//! backward pass       decoder ──▶ layer 2 ──▶ layer 1 ──▶ embedding
//! sums of gradients           └─ decoder ─▶ layer 2 ─▶ layer 1 ─┐ then the rows of the embedding, gathered
//! ```
//!
//! All ranks must add up the same gradients in the same order, whichever of them are finished first, and even if a rank has
//! no contribution to some of them (a tail of an adaptive softmax without targets). So the ranks agree on what is added
//! before the pass, and the order is always from the last parameter to the first, which is about that of the pass.
//!
//! A row-sparse gradient is not made dense: the ranks exchange its rows, and add those with the same index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rondo_collective::{Collective, CollectiveError};
use rondo_kernels::Buffer;
use rondo_nn::{Contribution, Gradient, GradientObserver, Gradients, NnError, ParameterId, Parameters};

use crate::Result;

/// The exchange of gradients in a training step.
#[derive(Debug)]
pub(crate) struct Exchange {
    ranks: Arc<dyn Collective>,
    /// For each parameter, what any rank contributes to its gradient.
    contributions: Vec<Contribution>,
    /// Whether this rank's contributions are complete.
    finished: Vec<bool>,
    /// The number of parameters, from the last, whose sums have been started if they are dense.
    started: usize,
    /// What went wrong at the beginning of a pass.
    failure: Option<CollectiveError>,
    /// How long this rank has waited for sums and rows after its own backward passes.
    waiting: Duration,
}

/// Watches a backward pass.
pub(crate) struct Watching<'a> {
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) parameters: &'a Parameters,
}

impl Exchange {
    pub(crate) fn new(ranks: Arc<dyn Collective>) -> Exchange {
        let (contributions, finished) = (vec![], vec![]);
        Exchange { ranks, contributions, finished, started: 0, failure: None, waiting: Duration::ZERO }
    }

    /// How long this rank has waited for the gradients of the others: what the backward passes did not hide.
    pub(crate) fn waiting(&self) -> Duration {
        self.waiting
    }

    pub(crate) fn ranks(&self) -> &Arc<dyn Collective> {
        &self.ranks
    }

    /// Agrees on what is added up, given what this rank will contribute. Gradients that it has contributed to before, in
    /// other parts of the batch, are in `gradients`.
    pub(crate) fn begin(
        &mut self,
        own: &[Contribution],
        parameters: &Parameters,
        gradients: &mut Gradients,
    ) -> std::result::Result<(), CollectiveError> {
        let before = |id: ParameterId| match gradients.get(id) {
            Gradient::Zero => Contribution::None,
            Gradient::Rows { .. } => Contribution::Rows,
            Gradient::Dense(_) => Contribution::Dense,
        };
        let of_id = |id: ParameterId| own.get(id.index()).copied().unwrap_or_default();
        self.contributions.clear();
        self.contributions.extend(parameters.ids().map(|id| of_id(id).max(before(id))));
        self.finished.clear();
        self.finished.extend(parameters.ids().map(|id| of_id(id) == Contribution::None));
        self.started = 0;
        if !self.ranks.is_alone() {
            let mut codes: Vec<u8> = self.contributions.iter().map(|found| *found as u8).collect();
            self.ranks.max(&mut codes)?;
            let known = [Contribution::None, Contribution::Rows, Contribution::Dense];
            self.contributions.clear();
            self.contributions.extend(codes.into_iter().map(|code| known[usize::from(code.min(2))]));
        }
        self.start_finished(parameters, gradients);
        Ok(())
    }

    /// Starts to add up the gradients that are finished and whose predecessors have been started.
    fn start_finished(&mut self, parameters: &Parameters, gradients: &mut Gradients) {
        for id in parameters.ids().rev().skip(self.started) {
            if !self.finished[id.index()] {
                break;
            }
            self.started += 1;
            if self.is_summed(id, gradients) {
                self.ranks.start_sum(gradients.take_dense(parameters, id));
            }
        }
    }

    /// Whether a gradient is dense on any rank. What one process alone does not contribute to is zero.
    fn is_summed(&self, id: ParameterId, gradients: &Gradients) -> bool {
        match self.contributions[id.index()] {
            Contribution::Dense if self.ranks.is_alone() => matches!(gradients.get(id), Gradient::Dense(_)),
            contribution => contribution == Contribution::Dense,
        }
    }

    /// Waits for the sums, and exchanges the rows of row-sparse gradients.
    ///
    /// # Errors
    /// [`TrainError::Collective`](crate::TrainError::Collective) if a rank has ended, or a device failed.
    pub(crate) fn complete(&mut self, parameters: &Parameters, gradients: &mut Gradients) -> Result<()> {
        if let Some(error) = self.failure.take() {
            return Err(error.into());
        }
        let (of_one, begun) = (self.ranks.is_alone(), Instant::now());
        self.finished.fill(true);
        self.start_finished(parameters, gradients);
        for id in parameters.ids().rev() {
            match self.contributions[id.index()] {
                Contribution::Dense if of_one && !gradients.is_taken(id) => {}
                Contribution::Dense => gradients.put_dense(id, self.ranks.finish_sum()?),
                Contribution::None | Contribution::Rows => {}
            }
        }
        if !of_one {
            for id in parameters.ids().rev() {
                if self.contributions[id.index()] == Contribution::Rows {
                    self.exchange_rows(id, parameters, gradients)?;
                }
            }
            self.waiting += begun.elapsed();
        }
        Ok(())
    }

    /// Replaces the rows of a gradient by those of all ranks.
    fn exchange_rows(
        &mut self,
        id: ParameterId,
        parameters: &Parameters,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let mut bytes = vec![];
        if let Gradient::Rows { rows_on_host, values, .. } = gradients.get(id) {
            let values = values.read().map_err(NnError::from)?;
            bytes.reserve(size_of::<u32>() * (rows_on_host.len() + values.len()));
            bytes.extend(rows_on_host.iter().flat_map(|row| row.to_le_bytes()));
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        let width = parameters.row_width(id);
        let (mut rows, mut values) = (vec![], vec![]);
        for bytes in self.ranks.gather(bytes)? {
            let words: &[[u8; 4]] = bytes.as_chunks().0;
            let (of_rank, others) = words.split_at(words.len() / (1 + width));
            rows.extend(of_rank.iter().map(|bytes| u32::from_le_bytes(*bytes)));
            values.extend(others.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        let values = Buffer::from_slice(parameters.device(), &values).map_err(NnError::from)?;
        gradients.replace_rows(parameters, id, &rows, values.slice());
        Ok(())
    }
}

impl GradientObserver for Watching<'_> {
    fn begin(&mut self, contributions: &[Contribution], gradients: &mut Gradients) {
        // Without an agreement nothing is finished, so nothing is started; `complete` reports the failure.
        self.exchange.failure = self.exchange.begin(contributions, self.parameters, gradients).err();
    }

    fn finished(&mut self, id: ParameterId, gradients: &mut Gradients) {
        if self.exchange.failure.is_none() {
            self.exchange.finished[id.index()] = true;
            self.exchange.start_finished(self.parameters, gradients);
        }
    }
}
