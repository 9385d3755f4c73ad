//! The names of MXNet: structural ones (`save_parameters`) and collected ones (`collect_params().save`).
//!
//! ```text
//! encoder._unfused.1.i2h_weight     standardrnn0_lstm0_l1_i2h_weight      layer 1
//! encoder.2._unfused.0.i2h_weight   awdrnn0_…_lstm2_l0_i2h_weight         layer 2
//! embedding.0.weight, decoder.0.…   …_embedding0_weight, …_dense0_…       a tied bias is …_embedding0_bias
//! ```

use std::collections::BTreeMap;

use super::{LayerRoles, Roles};
use crate::tensor::Named;

const KINDS: [(&str, &str); 4] = [
    ("i2h_weight", "weight_ih"),
    ("h2h_weight", "weight_hh"),
    ("i2h_bias", "bias_ih"),
    ("h2h_bias", "bias_hh"),
];

/// The roles of the tensors of MXNet, if they are those of a recurrent language model.
pub(crate) fn roles_in_mxnet<'f, 'a>(tensors: &'f [Named<'a>]) -> Option<Roles<'f, 'a>> {
    // Layers are in the order of the numbers in their names.
    let mut layers: BTreeMap<(Vec<u64>, &'f str), LayerRoles<'f, 'a>> = BTreeMap::new();
    let (mut embedding, mut decoder_weight, mut decoder_bias, mut left_over) = (None, None, None, None);
    for tensor in tensors {
        // Checkpoints of `Module` mark arguments.
        let name = tensor.0.strip_prefix("arg:").unwrap_or(&tensor.0);
        let kind = KINDS.iter().find_map(|(end, kind)| Some((name.strip_suffix(end)?, *kind)));
        if let Some((layer, kind)) = kind.filter(|(layer, _)| !is_backward(layer)) {
            let layer = layers.entry((numbers(layer), layer)).or_default();
            if let Some(role) = layer.role(kind) {
                *role = Some(tensor);
                continue;
            }
        }
        let is_decoder = name.contains("decoder") || name.contains("dense");
        match tensor.1.shape.len() {
            2 if name.ends_with("weight") && is_decoder && decoder_weight.is_none() => {
                decoder_weight = Some(tensor);
            }
            2 if name.ends_with("weight") && !is_decoder && embedding.is_none() => embedding = Some(tensor),
            1 if name.ends_with("bias") && decoder_bias.is_none() => decoder_bias = Some(tensor),
            _ => left_over = left_over.or(Some(tensor.0.as_str())),
        }
    }
    let layers: Vec<_> = layers.into_values().collect();
    let is_structural = tensors.iter().any(|(name, _)| name.contains('.'));
    let scheme = if is_structural { "structural" } else { "collected" };
    let embedding = embedding.filter(|_| !layers.is_empty())?;
    Some(Roles { scheme, embedding, layers, decoder_weight, decoder_bias, left_over })
}

/// Whether a layer's name is that of a backward direction: `…_r0_` or `….r0_`.
fn is_backward(layer: &str) -> bool {
    let layer = layer.trim_end_matches('_');
    let last = layer.rsplit(['_', '.']).next().unwrap_or(layer);
    last.strip_prefix('r')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The numbers in a name.
fn numbers(name: &str) -> Vec<u64> {
    let digits = name.split(|char: char| !char.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}
