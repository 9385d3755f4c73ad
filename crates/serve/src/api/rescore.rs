//! `POST /v1/rescore`: ranks the hypotheses of another system.

use axum::Json;
use axum::extract::State;
use rondo_infer::rescore::{Entry, Weights};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::body::JsonBody;
use crate::error::ApiError;

/// The fields of a request, in alphabetical order.
#[cfg(test)]
pub(super) const FIELDS: &[&str] = &["hypotheses", "model", "score_weight", "weight", "word_bonus"];

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    model: Option<String>,
    hypotheses: Vec<Hypothesis>,
    /// The weight of the model's log-probability; 1 if it is not given.
    weight: Option<f64>,
    /// The weight of the other system's score; 1 if it is not given.
    score_weight: Option<f64>,
    /// Added for each word.
    word_bonus: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hypothesis {
    /// Hypotheses with the same id are ranked together.
    #[serde(default)]
    id: String,
    text: String,
    /// The other system's log-probability.
    #[serde(default)]
    score: f64,
}

/// Answers a request.
pub(super) async fn rescore(
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<Request>,
) -> Result<Json<Value>, ApiError> {
    let served = shared.models.find(request.model.as_deref())?;
    let weights = Weights {
        lm: request.weight.unwrap_or(1.0),
        word_bonus: request.word_bonus.unwrap_or(0.0),
        scores: vec![request.score_weight.unwrap_or(1.0)],
    };
    let (name, most) = (served.name.clone(), shared.options.limits.prompt_tokens);
    let rescore = move || {
        let mut encoder = served.model.codec().line_encoder("the hypothesis");
        let mut tokens = 0;
        let mut entries = Vec::with_capacity(request.hypotheses.len());
        for (line, Hypothesis { id, text, score }) in (1..).zip(request.hypotheses) {
            tokens += encoder.encode(text.as_bytes())?.ids.len();
            if tokens > most {
                return Err(ApiError::field(
                    "hypotheses",
                    format!("`hypotheses` has more than {most} tokens"),
                ));
            }
            entries.push(Entry { line, id, scores: vec![score], text, source: String::new() });
        }
        let lists = served.model.rescore(entries, &weights)?;
        let list = |list: &rondo_infer::rescore::List| {
            let hypothesis = |hypothesis: &rondo_infer::rescore::Scored| {
                json!({
                    "text": hypothesis.text,
                    "score": hypothesis.scores.first(),
                    "lm_log_prob": hypothesis.lm_log_prob,
                    "combined": hypothesis.combined(&weights),
                })
            };
            json!({ "id": list.id, "hypotheses": list.hypotheses.iter().map(hypothesis).collect::<Vec<_>>() })
        };
        Ok(lists.iter().map(list).collect::<Vec<_>>())
    };
    Ok(Json(json!({ "object": "list", "model": name, "data": shared.compute(rescore).await? })))
}
