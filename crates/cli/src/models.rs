//! `rondo models`: the named configurations, and the contents of a model file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_infer::{InferError, LanguageModel};
use rondo_kernels::Precision;
use rondo_nn::{ModelFile, PRESETS};
use serde_json::{Value, json};

use crate::console::Console;
use crate::{describe, device, output};

/// List the named model configurations, or describe a model file
#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    /// Model file to describe, or a run folder for its best model
    path: Option<PathBuf>,
    /// Vocabulary size to compute parameter counts for (the default is WikiText-2's)
    #[arg(long, value_name = "TOKENS", default_value = "33278", conflicts_with = "path")]
    vocab_size: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: ModelsArgs) -> Result<ExitCode> {
    match args.path {
        Some(path) => describe_file(&LanguageModel::file_at(&path)?, args.json)?,
        None => list(args.vocab_size.get(), args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(vocab_size: usize, json: bool) -> Result<()> {
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

fn describe_file(path: &Path, json: bool) -> Result<()> {
    let device = device::cpu(None, Precision::F32, Console::new(false))?;
    let open = |source| InferError::Open { path: path.to_owned(), source };
    let file = ModelFile::read(path, &device).map_err(open)?;
    let config = file.model.config();
    if json {
        let parameters = config
            .parameter_shapes()
            .into_iter()
            .map(|(name, shape)| json!({ "name": name, "shape": shape }));
        return output::json(&json!({
            "path": path.display().to_string(),
            "config": config,
            "parameters": config.parameter_count(),
            "tensors": parameters.collect::<Value>(),
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
    rows.extend(file.context.metadata.into_iter().map(|(key, value)| vec![key, value]));
    let tensors = config.parameter_shapes().into_iter();
    let tensors: Vec<_> =
        tensors.map(|(name, shape)| vec![format!("  {name}"), format!("{shape:?}")]).collect();
    output::text(&format!("{}\n{}", output::columns(&rows, &[]), output::columns(&tensors, &[])))
}
