//! Communication between the processes, or *ranks*, that train or evaluate a model together.
//!
//! ```text
//! rank 0   start_sum(a) ─ compute … ─ finish_sum ─▶ a₀ + a₁     gather(x₀) ─▶ [x₀, x₁]
//! rank 1   start_sum(a) ─ compute … ─ finish_sum ─▶ a₀ + a₁     gather(x₁) ─▶ [x₀, x₁]
//! ```
//!
//! [`Collective`] is what they say to each other. [`Alone`] is one process without others, [`Threads`] are the threads of
//! one process, and `mpi` (behind the feature of this name) are processes started by `mpirun`. Code that uses the trait is
//! the same for all of them.
//!
//! Promises: all ranks get the same bits. Each rank must make the same calls in the same order; a rank that is gone is an
//! error for the others. Not here: what is divided among ranks, and how (`rondo_train`).

mod alone;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

use std::fmt;
use std::sync::Arc;

use rondo_kernels::{Buffer, DeviceError};

pub use alone::Alone;
pub use launch::{launched, launched_rank, local_rank};
#[cfg(feature = "mpi")]
pub use mpi::{Mpi, MpiError};
pub use threads::Threads;

/// The result of a call that involves other ranks.
pub type Result<T> = std::result::Result<T, CollectiveError>;

/// A call that involves other ranks has failed.
#[derive(Debug, thiserror::Error)]
pub enum CollectiveError {
    /// A rank has ended.
    #[error("another of the {size} processes has ended")]
    RankEnded {
        /// The number of ranks.
        size: usize,
    },
    /// The ranks sent values of different lengths: they do not compute the same thing.
    #[error("the processes sent {found:?} bytes where all should send {expected}")]
    Lengths {
        /// The number of bytes of this rank.
        expected: usize,
        /// The numbers of bytes of all ranks.
        found: Vec<usize>,
    },
    /// A device failed while values were read from it or written to it.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// One process without others.
#[must_use]
pub fn alone() -> Arc<dyn Collective> {
    Arc::new(Alone::default())
}

/// The ranks of a run, as one of them sees them.
pub trait Collective: fmt::Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Starts to replace values by their sums over all ranks. The sums are computed while this rank does other work, and
    /// returned by [`finish_sum`](Self::finish_sum).
    fn start_sum(&self, values: Buffer);

    /// Waits for the sums that were started first of those not yet returned.
    ///
    /// # Errors
    /// [`CollectiveError::RankEnded`] if another rank has ended; [`CollectiveError::Lengths`] if the ranks have different
    /// numbers of values; [`CollectiveError::Device`].
    ///
    /// # Panics
    /// If no sums were started.
    fn finish_sum(&self) -> Result<Buffer>;

    /// The bytes of all ranks, in the order of the ranks.
    ///
    /// # Errors
    /// [`CollectiveError::RankEnded`] if another rank has ended.
    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;
}

impl dyn Collective + '_ {
    /// Whether there is only this rank.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Whether this rank prints and writes files: rank 0.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// The bytes of rank 0, on all ranks; those of the others are ignored.
    ///
    /// # Errors
    /// As [`gather`](Collective::gather).
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if self.is_alone() {
            return Ok(bytes);
        }
        let mine = if self.leads() { bytes } else { Vec::new() };
        Ok(self.gather(mine)?.swap_remove(0))
    }

    /// Replaces numbers by their sums over all ranks, added in the order of the ranks.
    ///
    /// # Errors
    /// As [`gather`](Collective::gather); [`CollectiveError::Lengths`] if the ranks have different numbers of values.
    pub fn sum(&self, numbers: &mut [f64]) -> Result<()> {
        if self.is_alone() {
            return Ok(());
        }
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let all = self.gather_equal(bytes)?;
        numbers.fill(0.0);
        for bytes in all {
            for (sum, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
                *sum += f64::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    /// Replaces numbers by their maxima over all ranks.
    ///
    /// # Errors
    /// As [`sum`](#method.sum).
    pub fn max(&self, numbers: &mut [u8]) -> Result<()> {
        if self.is_alone() {
            return Ok(());
        }
        for bytes in self.gather_equal(numbers.to_vec())? {
            numbers.iter_mut().zip(bytes).for_each(|(most, number)| *most = number.max(*most));
        }
        Ok(())
    }

    /// The bytes of all ranks, which must be equally many.
    fn gather_equal(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let expected = bytes.len();
        let all = self.gather(bytes)?;
        if all.iter().any(|bytes| bytes.len() != expected) {
            let found = all.iter().map(Vec::len).collect();
            return Err(CollectiveError::Lengths { expected, found });
        }
        Ok(all)
    }
}
