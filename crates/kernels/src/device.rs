//! The processor that operations run on, chosen at run time.

use std::sync::Arc;

use crate::available::available;
use crate::cpu::{Cpu, InstructionSet};
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::{AvailableMemory, Precision, Work};

/// A processor to run operations on. Cheap to clone: clones share the same threads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Device {
    /// The machine's own processor.
    Cpu(Cpu),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
}

/// Why a device could not be set up, or has failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The requested instruction set is unknown.
    #[error("unknown instruction set `{name}`, expected one of `portable`, `neon`, `avx2`, `avx512`, `amx`")]
    UnknownInstructionSet {
        /// The requested name.
        name: String,
    },
    /// The requested instruction set is not supported by this processor.
    #[error("this processor does not support `{wanted}`; the fastest it supports is `{best}`")]
    MissingInstructionSet {
        /// The requested instruction set.
        wanted: InstructionSet,
        /// The fastest one that is supported.
        best: InstructionSet,
    },
    /// The requested precision is unknown.
    #[error("unknown precision `{name}`, expected `f32`, `bf16x3`, `bf16` or `auto`")]
    UnknownPrecision {
        /// The requested name.
        name: String,
    },
    /// The requested precision is not supported by this processor.
    #[error(
        "this processor does not support {wanted} matrix multiplication with `{instructions}` instructions"
    )]
    MissingPrecision {
        /// The requested precision.
        wanted: Precision,
        /// The instruction set in use.
        instructions: InstructionSet,
    },
    /// The requested precision is supported, but this processor is slower with it.
    #[error(
        "this processor multiplies {wanted} more slowly than f32; `RONDO_CPU=avx512` uses {wanted} anyway"
    )]
    SlowPrecision {
        /// The requested precision.
        wanted: Precision,
    },
    /// More threads were requested than a device may have.
    #[error("{threads} threads are more than the maximum of {}", Device::MAX_THREADS)]
    TooManyThreads {
        /// The requested number.
        threads: usize,
    },
    /// The requested device is unknown.
    #[error("unknown device `{name}`, expected `cpu`, `gpu`, `gpu:N` or `auto`")]
    UnknownDevice {
        /// The requested name.
        name: String,
    },
    /// This program was built without support for GPUs.
    #[error("this build does not support GPUs; `--features gpu` builds one that does")]
    NoGpuSupport,
    /// There is no GPU with this number.
    #[error("there is no GPU {index}: {}", found_gpus(*found))]
    NoGpu {
        /// The requested number.
        index: usize,
        /// How many there are.
        found: usize,
    },
    /// A GPU multiplies matrices in `f32` only.
    #[error("a GPU does not support {wanted} matrix multiplication yet")]
    GpuPrecision {
        /// The requested precision.
        wanted: Precision,
    },
    /// Something is available on a CPU only.
    #[error("{what} is not available on a GPU yet; use `--device cpu`")]
    NotOnGpu {
        /// What is not available.
        what: &'static str,
    },
    /// A GPU has failed.
    #[error(
        "the GPU has failed (last operation: {operation}): {message}; a run can be resumed from its last \
         checkpoint, on the CPU with `--device cpu`"
    )]
    Gpu {
        /// The operation that was recorded last.
        operation: &'static str,
        /// What the driver says.
        message: String,
    },
    /// The memory of a GPU is not enough.
    #[error(
        "the memory of the GPU is not enough (last operation: {operation}): {message}; reduce the batch size, `--bptt` or the model"
    )]
    GpuMemory {
        /// The operation that was recorded last.
        operation: &'static str,
        /// What the driver says.
        message: String,
    },
    /// The operating system could not start a thread.
    #[error("could not start a worker thread")]
    Thread(#[source] Arc<std::io::Error>),
}

fn found_gpus(found: usize) -> String {
    match found {
        0 => "none was found; a driver for Vulkan, Metal or DX12 is needed".to_owned(),
        1 => "the only one is 0".to_owned(),
        more => format!("they are 0 to {}", more - 1),
    }
}

impl Device {
    /// The maximum number of threads. Every thread needs memory mappings of its own, of which a process can
    /// have only some tens of thousands.
    pub const MAX_THREADS: usize = 1024;

    /// The CPU with `threads` threads (at least one; the caller's own counts) and its fastest instruction
    /// set.
    ///
    /// # Errors
    /// [`DeviceError::TooManyThreads`]; [`DeviceError::Thread`] if a thread cannot be started.
    pub fn cpu(threads: usize) -> Result<Device, DeviceError> {
        Cpu::new(threads, InstructionSet::detect()).map(Device::Cpu)
    }

    /// The CPU with a given instruction set, for comparing code paths or avoiding one.
    ///
    /// # Errors
    /// [`DeviceError::MissingInstructionSet`] if this processor does not support it; otherwise as
    /// [`Device::cpu`].
    pub fn cpu_with(threads: usize, instructions: InstructionSet) -> Result<Device, DeviceError> {
        Cpu::new(threads, instructions).map(Device::Cpu)
    }

    /// The GPU with this number in the list of [`Gpu::list`].
    ///
    /// # Errors
    /// [`DeviceError::NoGpu`]; [`DeviceError::Gpu`] if it cannot be opened.
    #[cfg(feature = "gpu")]
    pub fn gpu(index: usize) -> Result<Device, DeviceError> {
        Gpu::open(index).map(Device::Gpu)
    }

    /// The same processor with matrix multiplications of this precision.
    ///
    /// # Errors
    /// [`DeviceError::MissingPrecision`] if it does not support them.
    pub fn with_precision(self, precision: Precision) -> Result<Device, DeviceError> {
        match self {
            Device::Cpu(cpu) => cpu.with_precision(precision).map(Device::Cpu),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => match precision {
                Precision::F32 => Ok(Device::Gpu(gpu)),
                wanted => Err(DeviceError::GpuPrecision { wanted }),
            },
        }
    }

    /// The precision to which the factors of matrix multiplications are rounded.
    pub fn precision(&self) -> Precision {
        match self {
            Device::Cpu(cpu) => cpu.precision(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => Precision::F32,
        }
    }

    /// Whether it does this work faster in this precision than in `f32`, by the rule in
    /// [`InstructionSet::multiplies_fast`].
    pub fn is_faster_in(&self, precision: Precision, work: Work) -> bool {
        match (self, work) {
            (_, _) if precision == Precision::F32 => false,
            (Device::Cpu(cpu), Work::Batches) => cpu.instructions().multiplies_fast(precision),
            (Device::Cpu(cpu), Work::Streams) => cpu.instructions().multiplies(precision),
            #[cfg(feature = "gpu")]
            (Device::Gpu(_), _) => false,
        }
    }

    /// The number of threads of the host that share the work of one operation.
    pub fn threads(&self) -> usize {
        match self {
            Device::Cpu(cpu) => cpu.threads(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => 1,
        }
    }

    pub(crate) fn as_cpu(&self) -> Option<&Cpu> {
        match self {
            Device::Cpu(cpu) => Some(cpu),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Fails on a GPU, which cannot do everything that a CPU can.
    ///
    /// # Errors
    /// [`DeviceError::NotOnGpu`].
    pub fn require_cpu(&self, what: &'static str) -> Result<(), DeviceError> {
        if self.works_ahead() { Err(DeviceError::NotOnGpu { what }) } else { Ok(()) }
    }

    /// Whether the device works on its own: operations are only recorded, and reading values waits for them.
    pub fn works_ahead(&self) -> bool {
        match self {
            Device::Cpu(_) => false,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => true,
        }
    }

    /// Starts the operations that have been recorded, if the device works on its own.
    pub fn submit(&self) {
        match self {
            Device::Cpu(_) => {}
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.submit(),
        }
    }

    /// The memory of the device that this process can still allocate; `None` if that is unknown. A CPU knows
    /// on Linux.
    pub fn available_memory(&self) -> Option<AvailableMemory> {
        match self {
            Device::Cpu(_) => available(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Checks that this many bytes can be allocated, as far as [`Device::available_memory`] knows.
    ///
    /// # Errors
    /// The available memory, if it is less.
    pub fn check_memory(&self, bytes: u64) -> Result<(), AvailableMemory> {
        match self.available_memory() {
            Some(available) if bytes > available.bytes => Err(available),
            _ => Ok(()),
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
                    precision => write!(f, ", {precision} precision)"),
                }
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => write!(f, "gpu:{} ({})", gpu.info().index, gpu.info()),
        }
    }
}
