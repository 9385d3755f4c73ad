//! Joins subwords to text, one at a time.

use std::sync::Arc;

use super::engine::Engine;
use crate::tokenize::kind::Joiner;

/// The number of tokens before the current one that its text may depend on.
const CONTEXT: usize = 8;

/// Joins tokens by their library's decoder, which may need the tokens before: the space of the first word of a line is not
/// text, and characters may consist of several tokens.
#[derive(Debug)]
pub(super) struct SubwordJoiner {
    engine: Arc<dyn Engine>,
    eos: Option<String>,
    /// The last tokens of the line.
    recent: Vec<String>,
    /// The number of bytes of their text that were passed on.
    passed: usize,
}

impl SubwordJoiner {
    pub(super) fn new(engine: Arc<dyn Engine>, eos: Option<String>) -> Self {
        Self { engine, eos, recent: Vec::new(), passed: 0 }
    }
}

impl Joiner for SubwordJoiner {
    fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        if self.eos.as_deref() == Some(token) {
            text.push(b'\n');
            self.recent.clear();
            self.passed = 0;
            return;
        }
        if let Some(bytes) = self.engine.bytes(token) {
            text.extend(bytes);
            return;
        }
        self.recent.push(token.to_owned());
        let joined = self.engine.decode(&self.recent);
        // The rest of an incomplete character follows.
        if joined.ends_with(char::REPLACEMENT_CHARACTER) && self.recent.len() <= 2 * CONTEXT {
            return;
        }
        text.extend_from_slice(joined.as_bytes().get(self.passed..).unwrap_or_default());
        self.passed = joined.len();
        if self.recent.len() > 2 * CONTEXT {
            self.recent.drain(..self.recent.len() - CONTEXT);
            self.passed = self.engine.decode(&self.recent).len();
        }
    }
}
