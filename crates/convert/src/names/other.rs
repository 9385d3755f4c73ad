//! Models with any names: an embedding, one `nn.RNN`, `nn.LSTM` or `nn.GRU`, and a linear layer.

use super::{LayerNames, LayerRoles, Roles, matrix};
use crate::tensor::Named;

const FIRST: &str = "weight_ih_l0";

/// The roles of tensors that are recognized by their shapes, and nothing else may be there.
pub(super) fn roles<'f, 'a>(tensors: &'f [Named<'a>]) -> Option<Roles<'f, 'a>> {
    let mut prefixes = tensors.iter().filter_map(|(name, _)| name.strip_suffix(FIRST));
    let prefix = prefixes.next()?;
    if prefixes.next().is_some() || !(prefix.is_empty() || prefix.ends_with('.')) {
        return None;
    }
    let mut layers: Vec<LayerRoles<'f, 'a>> = Vec::new();
    let (mut matrices, mut biases, mut left_over) = (vec![], vec![], None);
    for tensor in tensors {
        let part = tensor.0.strip_prefix(prefix).and_then(|rest| LayerNames::Fused.part(rest));
        if let Some(part) = part {
            if layers.len() <= part.layer {
                layers.resize_with(part.layer + 1, LayerRoles::default);
            }
            if let Some(role) = layers[part.layer].role(part.kind) {
                *role = Some(tensor);
                continue;
            }
        }
        match tensor.1.shape.len() {
            2 => matrices.push(tensor),
            1 => biases.push(tensor),
            _ => left_over = left_over.or(Some(tensor.0.as_str())),
        }
    }
    let decoder_bias = biases.first().copied();
    left_over = left_over.or(biases.get(1).map(|(name, _)| name.as_str()));
    left_over = left_over.or(matrices.get(2).map(|(name, _)| name.as_str()));
    let module = |tensor: &'f Named<'a>| tensor.0.rsplit_once('.').map_or("", |(module, _)| module);
    // The decoder has the bias, or the width of the last layer; the embedding has the width of the first input.
    let is_decoder = |tensor: &&'f Named<'a>| match decoder_bias {
        Some(bias) => module(bias) == module(tensor),
        None => {
            let input = layers.first().and_then(|layer| layer.weight_ih);
            let width = |tensor: &Named<'_>| matrix(&tensor.1).map(|[_, width]| width);
            input.and_then(width) != width(tensor)
        }
    };
    let decoder_weight = matrices.iter().copied().find(is_decoder);
    let embedding = matrices.iter().copied().find(|tensor| !is_decoder(tensor))?;
    let scheme = "other names";
    Some(Roles { scheme, embedding, layers, decoder_weight, decoder_bias, left_over })
}
