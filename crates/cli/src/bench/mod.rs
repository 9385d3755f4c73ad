//! `rondo bench`: how fast training, evaluation and generation are on this machine.
//!
//! ```text
//! workload, sizes ─▶ Benchmark ─▶ throughput::measure ─▶ report: text in columns, or one line of JSON
//! ```

mod memory;
mod report;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_kernels::{DeviceChoice, PrecisionChoice};
use rondo_train::throughput::{self, Benchmark, Budget, Phase, Progress, Sizes, Workload};

use crate::console::Console;
use crate::{describe, device};

/// Benchmark training, evaluation and generation on this machine, relative to its peak
#[derive(Args, Debug)]
#[command(after_help = "\
A workload is a model of a published size, trained with SGD on token ids sampled from Zipf's law, with batch size × time steps:

  W1      lstm 2 × 200, embedding 200, tied, 33,278 tokens, dropout 0.2, 20 × 35
  W1u     the same, not tied
  W1s     W1, trained with a sampled softmax of 4,096 draws
  W1a     W1u with an adaptive softmax, whose clusters begin at 2,000 and 10,000
  W2      lstm 2 × 650, embedding 650, tied, 33,278 tokens, dropout 0.5, 20 × 35
  W3      lstm 2 × 650, embedding 650, 10,000 tokens, dropout 0.5, 32 × 35
  W4      rnn_relu 2 × 100, embedding 100, tied, 10,000 tokens, dropout 0.2, 32 × 5
  W5      rnn_tanh 256, one-hot input, 77 tokens, 32 × 64
  W6      lstm 2 × 512, embedding 64, 77 tokens, 64 × 64
  W7      lstm 1150 → 1150 → 400, embedding 400, tied, 33,278 tokens, locked dropout, 80 × 70
  W8:W1   generation only, with the model of W1
  W8:W6   generation only, with the model of W6

A training step is the forward pass, the backward pass, clipping by global norm, and SGD. Each round measures the FMA \
peak and memory bandwidth of the machine and every phase once; results are medians over the rounds. Floating-point \
operations count the matrix multiplications only. Do not run other programs at the same time.")]
pub(crate) struct BenchArgs {
    /// Workload to run
    #[arg(long, value_name = "NAME")]
    workload: String,
    /// Phases to measure, comma-separated or repeated [default: all phases of the workload]
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    phase: Vec<PhaseName>,
    /// Number of texts to generate in parallel
    #[arg(long, value_name = "COUNT", default_value = "1")]
    streams: NonZeroUsize,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Number of rounds
    #[arg(long, value_name = "COUNT", default_value = "5", help_heading = "Measurement")]
    rounds: NonZeroUsize,
    /// Seconds per phase in each round; at least one step, batch or token is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, help_heading = "Measurement")]
    seconds: f64,
    /// Steps, batches or tokens per phase in each round, instead of --seconds
    #[arg(long, value_name = "COUNT", conflicts_with = "seconds", help_heading = "Measurement")]
    repeats: Option<NonZeroUsize>,
    /// Device to measure: cpu, gpu, gpu:N (see `rondo devices`), or auto [default: cpu, or RONDO_DEVICE]
    #[arg(long, value_name = "DEVICE", help_heading = "Measurement")]
    device: Option<DeviceChoice>,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "COUNT", help_heading = "Measurement")]
    threads: Option<NonZeroUsize>,
    /// Precision of matrix multiplications: f32; bf16 or bf16x3, even where it is slower, but f32 on processors without it;
    /// or auto
    #[arg(long, value_name = "PRECISION", default_value_t, help_heading = "Measurement")]
    precision: PrecisionChoice,
    /// Also report the time of each operation
    #[arg(long, help_heading = "Output")]
    profile: bool,
    /// Print one line of JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Show no progress
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// [`Sizes`], as flags.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sizes (default: those of the workload)")]
struct SizeArgs {
    /// Batch size: number of parallel sequences
    #[arg(long, value_name = "SEQUENCES")]
    batch_size: Option<NonZeroUsize>,
    /// Time steps per batch
    #[arg(long, value_name = "STEPS")]
    bptt: Option<NonZeroUsize>,
    /// Hidden size of all layers, and of the embedding if the workload's sizes are equal
    #[arg(long, value_name = "SIZE")]
    hidden_size: Option<NonZeroUsize>,
    /// Number of recurrent layers
    #[arg(long, value_name = "LAYERS")]
    layers: Option<NonZeroUsize>,
    /// Vocabulary size
    #[arg(long, value_name = "TOKENS")]
    vocab_size: Option<NonZeroUsize>,
}

impl SizeArgs {
    fn sizes(&self) -> Sizes {
        let size = |flag: Option<NonZeroUsize>| flag.map(NonZeroUsize::get);
        Sizes {
            batch_size: size(self.batch_size),
            bptt: size(self.bptt),
            vocab_size: size(self.vocab_size),
            hidden_size: size(self.hidden_size),
            layers: size(self.layers),
        }
    }
}

/// [`Phase`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PhaseName {
    Train,
    Eval,
    Generate,
}

impl From<PhaseName> for Phase {
    fn from(name: PhaseName) -> Phase {
        match name {
            PhaseName::Train => Phase::Train,
            PhaseName::Eval => Phase::Evaluate,
            PhaseName::Generate => Phase::Generate,
        }
    }
}

/// A time that is neither negative nor endless.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds from 0 to 86,400".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: BenchArgs) -> Result<ExitCode> {
    let console = Console::new(args.quiet);
    let benchmark = Benchmark {
        workload: Workload::find(&args.workload)?.resized(args.sizes.sizes())?,
        phases: args.phase.into_iter().map(Phase::from).collect(),
        rounds: args.rounds.get(),
        budget: match args.repeats {
            Some(repeats) => Budget::Repeats(repeats.get()),
            None => Budget::Seconds(args.seconds),
        },
        streams: args.streams.get(),
        profile: args.profile,
    };
    let phases = benchmark.resolved_phases()?;
    let device = device::open(args.device, args.threads, (args.precision, None), console)?;
    console.say(&format!(
        "{}: {}, {} tokens, on {device}",
        benchmark.workload.name,
        describe::model(&benchmark.workload.config),
        describe::count(benchmark.workload.config.vocab_size),
    ));
    let bar = console.bar("{bar:24}  {pos} of {len} rounds  {elapsed} gone");
    bar.set_length(benchmark.rounds as u64);
    let mut peak_rss_mib = None;
    let report = throughput::measure(&benchmark, &device, &mut |progress| match progress {
        Progress::WarmedUp => peak_rss_mib = memory::peak_rss_mib(),
        Progress::Rounds(done) => bar.set_position(done as u64),
    })?;
    drop(bar);
    let found =
        report::Found { benchmark: &benchmark, phases: &phases, device: &device, report, peak_rss_mib };
    if args.json {
        found.print_json()?
    } else {
        found.print_text()?
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use rondo_train::throughput::WORKLOADS;

    use super::*;

    #[test]
    fn the_help_lists_every_workload() {
        let help = BenchArgs::augment_args(clap::Command::new("bench")).get_after_help().unwrap().to_string();
        let listed = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
        assert_eq!(listed.collect::<Vec<_>>(), WORKLOADS);
    }
}
