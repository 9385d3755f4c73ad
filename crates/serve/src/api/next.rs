//! `POST /v1/next`: the words that may come next, while a text is being written.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use rondo_infer::{Completing, InferError, Preferences, Suggester, UserWords};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::body::JsonBody;
use crate::error::ApiError;
use crate::sessions::{LONGEST_ID, Session};

/// The fields of a request, in alphabetical order.
#[cfg(test)]
pub(super) const FIELDS: &[&str] = &[
    "capitalize",
    "exclude",
    "model",
    "partial",
    "session",
    "text",
    "top",
    "user_weight",
    "user_words",
    "words_only",
];

/// The most words.
const MOST_WORDS: usize = 100;

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    model: Option<String>,
    text: Option<String>,
    /// How many words; 5 if it is not given.
    top: Option<usize>,
    /// Whether the text may end within a word; true if it is not given.
    partial: Option<bool>,
    /// An id that the client has chosen: the state of its text is kept for the next request.
    session: Option<String>,
    /// Words that are never suggested.
    exclude: Option<HashSet<String>>,
    /// Whether only words are suggested, no punctuation.
    words_only: Option<bool>,
    /// Whether words are suggested with a capital letter where a sentence begins.
    capitalize: Option<bool>,
    /// Words of the user's own, with their weights.
    user_words: Option<HashMap<String, f64>>,
    /// How much they weigh, relative to the model.
    user_weight: Option<f64>,
}

impl Request {
    /// What the user wants to have suggested.
    fn preferences(&mut self) -> Result<Preferences, InferError> {
        let mut user_words = self.user_weight.map_or_else(UserWords::default, UserWords::new);
        for (word, weight) in self.user_words.take().unwrap_or_default() {
            user_words.add(&word, weight)?;
        }
        Ok(Preferences {
            excluded: self.exclude.take().unwrap_or_default(),
            words_only: self.words_only.unwrap_or_default(),
            capitalize: self.capitalize.unwrap_or_default(),
            user_words,
        })
    }
}

/// Answers a request.
pub(super) async fn next(
    State(shared): State<Shared>,
    JsonBody(mut request): JsonBody<Request>,
) -> Result<Json<Value>, ApiError> {
    let served = shared.models.find(request.model.as_deref())?;
    let top = request.top.unwrap_or(5);
    if !(1..=MOST_WORDS).contains(&top) {
        return Err(ApiError::field("top", format!("`top` must be from 1 to {MOST_WORDS}")));
    }
    if request.session.as_ref().is_some_and(|session| session.len() > LONGEST_ID) {
        return Err(ApiError::field("session", format!("`session` is longer than {LONGEST_ID} bytes")));
    }
    let (sessions, name, most) =
        (shared.sessions.clone(), served.name.clone(), shared.options.limits.prompt_tokens);
    let preferences = request.preferences()?;
    let suggest = move || {
        let text = request.text.unwrap_or_default();
        let codec = served.model.codec();
        // A token has at least one byte.
        if text.len() > most {
            let tokens =
                codec.prompt(&text).map_err(|error| ApiError::field("text", error.to_string()))?.len();
            if tokens > most {
                return Err(ApiError::field("text", format!("`text` has {tokens} tokens, more than {most}")));
            }
        }
        let completing =
            Completing { partial: request.partial.unwrap_or(true), ..served.model.completing(top) };
        let id = request.session.as_deref();
        let known = id.and_then(|id| sessions.take(&served.name, id));
        let mut session = match known.filter(|known| known.preferences == preferences) {
            Some(known) => known,
            None => {
                let completer = served.model.completer().with_preferences(preferences.clone())?;
                Session { preferences, suggester: Suggester::new(completer) }
            }
        };
        let words = session.suggester.suggest(&text, &completing)?;
        if let Some(id) = id {
            sessions.keep(&served.name, id, session);
        }
        Ok(words)
    };
    let words = shared.compute(suggest).await?;
    let words: Vec<Value> =
        words.iter().map(|word| json!({ "word": word.word, "log_prob": word.log_prob })).collect();
    Ok(Json(json!({ "object": "list", "model": name, "data": words })))
}
