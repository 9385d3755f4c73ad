//! The answers of `/v1/completions`: whole ones, and the events of a stream.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use rondo_data::TextCodec;
use rondo_infer::{Candidate, StopReason};
use serde_json::{Map, Value, json};

use crate::engine::Chunk;

/// A number that nobody has chosen. It is not a secret.
pub(super) fn arbitrary() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What all events of an answer have in common.
#[derive(Clone, Debug)]
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    pub(super) fn new(model: &str) -> Head {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Head { id: format!("cmpl-{:016x}", arbitrary()), created, model: model.to_owned() }
    }

    /// An answer, or an event of it, with these choices.
    pub(super) fn with(&self, choices: Vec<Value>, usage: Option<Usage>) -> Value {
        let mut answer = json!({
            "id": self.id, "object": "text_completion", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            answer["usage"] = usage.to_json();
        }
        answer
    }
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
}

impl Usage {
    fn to_json(self) -> Value {
        let Usage { prompt_tokens, completion_tokens } = self;
        json!({
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        })
    }
}

/// The log-probabilities of the tokens of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct LogProbs {
    tokens: Vec<Value>,
    log_probs: Vec<Value>,
    top: Vec<Value>,
    offsets: Vec<usize>,
}

impl LogProbs {
    /// Adds a token at this place of the text, in characters. A token that nothing precedes has no probability.
    pub(super) fn push(
        &mut self,
        codec: &TextCodec,
        (token, log_prob): (u32, Option<f64>),
        likely: &[Candidate],
        offset: usize,
    ) {
        let name = |id| codec.token_text(id).unwrap_or_default();
        self.tokens.push(name(token).into_owned().into());
        self.log_probs.push(log_prob.map_or(Value::Null, |log_prob| json!(finite(log_prob))));
        let mut top: Map<String, Value> = Map::new();
        for candidate in likely {
            top.insert(name(candidate.id).into_owned(), json!(finite(candidate.log_prob)));
        }
        self.top.push(if likely.is_empty() { Value::Null } else { top.into() });
        self.offsets.push(offset);
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "tokens": self.tokens, "token_logprobs": self.log_probs, "top_logprobs": self.top,
            "text_offset": self.offsets,
        })
    }
}

/// JSON has no infinity.
fn finite(log_prob: f64) -> f64 {
    log_prob.max(f64::MIN)
}

/// A text of an answer while it grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) log_prob_sum: f64,
    pub(super) tokens: usize,
    /// If they were asked for.
    pub(super) log_probs: Option<LogProbs>,
    finish: Option<&'static str>,
    /// The characters that were sent and are not in the text.
    sent: usize,
}

/// Why a text ends with this token, if it does.
fn finish(chunk: &Chunk) -> Option<&'static str> {
    chunk.piece.stop.as_ref().map(|stop| match stop {
        StopReason::Length => "length",
        StopReason::Token(_) | StopReason::String(_) => "stop",
    })
}

impl Choice {
    /// A text that begins with `text`, with log-probabilities if they are wanted.
    pub(super) fn new(index: usize, text: String, wants_log_probs: bool) -> Choice {
        Choice { index, text, log_probs: wants_log_probs.then(LogProbs::default), ..Choice::default() }
    }

    /// The same text in another place of the answer.
    pub(super) fn at(&self, index: usize) -> Choice {
        Choice { index, ..self.clone() }
    }

    /// Adds what a token adds.
    pub(super) fn push(&mut self, codec: &TextCodec, chunk: &Chunk) {
        let Chunk { piece, alternatives, .. } = chunk;
        let offset = self.len();
        if let Some(log_probs) = &mut self.log_probs {
            log_probs.push(codec, (piece.token, Some(piece.log_prob)), alternatives, offset);
        }
        self.text.push_str(&piece.text);
        self.log_prob_sum += piece.log_prob;
        self.tokens += 1;
        self.finish = finish(chunk);
    }

    /// Adds what a token adds, and returns that alone as JSON. The text itself is not kept.
    pub(super) fn next(&mut self, codec: &TextCodec, chunk: &Chunk) -> Value {
        let mut shown = Choice::new(self.index, String::new(), self.log_probs.is_some());
        if let Some(log_probs) = &mut shown.log_probs {
            let (token, log_prob) = (chunk.piece.token, Some(chunk.piece.log_prob));
            log_probs.push(codec, (token, log_prob), &chunk.alternatives, self.len());
        }
        self.sent += chunk.piece.text.chars().count();
        shown.text.clone_from(&chunk.piece.text);
        shown.finish = finish(chunk);
        self.finish = shown.finish;
        shown.to_json()
    }

    /// The length of the text so far, in characters.
    fn len(&self) -> usize {
        self.text.chars().count() + self.sent
    }

    pub(super) fn is_over(&self) -> bool {
        self.finish.is_some()
    }

    /// Ends a text for which nothing is generated.
    pub(super) fn end(&mut self) {
        self.finish = Some("length");
    }

    pub(super) fn mean_log_prob(&self) -> f64 {
        self.log_prob_sum / self.tokens.max(1) as f64
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "text": self.text, "index": self.index, "finish_reason": self.finish,
            "logprobs": self.log_probs.as_ref().map(LogProbs::to_json),
        })
    }
}
