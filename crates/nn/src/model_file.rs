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

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rondo_kernels::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::{NnError, Result, RnnLm, RnnLmConfig};

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
    /// The bytes of a file that holds `model`. Writing them safely is the caller's concern.
    ///
    /// # Errors
    /// None on models that this crate makes; the writer's own checks otherwise.
    pub fn to_bytes(
        model: &RnnLm,
        vocab_fingerprint: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>> {
        let not_written = |reason: String| NnError::Metadata { path: "".into(), key: CONFIG_KEY, reason };
        let config = serde_json::to_string(model.config()).map_err(|error| not_written(error.to_string()))?;
        let mut all: HashMap<String, String> = metadata.clone().into_iter().collect();
        all.insert(VERSION_KEY.to_owned(), VERSION.to_owned());
        all.insert(CONFIG_KEY.to_owned(), config);
        all.insert(FINGERPRINT_KEY.to_owned(), vocab_fingerprint.to_owned());
        let parameters = model.parameters();
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
            .ids()
            .map(|id| {
                let bytes =
                    parameters.values(id).host().iter().flat_map(|value| value.to_le_bytes()).collect();
                (parameters.name(id).to_owned(), parameters.shape(id).to_vec(), bytes)
            })
            .collect();
        let views: std::result::Result<Vec<_>, _> = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect();
        views
            .and_then(|views| safetensors::serialize(views, Some(all)))
            .map_err(|source| NnError::Format { path: "".into(), source })
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`NnError::Io`] if it cannot be read, [`NnError::Format`] if it is no whole safetensors file,
    /// [`NnError::Metadata`] if it does not say which model it holds, and an error that names the tensor if one is
    /// missing, superfluous, or of the wrong shape or type.
    pub fn read(path: &Path, device: &Device) -> Result<ModelFile> {
        let bytes = std::fs::read(path).map_err(|source| NnError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        ModelFile::from_bytes(&bytes, path, device)
    }

    /// Reads the bytes of a model file; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path, device: &Device) -> Result<ModelFile> {
        let format = |source| NnError::Format { path: path.to_owned(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut take = |key: &'static str| {
            metadata.remove(key).ok_or_else(|| NnError::Metadata {
                path: path.to_owned(),
                key,
                reason: "it is missing, so this is no model written by Rondo".to_owned(),
            })
        };
        let version = take(VERSION_KEY)?;
        if version != VERSION {
            let reason = format!("it is version `{version}`, this program reads `{VERSION}`");
            return Err(NnError::Metadata { path: path.to_owned(), key: VERSION_KEY, reason });
        }
        let config = take(CONFIG_KEY)?;
        let vocab_fingerprint = take(FINGERPRINT_KEY)?;
        let unusable = |reason| NnError::Metadata { path: path.to_owned(), key: CONFIG_KEY, reason };
        let config: RnnLmConfig =
            serde_json::from_str(&config).map_err(|error| unusable(error.to_string()))?;
        config.check().map_err(|error| unusable(error.to_string()))?;
        check_tensors(&config, &tensors)?;
        let mut model = RnnLm::new(config, device)?;
        let mut values = Vec::new();
        for id in model.parameters().ids() {
            let name = model.parameters().name(id).to_owned();
            let tensor = tensors.tensor(&name).map_err(|_| NnError::MissingTensor { name: name.clone() })?;
            values.clear();
            values
                .extend(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            model.parameters_mut().values_mut(id).copy_from(rondo_kernels::Slice::Cpu(&values));
        }
        Ok(ModelFile { model, vocab_fingerprint, metadata })
    }
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
    match tensors.names().into_iter().find(|name| !expected.iter().any(|(known, _)| known == name)) {
        Some(name) => Err(NnError::UnknownTensor { name: name.to_owned() }),
        None => Ok(()),
    }
}
