//! `POST /v1/score`: log-probabilities of lines, and of their tokens with what else was likely.

use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State;
use rondo_data::EncodedLine;
use rondo_infer::{Candidate, LanguageModel, Scoring};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::body::JsonBody;
use crate::error::ApiError;

/// The fields of a request, in alphabetical order.
#[cfg(test)]
pub(super) const FIELDS: &[&str] = &["approximate", "lines", "model", "per_token", "top"];

/// The most alternatives at a position.
const MOST_ALTERNATIVES: usize = 20;

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    model: Option<String>,
    lines: Vec<String>,
    /// Whether to list the tokens.
    per_token: Option<bool>,
    /// How many of the most likely tokens to list at each position.
    top: Option<usize>,
    /// Whether to use the model's approximate normalizer.
    approximate: Option<bool>,
}

/// Answers a request.
pub(super) async fn score(
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<Request>,
) -> Result<Json<Value>, ApiError> {
    let served = shared.models.find(request.model.as_deref())?;
    let top = request.top.unwrap_or(0);
    if top > MOST_ALTERNATIVES {
        return Err(ApiError::field("top", format!("`top` is more than {MOST_ALTERNATIVES}")));
    }
    let is_approximate = request.approximate == Some(true);
    if is_approximate && top > 0 {
        return Err(ApiError::field("top", "`top` needs the whole distribution, so not with `approximate`"));
    }
    let most = shared.options.limits.prompt_tokens;
    let metrics = shared.metrics.clone();
    let name = served.name.clone();
    let score = move || {
        let approximate;
        let model = if is_approximate {
            approximate = served.model.approximate()?;
            &approximate
        } else {
            &served.model
        };
        let lines = scored(model, &request.lines, top, most)?;
        let count: usize = lines.iter().map(|(line, _)| line.ids.len()).sum();
        metrics.scored_tokens.fetch_add(count as u64, Relaxed);
        let per_token = request.per_token == Some(true) || top > 0;
        Ok(lines.iter().map(|(line, scores)| line_json(model, line, scores, per_token)).collect::<Vec<_>>())
    };
    Ok(Json(json!({ "object": "list", "model": name, "data": shared.compute(score).await? })))
}

/// The log-probability of a token, and what else was likely.
type TokenScore = (f64, Vec<Candidate>);

/// The tokens of each line with their scores.
fn scored(
    model: &LanguageModel,
    lines: &[String],
    top: usize,
    most: usize,
) -> Result<Vec<(EncodedLine, Vec<TokenScore>)>, ApiError> {
    let mut encoder = model.codec().line_encoder("the line");
    let mut encoded = Vec::with_capacity(lines.len());
    let mut tokens = 0;
    for line in lines {
        let line = encoder.encode(line.as_bytes())?;
        tokens += line.ids.len();
        if tokens > most {
            return Err(ApiError::field("lines", format!("`lines` has more than {most} tokens")));
        }
        encoded.push(line);
    }
    if top > 0 {
        return encoded.into_iter().map(|line| with_alternatives(model, line, top)).collect();
    }
    let scoring = Scoring { start: model.codec().line_end(), ..Scoring::default() };
    let ids: Vec<&[u32]> = encoded.iter().map(|line| line.ids.as_slice()).collect();
    let scores = model.scorer(scoring)?.score(&ids)?;
    let with_scores = |(line, score): (EncodedLine, rondo_infer::SentenceScore)| {
        let scores = score.log_probs.iter().map(|&log_prob| (f64::from(log_prob), vec![])).collect();
        (line, scores)
    };
    Ok(encoded.into_iter().zip(scores).map(with_scores).collect())
}

/// The scores of a line's tokens, and the most likely tokens at each place.
fn with_alternatives(
    model: &LanguageModel,
    line: EncodedLine,
    top: usize,
) -> Result<(EncodedLine, Vec<TokenScore>), ApiError> {
    let start = model.codec().line_end();
    let ids: Vec<u32> = start.into_iter().chain(line.ids.iter().copied()).collect();
    let mut scores = Vec::with_capacity(line.ids.len());
    let known = ids.len().saturating_sub(1);
    model.predictor().read(&ids[..known], |place, next| {
        scores.push((next.log_prob(ids[place + 1]), next.most_likely(top, |_| true)));
    })?;
    Ok((line, scores))
}

/// A line as JSON. The first token of a model without a line end has no score.
fn line_json(model: &LanguageModel, line: &EncodedLine, scores: &[TokenScore], per_token: bool) -> Value {
    let sum: f64 = scores.iter().map(|(log_prob, _)| log_prob).sum();
    let is_possible = line.missing.is_empty();
    let mut json = json!({
        "log_prob": is_possible.then_some(sum),
        "tokens": scores.len(),
        "unknown_tokens": line.ids.iter().filter(|&&id| model.codec().unknown_id() == Some(id)).count(),
        "unknown_words": line.out_of_vocab_tokens,
        "missing": line.missing,
        "perplexity": is_possible.then(|| (-sum / scores.len().max(1) as f64).exp()).filter(|p| p.is_finite()),
    });
    if per_token {
        let vocab = model.codec().vocab();
        let name = |id: u32| vocab.token(id).unwrap_or_default();
        let unscored = line.ids.len() - scores.len();
        let token = |(place, &id): (usize, &u32)| {
            let score = place.checked_sub(unscored).map(|place| &scores[place]);
            let mut token =
                json!({ "token": name(id), "id": id, "log_prob": score.map(|(log_prob, _)| log_prob) });
            if let Some((_, likely)) = score.filter(|(_, likely)| !likely.is_empty()) {
                let likely =
                    likely.iter().map(|one| json!({ "token": name(one.id), "log_prob": one.log_prob }));
                token["top"] = likely.collect();
            }
            token
        };
        json["per_token"] = line.ids.iter().enumerate().map(token).collect();
    }
    json
}
