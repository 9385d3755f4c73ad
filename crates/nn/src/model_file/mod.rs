//! The model file: safetensors, with the configuration in its metadata.
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_model` | version of this layout, `2`; version 1 had no attachments |
//! | `config` | [`RnnLmConfig`] as JSON, or what another [`Model`] says of itself |
//! | `vocab_fingerprint` | the vocabulary that the token ids belong to |
//! | `sha256` | checksum of everything else ([`tensor_file`](crate::tensor_file)); files of earlier versions have none |
//! | `epoch`, … | whatever else the writer wants to read again |
//!
//! | tensors | what |
//! |---|---|
//! | the parameters' names | their values, 32-bit little-endian |
//! | `rondo.NAME` | the bytes of an attachment: whatever else belongs to the model, such as its vocabulary |
//!
//! Promises: the same model, metadata and attachments make the same bytes; a file is checked against its own
//! configuration before anything of the size that it claims is allocated. Not here: replacing a file safely (the
//! caller), what attachments mean.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use rondo_kernels::Device;

use crate::tensor_file::{Tensor, TensorFile, Values, write_tensors};
use crate::{Model, NnError, Parameters, Result, RnnLm, RnnLmConfig};

const VERSION_KEY: &str = "rondo_model";
const VERSION: &str = "2";
/// The versions that are read.
const READABLE: [&str; 2] = ["1", VERSION];
const CONFIG_KEY: &str = "config";
const FINGERPRINT_KEY: &str = "vocab_fingerprint";
/// What the names of attachments begin with. A reader skips those that it does not know.
const ATTACHMENT_PREFIX: &str = "rondo.";

/// A model, and what a model file says besides.
#[derive(Debug)]
pub struct ModelFile {
    /// The model.
    pub model: RnnLm,
    /// Everything else.
    pub context: ModelContext,
}

/// What stands in a model file beside the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelContext {
    /// Names the vocabulary that the model's token ids belong to.
    pub vocab_fingerprint: String,
    /// Short texts for the file's header. The keys of this module win over them.
    pub metadata: BTreeMap<String, String>,
    /// What else belongs to the model, by name.
    pub attachments: BTreeMap<String, Vec<u8>>,
}

impl ModelFile {
    /// Writes a model file.
    ///
    /// # Errors
    /// What the writer says, or that the parameters could not be read from their device.
    pub fn write(
        model: &dyn Model,
        context: &ModelContext,
        to: &mut (impl Write + ?Sized),
    ) -> io::Result<()> {
        let mut metadata = context.metadata.clone();
        metadata.insert(VERSION_KEY.to_owned(), VERSION.to_owned());
        metadata.insert(CONFIG_KEY.to_owned(), model.description());
        metadata.insert(FINGERPRINT_KEY.to_owned(), context.vocab_fingerprint.clone());
        let mut tensors = parameter_tensors("", model.parameters()).map_err(io::Error::other)?;
        tensors.extend(context.attachments.iter().map(|(name, bytes)| Tensor {
            name: format!("{ATTACHMENT_PREFIX}{name}"),
            shape: vec![bytes.len()],
            values: Values::Bytes(bytes),
        }));
        write_tensors(&tensors, &metadata, to)
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
        let (file, description, context) = parts(bytes, path)?;
        let refuse = |reason| NnError::Metadata { path: path.to_owned(), key: CONFIG_KEY, reason };
        let config: RnnLmConfig =
            serde_json::from_str(&description).map_err(|error| refuse(error.to_string()))?;
        config.check().map_err(|error| refuse(error.to_string()))?;

        check_tensors(&config.parameter_shapes(), &file)?;
        file.verify()?;
        let mut model = RnnLm::new(config, device)?;
        read_parameters("", &file, model.parameters_mut())?;
        Ok(ModelFile { model, context })
    }

    /// Reads the parameters of a model of any kind from the file that it was written to, and returns what the file
    /// says besides.
    ///
    /// # Errors
    /// As [`ModelFile::read`]; [`NnError::OtherModel`] if the file describes a different model.
    pub fn read_into(model: &mut dyn Model, path: &Path) -> Result<ModelContext> {
        let io_error = |source| NnError::Io { action: "read", path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(io_error)?;
        let (file, found, context) = parts(&bytes, path)?;
        let expected = model.description();
        if found != expected {
            return Err(NnError::OtherModel { path: path.to_owned(), found, expected });
        }
        let parameters = model.parameters_mut();
        let shape = |id| (parameters.name(id).to_owned(), parameters.shape(id).to_vec());
        check_tensors(&parameters.ids().map(shape).collect::<Vec<_>>(), &file)?;
        file.verify()?;
        read_parameters("", &file, parameters)?;
        Ok(context)
    }
}

/// The tensors of a model file, what its model says of itself, and the rest.
fn parts<'a>(bytes: &'a [u8], path: &Path) -> Result<(TensorFile<'a>, String, ModelContext)> {
    let refuse = |key, reason| NnError::Metadata { path: path.to_owned(), key, reason };
    let file = TensorFile::from_bytes(bytes, path)?;
    let mut metadata = file.metadata().clone();
    let mut take = |key: &'static str| {
        let missing = || refuse(key, "it is missing, so this is no model written by Rondo".to_owned());
        metadata.remove(key).ok_or_else(missing)
    };
    let version = take(VERSION_KEY)?;
    if !READABLE.contains(&version.as_str()) {
        let reason = format!("it is version `{version}`, this program reads `{}`", READABLE.join("` and `"));
        return Err(refuse(VERSION_KEY, reason));
    }
    let description = take(CONFIG_KEY)?;
    let vocab_fingerprint = take(FINGERPRINT_KEY)?;
    let mut attachments = BTreeMap::new();
    for name in file.names() {
        // One that holds something else than bytes belongs to a later version.
        if let (Some(short), Ok(bytes)) = (name.strip_prefix(ATTACHMENT_PREFIX), file.bytes(name)) {
            attachments.insert(short.to_owned(), bytes.to_vec());
        }
    }
    Ok((file, description, ModelContext { vocab_fingerprint, metadata, attachments }))
}

/// Parameters as tensors to be written, each called `PREFIX` and its own name.
///
/// # Errors
/// [`NnError::Device`] if they cannot be read from their device.
pub fn parameter_tensors<'a>(prefix: &str, parameters: &'a Parameters) -> Result<Vec<Tensor<'a>>> {
    let tensor = |id| {
        Ok(Tensor {
            name: format!("{prefix}{}", parameters.name(id)),
            shape: parameters.shape(id).to_vec(),
            values: Values::Numbers(parameters.values(id).read()?),
        })
    };
    parameters.ids().map(tensor).collect()
}

/// Takes over the parameters that [`parameter_tensors`] has written under this prefix.
///
/// # Errors
/// [`NnError::MissingTensor`], [`NnError::Shape`], [`NnError::Type`]; [`NnError::Device`] if they cannot be written
/// to their device.
pub fn read_parameters(prefix: &str, file: &TensorFile<'_>, parameters: &mut Parameters) -> Result<()> {
    for id in parameters.ids() {
        let name = format!("{prefix}{}", parameters.name(id));
        let numbers = file.numbers(&name, parameters.shape(id))?;
        numbers.copy_to(parameters.values_mut(id))?;
    }
    Ok(())
}

/// Compares the tensors with what the model asks for, before anything of its size is allocated.
fn check_tensors(expected: &[(String, Vec<usize>)], file: &TensorFile<'_>) -> Result<()> {
    for (name, shape) in expected {
        file.numbers(name, shape)?;
    }
    let expected: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let unknown = |name: &&str| !expected.contains(name) && !name.starts_with(ATTACHMENT_PREFIX);
    // The least of them, so that the same file gives the same error.
    match file.names().into_iter().filter(unknown).min() {
        Some(name) => Err(NnError::UnknownTensor { name: name.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
