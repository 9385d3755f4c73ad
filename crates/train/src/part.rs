//! Which columns of a batch are computed where, and when.
//!
//! ```text
//! columns of a batch    0 1 2 3 │ 4 5 6 7        divided among the processes that train together,
//!                       rank 0    rank 1
//! columns of a rank     0 1 · 2 3 │ 4 5 · 6 7    and computed in parts, one after another: `training.accumulate`
//! ```
//!
//! Columns do not depend on each other, so the sums of the parts' losses and gradients are those of the batch. Not here:
//! adding them up (`exchange`).

use std::ops::Range;

use rondo_data::{Batch, Batches, NO_TARGET};
use rondo_nn::{ActivationPenalty, Model, State};

use crate::Result;

/// The columns that a rank computes, for each of its parts, of a batch of `batch_size` columns; `None` if there are fewer
/// columns than parts.
pub(crate) fn divide(
    batch_size: usize,
    (rank, ranks): (usize, usize),
    parts: usize,
) -> Option<Vec<Range<usize>>> {
    let all = ranks.checked_mul(parts).filter(|&all| all <= batch_size)?;
    let start = |part: usize| (batch_size as u128 * part as u128 / all as u128) as usize;
    Some((rank * parts..(rank + 1) * parts).map(|part| start(part)..start(part + 1)).collect())
}

/// Neighboring columns of a batch that are computed at once: their state and their tokens.
#[derive(Debug)]
pub struct Part {
    /// The state after the last batch.
    pub state: State,
    /// The tokens of the present batch.
    pub tokens: Tokens,
    columns: Range<usize>,
    /// The number of columns of the batch.
    batch_size: usize,
    /// The targets of the batch for each of this part, in proportion to the columns.
    penalty_factor: f32,
}

impl Part {
    /// A whole batch: `state` has a row for each of its columns.
    pub fn whole(state: State) -> Part {
        let columns = 0..state.batch();
        let batch_size = columns.len();
        Part { state, tokens: Tokens::default(), columns, batch_size, penalty_factor: 1.0 }
    }

    /// Some columns of a batch, with a state of zero.
    pub(crate) fn of_columns(model: &dyn Model, columns: Range<usize>, batch_size: usize) -> Part {
        let state = model.zero_state(columns.len());
        Part { columns, batch_size, ..Part::whole(state) }
    }

    /// The columns, and the number of columns of the batch.
    pub fn columns(&self) -> (Range<usize>, usize) {
        (self.columns.clone(), self.batch_size)
    }

    /// Replaces the tokens with those of a batch.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if they cannot be read.
    ///
    /// # Panics
    /// If the batches have another number of columns.
    pub fn fill(&mut self, batches: &Batches, batch: Batch) -> Result<()> {
        assert_eq!(batches.batch_size(), self.batch_size, "columns of the batches");
        self.tokens.fill_columns(batches, batch, self.columns.clone())?;
        self.penalty_factor = match self.tokens.count() {
            0 => 0.0,
            count => {
                let of_columns = self.columns.len() as f64 / self.batch_size as f64;
                (of_columns * batches.targets_in(batch) as f64 / count as f64) as f32
            }
        };
        Ok(())
    }

    /// Whether these are all columns of the batch.
    pub(crate) fn is_whole(&self) -> bool {
        self.columns.len() == self.batch_size
    }

    /// A penalty whose contribution, weighted by the number of targets of this part, is the one of its columns to the mean
    /// over the batch.
    pub(crate) fn penalty(&self, penalty: ActivationPenalty) -> ActivationPenalty {
        let ActivationPenalty { activation, temporal } = penalty;
        ActivationPenalty {
            activation: activation * self.penalty_factor,
            temporal: temporal * self.penalty_factor,
        }
    }
}

/// The inputs and targets of a batch, or of some of its columns. Their memory is reused for all batches.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// `[T, B]`.
    pub inputs: Vec<u32>,
    /// `[T, B]`; in columns of units that have ended, only those of `rows`.
    pub targets: Vec<u32>,
    /// `[T, B]`: nonzero where the state is reset before a step; empty if it never is.
    pub resets: Vec<u32>,
    /// The rows that have a target; empty if all have one.
    pub rows: Vec<u32>,
}

impl Tokens {
    /// Replaces them with those of a batch.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if they cannot be read.
    pub fn fill(&mut self, batches: &Batches, batch: Batch) -> Result<()> {
        self.fill_columns(batches, batch, 0..batches.batch_size())
    }

    /// Replaces them with those of some columns of a batch.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if they cannot be read.
    ///
    /// # Panics
    /// If there are no such columns.
    pub fn fill_columns(&mut self, batches: &Batches, batch: Batch, columns: Range<usize>) -> Result<()> {
        let count = batch.steps * columns.len();
        self.inputs.resize(count, 0);
        self.targets.resize(count, 0);
        self.rows.clear();
        batches.fill_columns(batch, columns.clone(), &mut self.inputs, &mut self.targets)?;
        if batches.has_resets() {
            self.resets.resize(count, 0);
            batches.fill_resets_of_columns(batch, columns, &mut self.resets)?;
            if self.targets.contains(&NO_TARGET) {
                let has_target = |row: &u32| self.targets[*row as usize] != NO_TARGET;
                self.rows.extend((0..count as u32).filter(has_target));
                self.targets.retain(|&target| target != NO_TARGET);
            }
        }
        Ok(())
    }

    /// The number of targets.
    pub fn count(&self) -> usize {
        self.targets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_in_one_part() {
        for (batch_size, ranks, parts) in [(1, 1, 1), (20, 1, 1), (20, 3, 2), (7, 2, 3), (4, 4, 1)] {
            let of_rank = |rank| divide(batch_size, (rank, ranks), parts).unwrap();
            let all: Vec<Range<usize>> = (0..ranks).flat_map(of_rank).collect();
            assert_eq!((all.len(), all[0].start, all[all.len() - 1].end), (ranks * parts, 0, batch_size));
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start), "{all:?}");
            let (fewest, most) =
                (all.iter().map(Range::len).min().unwrap(), all.iter().map(Range::len).max().unwrap());
            assert!(fewest > 0 && most <= fewest + 1, "{all:?}");
        }
    }

    #[test]
    fn fewer_columns_than_parts_cannot_be_divided() {
        assert_eq!(divide(3, (0, 2), 2), None);
        assert_eq!(divide(3, (0, 2), usize::MAX), None);
    }
}
