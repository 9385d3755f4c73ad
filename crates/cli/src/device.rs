//! The device to compute on.

use std::num::NonZeroUsize;
use std::{env, thread};

use anyhow::{Context, Result};
use rondo_collective::local_rank;
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, DeviceChoice, PrecisionChoice, Work};

use crate::console::Console;
use crate::ranks;

/// Environment variable that selects the vector instructions, to compare them or to rule one out.
const INSTRUCTIONS_VARIABLE: &str = "RONDO_CPU";

/// The vector instructions selected by the environment, if any.
pub(crate) fn instructions() -> Result<Option<InstructionSet>> {
    let Some(name) = env::var(INSTRUCTIONS_VARIABLE).ok().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let cannot_use = || format!("cannot use `{name}` for `{INSTRUCTIONS_VARIABLE}`");
    Ok(Some(name.parse().with_context(cannot_use)?))
}

/// Environment variable for the device, if no flag names one.
const DEVICE_VARIABLE: &str = "RONDO_DEVICE";

/// The device that the environment names, if it does.
pub(crate) fn from_environment() -> Result<Option<DeviceChoice>> {
    let Some(name) = env::var(DEVICE_VARIABLE).ok().filter(|name| !name.is_empty()) else { return Ok(None) };
    Ok(Some(name.parse().with_context(|| format!("cannot use `{DEVICE_VARIABLE}`"))?))
}

/// The CPU with one thread per core, in `f32`.
pub(crate) fn cpu(console: Console) -> Result<Device> {
    open(Some(DeviceChoice::Cpu), None, (PrecisionChoice::default(), None), console)
}

/// The device: the chosen one, or that of the environment, or the CPU, which gets `threads` threads, by default one per
/// core. If it does not support the precision, or is slower with it in this work, prints a note and falls back to `f32`.
/// Without work, or if the environment selects the vector instructions, it may be slower.
pub(crate) fn open(
    choice: Option<DeviceChoice>,
    threads: Option<NonZeroUsize>,
    (precision, work): (PrecisionChoice, Option<Work>),
    console: Console,
) -> Result<Device> {
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let selected = instructions()?;
    let choice = choice.map_or_else(from_environment, |choice| Ok(Some(choice)))?.unwrap_or_default();
    let choice = if ranks::all().is_alone() { choice } else { choice.of_rank(local_rank().unwrap_or(0)) };
    let threads = threads.unwrap_or_else(cores).get();
    let (device, missing) = choice.open(threads, selected.unwrap_or_else(InstructionSet::detect))?;
    if let Some(error) = missing {
        console.say(&format!("note: {error}; computing on {device}"));
    }
    let is_forced = work.is_none() || selected.is_some();
    let (device, missing) = precision.apply(device, work.unwrap_or(Work::Batches), is_forced);
    if let Some(error) = missing {
        console.say(&format!("note: {error}; computing with {}", device.precision()));
    }
    Ok(device)
}
