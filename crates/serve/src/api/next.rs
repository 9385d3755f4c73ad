//! `POST /v1/next`: the words that may come next, while a text is being written.

use axum::Json;
use axum::extract::State;
use rondo_infer::Completing;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::body::JsonBody;
use crate::error::ApiError;
use crate::sessions::LONGEST_ID;

/// The fields of a request, in alphabetical order.
#[cfg(test)]
pub(super) const FIELDS: &[&str] = &["model", "partial", "session", "text", "top"];

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
}

/// Answers a request.
pub(super) async fn next(
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<Request>,
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
        let forbidden = codec.unknown_id().into_iter().chain(codec.line_end()).collect();
        let completing = Completing { top, partial: request.partial.unwrap_or(true), forbidden };
        let session = request.session.as_deref();
        let known = session.and_then(|session| sessions.take(&served.name, session));
        let mut suggester = known.unwrap_or_else(|| served.model.suggester());
        let words = suggester.suggest(&text, &completing)?;
        if let Some(session) = session {
            sessions.keep(&served.name, session, suggester);
        }
        Ok(words)
    };
    let words = shared.compute(suggest).await?;
    let words: Vec<Value> =
        words.iter().map(|word| json!({ "word": word.word, "log_prob": word.log_prob })).collect();
    Ok(Json(json!({ "object": "list", "model": name, "data": words })))
}
