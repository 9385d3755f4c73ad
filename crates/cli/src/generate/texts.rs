//! Texts that are generated in one batch: each starts, ends and is printed on its own, in order.
//!
//! ```text
//! number, prompt ─▶ Streams, at most WIDTH at a time ─ tokens ─▶ Text ─ ended ─▶ taken in the order of numbers
//! ```
//!
//! Promises: a text depends on its prompt, its number and the seed, not on the others.

use std::collections::BTreeMap;

use anyhow::Result;
use rondo_data::{Spacing, TextCodec, TextDecoder};
use rondo_infer::{LanguageModel, Sampling, StreamId, Streams};

/// Texts generated at the same time.
const WIDTH: usize = 64;

/// A prompt, and its ids after a line end.
pub(super) struct Prompt {
    /// As it was given.
    pub(super) text: Vec<u8>,
    /// Its own ids.
    pub(super) ids: Vec<u32>,
}

/// When a text ends.
pub(super) struct Ending {
    pub(super) tokens: Vec<u32>,
    pub(super) strings: Vec<String>,
    pub(super) most: usize,
}

/// Why a text has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    Token(u32),
    String(String),
    Length,
}

/// A text in progress, or complete.
pub(super) struct Text {
    decoder: TextDecoder,
    /// What was generated, without the prompt and without what ended it.
    pub(super) bytes: Vec<u8>,
    pub(super) tokens: Vec<u32>,
    pub(super) log_probs: Vec<f64>,
    pub(super) stop: Option<Stop>,
}

impl Text {
    fn new(
        codec: &TextCodec,
        prompt: &Prompt,
        spacing: Spacing,
        ending: &Ending,
    ) -> rondo_data::Result<Text> {
        let (mut decoder, mut shown) = (codec.decoder(spacing), vec![]);
        prompt.ids.iter().try_for_each(|&id| decoder.push(id, &mut shown))?;
        let stop = (ending.most == 0).then_some(Stop::Length);
        Ok(Text { decoder, bytes: vec![], tokens: vec![], log_probs: vec![], stop })
    }

    /// Takes a token and checks whether the text ends with it.
    fn push(&mut self, token: u32, log_prob: f64, ending: &Ending) -> rondo_data::Result<()> {
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        if ending.tokens.contains(&token) {
            self.stop = Some(Stop::Token(token));
            return Ok(());
        }
        let before = self.bytes.len();
        self.decoder.push(token, &mut self.bytes)?;
        let found = ending.strings.iter().filter_map(|string| {
            let from = before.saturating_sub(string.len() - 1);
            let at = self.bytes[from..].windows(string.len()).position(|part| part == string.as_bytes())?;
            Some((from + at, string))
        });
        if let Some((at, string)) = found.min_by_key(|(at, string)| (*at, std::cmp::Reverse(string.len()))) {
            self.stop = Some(Stop::String(string.clone()));
            self.bytes.truncate(at);
        } else if self.tokens.len() >= ending.most {
            self.stop = Some(Stop::Length);
        }
        Ok(())
    }

    /// How many of its bytes cannot become part of a stop string.
    pub(super) fn certain(&self, ending: &Ending) -> usize {
        match self.stop {
            Some(_) => self.bytes.len(),
            None => {
                let longest = ending.strings.iter().map(String::len).max().unwrap_or(1);
                self.bytes.len().saturating_sub(longest - 1)
            }
        }
    }
}

/// How texts are generated.
pub(super) struct Generating<'a> {
    pub(super) model: &'a LanguageModel,
    pub(super) sampling: &'a Sampling,
    pub(super) seed: u64,
    pub(super) ending: &'a Ending,
    pub(super) spacing: Spacing,
}

impl Generating<'_> {
    /// Generates texts, whose prompts are given by their numbers from `first` on until there is none. Complete texts are
    /// passed to `take` in the order of their numbers until it returns false; `see` is called with the next text to take
    /// after each step.
    pub(super) fn run<'p>(
        &self,
        first: u64,
        prompt_of: impl Fn(u64) -> Option<&'p Prompt>,
        mut see: impl FnMut(&Text) -> Result<()>,
        mut take: impl FnMut(u64, Text) -> Result<bool>,
    ) -> Result<()> {
        let codec = self.model.codec();
        let mut streams = self.model.streams();
        let mut running: BTreeMap<StreamId, (u64, Text)> = BTreeMap::new();
        let mut ended: BTreeMap<u64, Text> = BTreeMap::new();
        let (mut next, mut to_take) = (first, first);
        loop {
            while running.len() < WIDTH
                && let Some(prompt) = prompt_of(next)
            {
                let mut text = Text::new(codec, prompt, self.spacing, self.ending)?;
                if text.stop.is_some() {
                    ended.insert(next, text);
                } else {
                    let id = self.admit(&mut streams, prompt, next, &mut text)?;
                    if text.stop.is_some() {
                        streams.retire(id)?;
                        ended.insert(next, text);
                    } else {
                        running.insert(id, (next, text));
                    }
                }
                next += 1;
            }
            while let Some(text) = ended.remove(&to_take) {
                if !take(to_take, text)? {
                    return Ok(());
                }
                to_take += 1;
            }
            if running.is_empty() {
                return Ok(());
            }
            let tokens: Vec<_> = streams.step()?.to_vec();
            for token in tokens {
                let Some((_, text)) = running.get_mut(&token.stream) else { continue };
                text.push(token.token, token.log_prob, self.ending)?;
                if text.stop.is_some()
                    && let Some((number, text)) = running.remove(&token.stream)
                {
                    streams.retire(token.stream)?;
                    ended.insert(number, text);
                }
            }
            let in_progress = running.values().find(|(number, _)| *number == to_take).map(|(_, text)| text);
            if let Some(text) = ended.get(&to_take).or(in_progress) {
                see(text)?;
            }
        }
    }

    /// Adds the stream of a text. If there is neither a prompt nor a line end to start from, its first token is drawn by
    /// its frequency in the training text.
    fn admit(
        &self,
        streams: &mut Streams,
        prompt: &Prompt,
        number: u64,
        text: &mut Text,
    ) -> Result<StreamId> {
        let (codec, numbers) = (self.model.codec(), number..number + 1);
        let start: Vec<u32> = codec.line_end().into_iter().chain(prompt.ids.iter().copied()).collect();
        if let (true, Some(counts)) = (start.is_empty(), codec.vocab().counts()) {
            let first = streams.admit_first(counts, numbers, self.sampling, self.seed)?[0];
            text.push(first.token, first.log_prob, self.ending)?;
            return Ok(first.stream);
        }
        Ok(streams.admit_numbered(&start, numbers, self.sampling, self.seed)?[0])
    }
}
