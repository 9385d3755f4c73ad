//! A model from its file, with the vocabulary and the plan that are beside it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use rondo_data::TextCodec;
use rondo_infer::LanguageModel;
use rondo_kernels::Precision;
use rondo_runs::RunFolder;
use rondo_train::{Plan, Settings};

use crate::console::Console;
use crate::device;

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
    pub(crate) model: LanguageModel,
    /// What it was trained by, if its run's plan is beside it.
    pub(crate) plan: Option<Plan>,
}

impl ModelArgs {
    /// Loads the model, its vocabulary and its plan.
    pub(crate) fn load(&self, console: Console) -> Result<Loaded> {
        let device = device::cpu(self.threads, self.precision, console)?;
        let model = LanguageModel::open_with(&self.model, self.vocab.as_deref(), &device)?;
        let path = LanguageModel::file_at(&self.model)?;
        let plan = plan_beside(&path)?;
        Ok(Loaded { path, model, plan })
    }
}

impl Loaded {
    /// Text to the model's ids and back.
    pub(crate) fn codec(&self) -> &TextCodec {
        self.model.codec()
    }

    /// The unknown token, if it is not to be generated.
    pub(crate) fn forbidden(&self, forbid_unk: bool) -> Vec<u32> {
        self.codec().unknown_id().filter(|_| forbid_unk).into_iter().collect()
    }
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
