//! A model from its file, with the vocabulary and the plan that are beside it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_kernels::{Device, Precision};
use rondo_nn::{ModelFile, NnError, RnnLm, Workspace};
use rondo_runs::RunFolder;
use rondo_train::{Plan, Settings};

use crate::console::Console;
use crate::device;
use crate::failure::CliError;

const TOKENIZER_KEY: &str = "tokenizer";

/// Which model to use, and on what.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    /// Model file, or folder of a run: then its best model
    #[arg(long, short, value_name = "PATH", help_heading = "Model")]
    model: PathBuf,
    /// Vocabulary of the model [default: vocab.json beside it]
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    vocab: Option<PathBuf>,
    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "THREADS", help_heading = "Model")]
    threads: Option<NonZeroUsize>,
    /// What the factors of matrix products are rounded to, f32 or bf16; bf16 is faster where the processor multiplies it,
    /// and f32 is used where it does not
    #[arg(long, value_name = "PRECISION", default_value_t, help_heading = "Model")]
    precision: Precision,
}

/// A model that can be used on texts.
pub(crate) struct Loaded {
    /// The model's file.
    pub(crate) path: PathBuf,
    /// The model.
    pub(crate) model: RnnLm,
    /// Text to its ids and back.
    pub(crate) codec: TextCodec,
    /// What it was trained by, if its run's plan is beside it.
    pub(crate) plan: Option<Plan>,
    /// Memory to compute in.
    pub(crate) workspace: Workspace,
}

impl ModelArgs {
    /// Loads the model, its vocabulary and its plan.
    pub(crate) fn load(&self, console: Console) -> Result<Loaded> {
        let device = device::cpu(self.threads, self.precision, console)?;
        load(&self.model, self.vocab.as_deref(), &device)
    }
}

/// Loads the model at `path`, a file or the folder of a run, with its plan and its vocabulary, which is beside it
/// unless it is named.
pub(crate) fn load(path: &Path, vocab: Option<&Path>, device: &Device) -> Result<Loaded> {
    let path = file_at(path)?;
    let file = read(&path, device)?;
    let tokenizer = tokenizer(&file, &path)?;
    let codec = TextCodec::new(tokenizer, checked_vocab(vocab, &path, &file)?);
    let plan = plan_beside(&path)?;
    let workspace = Workspace::new(device);
    Ok(Loaded { path, model: file.model, codec, plan, workspace })
}

/// The vocabulary, which must be the very one that the model was trained with: the same words at other places
/// would make its numbers wrong without a sign of it.
fn checked_vocab(named: Option<&Path>, model: &Path, file: &ModelFile) -> Result<Vocab> {
    let (path, vocab) = match named {
        Some(path) => (path.to_owned(), Vocab::load(path)?),
        None => {
            let path = model.with_file_name(RunFolder::VOCAB);
            let vocab = Vocab::load(&path).map_err(CliError::NoVocabulary)?;
            (path, vocab)
        }
    };
    let (found, expected) = (vocab.fingerprint(), file.context.vocab_fingerprint.clone());
    if found != expected {
        return Err(CliError::OtherVocabulary { vocab: path, found, expected }.into());
    }
    // A damaged file can claim any fingerprint.
    let (found, expected) = (vocab.len(), file.model.config().vocab_size);
    if found != expected {
        return Err(CliError::VocabularySize { vocab: path, found, expected }.into());
    }
    Ok(vocab)
}

/// The model file that is meant by `path`: itself, or a run's best model.
pub(crate) fn file_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(RunFolder::BEST_MODEL);
    if file.is_file() { Ok(file) } else { Err(CliError::NoModel { folder: path.to_owned() }.into()) }
}

/// Reads a model file.
pub(crate) fn read(path: &Path, device: &Device) -> Result<ModelFile> {
    ModelFile::read(path, device).with_context(|| format!("could not load model `{}`", path.display()))
}

/// How the model's texts are cut into tokens, as its file says.
pub(crate) fn tokenizer(file: &ModelFile, path: &Path) -> Result<Tokenizer> {
    let unusable = |reason: String| NnError::Metadata { path: path.to_owned(), key: TOKENIZER_KEY, reason };
    let text =
        file.context.metadata.get(TOKENIZER_KEY).ok_or_else(|| unusable("it is missing".to_owned()))?;
    serde_json::from_str(text)
        .map_err(|error| unusable(error.to_string()))
        .with_context(|| format!("could not load model `{}`", path.display()))
}

fn plan_beside(model: &Path) -> Result<Option<Plan>> {
    settings_beside(model)?.map(|settings| Ok(Plan::new(&settings)?)).transpose()
}

/// The settings of the run that made the model file, if its plan is beside it.
pub(crate) fn settings_beside(model: &Path) -> Result<Option<Settings>> {
    let path = model.with_file_name(RunFolder::PLAN);
    if !path.is_file() {
        return Ok(None);
    }
    let origin = path.display().to_string();
    let text = fs::read_to_string(&path).with_context(|| format!("could not read `{origin}`"))?;
    Ok(Some(Settings::parse(&origin, &text)?))
}
