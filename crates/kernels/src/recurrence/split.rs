//! How the threads share a walk.
//!
//! ```text
//! rows    thread 0  rows 0…9  ── all steps ──▶        no thread waits for another
//!         thread 1  rows 10…19 ── all steps ──▶
//!
//! units   thread 0  product │ units 0…255   │ product │ …    at each line all wait for all
//!         thread 1  product │ units 256…511 │ product │ …
//! ```

use std::ops::Range;

use super::Dims;
use crate::cpu::{Barrier, share};

/// Batch rows for each thread from which on rows are split. With fewer, some threads would have twice as much to do as
/// others, or nothing; with more, what the threads share of a weight does not make up for the waiting.
const MIN_ROWS: usize = 2;
/// Recurrent weights, in numbers, that are worth waiting for each other.
const MIN_WEIGHTS: usize = 16_384;

/// A walk shared by some threads.
pub(super) struct Split {
    batch: usize,
    threads: usize,
    /// Where it is the units that are split.
    barrier: Option<Barrier>,
}

/// What is one thread's.
pub(super) struct Part<'a> {
    /// The batch rows it walks.
    pub(super) rows: Range<usize>,
    /// Which of how many parts of each of these rows is its own.
    index: usize,
    parts: usize,
    barrier: Option<&'a Barrier>,
}

impl Split {
    pub(super) fn new(dims: Dims, threads: usize) -> Split {
        let few_rows = dims.batch < MIN_ROWS * threads;
        let units = threads > 1 && few_rows && dims.gates_width() * dims.hidden >= MIN_WEIGHTS;
        Split { batch: dims.batch, threads, barrier: units.then(|| Barrier::new(threads)) }
    }

    pub(super) fn part(&self, thread: usize) -> Part<'_> {
        match &self.barrier {
            None => {
                let rows = share(self.batch, 1, self.threads, thread);
                Part { rows, index: 0, parts: 1, barrier: None }
            }
            Some(barrier) => {
                Part { rows: 0..self.batch, index: thread, parts: self.threads, barrier: Some(barrier) }
            }
        }
    }
}

impl Part<'_> {
    /// Its share of `len` things that each of its rows has, in multiples of `grain` but for the end.
    #[inline(always)]
    pub(super) fn of(&self, len: usize, grain: usize) -> Range<usize> {
        share(len, grain, self.parts, self.index)
    }

    /// Waits until the others that have a part in its rows are here, too.
    #[inline(always)]
    pub(super) fn wait(&self) {
        if let Some(barrier) = self.barrier {
            barrier.wait();
        }
    }
}
