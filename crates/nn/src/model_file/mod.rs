//! The model file: safetensors, with the configuration in its metadata.
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_model` | format version, `2`; version 1 had no attachments |
//! | `config` | [`RnnLmConfig`] as JSON, or the description of another [`Model`] |
//! | `vocab_fingerprint` | fingerprint of the vocabulary that the token ids refer to |
//! | `sha256` | checksum of everything else ([`tensor_file`](crate::tensor_file)); absent in files of earlier versions |
//! | `weights` | `bf16` if the parameters are stored as bf16, `int8` if matrices are stored as bytes; absent if with 32 bits |
//! | `epoch`, … | any other metadata |
//!
//! | tensors | what |
//! |---|---|
//! | the parameters' names | their values, 32-bit little-endian, bf16 or bytes |
//! | `NAME.scales` | the scales of the rows of a parameter that is stored as bytes |
//! | `rondo.NAME` | the bytes or numbers of an attachment: other data that belongs to the model, such as its vocabulary |
//!
//! Promises: the same model, metadata and attachments give the same bytes; a file is checked against its own
//! configuration before anything of its claimed size is allocated. Not here: replacing a file atomically (the
//! caller), what attachments mean.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use rondo_kernels::Device;

use crate::tensor_file::{RowWidth, Tensor, TensorFile, Values, write_tensors};
use crate::{Model, NnError, Parameters, Result, RnnLm, RnnLmConfig};

const VERSION_KEY: &str = "rondo_model";
const VERSION: &str = "2";
/// The versions that can be read.
const READABLE: [&str; 2] = ["1", VERSION];
const CONFIG_KEY: &str = "config";
const FINGERPRINT_KEY: &str = "vocab_fingerprint";
/// The metadata key of the format of the parameters, if it is not that of 32-bit numbers.
pub const WEIGHTS_KEY: &str = "weights";
/// The metadata key of checkpoints, which are tensor files, too, but no model files.
pub const CHECKPOINT_KEY: &str = "rondo_checkpoint";
/// The prefix of the names of attachments. Unknown attachments are ignored.
const ATTACHMENT_PREFIX: &str = "rondo.";

/// A model and the other contents of its file.
#[derive(Debug)]
pub struct ModelFile {
    /// The model.
    pub model: RnnLm,
    /// Everything else.
    pub context: ModelContext,
}

/// How parameters are stored in a file. They are read as 32-bit numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32-bit numbers, as they are.
    #[default]
    F32,
    /// bf16: half the size, rounded to the nearest, ties to even.
    Bf16,
    /// int8: matrices take a quarter of the size, as multiples of a 32-bit scale for each row; biases are as they are.
    Int8,
}

impl WeightFormat {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::F32 => "f32",
            WeightFormat::Bf16 => "bf16",
            WeightFormat::Int8 => "int8",
        }
    }

    /// The format that the metadata of a file asks for.
    pub fn in_metadata(metadata: &BTreeMap<String, String>) -> WeightFormat {
        match metadata.get(WEIGHTS_KEY).map(String::as_str) {
            Some("bf16") => WeightFormat::Bf16,
            Some("int8") => WeightFormat::Int8,
            _ => WeightFormat::F32,
        }
    }

    /// Stores a parameter in this format.
    fn apply_to(self, tensor: &mut Tensor<'_>) {
        let Values::Numbers(numbers) = &mut tensor.values else { return };
        let width = tensor.shape.iter().skip(1).product();
        tensor.values = match (self, RowWidth::new(width)) {
            (WeightFormat::Bf16, _) => Values::Bf16(std::mem::take(numbers)),
            (WeightFormat::Int8, Some(width)) if tensor.shape.len() > 1 => {
                Values::Int8(std::mem::take(numbers), width)
            }
            _ => return,
        };
    }

    /// Makes the metadata of a file ask for it.
    pub fn set_in(self, metadata: &mut BTreeMap<String, String>) {
        metadata.remove(WEIGHTS_KEY);
        if self != WeightFormat::default() {
            metadata.insert(WEIGHTS_KEY.to_owned(), self.name().to_owned());
        }
    }
}

/// The contents of a model file other than the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelContext {
    /// The fingerprint of the vocabulary that the model's token ids refer to.
    pub vocab_fingerprint: String,
    /// Short texts for the file's header. The keys of this module take precedence.
    pub metadata: BTreeMap<String, String>,
    /// Other data that belongs to the model, by name.
    pub attachments: BTreeMap<String, Vec<u8>>,
    /// Tensors that belong to the model but are not its parameters, by name.
    pub tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor of 32-bit numbers in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredTensor {
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

impl ModelFile {
    /// Writes a model file; its metadata may ask for a [`WeightFormat`].
    ///
    /// # Errors
    /// An I/O error if the writer fails or the parameters cannot be read from their device.
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
        let format = WeightFormat::in_metadata(&metadata);
        tensors.iter_mut().for_each(|tensor| format.apply_to(tensor));
        tensors.extend(tensors.iter().filter_map(Tensor::scales).collect::<Vec<_>>());
        tensors.extend(context.tensors.iter().map(|(name, tensor)| Tensor {
            name: format!("{ATTACHMENT_PREFIX}{name}"),
            shape: tensor.shape.clone(),
            values: Values::Numbers(tensor.values.as_slice().into()),
        }));
        tensors.extend(context.attachments.iter().map(|(name, bytes)| Tensor {
            name: format!("{ATTACHMENT_PREFIX}{name}"),
            shape: vec![bytes.len()],
            values: Values::Bytes(bytes.into()),
        }));
        if format == WeightFormat::Int8 {
            // What is 32 bits wide stays aligned.
            tensors.sort_by_key(|tensor| matches!(tensor.values, Values::Int8(..) | Values::Bytes(_)));
        }
        write_tensors(&tensors, &metadata, to)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`NnError::Io`] if it cannot be read, [`NnError::Format`] if it is not a valid safetensors file,
    /// [`NnError::Checkpoint`] if it is a checkpoint, [`NnError::Metadata`] if its metadata is missing or invalid, an error that names the tensor if one is
    /// missing, unexpected, or of the wrong shape or type, [`NnError::Damaged`] if its checksum does not match,
    /// and [`NnError::TooLarge`] if it does not fit in memory.
    pub fn read(path: &Path, device: &Device) -> Result<ModelFile> {
        ModelFile::of(&opened(path, device)?, path, device)
    }

    /// Reads a model file whose parameters stay in the file as far as possible: their pages are read when they are used,
    /// and shared by all processes that read the file this way. See [`MappedFile`](rondo_kernels::MappedFile) for the
    /// condition. Parameters that are stored as bf16 or bytes are copied.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn map(path: &Path, device: &Device) -> Result<ModelFile> {
        ModelFile::of(&TensorFile::map(path)?, path, device)
    }

    /// Reads the bytes of a model file; `path` is used in error messages.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path, device: &Device) -> Result<ModelFile> {
        ModelFile::of(&TensorFile::from_bytes(bytes, path)?, path, device)
    }

    fn of(file: &TensorFile<'_>, path: &Path, device: &Device) -> Result<ModelFile> {
        let (description, context) = parts(file, path)?;
        let refuse = |reason| NnError::Metadata { path: path.to_owned(), key: CONFIG_KEY, reason };
        let config: RnnLmConfig =
            serde_json::from_str(&description).map_err(|error| refuse(error.to_string()))?;
        config.check().map_err(|error| refuse(error.to_string()))?;

        let shapes = config.parameter_shapes();
        check_tensors(&shapes, file)?;
        check_memory(shapes.iter().map(|(_, shape)| shape.as_slice()), path, device)?;
        file.verify()?;
        let mut parameters = Parameters::new(device);
        for (name, shape) in &shapes {
            let id = parameters.add_values(name, shape, file.numbers(name, shape)?.to_buffer(device)?);
            if file.is_int8(name) {
                parameters.mark_int8(id);
            }
        }
        Ok(ModelFile { model: RnnLm::with_parameters(config, parameters)?, context })
    }

    /// Reads the parameters of any kind of model from the file it was written to, and returns the other
    /// contents.
    ///
    /// # Errors
    /// As [`ModelFile::read`]; [`NnError::OtherModel`] if the file describes a different model.
    pub fn read_into(model: &mut dyn Model, path: &Path) -> Result<ModelContext> {
        let file = opened(path, model.parameters().device())?;
        let (found, context) = parts(&file, path)?;
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

/// A model file, if its model fits in memory.
fn opened(path: &Path, device: &Device) -> Result<TensorFile<'static>> {
    let io_error = |source| NnError::Io { action: "read", path: path.to_owned(), source };
    // The model has about as many bytes as its file, or more.
    let needed = std::fs::metadata(path).map_err(io_error)?.len();
    let too_large = |available| NnError::TooLarge { path: path.to_owned(), needed, available };
    device.check_memory(needed).map_err(too_large)?;
    TensorFile::open(path)
}

/// Checks that parameters of these shapes fit in memory: those of a file with bf16 numbers take twice its size, and those of
/// a file with bytes four times.
fn check_memory<'s>(shapes: impl Iterator<Item = &'s [usize]>, path: &Path, device: &Device) -> Result<()> {
    let elements = shapes.map(|shape| shape.iter().product::<usize>() as u64);
    let needed = elements.sum::<u64>().saturating_mul(size_of::<f32>() as u64);
    let too_large = |available| NnError::TooLarge { path: path.to_owned(), needed, available };
    device.check_memory(needed).map_err(too_large)
}

/// The description of the model in a file, and the contents other than its parameters.
fn parts(file: &TensorFile<'_>, path: &Path) -> Result<(String, ModelContext)> {
    let refuse = |key, reason| NnError::Metadata { path: path.to_owned(), key, reason };
    let mut metadata = file.metadata().clone();
    if metadata.contains_key(CHECKPOINT_KEY) {
        return Err(NnError::Checkpoint { path: path.to_owned() });
    }
    let mut take = |key: &'static str| {
        let missing = || refuse(key, "it is missing, so this file was not written by Rondo".to_owned());
        metadata.remove(key).ok_or_else(missing)
    };
    let version = take(VERSION_KEY)?;
    if !READABLE.contains(&version.as_str()) {
        let reason = format!("version `{version}` is not supported, only `{}`", READABLE.join("` and `"));
        return Err(refuse(VERSION_KEY, reason));
    }
    let description = take(CONFIG_KEY)?;
    let vocab_fingerprint = take(FINGERPRINT_KEY)?;
    let (mut attachments, mut tensors) = (BTreeMap::new(), BTreeMap::new());
    for name in file.names() {
        let Some(short) = name.strip_prefix(ATTACHMENT_PREFIX) else { continue };
        // An attachment of another type belongs to a later version.
        match file.bytes(name) {
            Ok(bytes) => {
                attachments.insert(short.to_owned(), bytes.into_owned());
            }
            Err(error @ NnError::Io { .. }) => return Err(error),
            Err(_) => {
                if let Some((shape, numbers)) = file.any_numbers(name) {
                    tensors.insert(short.to_owned(), StoredTensor { shape, values: numbers.to_vec()? });
                }
            }
        }
    }
    Ok((description, ModelContext { vocab_fingerprint, metadata, attachments, tensors }))
}

/// The parameters as tensors to be written, named `PREFIX` followed by their own name.
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

/// Reads the parameters that [`parameter_tensors`] has written under this prefix.
///
/// # Errors
/// [`NnError::MissingTensor`], [`NnError::Shape`], [`NnError::Type`]; [`NnError::Device`] if they cannot be written
/// to their device.
pub fn read_parameters(prefix: &str, file: &TensorFile<'_>, parameters: &mut Parameters) -> Result<()> {
    for id in parameters.ids() {
        let name = format!("{prefix}{}", parameters.name(id));
        let numbers = file.numbers(&name, parameters.shape(id))?;
        numbers.copy_to(parameters.values_mut(id))?;
        if file.is_int8(&name) {
            parameters.mark_int8(id);
        }
    }
    Ok(())
}

/// Checks the tensors against the model's, before anything of the model's size is allocated.
fn check_tensors(expected: &[(String, Vec<usize>)], file: &TensorFile<'_>) -> Result<()> {
    for (name, shape) in expected {
        file.numbers(name, shape)?;
    }
    let expected: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let unknown = |name: &&str| {
        !expected.contains(name) && !name.starts_with(ATTACHMENT_PREFIX) && !file.is_of_scales(name)
    };
    // The smallest name, so that the same file gives the same error.
    match file.names().into_iter().filter(unknown).min() {
        Some(name) => Err(NnError::UnknownTensor { name: name.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
