//! The prompts of a request: texts or token ids, one or several.

use rondo_infer::LanguageModel;
use serde::Deserialize;

use crate::error::ApiError;

/// The prompts as in a request.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(
    untagged,
    expecting = "`prompt` must be a text, a list of texts, a list of token ids, or a list of such lists"
)]
pub(super) enum Prompts {
    Text(String),
    Ids(Vec<u32>),
    Texts(Vec<String>),
    ManyIds(Vec<Vec<u32>>),
}

/// A prompt, as text and as ids.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    /// The text that is shown with `echo`.
    pub(super) text: String,
    /// The ids that are read, with the line end before a text.
    pub(super) ids: Vec<u32>,
    /// How many of them are not in the text.
    pub(super) before: usize,
}

impl Prompts {
    /// The prompts for a model, each of at most `most` tokens.
    pub(super) fn read(self, model: &LanguageModel, most: usize) -> Result<Vec<Prompt>, ApiError> {
        let prompts: Vec<Prompt> = match self {
            Prompts::Text(text) => vec![of_text(text, model)?],
            Prompts::Ids(ids) if !ids.is_empty() => vec![of_ids(ids, model)?],
            Prompts::Texts(texts) => {
                texts.into_iter().map(|text| of_text(text, model)).collect::<Result<_, _>>()?
            }
            Prompts::ManyIds(many) => {
                many.into_iter().map(|ids| of_ids(ids, model)).collect::<Result<_, _>>()?
            }
            Prompts::Ids(_) => vec![],
        };
        if prompts.is_empty() {
            return Err(ApiError::field("prompt", "`prompt` is an empty list"));
        }
        match prompts.iter().find(|prompt| prompt.ids.len() > most) {
            Some(long) => {
                let message = format!("`prompt` has {} tokens, more than {most}", long.ids.len());
                Err(ApiError::field("prompt", message))
            }
            None => Ok(prompts),
        }
    }
}

fn of_text(text: String, model: &LanguageModel) -> Result<Prompt, ApiError> {
    let ids = model.codec().prompt(&text).map_err(|error| ApiError::field("prompt", error.to_string()))?;
    let before = usize::from(model.codec().line_end().is_some());
    Ok(Prompt { text, ids, before })
}

fn of_ids(ids: Vec<u32>, model: &LanguageModel) -> Result<Prompt, ApiError> {
    if ids.is_empty() {
        return Err(ApiError::field("prompt", "`prompt` has an empty list of token ids"));
    }
    let text = model.codec().decode(&ids).map_err(|error| ApiError::field("prompt", error.to_string()))?;
    Ok(Prompt { text, ids, before: 0 })
}
