//! Cuts a token stream into `[T, B]` chunks for truncated back-propagation through time.
//!
//! The stream becomes `B` columns of equal length, read downwards, so that the state a model leaves
//! column `b` with is the one it needs for column `b` of the next chunk. With 9 tokens, B = 2, T = 2:
//!
//! ```text
//! columns  a e      chunk 0  input  a e   target  b f      chunk 1  input  c g   target  d h
//!          b f                      b f           c g
//!          c g                                              (the last chunk may be shorter)
//!          d h      dropped: i, the tail that fills no row
//! ```
//!
//! Promises: each token of a column but its first is a target once, in order; at most `B - 1` are dropped.
//! With [`LastChunk::Discard`] the last tokens of the columns, fewer than T each, are no targets either.
//! Not here: tokenizing (`tokenize`), carrying the state (the caller).

use rand::{Rng, RngExt, seq::SliceRandom};
use rand_distr::StandardNormal;

use crate::{DataError, Result, TokenIds};

/// What becomes of the rows after the last chunk of full length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastChunk {
    /// They are a shorter chunk.
    #[default]
    Keep,
    /// They are left out.
    Discard,
}

/// The order in which chunks are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChunkOrder {
    /// As the text runs: the carried state is the one that belongs to the chunk.
    #[default]
    Sequential,
    /// At random, each chunk once. A carried state is then another place's.
    Shuffled,
}

/// Some successive rows of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The row of the first input.
    pub start: usize,
    /// How many rows: T.
    pub steps: usize,
}

/// A token stream in columns, to be taken in chunks; it shares the ids and copies none.
///
/// ```
/// use rondo_data::{Batches, LastChunk, TokenIds};
///
/// let ids = TokenIds::from(vec![0, 1, 2, 3, 4, 5, 6, 7, 8]);
/// let batches = Batches::new(&ids, 2, 2, LastChunk::Keep)?;
/// assert_eq!((batches.column_len(), batches.dropped_tokens(), batches.chunk_count()), (4, 1, 2));
///
/// let (mut inputs, mut targets) = ([0; 4], [0; 4]);
/// batches.fill(batches.chunk(0), &mut inputs, &mut targets)?;
/// assert_eq!((inputs, targets), ([0, 4, 1, 5], [1, 5, 2, 6])); // [T, B]: time first
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batches {
    ids: TokenIds,
    batch_size: usize,
    bptt: usize,
    last_chunk: LastChunk,
}

impl Batches {
    /// Arranges `ids` in `batch_size` columns, to be taken `bptt` steps at a time.
    ///
    /// # Errors
    /// [`DataError::ZeroSize`] if a size is 0. [`DataError::CorpusTooShort`] if there is no chunk: if columns
    /// have fewer than 2 tokens, or with [`LastChunk::Discard`] fewer than `bptt + 1`.
    pub fn new(ids: &TokenIds, batch_size: usize, bptt: usize, last_chunk: LastChunk) -> Result<Self> {
        for (name, size) in [("batch_size", batch_size), ("bptt", bptt)] {
            if size == 0 {
                return Err(DataError::ZeroSize { name });
            }
        }
        let batches = Self { ids: ids.clone(), batch_size, bptt, last_chunk };
        let smallest_chunk = match last_chunk {
            LastChunk::Keep => 1,
            LastChunk::Discard => bptt,
        };
        batches.require_steps(smallest_chunk)?;
        Ok(batches)
    }

    /// Fails unless there is a chunk of full length, as a text worth training on should have.
    ///
    /// # Errors
    /// [`DataError::CorpusTooShort`] if columns have fewer than `bptt + 1` tokens.
    pub fn require_full_chunk(&self) -> Result<()> {
        self.require_steps(self.bptt)
    }

    fn require_steps(&self, steps: usize) -> Result<()> {
        if self.column_len() > steps {
            return Ok(());
        }
        Err(DataError::CorpusTooShort {
            tokens: self.ids.len(),
            batch_size: self.batch_size,
            bptt: self.bptt,
            largest_batch_size: steps.checked_add(1).map_or(0, |rows| self.ids.len() / rows),
            // With `Keep`, a column too short for any chunk is too short for every `bptt`.
            largest_bptt: self.column_len().saturating_sub(1),
        })
    }

    /// How many columns there are: B.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The steps of a full chunk: T.
    #[must_use]
    pub fn bptt(&self) -> usize {
        self.bptt
    }

    /// How many tokens each column has: one more than rows of inputs.
    #[must_use]
    pub fn column_len(&self) -> usize {
        self.ids.len() / self.batch_size
    }

    /// How many tokens at the end of the stream are in no column; at most `B - 1`.
    #[must_use]
    pub fn dropped_tokens(&self) -> usize {
        self.ids.len() % self.batch_size
    }

    /// How many tokens of the columns are targets of no chunk: those of the discarded last one, fewer than
    /// `T · B`; 0 with [`LastChunk::Keep`].
    #[must_use]
    pub fn discarded_targets(&self) -> usize {
        (self.column_len() - 1) * self.batch_size - self.target_count()
    }

    /// How many chunks there are in a pass over the columns.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        let rows = self.column_len() - 1;
        match self.last_chunk {
            LastChunk::Keep => rows.div_ceil(self.bptt),
            LastChunk::Discard => rows / self.bptt,
        }
    }

    /// How many targets there are in a pass over the columns: what a mean loss is divided by.
    #[must_use]
    pub fn target_count(&self) -> usize {
        let rows = self.column_len() - 1;
        let rows = match self.last_chunk {
            LastChunk::Keep => rows,
            LastChunk::Discard => rows - rows % self.bptt,
        };
        rows * self.batch_size
    }

    /// The chunk with this index in the text's order.
    ///
    /// # Panics
    /// If `index` is not below [`chunk_count`](Self::chunk_count).
    #[must_use]
    pub fn chunk(&self, index: usize) -> Chunk {
        assert!(index < self.chunk_count(), "chunk {index} of {}", self.chunk_count());
        let start = index * self.bptt;
        Chunk { start, steps: self.bptt.min(self.column_len() - 1 - start) }
    }

    /// The chunks of a pass over the columns, in `order`.
    pub fn chunks(&self, order: ChunkOrder, rng: &mut impl Rng) -> Vec<Chunk> {
        let mut chunks: Vec<_> = (0..self.chunk_count()).map(|index| self.chunk(index)).collect();
        match order {
            ChunkOrder::Sequential => {}
            ChunkOrder::Shuffled => chunks.shuffle(rng),
        }
        chunks
    }

    /// Chunks of random length that cover every row once, in the text's order, so that the borders fall
    /// elsewhere in each pass.
    ///
    /// ```text
    /// base  = T with probability 0.95, else T / 2
    /// steps = max(5, ⌊base + 5 · N(0, 1)⌋), but not past the end of the columns
    /// ```
    ///
    /// The last chunk takes what is left, however little, whatever was said of last chunks.
    ///
    /// # Source
    /// Merity, Keskar & Socher 2017 (AWD-LSTM), where the learning rate is scaled by `steps / T`.
    pub fn variable_chunks(&self, rng: &mut impl Rng) -> Vec<Chunk> {
        const FULL_PROBABILITY: f64 = 0.95;
        const DEVIATION: f64 = 5.0;
        const SHORTEST: usize = 5;
        let rows = self.column_len() - 1;
        let (mut chunks, mut start) = (Vec::new(), 0);
        while start < rows {
            let base =
                if rng.random_bool(FULL_PROBABILITY) { self.bptt as f64 } else { self.bptt as f64 / 2.0 };
            let deviation: f64 = rng.sample(StandardNormal);
            let steps = ((base + DEVIATION * deviation) as usize).max(SHORTEST).min(rows - start);
            chunks.push(Chunk { start, steps });
            start += steps;
        }
        chunks
    }

    /// Writes the inputs and the targets of `chunk`; allocates nothing for ids in memory.
    ///
    /// ```text
    /// inputs[t, b] = column b at start + t        targets[t, b] = column b at start + t + 1
    /// ```
    ///
    /// # Shapes
    /// - `inputs, targets: [T, B]`, overwritten: row-major, time first, T = `chunk.steps`.
    ///
    /// # Panics
    /// If a length is not T · B, or the chunk reaches past the end of the columns.
    /// # Errors
    /// As [`TokenIds::read`].
    pub fn fill(&self, chunk: Chunk, inputs: &mut [u32], targets: &mut [u32]) -> Result<()> {
        let (batch_size, column_len) = (self.batch_size, self.column_len());
        let expected = chunk.steps * batch_size;
        assert_eq!(inputs.len(), expected, "inputs of {} steps by {batch_size} rows", chunk.steps);
        assert_eq!(targets.len(), expected, "targets of {} steps by {batch_size} rows", chunk.steps);
        assert!(chunk.start + chunk.steps < column_len, "{chunk:?} in columns of {column_len} tokens");
        for b in 0..batch_size {
            let start = b * column_len + chunk.start;
            let rows = self.ids.read(start..start + chunk.steps + 1)?;
            for (t, pair) in rows.windows(2).enumerate() {
                inputs[t * batch_size + b] = pair[0];
                targets[t * batch_size + b] = pair[1];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
