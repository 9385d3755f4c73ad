//! A state dict of PyTorch, with the names of `word_language_model`; layers of different widths have those of AWD-LSTM.

use rondo_data::TextCodec;
use serde_json::json;

use super::{Parts, Weight, equal_hidden_size};
use crate::pickle::PickleWriter;
use crate::zip::ZipWriter;
use crate::{ConvertError, Result};

/// Loads the state dict; written next to it.
const SCRIPT: &str = include_str!("model.py");

/// The files, by name.
pub(super) fn files(parts: &Parts<'_>, codec: &TextCodec) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let config = parts.model.config();
    let about = json!({
        "cell": parts.cell.to_string(),
        "vocab_size": config.vocab_size,
        "embedding_size": parts.embedding.shape[1],
        "hidden_sizes": config.hidden_sizes,
        "projection_size": config.cell_options.projection_size.unwrap_or(0),
        "tied": config.tied,
        "tokenizer": serde_json::from_str::<serde_json::Value>(&codec.tokenizer().to_json()).unwrap_or_default(),
        "tokens": codec.vocab().tokens().collect::<Vec<_>>(),
    });
    let archive = archive(parts).map_err(|error| ConvertError::NotInFormat {
        what: format!("such a size ({error})"),
        format: "for PyTorch",
    })?;
    let files = [("model.pt", archive), ("config.json", format!("{about:#}\n").into_bytes())];
    Ok(files.into_iter().chain([("model.py", SCRIPT.as_bytes().to_vec())]).collect())
}

/// The archive with the state dict.
fn archive(parts: &Parts<'_>) -> std::io::Result<Vec<u8>> {
    let mut named: Vec<(String, &Weight)> = vec![("encoder.weight".to_owned(), &parts.embedding)];
    let is_fused = equal_hidden_size(parts.model).is_some();
    for (l, layer) in parts.layers.iter().enumerate() {
        let name = |kind| match is_fused {
            true => format!("rnn.{kind}_l{l}"),
            false => format!("rnns.{l}.{kind}_l0"),
        };
        named.push((name("weight_ih"), &layer.weight_ih));
        named.push((name("weight_hh"), &layer.weight_hh));
        named.push((name("bias_ih"), &layer.bias_ih));
        named.push((name("bias_hh"), &layer.bias_hh));
        named.extend(layer.weight_hr.as_ref().map(|weight| (name("weight_hr"), weight)));
    }
    named.push(("decoder.weight".to_owned(), parts.decoder_weight.as_ref().unwrap_or(&parts.embedding)));
    named.push(("decoder.bias".to_owned(), &parts.decoder_bias));

    let mut pickle = PickleWriter::state_dict();
    let mut storages: Vec<&Weight> = Vec::new();
    for (name, weight) in named {
        // A tied matrix is one storage.
        let known = storages.iter().position(|known| std::ptr::eq(*known, weight));
        let key = known.unwrap_or_else(|| {
            storages.push(weight);
            storages.len() - 1
        });
        pickle.tensor(&name, &key.to_string(), weight.values.len(), &weight.shape);
    }
    let mut bytes = Vec::new();
    let mut zip = ZipWriter::new(&mut bytes);
    zip.member("model/data.pkl", &pickle.finish())?;
    zip.member("model/byteorder", b"little")?;
    for (key, weight) in storages.iter().enumerate() {
        let content: Vec<u8> = weight.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        zip.member(&format!("model/data/{key}"), &content)?;
    }
    zip.member("model/version", b"3\n")?;
    zip.finish()?;
    Ok(bytes)
}
