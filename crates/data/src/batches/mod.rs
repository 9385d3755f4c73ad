//! Splits a token stream into `[T, B]` batches for truncated back-propagation through time (BPTT).
//!
//! The stream is laid out in `B` columns of equal length, each read from top to bottom, so that the final hidden
//! state of column `b` in one batch is the initial state of column `b` in the next batch. With 9 tokens, B = 2, T
//! = 2:
//!
//! ```text
//! columns  a e      batch 0  input  a e   target  b f      batch 1  input  c g   target  d h
//!          b f                      b f           c g
//!          c g                                              (the last batch may be shorter)
//!          d h      dropped: i, the remainder that fills no row
//! ```
//!
//! A text of independent lines or paragraphs is laid out in columns of whole units instead ([`Batches::of_units`]).
//!
//! Promises: each token of a column except the first is a target once, in order; at most `B - 1` tokens are dropped.
//! With [`LastBatch::Discard`], the last tokens of the columns, fewer than T each, are not targets either. In columns of
//! units, each token of the text is a target once.
//! Not here: tokenization (`tokenize`), carrying the hidden state (the caller).

use std::ops::Range;

use rand::{Rng, seq::SliceRandom};

use crate::{DataError, Result, TokenIds};

mod units;

use units::UnitColumns;
pub use units::{Unit, Units};

/// The target of a row of a column of units that has ended. It is not an id, and must not be predicted.
pub const NO_TARGET: u32 = u32::MAX;

/// How the rows after the last full-length batch are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// They form a shorter batch.
    #[default]
    Keep,
    /// They are dropped.
    Discard,
}

/// The order of the batches in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchOrder {
    /// In the order of the text, so that the carried hidden state matches the batch.
    #[default]
    Sequential,
    /// In random order, each batch once. The carried hidden state comes from another part of the text.
    Shuffled,
}

/// A range of consecutive rows of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The row of the first input.
    pub start: usize,
    /// The number of rows: T.
    pub steps: usize,
}

/// A token stream in columns, to be read in batches; it shares the ids and does not copy them.
///
/// ```
/// use rondo_data::{Batches, LastBatch, TokenIds};
///
/// let ids = TokenIds::from(vec![0, 1, 2, 3, 4, 5, 6, 7, 8]);
/// let batches = Batches::new(&ids, 2, 2, LastBatch::Keep)?;
/// assert_eq!((batches.column_len(), batches.dropped_tokens(), batches.batch_count()), (4, 1, 2));
///
/// let (mut inputs, mut targets) = ([0; 4], [0; 4]);
/// batches.fill(batches.batch(0), &mut inputs, &mut targets)?;
/// assert_eq!((inputs, targets), ([0, 4, 1, 5], [1, 5, 2, 6])); // [T, B]: time first
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batches {
    ids: TokenIds,
    batch_size: usize,
    bptt: usize,
    last_batch: LastBatch,
    /// The columns of units; `None` for columns of equal length.
    units: Option<UnitColumns>,
}

impl Batches {
    /// Arranges `ids` in `batch_size` columns, to be read `bptt` steps at a time.
    ///
    /// # Errors
    /// [`DataError::ZeroSize`] if a size is 0. [`DataError::CorpusTooShort`] if there are no batches: if the
    /// columns have fewer than 2 tokens or, with [`LastBatch::Discard`], fewer than `bptt + 1`.
    pub fn new(ids: &TokenIds, batch_size: usize, bptt: usize, last_batch: LastBatch) -> Result<Self> {
        let smallest_batch = match last_batch {
            LastBatch::Keep => 1,
            LastBatch::Discard => bptt,
        };
        Self::with_steps(smallest_batch, ids, batch_size, bptt, last_batch)
    }

    /// Same as [`Batches::new`], but at least one batch must be full, as it should be in a training text.
    ///
    /// # Errors
    /// [`DataError::ZeroSize`] if a size is 0. [`DataError::CorpusTooShort`] if columns have fewer than `bptt + 1`
    /// tokens.
    pub fn with_full_batch(
        ids: &TokenIds,
        batch_size: usize,
        bptt: usize,
        last_batch: LastBatch,
    ) -> Result<Self> {
        Self::with_steps(bptt, ids, batch_size, bptt, last_batch)
    }

    /// The batches, if the columns are long enough for one of `steps` steps.
    fn with_steps(
        steps: usize,
        ids: &TokenIds,
        batch_size: usize,
        bptt: usize,
        last_batch: LastBatch,
    ) -> Result<Self> {
        check_sizes(batch_size, bptt)?;
        let batches = Self { ids: ids.clone(), batch_size, bptt, last_batch, units: None };
        if batches.column_len() > steps {
            return Ok(batches);
        }
        Err(DataError::CorpusTooShort {
            tokens: ids.len(),
            batch_size,
            bptt,
            largest_batch_size: steps.checked_add(1).map_or(0, |rows| ids.len() / rows),
            // With `Keep`, a column that is too short for any batch is too short for every `bptt`.
            largest_bptt: batches.column_len().saturating_sub(1),
        })
    }

    /// Arranges independent units in `batch_size` columns of about the same length, in the order of the text or in
    /// `order`, to be read `bptt` steps at a time. Before each unit, the state must be reset:
    /// [`fill_resets`](Self::fill_resets). The last batch may be shorter.
    ///
    /// ```
    /// use rondo_data::{Batches, NO_TARGET, TokenIds, Unit, Units};
    ///
    /// let ids = TokenIds::from(vec![7, 8, 0, 9, 0]); // 0 ends a line
    /// let lines = Units::find(&ids, Unit::Line, 0)?;
    /// let batches = Batches::of_units(&ids, &lines, None, 2, 3)?;
    /// let (mut inputs, mut targets, mut resets) = ([0; 6], [0; 6], [0; 6]); // [T, B]
    /// batches.fill(batches.batch(0), &mut inputs, &mut targets)?;
    /// batches.fill_resets(batches.batch(0), &mut resets)?;
    /// assert_eq!(inputs, [0, 0, 7, 9, 8, 0]);
    /// assert_eq!(targets, [7, 9, 8, 0, 0, NO_TARGET]);
    /// assert_eq!(resets, [1, 1, 0, 0, 0, 1]);
    /// # Ok::<(), rondo_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::ZeroSize`] if a size is 0. [`DataError::CorpusTooShort`] for an empty text.
    ///
    /// # Panics
    /// If `order` has a number that is not below the number of units.
    pub fn of_units(
        ids: &TokenIds,
        units: &Units,
        order: Option<&[u32]>,
        batch_size: usize,
        bptt: usize,
    ) -> Result<Self> {
        check_sizes(batch_size, bptt)?;
        if ids.is_empty() {
            let (largest_batch_size, largest_bptt) = (0, 0);
            return Err(DataError::CorpusTooShort {
                tokens: 0,
                batch_size,
                bptt,
                largest_batch_size,
                largest_bptt,
            });
        }
        let units = Some(UnitColumns::new(units, order, batch_size));
        Ok(Self { ids: ids.clone(), batch_size, bptt, last_batch: LastBatch::Keep, units })
    }

    /// The number of columns: B.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of steps in a full batch: T.
    #[must_use]
    pub fn bptt(&self) -> usize {
        self.bptt
    }

    /// The number of tokens per column, in columns of units of the longest column with the line end before it: one more
    /// than the number of input rows.
    #[must_use]
    pub fn column_len(&self) -> usize {
        match &self.units {
            None => self.ids.len() / self.batch_size,
            Some(units) => units.longest() + 1,
        }
    }

    /// The number of tokens at the end of the stream that are in no column; at most `B - 1`.
    #[must_use]
    pub fn dropped_tokens(&self) -> usize {
        if self.units.is_some() { 0 } else { self.ids.len() % self.batch_size }
    }

    /// The number of tokens in the columns that are not a target of any batch: those of the discarded last batch,
    /// fewer than `T · B`; 0 with [`LastBatch::Keep`].
    #[must_use]
    pub fn discarded_targets(&self) -> usize {
        if self.units.is_some() {
            return 0;
        }
        (self.column_len() - 1) * self.batch_size - self.target_count()
    }

    /// The number of batches per epoch.
    #[must_use]
    pub fn batch_count(&self) -> usize {
        let rows = self.column_len() - 1;
        match self.last_batch {
            LastBatch::Keep => rows.div_ceil(self.bptt),
            LastBatch::Discard => rows / self.bptt,
        }
    }

    /// The number of targets per epoch: the divisor of a mean loss.
    #[must_use]
    pub fn target_count(&self) -> usize {
        if let Some(units) = &self.units {
            return units.tokens();
        }
        let rows = self.column_len() - 1;
        let rows = match self.last_batch {
            LastBatch::Keep => rows,
            LastBatch::Discard => rows - rows % self.bptt,
        };
        rows * self.batch_size
    }

    /// The batch with this index, in the order of the text.
    ///
    /// # Panics
    /// If `index` is not below [`batch_count`](Self::batch_count).
    #[must_use]
    pub fn batch(&self, index: usize) -> Batch {
        assert!(
            index < self.batch_count(),
            "batch index {index} is out of range for {} batches",
            self.batch_count()
        );
        let start = index * self.bptt;
        Batch { start, steps: self.bptt.min(self.column_len() - 1 - start) }
    }

    /// The batches of one epoch, in `order`.
    pub fn epoch(&self, order: BatchOrder, rng: &mut impl Rng) -> Vec<Batch> {
        let mut batches: Vec<_> = (0..self.batch_count()).map(|index| self.batch(index)).collect();
        match order {
            BatchOrder::Sequential => {}
            BatchOrder::Shuffled => batches.shuffle(rng),
        }
        batches
    }

    /// Batches of random length that cover every row once, in the order of the text, so that the batch boundaries
    /// differ in each epoch.
    ///
    /// ```text
    /// base  = T with probability 0.95, else T / 2
    /// steps = max(5, ⌊base + 5 · N(0, 1)⌋), but not past the end of the columns
    /// ```
    ///
    /// The last batch takes the remaining rows, even if they are few, with either [`LastBatch`] option.
    ///
    /// # Source
    /// Merity, Keskar & Socher 2017 (AWD-LSTM), where the learning rate is scaled by `steps / T`.
    #[cfg(feature = "corpora")]
    pub fn variable_epoch(&self, rng: &mut impl Rng) -> Vec<Batch> {
        use rand::RngExt;
        use rand_distr::StandardNormal;

        const FULL_PROBABILITY: f64 = 0.95;
        const DEVIATION: f64 = 5.0;
        const SHORTEST: usize = 5;
        let rows = self.column_len() - 1;
        let (mut batches, mut start) = (Vec::new(), 0);
        while start < rows {
            let base =
                if rng.random_bool(FULL_PROBABILITY) { self.bptt as f64 } else { self.bptt as f64 / 2.0 };
            let deviation: f64 = rng.sample(StandardNormal);
            let steps = ((base + DEVIATION * deviation) as usize).max(SHORTEST).min(rows - start);
            batches.push(Batch { start, steps });
            start += steps;
        }
        batches
    }

    /// Writes the inputs and targets of `batch`; it does not allocate if the ids are in memory.
    ///
    /// ```text
    /// inputs[t, b] = column b at start + t        targets[t, b] = column b at start + t + 1
    /// ```
    ///
    /// # Shapes
    /// - `inputs, targets: [T, B]`, overwritten: row-major, time first, T = `batch.steps`.
    ///
    /// # Panics
    /// If a length is not T · B, or if the batch extends past the end of the columns.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn fill(&self, batch: Batch, inputs: &mut [u32], targets: &mut [u32]) -> Result<()> {
        self.fill_columns(batch, 0..self.batch_size, inputs, targets)
    }

    /// The same for some of the columns.
    ///
    /// # Shapes
    /// - `inputs, targets: [T, C]`, overwritten, where C is the number of these columns.
    ///
    /// # Panics
    /// As [`fill`](Self::fill), and if there are no such columns.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn fill_columns(
        &self,
        batch: Batch,
        columns: Range<usize>,
        inputs: &mut [u32],
        targets: &mut [u32],
    ) -> Result<()> {
        assert!(columns.end <= self.batch_size, "columns {columns:?} of {}", self.batch_size);
        let (count, column_len) = (columns.len(), self.column_len());
        let expected = batch.steps * count;
        assert_eq!(inputs.len(), expected, "inputs must be {} steps by {count} columns", batch.steps);
        assert_eq!(targets.len(), expected, "targets must be {} steps by {count} columns", batch.steps);
        assert!(
            batch.start + batch.steps < column_len,
            "{batch:?} extends past the end of columns of {column_len} tokens"
        );
        if let Some(units) = &self.units {
            for (to, b) in columns.enumerate() {
                units.read(&self.ids, b, (batch.start, batch.steps), |t, input, target, _| {
                    inputs[t * count + to] = input;
                    targets[t * count + to] = target;
                })?;
            }
            return Ok(());
        }
        for (to, b) in columns.enumerate() {
            let start = b * column_len + batch.start;
            let rows = self.ids.read(start..start + batch.steps + 1)?;
            for (t, pair) in rows.windows(2).enumerate() {
                inputs[t * count + to] = pair[0];
                targets[t * count + to] = pair[1];
            }
        }
        Ok(())
    }

    /// The number of targets of a batch: T · B, or fewer where columns of units have ended.
    #[must_use]
    pub fn targets_in(&self, batch: Batch) -> usize {
        match &self.units {
            None => batch.steps * self.batch_size,
            Some(units) => (0..self.batch_size).map(|b| units.tokens_in(b, batch.start, batch.steps)).sum(),
        }
    }

    /// Whether the state is reset within batches: in columns of units.
    #[must_use]
    pub fn has_resets(&self) -> bool {
        self.units.is_some()
    }

    /// Writes 1 where the state is reset before a step, else 0.
    ///
    /// # Shapes
    /// - `resets: [T, B]`, overwritten, as `inputs` of [`fill`](Self::fill).
    ///
    /// # Panics
    /// If its length is not T · B.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn fill_resets(&self, batch: Batch, resets: &mut [u32]) -> Result<()> {
        self.fill_resets_of_columns(batch, 0..self.batch_size, resets)
    }

    /// The same for some of the columns.
    ///
    /// # Shapes
    /// - `resets: [T, C]`, overwritten, where C is the number of these columns.
    ///
    /// # Panics
    /// As [`fill_resets`](Self::fill_resets), and if there are no such columns.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn fill_resets_of_columns(
        &self,
        batch: Batch,
        columns: Range<usize>,
        resets: &mut [u32],
    ) -> Result<()> {
        let count = columns.len();
        assert_eq!(resets.len(), batch.steps * count, "resets must be {} steps by {count}", batch.steps);
        resets.fill(0);
        if let Some(units) = &self.units {
            for (to, b) in columns.enumerate() {
                units.read(&self.ids, b, (batch.start, batch.steps), |t, _, _, begins| {
                    resets[t * count + to] = u32::from(begins);
                })?;
            }
        }
        Ok(())
    }
}

/// # Errors
/// [`DataError::ZeroSize`] if one of them is 0.
fn check_sizes(batch_size: usize, bptt: usize) -> Result<()> {
    match [("batch_size", batch_size), ("bptt", bptt)].into_iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(DataError::ZeroSize { name }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
