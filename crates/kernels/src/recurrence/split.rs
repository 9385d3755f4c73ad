//! How a recurrent layer is split between threads.
//!
//! ```text
//! rows    thread 0  rows 0…9  ── all steps ──▶        no thread waits for another
//!         thread 1  rows 10…19 ── all steps ──▶
//!
//! units   thread 0  product │ units 0…255   │ product │ …    at each line all threads wait for each other
//!         thread 1  product │ units 256…511 │ product │ …
//! ```

use std::ops::Range;

use super::Dims;
use crate::cpu::{Barrier, share};

/// Minimum batch rows per thread for splitting by rows. With fewer, some threads would have twice as much
/// work as others, or none; with more, sharing a weight between the threads does not make up for the waiting.
const MIN_ROWS: usize = 2;
/// The minimum size of the recurrent weights, in elements, for which splitting by units is worth the waiting.
const MIN_WEIGHTS: usize = 16_384;

/// A recurrent layer split between some threads.
pub(super) struct Split {
    batch: usize,
    threads: usize,
    /// Present if the split is by units.
    barrier: Option<Barrier>,
}

/// One thread's part.
pub(super) struct Part<'a> {
    /// The batch rows it runs.
    pub(super) rows: Range<usize>,
    /// The index of its part of each of these rows, and below the number of parts.
    pub(super) index: usize,
    parts: usize,
    barrier: Option<&'a Barrier>,
}

impl Split {
    pub(super) fn new(dims: Dims, threads: usize) -> Split {
        let few_rows = dims.batch < MIN_ROWS * threads;
        let units = threads > 1 && few_rows && dims.gates_width() * dims.hidden >= MIN_WEIGHTS;
        Split { batch: dims.batch, threads, barrier: units.then(|| Barrier::new(threads)) }
    }

    /// How many threads share a row.
    pub(super) fn parts(&self) -> usize {
        if self.barrier.is_some() { self.threads } else { 1 }
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
    /// Its part of `len` items of each of its rows, in multiples of `grain` except at the end.
    #[inline(always)]
    pub(super) fn of(&self, len: usize, grain: usize) -> Range<usize> {
        share(len, grain, self.parts, self.index)
    }

    /// Waits until the other threads that share its rows have arrived, too.
    #[inline(always)]
    pub(super) fn wait(&self) {
        if let Some(barrier) = self.barrier {
            barrier.wait();
        }
    }
}
