//! The processor that operations run on, chosen at run time.

use std::sync::Arc;

use crate::Precision;
use crate::cpu::{Cpu, InstructionSet};

/// A processor to run operations on. Cheap to clone: clones share the same threads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Device {
    /// The machine's own processor.
    Cpu(Cpu),
}

/// Why a device could not be set up, or has failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The instruction set asked for is unknown.
    #[error("unknown instruction set `{name}`, expected one of `portable`, `avx2`, `avx512`")]
    UnknownInstructionSet {
        /// What was asked for.
        name: String,
    },
    /// The instruction set asked for is known, but this processor lacks it.
    #[error("this processor does not offer `{wanted}`; the best it has is `{best}`")]
    MissingInstructionSet {
        /// What was asked for.
        wanted: InstructionSet,
        /// The fastest this processor has.
        best: InstructionSet,
    },
    /// The precision asked for is unknown.
    #[error("unknown precision `{name}`, expected one of `f32`, `bf16`")]
    UnknownPrecision {
        /// What was asked for.
        name: String,
    },
    /// The precision asked for is known, but this processor cannot multiply it.
    #[error("this processor has no {wanted} products with `{instructions}` instructions")]
    MissingPrecision {
        /// What was asked for.
        wanted: Precision,
        /// The instructions in use.
        instructions: InstructionSet,
    },
    /// The operating system refused to start a thread.
    #[error("could not start a worker thread")]
    Thread(#[source] Arc<std::io::Error>),
}

impl Device {
    /// The CPU with `threads` threads (at least one; the caller's own counts) and its best instruction set.
    ///
    /// # Errors
    /// [`DeviceError::Thread`] if a thread cannot be started.
    pub fn cpu(threads: usize) -> Result<Device, DeviceError> {
        Cpu::new(threads, InstructionSet::detect()).map(Device::Cpu)
    }

    /// The CPU with a chosen instruction set, to compare the paths or to rule one out.
    ///
    /// # Errors
    /// [`DeviceError::MissingInstructionSet`] if this processor lacks it; as [`Device::cpu`] otherwise.
    pub fn cpu_with(threads: usize, instructions: InstructionSet) -> Result<Device, DeviceError> {
        Cpu::new(threads, instructions).map(Device::Cpu)
    }

    /// The same processor with matrix products of this precision.
    ///
    /// # Errors
    /// [`DeviceError::MissingPrecision`] if it cannot do them.
    pub fn with_precision(self, precision: Precision) -> Result<Device, DeviceError> {
        match self {
            Device::Cpu(cpu) => cpu.with_precision(precision).map(Device::Cpu),
        }
    }

    /// What the factors of matrix products are rounded to.
    pub fn precision(&self) -> Precision {
        match self {
            Device::Cpu(cpu) => cpu.precision(),
        }
    }

    /// How many threads share the work of one operation.
    pub fn threads(&self) -> usize {
        match self {
            Device::Cpu(cpu) => cpu.threads(),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu(cpu) => {
                let threads = cpu.threads();
                let plural = if threads == 1 { "" } else { "s" };
                write!(f, "cpu ({}, {threads} thread{plural}", cpu.instructions())?;
                match cpu.precision() {
                    Precision::F32 => write!(f, ")"),
                    precision => write!(f, ", {precision} products)"),
                }
            }
        }
    }
}
