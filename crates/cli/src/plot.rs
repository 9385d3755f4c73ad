//! `rondo plot`: one plot of several runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_runs::plot::{self, Axis, Run};
use rondo_runs::write_atomically;

use crate::console::Console;
use crate::error::CliError;

/// Plot runs: loss, perplexity, learning rate and gradient norm in one SVG
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// Run folders, or their metrics files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// SVG file to write; an existing file is replaced
    #[arg(long, short, value_name = "FILE", default_value = "plot.svg")]
    out: PathBuf,
    /// Unit of the x axis; epochs or seconds suit runs with different batch sizes
    #[arg(long, value_name = "AXIS", default_value = "steps")]
    x: AxisName,
}

/// [`Axis`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AxisName {
    Steps,
    Epochs,
    Seconds,
}

impl From<AxisName> for Axis {
    fn from(name: AxisName) -> Axis {
        match name {
            AxisName::Steps => Axis::Steps,
            AxisName::Epochs => Axis::Epochs,
            AxisName::Seconds => Axis::Seconds,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: PlotArgs) -> Result<ExitCode> {
    // A bitmap would need a font, and fonts differ from machine to machine.
    if args.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("svg")) {
        return Err(CliError::PictureFormat { path: args.out }.into());
    }
    let picture = plot::compare(&Run::read_all(&args.runs)?, args.x.into())?;
    write_atomically(&args.out, |to| to.write_all(picture.as_bytes()))?;
    Console::new(false).say(&format!("wrote `{}`", args.out.display()));
    Ok(ExitCode::SUCCESS)
}
