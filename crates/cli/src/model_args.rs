//! The flags that select a model, and opening it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rondo_data::TextCodec;
use rondo_infer::{LanguageModel, OpenOptions};
use rondo_kernels::{Device, DeviceChoice, PrecisionChoice, Work};

use crate::console::Console;
use crate::device;

/// The model to use, and the device to run it on.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    /// Model file, or a run folder for its best model
    #[arg(long, short, value_name = "PATH", help_heading = "Model")]
    model: PathBuf,
    /// Vocabulary file, for model files without a vocabulary [default: vocab.json next to the model]
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    vocab: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// The device to run models on.
#[derive(Args, Debug)]
pub(crate) struct DeviceArgs {
    /// Device to run the model on: cpu, gpu, gpu:N (see `rondo devices`), or auto [default: cpu, or RONDO_DEVICE]
    #[arg(long, value_name = "DEVICE", help_heading = "Model")]
    device: Option<DeviceChoice>,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "THREADS", help_heading = "Model")]
    threads: Option<NonZeroUsize>,
    /// Precision of matrix multiplications: f32; bf16, where it is faster, and f32 elsewhere; bf16x3, nearly as exact as
    /// f32, on processors with AMX; or auto, the fastest
    #[arg(long, value_name = "PRECISION", default_value_t, help_heading = "Model")]
    precision: PrecisionChoice,
    /// Map the model file into memory instead of reading it, so that all processes that do so share its pages. The file
    /// must not be truncated meanwhile
    #[arg(long, help_heading = "Model")]
    mmap: bool,
}

/// An opened model.
pub(crate) struct Loaded {
    /// The model's file.
    pub(crate) path: PathBuf,
    /// The model.
    pub(crate) model: LanguageModel,
    /// The field of records that contains the text, if texts are files of records.
    pub(crate) text_field: Option<String>,
}

impl ModelArgs {
    /// Loads the model and its vocabulary, for this work.
    pub(crate) fn load(&self, work: Work, console: Console) -> Result<Loaded> {
        let device = self.device.device(work, console)?;
        let options = OpenOptions { vocab: self.vocab.clone(), mmap: self.device.mmap };
        let model = LanguageModel::open_with(&self.model, &options, &device)?;
        let path = LanguageModel::file_at(&self.model)?;
        Ok(Loaded { path, model, text_field: None })
    }
}

impl DeviceArgs {
    /// The device, for this work.
    fn device(&self, work: Work, console: Console) -> Result<Device> {
        device::open(self.device, self.threads, (self.precision, Some(work)), console)
    }

    /// The same, but model files are read even with `--mmap`, for a command that replaces them: Windows does not replace a
    /// file that is mapped.
    pub(crate) fn unmapped(self) -> DeviceArgs {
        DeviceArgs { mmap: false, ..self }
    }

    /// Loads models, in model files or run folders, onto one device, for this work.
    pub(crate) fn load_all(&self, paths: &[PathBuf], work: Work, console: Console) -> Result<Vec<Loaded>> {
        let device = self.device(work, console)?;
        let load = |path: &PathBuf| {
            let options = OpenOptions { mmap: self.mmap, ..OpenOptions::default() };
            let model = LanguageModel::open_with(path, &options, &device)?;
            Ok(Loaded { path: LanguageModel::file_at(path)?, model, text_field: None })
        };
        paths.iter().map(load).collect()
    }
}

impl Loaded {
    /// The model's tokenizer and vocabulary.
    pub(crate) fn codec(&self) -> &TextCodec {
        self.model.codec()
    }

    /// The tokens that must not be generated.
    pub(crate) fn forbidden(&self, forbid_unk: bool) -> Vec<u32> {
        self.codec().unknown_id().filter(|_| forbid_unk).into_iter().collect()
    }
}
