//! `rondo quantize`: writes a model with smaller weights.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_nn::WeightFormat;

use crate::models;

/// Write a model with int8 or bf16 weights, for devices with little memory
///
/// int8 takes a quarter of the space: an element of a matrix is a byte, and each row has a scale. One stream of text is
/// generated faster, too. Every command reads such a model, except that it cannot be trained further.
#[derive(Args, Debug)]
pub(crate) struct QuantizeArgs {
    /// Model file, or run folder for its best model
    #[arg(value_name = "PATH")]
    model: PathBuf,
    /// Format of the weights: int8 takes a quarter of the space, bf16 half
    #[arg(long, value_name = "FORMAT", default_value = "int8")]
    to: Format,
    /// Model file to write [default: next to the model, with -int8 or -bf16 in its name]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// [`WeightFormat`] without the one that quantizes nothing, as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Int8,
    Bf16,
}

/// Runs the command.
pub(crate) fn run(args: QuantizeArgs) -> Result<ExitCode> {
    let format = match args.to {
        Format::Int8 => WeightFormat::Int8,
        Format::Bf16 => WeightFormat::Bf16,
    };
    let path = models::file_of(&args.model)?;
    let out = args.out.unwrap_or_else(|| next_to(&path, format));
    models::convert(&path, format, &out)?;
    Ok(ExitCode::SUCCESS)
}

/// The file next to a model that is named after the format.
fn next_to(path: &Path, format: WeightFormat) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or("safetensors".into(), |extension| extension.to_string_lossy());
    path.with_file_name(format!("{stem}-{}.{extension}", format.name()))
}
