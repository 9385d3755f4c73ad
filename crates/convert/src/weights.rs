//! The weights of a language model in a file of another tool.

use std::path::{Path, PathBuf};

use rondo_kernels::Device;
use rondo_nn::{Biases, Cell, CellOptions, Dropout, Input, Model, RnnLm, RnnLmConfig};

use crate::names::{Roles, matrix, roles_in_mxnet, roles_in_torch, unsupported};
use crate::tensor::Named;
use crate::{ConvertError, Fault, Parsed, Result, mxnet, safe, torch, zip};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A zip archive of PyTorch.
    Torch,
    /// Safetensors, with the names of PyTorch.
    Safetensors,
    /// A `.params` file of MXNet.
    Mxnet,
}

impl Format {
    /// Its name for users.
    pub fn name(self) -> &'static str {
        match self {
            Format::Torch => "PyTorch",
            Format::Safetensors => "safetensors",
            Format::Mxnet => "MXNet",
        }
    }

    /// The format of a file that starts like this.
    fn of(bytes: &[u8], path: &Path) -> Result<Format> {
        let path = || path.to_owned();
        if zip::is_zip(bytes) {
            Ok(Format::Torch)
        } else if mxnet::is_params(bytes) {
            Ok(Format::Mxnet)
        } else if is_before_torch_1_6(bytes) {
            Err(ConvertError::BeforeTorch16 { path: path() })
        } else if safe::is_safetensors(bytes) {
            Ok(Format::Safetensors)
        } else {
            Err(ConvertError::UnknownFormat { path: path() })
        }
    }
}

/// Whether a file is one of several pickles in a row, or a tar archive, as PyTorch once wrote.
fn is_before_torch_1_6(bytes: &[u8]) -> bool {
    const MAGIC: [u8; 14] = *b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";
    const TAR: usize = 257;
    bytes.starts_with(&MAGIC) || bytes.get(TAR..).is_some_and(|rest| rest.starts_with(b"ustar"))
}

/// The tensor with the vocabulary in model files of Rondo.
const CODEC: &str = "rondo.codec";

/// A language model that was read from a file of another tool. It has no vocabulary yet.
#[derive(Debug)]
pub struct Weights {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Whose names its tensors have.
    pub scheme: &'static str,
    /// The model.
    pub model: RnnLm,
}

impl Weights {
    /// Reads a file. `cell` is the cell if the weights do not say which: a simple RNN has tanh or ReLU.
    ///
    /// # Errors
    /// [`ConvertError::Io`] and [`ConvertError::TooLarge`] if the file cannot be read; otherwise as
    /// [`from_bytes`](Self::from_bytes).
    pub fn read(path: &Path, cell: Option<Cell>, device: &Device) -> Result<Weights> {
        let io_error = |source| ConvertError::Io { action: "read", path: path.to_owned(), source };
        // The file, and the model, which can have numbers that are twice as wide.
        let needed = std::fs::metadata(path).map_err(io_error)?.len().saturating_mul(3);
        let too_large = |available| ConvertError::TooLarge { path: path.to_owned(), needed, available };
        device.check_memory(needed).map_err(too_large)?;
        let bytes = std::fs::read(path).map_err(io_error)?;
        Weights::from_bytes(&bytes, path, cell, device)
    }

    /// Reads the bytes of a file; `path` is used in errors.
    ///
    /// # Errors
    /// If the format is unknown or the file is damaged; if it contains no recurrent language model, or one that Rondo
    /// does not have; [`ConvertError::Nonlinearity`] if the cell must be given.
    pub fn from_bytes(bytes: &[u8], path: &Path, cell: Option<Cell>, device: &Device) -> Result<Weights> {
        let format = Format::of(bytes, path)?;
        let unreadable = |fault| ConvertError::Unreadable { path: path.to_owned(), fault };
        let source = Source { path, format, most: bytes.len(), cell, device };
        match format {
            Format::Torch => {
                let archive = torch::Archive::read(bytes).map_err(unreadable)?;
                if archive.is_script() {
                    return Err(ConvertError::TorchScript { path: path.to_owned() });
                }
                let candidates = torch::candidates(&archive).map_err(unreadable)?;
                let weights = source.first(&candidates)?;
                if archive.has_option("residuals") {
                    return Err(ConvertError::Residual { path: path.to_owned() });
                }
                Ok(weights)
            }
            Format::Safetensors => {
                let tensors = safe::tensors(bytes).map_err(unreadable)?;
                if tensors.iter().any(|(name, _)| name == CODEC) {
                    return Err(ConvertError::AlreadyConverted { path: path.to_owned() });
                }
                source.first(&[torch::Candidate { tensors, modes: vec![] }])
            }
            Format::Mxnet => {
                let tensors = mxnet::arrays(bytes).map_err(unreadable)?;
                source.first(&[torch::Candidate { tensors, modes: vec![] }])
            }
        }
    }
}

/// What all parts of reading need to know.
#[derive(Clone, Copy)]
struct Source<'s> {
    path: &'s Path,
    format: Format,
    /// The maximum number of elements: one for each byte of the file.
    most: usize,
    cell: Option<Cell>,
    device: &'s Device,
}

impl Source<'_> {
    /// The first of the candidates that is a language model.
    fn first(&self, candidates: &[torch::Candidate<'_>]) -> Result<Weights> {
        for candidate in candidates {
            let roles = match self.format {
                Format::Mxnet => roles_in_mxnet(&candidate.tensors),
                Format::Torch | Format::Safetensors => roles_in_torch(&candidate.tensors),
            };
            if let Some(roles) = roles {
                return self.weights(&roles, &candidate.modes);
            }
        }
        let path = || self.path.to_owned();
        let names = || candidates.iter().flat_map(|candidate| &candidate.tensors).map(|(name, _)| name);
        if let Some((name, what)) = names().find_map(|name| Some((name, unsupported(name)?))) {
            return Err(ConvertError::Unsupported { path: path(), name: name.clone(), what });
        }
        Err(ConvertError::NoModel { path: path(), names: names().cloned().collect() })
    }

    fn weights(&self, roles: &Roles<'_, '_>, modes: &[String]) -> Result<Weights> {
        let path = || self.path.to_owned();
        if let Some(name) = roles.left_over {
            let what = unsupported(name).unwrap_or("unknown");
            return Err(ConvertError::Unsupported { path: path(), name: name.to_owned(), what });
        }
        let [vocab_size, width] = sizes(roles.embedding)?;
        let projections: Vec<_> = roles.layers.iter().filter_map(|layer| layer.weight_hr).collect();
        if !projections.is_empty() && projections.len() < roles.layers.len() {
            return Err(ConvertError::Missing { path: path(), name: "weight_hr of each layer".to_owned() });
        }
        let projection_size = match projections.first() {
            Some(projection) => Some(sizes(projection)?[0]),
            None => None,
        };
        let (mut hidden_sizes, mut gates) = (Vec::new(), Vec::new());
        for (index, layer) in roles.layers.iter().enumerate() {
            let missing =
                |kind| ConvertError::Missing { path: path(), name: format!("{kind}, layer {index}") };
            layer.weight_ih.ok_or_else(|| missing("weight_ih"))?;
            let weight_hh = layer.weight_hh.ok_or_else(|| missing("weight_hh"))?;
            let [rows, output] = sizes(weight_hh)?;
            let projection = layer.weight_hr.map(sizes).transpose()?;
            let hidden = projection.map_or(output, |[_, hidden]| hidden);
            let of_gates = |gates: &usize| Some(rows) == hidden.checked_mul(*gates) && hidden > 0;
            let possible = if projection.is_some() { &[4][..] } else { &[1, 3, 4] };
            let found = possible.iter().copied().find(of_gates);
            gates.push(found.ok_or_else(|| ConvertError::Gates {
                name: weight_hh.0.clone(),
                shape: weight_hh.1.shape.clone(),
            })?);
            hidden_sizes.push(hidden);
        }
        let cell = self.cell(gates.first().copied().unwrap_or(0), modes)?;
        let last = projection_size.or(hidden_sizes.last().copied()).unwrap_or(0);
        let tied = match roles.decoder_weight {
            None => width == last,
            Some(decoder) => width == last && self.is_tied(roles.embedding, decoder)?,
        };
        if !tied && roles.decoder_weight.is_none() {
            return Err(ConvertError::Missing { path: path(), name: "decoder.weight".to_owned() });
        }
        let config = RnnLmConfig {
            vocab_size,
            input: Input::Embedding(width),
            cell,
            hidden_sizes,
            biases: Biases::Two,
            tied,
            dropout: Dropout::default(),
            adaptive_softmax: None,
            cell_options: CellOptions { projection_size, ..CellOptions::default() },
        };
        config.check()?;
        let sources = sources(roles, &config);
        check_shapes(&config, &sources)?;
        self.check_size(&sources)?;
        let mut model = RnnLm::new(config, self.device)?;
        let parameters = model.parameters_mut();
        for (id, source) in parameters.ids().zip(&sources) {
            let Some((name, view)) = source else { continue };
            let values = self.readable(view.to_vec(name, self.most))?;
            parameters.values_mut(id).write_from(&values).map_err(rondo_nn::NnError::from)?;
        }
        Ok(Weights { path: path(), format: self.format, scheme: roles.scheme, model })
    }

    /// Checks that there are no more elements than the file can contain, even if tensors repeat theirs.
    fn check_size(&self, sources: &[Option<&Named<'_>>]) -> Result<()> {
        let mut left = self.most;
        for (name, view) in sources.iter().flatten() {
            let rest = view.count().and_then(|count| left.checked_sub(count));
            left = self.readable(rest.ok_or_else(|| Fault::Outside { name: name.clone() }))?;
        }
        Ok(())
    }

    fn readable<T>(&self, parsed: Parsed<T>) -> Result<T> {
        parsed.map_err(|fault: Fault| ConvertError::Unreadable { path: self.path.to_owned(), fault })
    }

    /// Whether two matrices are one, or have the same elements.
    fn is_tied(&self, embedding: &Named<'_>, decoder: &Named<'_>) -> Result<bool> {
        if embedding.1.is_same(&decoder.1) {
            return Ok(true);
        }
        if embedding.1.shape != decoder.1.shape {
            return Ok(false);
        }
        let [one, other] = [embedding, decoder].map(|(name, view)| view.to_vec(name, self.most));
        let (one, other) = (self.readable(one)?, self.readable(other)?);
        Ok(one.iter().map(|value| value.to_bits()).eq(other.iter().map(|value| value.to_bits())))
    }

    /// The cell of a recurrent layer with this many gates.
    fn cell(&self, gates: usize, modes: &[String]) -> Result<Cell> {
        let path = || self.path.to_owned();
        let known = match gates {
            4 => Some(Cell::Lstm),
            3 => Some(Cell::Gru),
            _ => modes.iter().find_map(|mode| match mode.to_lowercase().trim_start_matches("rnn_") {
                "tanh" => Some(Cell::RnnTanh),
                "relu" => Some(Cell::RnnRelu),
                _ => None,
            }),
        };
        match (known, self.cell) {
            (Some(found), Some(wanted)) if found != wanted => {
                Err(ConvertError::OtherCell { path: path(), found: found.to_string(), wanted })
            }
            (Some(found), _) => Ok(found),
            (None, Some(wanted)) if wanted.gates() == 1 => Ok(wanted),
            (None, Some(wanted)) => Err(ConvertError::OtherCell {
                path: path(),
                found: "rnn_tanh or rnn_relu".to_owned(),
                wanted,
            }),
            (None, None) => Err(ConvertError::Nonlinearity { path: path() }),
        }
    }
}

/// The tensors that the parameters of the model are read from, in their order; `None` is zero.
fn sources<'f, 'a>(roles: &Roles<'f, 'a>, config: &RnnLmConfig) -> Vec<Option<&'f Named<'a>>> {
    let projects = config.cell_options.projection_size.is_some();
    let layers = roles.layers.iter().flat_map(move |layer| {
        let projection = projects.then_some(layer.weight_hr);
        [layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh].into_iter().chain(projection)
    });
    let decoder = [roles.decoder_weight].into_iter().filter(|_| !config.tied);
    let embedding = std::iter::once(Some(roles.embedding));
    embedding.chain(layers).chain(decoder).chain([roles.decoder_bias]).collect()
}

/// Checks the tensors against the model's, before anything of the model's size is allocated.
fn check_shapes(config: &RnnLmConfig, sources: &[Option<&Named<'_>>]) -> Result<()> {
    for ((name, shape), source) in config.parameter_shapes().iter().zip(sources) {
        if let Some((found_name, view)) = source
            && view.shape != *shape
        {
            let expected = format!("{shape:?} for `{name}`");
            let found = view.shape.clone();
            return Err(ConvertError::Shape { name: found_name.clone(), found, expected });
        }
    }
    Ok(())
}

/// The sizes of a matrix.
fn sizes(tensor: &Named<'_>) -> Result<[usize; 2]> {
    matrix(&tensor.1).ok_or_else(|| {
        let (name, found) = (tensor.0.clone(), tensor.1.shape.clone());
        ConvertError::Shape { name, found, expected: "a matrix".to_owned() }
    })
}
