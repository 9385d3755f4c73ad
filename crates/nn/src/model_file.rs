//! The model file: safetensors, with the configuration and the vocabulary's fingerprint in its metadata.
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_model` | version of this layout, `1` |
//! | `config` | [`RnnLmConfig`] as JSON |
//! | `vocab_fingerprint` | which vocabulary the token numbers are of |
//! | `sha256` | checksum over all else ([`tensor_file`](crate::tensor_file)); files of earlier versions have none |
//! | `tokenizer`, … | whatever else the writer wants to know again |
//!
//! Tensors have the parameters' names and shapes, 32-bit little-endian.
//!
//! Promises: the same model and metadata make the same bytes; a file is checked against its own configuration
//! before anything of the size that it claims is allocated. Not here: replacing a file safely (the caller).

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use rondo_kernels::Device;

use crate::tensor_file::{Tensor, TensorFile, Values, write_tensors};
use crate::{NnError, Parameters, Result, RnnLm, RnnLmConfig};

const VERSION_KEY: &str = "rondo_model";
const VERSION: &str = "1";
const CONFIG_KEY: &str = "config";
const FINGERPRINT_KEY: &str = "vocab_fingerprint";

/// A model, and what a model file says besides.
#[derive(Debug)]
pub struct ModelFile {
    /// The model.
    pub model: RnnLm,
    /// Names the vocabulary whose numbers the model's tokens are.
    pub vocab_fingerprint: String,
    /// Everything else in the metadata.
    pub metadata: BTreeMap<String, String>,
}

impl ModelFile {
    /// Writes a model file. `metadata` is what to keep besides; this module's own keys win over it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(
        model: &RnnLm,
        vocab_fingerprint: &str,
        metadata: &BTreeMap<String, String>,
        to: &mut (impl Write + ?Sized),
    ) -> io::Result<()> {
        let mut metadata = metadata.clone();
        metadata.insert(VERSION_KEY.to_owned(), VERSION.to_owned());
        metadata.insert(CONFIG_KEY.to_owned(), serde_json::to_string(model.config())?);
        metadata.insert(FINGERPRINT_KEY.to_owned(), vocab_fingerprint.to_owned());
        write_tensors(&tensors(model.parameters()), &metadata, to)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`NnError::Io`] if it cannot be read, [`NnError::Format`] if it is no whole safetensors file,
    /// [`NnError::Metadata`] if it does not say which model it holds, an error that names the tensor if one is
    /// missing, superfluous, or of the wrong shape or type, and [`NnError::Damaged`] if it is not what was written.
    pub fn read(path: &Path, device: &Device) -> Result<ModelFile> {
        let io_error = |source| NnError::Io { action: "read", path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(io_error)?;
        ModelFile::from_bytes(&bytes, path, device)
    }

    /// Reads the bytes of a model file; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path, device: &Device) -> Result<ModelFile> {
        let refuse = |key, reason| NnError::Metadata { path: path.to_owned(), key, reason };
        let file = TensorFile::from_bytes(bytes, path)?;
        let mut metadata = file.metadata().clone();
        let mut take = |key: &'static str| {
            let missing = || refuse(key, "it is missing, so this is no model written by Rondo".to_owned());
            metadata.remove(key).ok_or_else(missing)
        };
        let version = take(VERSION_KEY)?;
        if version != VERSION {
            let reason = format!("it is version `{version}`, this program reads `{VERSION}`");
            return Err(refuse(VERSION_KEY, reason));
        }
        let config = take(CONFIG_KEY)?;
        let vocab_fingerprint = take(FINGERPRINT_KEY)?;
        let config: RnnLmConfig =
            serde_json::from_str(&config).map_err(|error| refuse(CONFIG_KEY, error.to_string()))?;
        config.check().map_err(|error| refuse(CONFIG_KEY, error.to_string()))?;

        check_tensors(&config, &file)?;
        file.verify()?;
        let mut model = RnnLm::new(config, device)?;
        read_tensors(&file, model.parameters_mut())?;
        Ok(ModelFile { model, vocab_fingerprint, metadata })
    }
}

/// The parameters as tensors to be written.
pub(crate) fn tensors(parameters: &Parameters) -> Vec<Tensor<'_>> {
    let tensor = |id| Tensor {
        name: parameters.name(id).to_owned(),
        shape: parameters.shape(id).to_vec(),
        values: Values::Numbers(parameters.values(id).host()),
    };
    parameters.ids().map(tensor).collect()
}

/// Compares the tensors with what the configuration asks for, before anything of its size is allocated.
fn check_tensors(config: &RnnLmConfig, file: &TensorFile<'_>) -> Result<()> {
    let expected = config.parameter_shapes();
    for (name, shape) in &expected {
        file.numbers(name, shape)?;
    }
    let expected: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    // The least of them, so that the same file gives the same error.
    match file.names().into_iter().filter(|name| !expected.contains(name)).min() {
        Some(name) => Err(NnError::UnknownTensor { name: name.to_owned() }),
        None => Ok(()),
    }
}

/// Takes the parameters' values over from a file that has been checked.
fn read_tensors(file: &TensorFile<'_>, parameters: &mut Parameters) -> Result<()> {
    for id in parameters.ids() {
        let numbers = file.numbers(parameters.name(id), parameters.shape(id))?;
        numbers.copy_to(parameters.values_mut(id).host());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
