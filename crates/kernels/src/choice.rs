//! Which device to compute on, by name.

use std::fmt;
use std::str::FromStr;

use crate::cpu::InstructionSet;
use crate::{Device, DeviceError};

/// Which device to compute on: `cpu`, `gpu`, `gpu:N` or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The machine's own processor.
    #[default]
    Cpu,
    /// The GPU with this number.
    Gpu(usize),
    /// The first GPU, or the processor if there is none. Software that acts as a GPU does not count.
    Auto,
}

impl DeviceChoice {
    /// Opens the device. The CPU gets this many threads and these vector instructions. If the CPU takes the place of a GPU,
    /// the error says why.
    ///
    /// # Errors
    /// [`DeviceError::NoGpuSupport`], [`DeviceError::NoGpu`], [`DeviceError::Gpu`]; those of [`Device::cpu_with`].
    pub fn open(
        self,
        threads: usize,
        instructions: InstructionSet,
    ) -> Result<(Device, Option<DeviceError>), DeviceError> {
        let cpu = || Device::cpu_with(threads, instructions);
        match self {
            DeviceChoice::Cpu => Ok((cpu()?, None)),
            DeviceChoice::Gpu(index) => Ok((gpu(index)?, None)),
            DeviceChoice::Auto => match first_gpu() {
                Ok(device) => Ok((device, None)),
                Err(error) => Ok((cpu()?, Some(error))),
            },
        }
    }
}

impl DeviceChoice {
    /// The choice for the process with this number among those on the machine that compute together: instead of the first
    /// GPU, each gets one of its own, in turn.
    #[must_use]
    pub fn of_rank(self, local_rank: usize) -> DeviceChoice {
        match self {
            DeviceChoice::Gpu(0) => DeviceChoice::Gpu(local_rank % gpu_count().max(1)),
            other => other,
        }
    }
}

#[cfg(feature = "gpu")]
fn gpu_count() -> usize {
    // Software that acts as a GPU does not count, unless there is nothing else.
    let found = crate::gpu::Gpu::list();
    let hardware = found.iter().filter(|gpu| !gpu.is_software).count();
    if hardware > 0 { hardware } else { found.len() }
}

#[cfg(not(feature = "gpu"))]
fn gpu_count() -> usize {
    1
}

#[cfg(feature = "gpu")]
fn gpu(index: usize) -> Result<Device, DeviceError> {
    Device::gpu(index)
}

#[cfg(feature = "gpu")]
fn first_gpu() -> Result<Device, DeviceError> {
    match crate::gpu::Gpu::list().first() {
        Some(first) if !first.is_software => gpu(0),
        _ => Err(DeviceError::NoGpu { index: 0, found: 0 }),
    }
}

#[cfg(not(feature = "gpu"))]
fn gpu(_: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NoGpuSupport)
}

#[cfg(not(feature = "gpu"))]
fn first_gpu() -> Result<Device, DeviceError> {
    Err(DeviceError::NoGpuSupport)
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Gpu(0) => f.write_str("gpu"),
            DeviceChoice::Gpu(index) => write!(f, "gpu:{index}"),
            DeviceChoice::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "cpu" => Ok(DeviceChoice::Cpu),
            "gpu" => Ok(DeviceChoice::Gpu(0)),
            "auto" => Ok(DeviceChoice::Auto),
            _ => {
                let index = name.strip_prefix("gpu:").and_then(|index| index.parse().ok());
                index
                    .map(DeviceChoice::Gpu)
                    .ok_or_else(|| DeviceError::UnknownDevice { name: name.to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (name, choice) in [
            ("cpu", DeviceChoice::Cpu),
            ("gpu", DeviceChoice::Gpu(0)),
            ("gpu:3", DeviceChoice::Gpu(3)),
            ("auto", DeviceChoice::Auto),
        ] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), name);
        }
        for wrong in ["", "gpu:", "gpu:-1", "cuda", "GPU"] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert_eq!(error, format!("unknown device `{wrong}`, expected `cpu`, `gpu`, `gpu:N` or `auto`"));
        }
    }

    #[test]
    fn without_a_gpu_auto_is_the_processor() {
        let (device, _) = DeviceChoice::Auto.open(1, InstructionSet::detect()).unwrap();
        assert!(!device.to_string().is_empty());
        assert!(DeviceChoice::Gpu(1_000).open(1, InstructionSet::detect()).is_err());
    }
}
