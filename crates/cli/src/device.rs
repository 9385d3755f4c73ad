//! The device to compute on.

use std::num::NonZeroUsize;
use std::{env, thread};

use anyhow::{Context, Result};
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, Precision};

use crate::console::Console;

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

/// The CPU with `threads` threads, by default one per core. If it does not support the precision, prints a note and
/// falls back to `f32`.
pub(crate) fn cpu(threads: Option<NonZeroUsize>, precision: Precision, console: Console) -> Result<Device> {
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let instructions = instructions()?.unwrap_or_else(InstructionSet::detect);
    let device = Device::cpu_with(threads.unwrap_or_else(cores).get(), instructions)?;
    match device.clone().with_precision(precision) {
        Ok(device) => Ok(device),
        Err(error) => {
            console.say(&format!("note: {error}; computing with {}", device.precision()));
            Ok(device)
        }
    }
}
