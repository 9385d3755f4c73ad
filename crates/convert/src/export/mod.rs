//! Models of Rondo for other tools.
//!
//! | target | files |
//! |---|---|
//! | [`Target::Torch`] | `model.pt`, a state dict; `model.py`, which loads it; `config.json`, sizes and tokens |
//! | [`Target::Onnx`] | `model.onnx`, one step with its state; `tokens.txt` |
//! | [`Target::OnnxRescoring`] | `rescoring.onnx`, whole texts; `tokens.txt` |
//!
//! A tokenizer that was read from a file is written, too.
//!
//! A CIFG is written as the LSTM that computes the same: its input gate has the negated weights of the forget gate, because
//! 1 − σ(a) = σ(−a).
//!
//! Promises: the same numbers within rounding. Not here: adaptive softmax, one-hot inputs, Mogrifiers, clipped cell states, and
//! projections in ONNX, which the formats' usual
//! models do not have.

use std::fs;
use std::path::{Path, PathBuf};

use rondo_data::TextCodec;
use rondo_nn::{Cell, Input, Model, NnError, RnnLm};
use rondo_runs::write_atomically;

use crate::import::new_file;
use crate::{ConvertError, Result};

mod onnx;
mod torch;

/// The tokens and their ids, next to an ONNX file.
const TOKENS: &str = "tokens.txt";

/// What a model is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A state dict of PyTorch.
    Torch,
    /// ONNX with the state as input and output.
    Onnx,
    /// ONNX without state, from tokens to the loss of a text.
    OnnxRescoring,
}

impl Target {
    /// Its name in errors.
    fn name(self) -> &'static str {
        match self {
            Target::Torch => "for PyTorch",
            Target::Onnx | Target::OnnxRescoring => "as ONNX",
        }
    }
}

/// How the weights of an ONNX file are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// As 32-bit floats.
    #[default]
    F32,
    /// As 8-bit integers with a scale for each row: a quarter of the size.
    Int8,
}

/// Writes a model for another tool to files of a folder, which is made if it is missing, and returns their paths.
/// The list of tokens and the tokenizer can be there already, if they are the same.
///
/// # Errors
/// [`ConvertError::NotInFormat`] if the model has something that the target does not have; [`ConvertError::Exists`],
/// [`ConvertError::Io`] and [`ConvertError::Runs`] if a file cannot be written.
pub fn export(
    model: &RnnLm,
    codec: &TextCodec,
    target: Target,
    storage: Storage,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    if target == Target::Torch && storage == Storage::Int8 {
        let what = "8-bit weights".to_owned();
        return Err(ConvertError::NotInFormat { what, format: target.name() });
    }
    let parts = Parts::of(model, target)?;
    let mut files: Vec<(&str, Vec<u8>)> = match target {
        Target::Torch => torch::files(&parts, codec)?,
        Target::Onnx => onnx::files(&parts, codec, true, storage)?,
        Target::OnnxRescoring => onnx::files(&parts, codec, false, storage)?,
    };
    let tokenizer = codec.tokenizer().file();
    files.extend(tokenizer.map(|(name, contents)| (name, contents.to_vec())));
    // Both ONNX files can be in one folder, with the same tokens and tokenizer.
    let is_shared = |name: &str| name == TOKENS || tokenizer.is_some_and(|(file, _)| file == name);
    let is_there =
        |(name, content): &(&str, Vec<u8>)| fs::read(folder.join(name)).is_ok_and(|old| old == *content);
    files.retain(|file| !is_shared(file.0) || !is_there(file));
    let paths = files.iter().map(|(name, _)| new_file(folder, name)).collect::<Result<Vec<_>>>()?;
    for (path, (_, content)) in paths.iter().zip(&files) {
        write_atomically(path, |to| to.write_all(content))?;
    }
    Ok(paths)
}

/// A matrix or vector of a model.
struct Weight {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The weights of a recurrent layer; both biases have the same length.
struct LayerWeights {
    weight_ih: Weight,
    weight_hh: Weight,
    bias_ih: Weight,
    bias_hh: Weight,
    /// Of the projection, if there is one.
    weight_hr: Option<Weight>,
}

/// A model as its parts.
struct Parts<'m> {
    model: &'m RnnLm,
    /// The cell of the layers as they are written.
    cell: Cell,
    embedding: Weight,
    layers: Vec<LayerWeights>,
    /// `None` if it is the embedding's.
    decoder_weight: Option<Weight>,
    decoder_bias: Weight,
}

impl<'m> Parts<'m> {
    fn of(model: &'m RnnLm, target: Target) -> Result<Parts<'m>> {
        let config = model.config();
        let refuse =
            |what: &str| Err(ConvertError::NotInFormat { what: what.to_owned(), format: target.name() });
        if config.adaptive_softmax.is_some() {
            return refuse("an adaptive softmax");
        }
        if config.input == Input::OneHot {
            return refuse("a one-hot input");
        }
        if config.cell == Cell::Mogrifier {
            return refuse("the cell `mogrifier`");
        }
        if config.cell_options.cell_clip.is_some() {
            return refuse("a limit of the cell state");
        }
        if config.cell_options.projection_size.is_some() && target != Target::Torch {
            return refuse("a projection of the hidden state");
        }
        let parameters = model.parameters();
        let weight = |name: &str| -> Result<Weight> {
            let missing = || NnError::MissingTensor { name: name.to_owned() };
            let id = parameters.find(name).ok_or_else(missing)?;
            let values = parameters.values(id).read().map_err(NnError::from)?;
            Ok(Weight { shape: parameters.shape(id).to_vec(), values: values.into_owned() })
        };
        let layer = |l: usize| -> Result<LayerWeights> {
            let part = |kind| {
                let weight = weight(&format!("rnn.{l}.{kind}"))?;
                Ok(if config.cell == Cell::Cifg { with_input_gate(weight) } else { weight })
            };
            let bias_ih = part("bias_ih")?;
            // With one bias per layer, the other is 0.
            let zeros = || Weight { shape: bias_ih.shape.clone(), values: vec![0.0; bias_ih.values.len()] };
            let bias_hh = part("bias_hh").unwrap_or_else(|_: ConvertError| zeros());
            Ok(LayerWeights {
                weight_ih: part("weight_ih")?,
                weight_hh: part("weight_hh")?,
                bias_ih,
                bias_hh,
                weight_hr: match config.cell_options.projection_size {
                    Some(_) => Some(weight(&format!("rnn.{l}.weight_hr"))?),
                    None => None,
                },
            })
        };
        Ok(Parts {
            model,
            cell: if config.cell == Cell::Cifg { Cell::Lstm } else { config.cell },
            embedding: weight("embedding.weight")?,
            layers: (0..config.hidden_sizes.len()).map(layer).collect::<Result<_>>()?,
            decoder_weight: if config.tied { None } else { Some(weight("decoder.weight")?) },
            decoder_bias: weight("decoder.bias")?,
        })
    }
}

/// A weight with the gates f, g, o of a CIFG as that of an LSTM, with i, f, g, o.
fn with_input_gate(Weight { mut shape, values }: Weight) -> Weight {
    let gate = values.len() / Cell::Cifg.gates();
    shape[0] = shape[0] / Cell::Cifg.gates() * Cell::Lstm.gates();
    let values = values[..gate].iter().map(|value| -value).chain(values.iter().copied()).collect();
    Weight { shape, values }
}

/// The hidden size of all layers; `None` if they differ.
fn equal_hidden_size(model: &RnnLm) -> Option<usize> {
    let sizes = &model.config().hidden_sizes;
    let first = *sizes.first()?;
    sizes.iter().all(|&size| size == first).then_some(first)
}
