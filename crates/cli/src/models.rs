//! `rondo models`: the presets, the contents of a model file, and the format of its weights.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_infer::{InferError, LanguageModel};
use rondo_kernels::Bytes;
use rondo_nn::{Cell, Dropout, DropoutSite, ModelFile, PRESETS, Preset, RnnLmConfig, WeightFormat};
use rondo_train::TrainError;
use serde_json::{Value, json};

use crate::console::Console;
use crate::error::CliError;
use crate::{describe, device, output};

/// List the model presets, describe a preset or a model, or store a model in less space
#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    /// Preset, model file, or run folder for its best model, to describe
    #[arg(value_name = "PRESET|PATH")]
    model: Option<PathBuf>,
    /// Vocabulary size to compute the parameter counts of presets for [default: 33278, that of WikiText-2]
    #[arg(long, value_name = "TOKENS")]
    vocab_size: Option<NonZeroUsize>,
    /// Write the model with weights in this format to the file --out: bf16 takes half the space, int8 a quarter, f32 is exact
    #[arg(long, value_name = "FORMAT", requires_all = ["model", "out"], conflicts_with_all = ["vocab_size", "json"])]
    to: Option<Format>,
    /// Model file to write
    #[arg(long, value_name = "FILE", requires = "to")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// [`WeightFormat`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    F32,
    Bf16,
    Int8,
}

/// The vocabulary size of WikiText-2.
const VOCAB_SIZE: usize = 33_278;

/// Runs the command.
pub(crate) fn run(args: ModelsArgs) -> Result<ExitCode> {
    let vocab_size = args.vocab_size.map_or(VOCAB_SIZE, NonZeroUsize::get);
    if let (Some(model), Some(format), Some(out)) = (&args.model, args.to, &args.out) {
        let format = match format {
            Format::F32 => WeightFormat::F32,
            Format::Bf16 => WeightFormat::Bf16,
            Format::Int8 => WeightFormat::Int8,
        };
        convert(&file_of(model)?, format, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.model {
        Some(model) => match model.to_str().and_then(Preset::find) {
            // A file or folder of this name comes first.
            Some(preset) if !model.exists() => describe_preset(preset, vocab_size, args.json)?,
            _ if args.vocab_size.is_some() => return Err(CliError::VocabSizeOfModel { model }.into()),
            None if is_no_path(&model) => return Err(unknown_preset(&model)),
            _ => describe_file(&LanguageModel::file_at(&model)?, args.json)?,
        },
        None => list(vocab_size, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The file of a model, which must not be a preset.
pub(crate) fn file_of(model: &Path) -> Result<PathBuf> {
    if is_no_path(model) {
        return Err(match model.to_str().and_then(Preset::find) {
            Some(preset) => CliError::NoWeights { preset: preset.name }.into(),
            None => unknown_preset(model),
        });
    }
    Ok(LanguageModel::file_at(model)?)
}

/// Writes the model of a file with weights in another format.
pub(crate) fn convert(path: &Path, format: WeightFormat, out: &Path) -> Result<()> {
    let is_same = |path: &Path, other: &Path| Some(path.canonicalize().ok()? == other.canonicalize().ok()?);
    if is_same(path, out) == Some(true) {
        return Err(CliError::OverItself { path: path.to_owned() }.into());
    }
    let console = Console::new(false);
    let device = device::cpu(console)?;
    LanguageModel::open(path, &device)?.save_as(out, format)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    console.say(&format!(
        "wrote `{}` with {} weights: {} instead of {}",
        out.display(),
        format.name(),
        Bytes(size(out)),
        Bytes(size(path))
    ));
    Ok(())
}

/// Whether an argument names neither a file nor a folder, and looks like the name of a preset.
fn is_no_path(model: &Path) -> bool {
    !model.exists() && model.components().count() == 1 && model.extension().is_none()
}

fn unknown_preset(name: &Path) -> anyhow::Error {
    let known = PRESETS.iter().map(|preset| preset.name).collect();
    let error = TrainError::UnknownPreset { name: name.display().to_string(), known };
    anyhow::Error::new(error)
        .context(format!("`{}` is neither a file, nor a folder, nor a preset", name.display()))
}

fn list(vocab_size: usize, json: bool) -> Result<()> {
    for preset in PRESETS {
        preset.config(vocab_size).check()?;
    }
    if json {
        let presets = PRESETS.iter().map(|preset| {
            let config = preset.config(vocab_size);
            json!({ "name": preset.name, "config": config, "parameters": config.parameter_count() })
        });
        return output::json(&presets.collect());
    }
    let mut rows = vec![["name", "parameters", "model"].map(str::to_owned).to_vec()];
    for preset in PRESETS {
        let config = preset.config(vocab_size);
        rows.push(vec![
            preset.name.to_owned(),
            describe::count(config.parameter_count()),
            describe::model(&config),
        ]);
    }
    let note =
        format!("\nParameter counts are for a vocabulary of {} tokens.\n", describe::count(vocab_size));
    output::text(&(output::columns(&rows, &[1]) + &note))
}

/// The sizes, dropout and parameters of a preset.
fn describe_preset(preset: Preset, vocab_size: usize, json: bool) -> Result<()> {
    let config = preset.config(vocab_size);
    config.check()?;
    if json {
        return output::json(&json!({
            "name": preset.name,
            "config": config,
            "parameters": config.parameter_count(),
            "tensors": tensors(&config),
        }));
    }
    let probability = |site: DropoutSite| match site.probability {
        0.0 => "off".to_owned(),
        probability => format!("{probability}{}", if site.locked { ", locked" } else { "" }),
    };
    let number =
        |probability: f32| if probability == 0.0 { "off".to_owned() } else { probability.to_string() };
    let mut sizes = preset.hidden_sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if let Some(size) = preset.projection_size {
        sizes.push_str(&format!(", projected to {size}"));
    }
    let Dropout { input, between, output, words, weights } = config.dropout;
    let rows = [
        ("preset", preset.name.to_owned()),
        ("cell", config.cell.to_string()),
        ("gates", gate_order(config.cell).unwrap_or_default()),
        ("embedding size", format!("{}, tied to the decoder", preset.embedding_size)),
        ("hidden sizes", sizes),
        ("input dropout", probability(input)),
        ("between layers", probability(between)),
        ("output dropout", probability(output)),
        ("embedding dropout", number(words)),
        ("weight dropout", number(weights)),
        ("vocabulary", format!("{} tokens", describe::count(vocab_size))),
        ("parameters", describe::count(config.parameter_count())),
        ("use it", format!("rondo train --preset {}", preset.name)),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    output::text(&format!("{}\n{}", output::columns(&rows, &[]), tensor_table(&config)))
}

fn describe_file(path: &Path, json: bool) -> Result<()> {
    let device = device::cpu(Console::new(false))?;
    let file = ModelFile::read(path, &device).map_err(|source| InferError::of_file(source, path))?;
    let config = file.model.config();
    if json {
        return output::json(&json!({
            "path": path.display().to_string(),
            "config": config,
            "parameters": config.parameter_count(),
            "tensors": tensors(config),
            "vocab_fingerprint": file.context.vocab_fingerprint,
            "metadata": file.context.metadata,
        }));
    }
    let mut rows = vec![
        vec!["file".to_owned(), path.display().to_string()],
        vec!["model".to_owned(), describe::model(config)],
        vec!["parameters".to_owned(), describe::count(config.parameter_count())],
        vec!["vocabulary".to_owned(), format!("{} tokens", describe::count(config.vocab_size))],
        vec!["fingerprint".to_owned(), file.context.vocab_fingerprint],
    ];
    rows.extend(gate_order(config.cell).map(|gates| vec!["gates".to_owned(), gates]));
    rows.extend(file.context.metadata.into_iter().map(|(key, value)| vec![key, value]));
    output::text(&format!("{}\n{}", output::columns(&rows, &[]), tensor_table(config)))
}

/// Names, shapes and contents of the parameters.
fn tensor_table(config: &RnnLmConfig) -> String {
    let parameters = config.parameter_shapes().into_iter();
    let rows: Vec<_> = parameters
        .map(|(name, shape)| {
            vec![format!("  {name}"), format!("{shape:?}"), contents(config, &name).to_owned()]
        })
        .collect();
    output::columns(&rows, &[])
}

/// Names and shapes of the parameters, with the order of the gates in those that are stacked by gate.
fn tensors(config: &RnnLmConfig) -> Value {
    let parameters = config.parameter_shapes().into_iter();
    parameters
        .map(|(name, shape)| {
            let gates: Vec<&str> = match is_stacked(&name) {
                true => gates(config.cell).iter().map(|(letter, _)| *letter).collect(),
                false => vec![],
            };
            json!({ "name": name, "shape": shape, "gates": gates })
        })
        .collect()
}

/// What a parameter contains.
fn contents(config: &RnnLmConfig, name: &str) -> &'static str {
    let has_gates = !gates(config.cell).is_empty();
    match name {
        "embedding.weight" if config.tied => "a row for each token; also the decoder's weight",
        "input.weight" if has_gates => "a row for each token, gates side by side",
        "embedding.weight" | "input.weight" | "decoder.weight" => "a row for each token",
        "decoder.bias" => "an element for each token",
        "decoder.head.weight" => "a row for each frequent token, and for each cluster",
        name if name.starts_with("decoder.tails.") => match name.ends_with(".projection") {
            true => "hidden to cluster",
            false => "a row for each token of the cluster",
        },
        name if name.ends_with(".weight_hr") => "output to hidden: the projection",
        name if name.ends_with(".mogrifier_x") => "hidden to gate of input, rounds stacked",
        name if name.ends_with(".mogrifier_h") => "input to gate of hidden, rounds stacked",
        name if name.ends_with("_left") => "left factor of a gate, rounds stacked",
        name if name.ends_with("_right") => "right factor of a gate, rounds stacked",
        name => match (name.rsplit_once('.').map(|(_, kind)| kind), has_gates) {
            (Some("weight_ih"), true) => "input to hidden, gates stacked",
            (Some("weight_ih"), false) => "input to hidden",
            (Some("weight_hh"), true) => "hidden to hidden, gates stacked",
            (Some("weight_hh"), false) => "hidden to hidden",
            (Some("bias_ih"), true) => "bias of input to hidden, gates stacked",
            (Some("bias_ih"), false) => "bias of input to hidden",
            (_, true) => "bias of hidden to hidden, gates stacked",
            (_, false) => "bias of hidden to hidden",
        },
    }
}

/// Whether a parameter has a part for each gate.
fn is_stacked(name: &str) -> bool {
    let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
    let has_gates = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].contains(&kind);
    (name.starts_with("rnn.") && has_gates) || name == "input.weight"
}

/// The gates of a cell, with their names, in the order in which its parameters contain them; none for a cell without
/// gates.
fn gates(cell: Cell) -> &'static [(&'static str, &'static str)] {
    match cell {
        Cell::Lstm | Cell::Mogrifier => &[("i", "input"), ("f", "forget"), ("g", "cell"), ("o", "output")],
        Cell::Cifg => &[("f", "forget"), ("g", "cell"), ("o", "output")],
        Cell::Gru => &[("r", "reset"), ("z", "update"), ("n", "new")],
        Cell::RnnTanh | Cell::RnnRelu => &[],
    }
}

/// The gates of a cell in words, if it has any.
fn gate_order(cell: Cell) -> Option<String> {
    let gates: Vec<_> = gates(cell).iter().map(|(letter, name)| format!("{letter} ({name})")).collect();
    (!gates.is_empty()).then(|| format!("{}, in this order", gates.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_is_named() {
        for cell in Cell::ALL {
            let gates = gates(cell).len();
            assert_eq!(if gates == 0 { 1 } else { gates }, cell.gates(), "{cell}");
        }
    }
}
