//! The model file: safetensors, with the configuration and the vocabulary's fingerprint in its metadata.
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_model` | version of this layout, `1` |
//! | `config` | [`RnnLmConfig`] as JSON |
//! | `vocab_fingerprint` | which vocabulary the token numbers are of |
//! | `tokenizer`, … | whatever else the writer wants to know again |
//!
//! Tensors have the parameters' names and shapes, 32-bit little-endian.
//!
//! Promises: the same model and metadata make the same bytes; a file is checked against its own configuration
//! before anything of the size that it claims is allocated. Not here: replacing a file safely (the caller).

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use rondo_kernels::{Device, Slice};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::json;

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
        write_tensors(model.parameters(), &metadata, to)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`NnError::Io`] if it cannot be read, [`NnError::Format`] if it is no whole safetensors file,
    /// [`NnError::Metadata`] if it does not say which model it holds, and an error that names the tensor if
    /// one is missing, superfluous, or of the wrong shape or type.
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
        let format = |source| NnError::Format { path: path.to_owned(), source };
        let refuse = |key, reason| NnError::Metadata { path: path.to_owned(), key, reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;

        let mut metadata: BTreeMap<_, _> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
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

        check_tensors(&config, &tensors)?;
        let mut model = RnnLm::new(config, device)?;
        read_tensors(&tensors, model.parameters_mut())?;
        Ok(ModelFile { model, vocab_fingerprint, metadata })
    }
}

/// Writes a safetensors file: the header's length in 8 bytes, the header as JSON, the numbers.
///
/// The library has a writer of its own. It wants all numbers at once, as bytes, and leaves the metadata's
/// order to chance, while this takes no memory to speak of and writes the same file each time.
fn write_tensors(
    parameters: &Parameters,
    metadata: &BTreeMap<String, String>,
    to: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    /// The header is filled up with blanks to a multiple of this, so that the numbers after it are aligned.
    const ALIGNMENT: usize = 8;
    /// How many numbers are turned into bytes at a time.
    const NUMBERS_AT_ONCE: usize = 16_384;

    let mut header = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut start = 0;
    for id in parameters.ids() {
        let end = start + size_of_val(parameters.values(id).host());
        let tensor = json!({ "dtype": "F32", "shape": parameters.shape(id), "data_offsets": [start, end] });
        header.insert(parameters.name(id), tensor);
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    let mut bytes = Vec::new();
    for id in parameters.ids() {
        for numbers in parameters.values(id).host().chunks(NUMBERS_AT_ONCE) {
            bytes.clear();
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            to.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// Compares the tensors with what the configuration asks for, before anything of its size is allocated.
fn check_tensors(config: &RnnLmConfig, tensors: &SafeTensors<'_>) -> Result<()> {
    let expected = config.parameter_shapes();
    for (name, shape) in &expected {
        let tensor = tensors.tensor(name).map_err(|_| NnError::MissingTensor { name: name.clone() })?;
        if tensor.dtype() != Dtype::F32 {
            let found = format!("{:?}", tensor.dtype());
            return Err(NnError::Type { name: name.clone(), found });
        }
        if tensor.shape() != shape {
            let found = tensor.shape().to_vec();
            return Err(NnError::Shape { name: name.clone(), found, expected: shape.clone() });
        }
    }
    let expected: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    // The least of them, so that the same file gives the same error.
    match tensors.names().into_iter().filter(|name| !expected.contains(name)).min() {
        Some(name) => Err(NnError::UnknownTensor { name: name.to_owned() }),
        None => Ok(()),
    }
}

/// Takes the parameters' values over from tensors that have been checked.
fn read_tensors(tensors: &SafeTensors<'_>, parameters: &mut Parameters) -> Result<()> {
    let mut values = Vec::new();
    for id in parameters.ids() {
        let name = parameters.name(id);
        let tensor = tensors.tensor(name).map_err(|_| NnError::MissingTensor { name: name.to_owned() })?;
        values.clear();
        values.extend(tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        parameters.values_mut(id).copy_from(Slice::Cpu(&values));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
