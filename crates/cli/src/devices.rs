//! `rondo devices`: what can compute on this machine.

use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use clap::Args;
use rondo_kernels::cpu::InstructionSet;
#[cfg(feature = "gpu")]
use rondo_kernels::{Bytes, gpu::Gpu};
use rondo_kernels::{Device, Precision};
use serde_json::{Value, json};

use crate::output;

/// List the devices that models can run on
#[derive(Args, Debug)]
#[command(after_help = "\
--device NAME, or the environment variable RONDO_DEVICE, selects one: cpu, gpu (the first one), gpu:N, or auto, which is \
the first GPU, or the CPU if there is none.")]
pub(crate) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: DevicesArgs) -> Result<ExitCode> {
    let cpu = Cpu::detect()?;
    let gpus = gpus();
    if args.json {
        output::json(&json!({ "cpu": cpu.json(), "gpus": gpus.iter().map(Found::json).collect::<Value>() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = cpu.text();
    for gpu in &gpus {
        text += &gpu.text();
    }
    if gpus.is_empty() {
        text += match cfg!(feature = "gpu") {
            true => "gpu    none was found; a driver for Vulkan, Metal or DX12 is needed\n",
            false => "gpu    this build does not support GPUs; `--features gpu` builds one that does\n",
        };
    }
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The processor.
struct Cpu {
    threads: usize,
    instructions: Vec<String>,
    precisions: Vec<String>,
}

impl Cpu {
    fn detect() -> Result<Cpu> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let device = Device::cpu(1)?;
        let sets = InstructionSet::ALL.into_iter().filter(|set| set.is_available());
        let is_supported = |precision: &Precision| device.clone().with_precision(*precision).is_ok();
        let precisions = Precision::ALL.into_iter().filter(is_supported);
        Ok(Cpu {
            threads,
            instructions: sets.map(|set| set.to_string()).collect(),
            precisions: precisions.map(|precision| precision.to_string()).collect(),
        })
    }

    fn text(&self) -> String {
        let (threads, plural) = (self.threads, if self.threads == 1 { "" } else { "s" });
        let (instructions, precisions) = (self.instructions.join(", "), self.precisions.join(", "));
        format!(
            "cpu    {threads} thread{plural}\n       instructions {instructions}\n       precision {precisions}\n"
        )
    }

    fn json(&self) -> Value {
        json!({ "threads": self.threads, "instructions": self.instructions, "precisions": self.precisions })
    }
}

/// A GPU.
#[cfg(feature = "gpu")]
struct Found(rondo_kernels::gpu::GpuInfo);

#[cfg(feature = "gpu")]
fn gpus() -> Vec<Found> {
    Gpu::list().into_iter().map(Found).collect()
}

#[cfg(feature = "gpu")]
impl Found {
    fn text(&self) -> String {
        let Found(gpu) = self;
        let software = if gpu.is_software { " (software)" } else { "" };
        let (name, backend, driver) = (&gpu.name, &gpu.backend, &gpu.driver);
        let buffer = Bytes(gpu.max_buffer);
        format!(
            "gpu:{}  {name}{software}\n       {backend}, {driver}\n       precision f32\n       largest buffer {buffer}\n",
            gpu.index
        )
    }

    fn json(&self) -> Value {
        let Found(gpu) = self;
        json!({
            "index": gpu.index,
            "name": gpu.name,
            "backend": gpu.backend,
            "driver": gpu.driver,
            "software": gpu.is_software,
            "max_buffer_bytes": gpu.max_buffer,
        })
    }
}

/// There is none in this build.
#[cfg(not(feature = "gpu"))]
enum Found {}

#[cfg(not(feature = "gpu"))]
fn gpus() -> Vec<Found> {
    Vec::new()
}

#[cfg(not(feature = "gpu"))]
impl Found {
    fn text(&self) -> String {
        match *self {}
    }

    fn json(&self) -> Value {
        match *self {}
    }
}
