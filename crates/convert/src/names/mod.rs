//! Which tensor is which: the names that other tools give to the parts of a language model.
//!
//! | source | embedding | layer N | decoder |
//! |---|---|---|---|
//! | `word_language_model`, Kaldi, ESPnet 2 | `encoder` | `rnn.KIND_lN` | `decoder` |
//! | ESPnet 1 | `predictor.embed` | `predictor.rnn.N.KIND` | `predictor.lo` |
//! | icefall | `input_embedding` | `rnn.KIND_lN` | `output_linear` |
//! | fairseq | `decoder.embed_tokens` | `decoder.layers.N.KIND` | `decoder.fc_out` |
//! | fastai | `0.encoder` | `0.rnns.N.[module.]KIND_l0[_raw]` | `1.decoder` |
//! | AWD-LSTM | `encoder` | `rnns.N.[module.]KIND_l0[_raw]` | `decoder` |
//! | any other names | an embedding | one recurrent module | a linear layer |
//!
//! `KIND` is `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` or `weight_hr`. Names can have a common prefix. Promises: each tensor is
//! used or known to be redundant; otherwise there is an error with its name. MXNet's names are in `gluon`.

use crate::tensor::{Named, View};

mod explain;
mod gluon;
mod other;

pub(crate) use explain::unsupported;
pub(crate) use gluon::roles_in_mxnet;

/// The tensors of a recurrent layer.
#[derive(Debug, Default)]
pub(crate) struct LayerRoles<'f, 'a> {
    pub(crate) weight_ih: Option<&'f Named<'a>>,
    pub(crate) weight_hh: Option<&'f Named<'a>>,
    pub(crate) bias_ih: Option<&'f Named<'a>>,
    pub(crate) bias_hh: Option<&'f Named<'a>>,
    /// The projection of the output, which few models have.
    pub(crate) weight_hr: Option<&'f Named<'a>>,
}

/// The tensors of a language model.
#[derive(Debug)]
pub(crate) struct Roles<'f, 'a> {
    /// Whose names they are.
    pub(crate) scheme: &'static str,
    pub(crate) embedding: &'f Named<'a>,
    pub(crate) layers: Vec<LayerRoles<'f, 'a>>,
    /// Absent if it is the embedding's.
    pub(crate) decoder_weight: Option<&'f Named<'a>>,
    pub(crate) decoder_bias: Option<&'f Named<'a>>,
    /// The first tensor that has no role.
    pub(crate) left_over: Option<&'f str>,
}

/// How the layers of a scheme are named, after the prefix of layers.
#[derive(Clone, Copy, Debug)]
enum LayerNames {
    /// `weight_ih_l0`.
    Fused,
    /// `0.weight_ih`.
    Cells,
    /// `0.weight_ih_l0`, `0.module.weight_ih_l0`, `0.module.weight_hh_l0_raw`.
    Stacked,
}

/// The names that a tool gives.
#[derive(Clone, Copy, Debug)]
struct Scheme {
    name: &'static str,
    embedding: &'static str,
    layers: &'static str,
    layer_names: LayerNames,
    decoder: &'static str,
    /// A copy of another tensor.
    redundant: Option<&'static str>,
}

const SCHEMES: [Scheme; 6] = [
    Scheme {
        name: "fastai",
        embedding: "0.encoder",
        layers: "0.rnns.",
        layer_names: LayerNames::Stacked,
        decoder: "1.decoder",
        redundant: Some("0.encoder_dp.emb.weight"),
    },
    Scheme {
        name: "AWD-LSTM",
        embedding: "encoder",
        layers: "rnns.",
        layer_names: LayerNames::Stacked,
        decoder: "decoder",
        redundant: None,
    },
    Scheme {
        name: "ESPnet 1",
        embedding: "predictor.embed",
        layers: "predictor.rnn.",
        layer_names: LayerNames::Cells,
        decoder: "predictor.lo",
        redundant: None,
    },
    Scheme {
        name: "fairseq",
        embedding: "decoder.embed_tokens",
        layers: "decoder.layers.",
        layer_names: LayerNames::Cells,
        decoder: "decoder.fc_out",
        redundant: None,
    },
    Scheme {
        name: "icefall",
        embedding: "input_embedding",
        layers: "rnn.",
        layer_names: LayerNames::Fused,
        decoder: "output_linear",
        redundant: None,
    },
    Scheme {
        name: "word_language_model",
        embedding: "encoder",
        layers: "rnn.",
        layer_names: LayerNames::Fused,
        decoder: "decoder",
        redundant: None,
    },
];

/// The maximum number of embeddings that a model is looked for around.
const MAX_PREFIXES: usize = 64;

/// The maximum number of layers that are looked for.
const MAX_LAYERS: usize = rondo_nn::RnnLmConfig::MAX_LAYERS;

/// The roles of the tensors of PyTorch, if they are those of a recurrent language model.
pub(crate) fn roles_in_torch<'f, 'a>(tensors: &'f [Named<'a>]) -> Option<Roles<'f, 'a>> {
    SCHEMES.iter().find_map(|scheme| scheme.roles(tensors)).or_else(|| other::roles(tensors))
}

/// A part of a layer, and whether it is the one before weight dropout.
struct Part<'n> {
    layer: usize,
    kind: &'n str,
    is_raw: bool,
}

impl LayerNames {
    /// The part of a layer with this name.
    fn part(self, name: &str) -> Option<Part<'_>> {
        let (layer, kind, is_raw) = match self {
            LayerNames::Fused => {
                let (kind, layer) = name.rsplit_once("_l")?;
                (layer, kind, false)
            }
            LayerNames::Cells => {
                let (layer, kind) = name.split_once('.')?;
                (layer, kind, false)
            }
            LayerNames::Stacked => {
                let (layer, rest) = name.split_once('.')?;
                let rest = rest.strip_prefix("module.").unwrap_or(rest);
                let (kind, end) = rest.rsplit_once("_l0")?;
                (
                    layer,
                    kind,
                    match end {
                        "" => false,
                        "_raw" => true,
                        _ => return None,
                    },
                )
            }
        };
        let layer = layer.parse().ok().filter(|&layer| layer < MAX_LAYERS)?;
        Some(Part { layer, kind, is_raw })
    }
}

impl Scheme {
    fn roles<'f, 'a>(&self, tensors: &'f [Named<'a>]) -> Option<Roles<'f, 'a>> {
        let embedding_name = format!("{}.weight", self.embedding);
        // Names end with those of the scheme, after the same prefix.
        let prefix_of = |name: &'f str| {
            let prefix = name.strip_suffix(embedding_name.as_str())?;
            (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
        };
        let has_layers = |prefix: &str| {
            let prefix = format!("{prefix}{}", self.layers);
            let mut parts = tensors
                .iter()
                .filter_map(|(name, _)| self.layer_names.part(name.strip_prefix(prefix.as_str())?));
            parts.any(|part| part.layer == 0 && part.kind == "weight_ih")
        };
        let mut prefixes = tensors.iter().filter_map(|(name, _)| prefix_of(name)).take(MAX_PREFIXES);
        let prefix = prefixes.find(|prefix| has_layers(prefix))?;

        let (mut embedding, mut decoder_weight, mut decoder_bias, mut left_over) = (None, None, None, None);
        let mut layers: Vec<LayerRoles<'f, 'a>> = Vec::new();
        let mut has_raw = Vec::new();
        for tensor in tensors {
            let name = tensor.0.strip_prefix(prefix).unwrap_or("");
            let part = name.strip_prefix(self.layers).and_then(|rest| self.layer_names.part(rest));
            if let Some(part) = part {
                if layers.len() <= part.layer {
                    layers.resize_with(part.layer + 1, LayerRoles::default);
                    has_raw.resize(part.layer + 1, false);
                }
                if part.kind == "weight_hh" && has_raw[part.layer] && !part.is_raw {
                    continue;
                }
                if let Some(role) = layers[part.layer].role(part.kind) {
                    *role = Some(tensor);
                    has_raw[part.layer] |= part.is_raw;
                    continue;
                }
            }
            let decoder = name.strip_prefix(self.decoder);
            match (name, decoder) {
                (name, _) if name == embedding_name => embedding = Some(tensor),
                (_, Some(".weight")) => decoder_weight = Some(tensor),
                (_, Some(".bias")) => decoder_bias = Some(tensor),
                (name, _) if self.redundant == Some(name) => {}
                _ => left_over = left_over.or(Some(tensor.0.as_str())),
            }
        }
        let scheme = self.name;
        Some(Roles { scheme, embedding: embedding?, layers, decoder_weight, decoder_bias, left_over })
    }
}

impl<'f, 'a> LayerRoles<'f, 'a> {
    /// The role of a part.
    fn role(&mut self, kind: &str) -> Option<&mut Option<&'f Named<'a>>> {
        match kind {
            "weight_ih" => Some(&mut self.weight_ih),
            "weight_hh" => Some(&mut self.weight_hh),
            "bias_ih" => Some(&mut self.bias_ih),
            "bias_hh" => Some(&mut self.bias_hh),
            "weight_hr" => Some(&mut self.weight_hr),
            _ => None,
        }
    }
}

/// The sizes of a matrix.
pub(crate) fn matrix(view: &View<'_>) -> Option<[usize; 2]> {
    view.shape.as_slice().try_into().ok()
}
