//! The CPU device: its threads, its vector instructions, and building blocks shared by operations.

pub(crate) mod columns;
pub(crate) mod elements;
pub(crate) mod math;
pub(crate) mod rows;
pub(crate) mod shared;
pub(crate) mod simd;
pub(crate) mod sums;
mod threads;
pub(crate) mod tile;

use std::sync::Arc;

pub(crate) use shared::SharedMut;
pub use simd::InstructionSet;
pub(crate) use simd::{Simd, Vectorized};
use threads::ThreadPool;
pub(crate) use threads::{Barrier, share};

use crate::{Device, DeviceError, Precision};

/// A CPU: a thread pool, the instruction set used by the kernels, and the precision of matrix
/// multiplications.
#[derive(Clone, Debug)]
pub struct Cpu {
    pool: Arc<ThreadPool>,
    instructions: InstructionSet,
    precision: Precision,
}

impl Cpu {
    /// `threads` threads (at least one; the caller's own counts) and the given instruction set.
    pub(crate) fn new(threads: usize, instructions: InstructionSet) -> Result<Cpu, DeviceError> {
        let best = InstructionSet::detect();
        if !instructions.is_available() {
            return Err(DeviceError::MissingInstructionSet { wanted: instructions, best });
        }
        if threads > Device::MAX_THREADS {
            return Err(DeviceError::TooManyThreads { threads });
        }
        let pool = ThreadPool::new(threads.max(1)).map_err(|error| DeviceError::Thread(Arc::new(error)))?;
        Ok(Cpu { pool: Arc::new(pool), instructions, precision: Precision::F32 })
    }

    /// The same threads and instructions with matrix multiplications of this precision.
    pub(crate) fn with_precision(self, precision: Precision) -> Result<Cpu, DeviceError> {
        if !self.instructions.multiplies(precision) {
            return Err(DeviceError::MissingPrecision { wanted: precision, instructions: self.instructions });
        }
        Ok(Cpu { precision, ..self })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The vector instructions in use.
    pub fn instructions(&self) -> InstructionSet {
        self.instructions
    }

    /// The precision to which the factors of matrix multiplications are rounded.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Calls `work(index)` once on each thread, and returns when all have finished.
    pub(crate) fn parallel(&self, work: impl Fn(usize) + Sync) {
        self.pool.run(&work);
    }

    /// Runs `work` with this processor's vector instructions on the calling thread.
    pub(crate) fn vectorized<W: Vectorized>(&self, work: W) -> W::Output {
        self.instructions.run(self.precision, work)
    }
}
