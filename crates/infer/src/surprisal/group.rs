//! Models with the same tokens, which read the same texts in parallel.
//!
//! ```text
//! read        ⏎  the  cat      slept        in batches of texts of similar length
//! predicted   the  cat  slept  ⏎            log-probability, entropy, rank, ln p(B): of each model, and of their mean
//! ```
//!
//! An approximate model predicts only log-probabilities, and so does a mean with one.

use std::cmp::Reverse;

use rondo_data::{LineEncoder, TextCodec};
use rondo_kernels::Buffer;
use rondo_kernels::prediction::Dims;
use rondo_nn::{Mode, NnError, State};

use super::encode::{EncodedPassage, Token};
use super::{Start, SurprisalOptions};
use crate::handle::PooledWorkspace;
use crate::normalizer::{Approximation, Buffers, nll_of};
use crate::predictions::{HostPredictions, LOGITS, Predictions};
use crate::{Distribution, InferError, LanguageModel, ModelHandle, Result};

/// How a model predicts a token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenScore {
    /// `None` if there is nothing to predict it from.
    pub(super) log_prob: Option<f64>,
    pub(super) entropy: Option<f64>,
    pub(super) rank: Option<u32>,
    /// `ln p(B)` in its place, if the group has separators.
    pub(super) separators: Option<f64>,
    /// The state after it, if asked for.
    pub(super) state: Vec<f32>,
}

/// The scores of a member, for each text and token.
pub(super) type Scores = Vec<Vec<Option<TokenScore>>>;

/// Models with the same codec.
#[derive(Debug)]
pub(super) struct Group {
    codec: TextCodec,
    encoder: LineEncoder,
    /// The tokens that end the word before them. Sorted.
    separators: Vec<u32>,
    /// Those that are nothing else, such as a space. Sorted.
    blanks: Vec<u32>,
    start: Option<u32>,
    members: Vec<Member>,
    /// The last token of the text before, if its state is carried over.
    last: Option<u32>,
    /// The natural logarithm of the number of tokens in the training text, if it is known.
    log_total: Option<f64>,
}

#[derive(Debug)]
struct Member {
    handle: ModelHandle,
    workspace: PooledWorkspace,
    /// After all tokens of the text before except the last.
    carried: State,
    results: Predictions,
    /// For an approximate model.
    buffers: Buffers,
}

/// What a batch predicts.
struct Predicted {
    log_probs: Vec<f32>,
    /// Empty, as all below, if the model is approximate.
    entropies: Vec<f32>,
    ranks: Vec<u32>,
    /// `ln p(B)`; empty without separators.
    separators: Vec<f64>,
}

/// A text to read.
struct Row {
    /// Its place among the texts.
    index: usize,
    ids: Vec<u32>,
    /// The token of the text that each id belongs to; `None` for what is read before the text.
    tokens: Vec<Option<usize>>,
}

impl Group {
    pub(super) fn new(codec: &TextCodec, options: &SurprisalOptions) -> Group {
        let mut separators = codec.separators();
        separators.sort_unstable();
        let mut blanks = codec.blanks();
        blanks.sort_unstable();
        let start = codec.line_end().filter(|_| options.start == Start::LineEnd);
        let encoder = codec.line_encoder("the text");
        let log_total = codec.vocab().counts().map(|counts| (counts.iter().sum::<u64>() as f64).ln());
        Group {
            codec: codec.clone(),
            encoder,
            separators,
            blanks,
            start,
            members: Vec::new(),
            last: None,
            log_total,
        }
    }

    /// Adds a model, and returns its number.
    pub(super) fn add(&mut self, model: &LanguageModel) -> usize {
        let handle = model.handle().clone();
        let (workspace, carried) = (handle.workspace(), handle.model().zero_state(1));
        let (results, buffers) = (Predictions::new(handle.device()), Buffers::new(handle.device()));
        self.members.push(Member { handle, workspace, carried, results, buffers });
        self.members.len() - 1
    }

    pub(super) fn codec(&self) -> &TextCodec {
        &self.codec
    }

    pub(super) fn state_parts(&self) -> Vec<(String, usize)> {
        let parts = self.members.iter().take(1).flat_map(|member| member.carried.parts());
        parts.map(|part| (part.name().to_owned(), part.width())).collect()
    }

    /// The natural logarithm of a token's frequency in the training text, if it occurs there and frequencies are known.
    pub(super) fn log_frequency(&self, id: u32) -> Option<f64> {
        let count = self.codec.vocab().count(id).filter(|&count| count > 0)?;
        Some((count as f64).ln() - self.log_total?)
    }

    /// Whether a text begins with the space after its context, which it does not contain.
    pub(super) fn adds_space(&self, context: &[u8], text: &[u8]) -> bool {
        self.codec.is_of_subwords() && is_space_missing(context, text)
    }

    /// The tokens of a text that comes after some context.
    pub(super) fn encode(&mut self, text: &[u8], context: &[u8]) -> Result<Vec<Token>> {
        let added = usize::from(self.adds_space(context, text));
        let spaced = [&b" "[..added], text].concat();
        let line = self.encoder.encode(&spaced)?;
        // A token that does not match the text, and those after it, are nowhere.
        let (mut parts, known) = match self.codec.align(&spaced, &line.tokens) {
            Ok(parts) => (parts, line.tokens.len()),
            Err(_) => (Vec::new(), 0),
        };
        for part in &mut parts {
            *part = part.start.saturating_sub(added)..part.end.saturating_sub(added);
        }
        let line_end = self.codec.tokenizer().line_end();
        let unknown = self.codec.unknown_id();
        let tokens = line.tokens.iter().zip(line.token_ids()).enumerate();
        Ok(tokens
            .map(|(index, (token, id))| Token {
                text: token.to_owned(),
                id,
                is_unknown: id.is_some() && unknown == id,
                is_line_end: index + 1 == line.tokens.len() && line_end == Some(token),
                part: (index < known).then(|| parts[index].clone()),
            })
            .collect())
    }

    /// What is read before a text: a line end, and the context.
    pub(super) fn before(&mut self, context: &[u8], text: &[u8]) -> Result<Vec<u32>> {
        let mut ids = Vec::from_iter(self.start);
        if context.is_empty() {
            return Ok(ids);
        }
        let mut context = super::one_line(context);
        // With subwords, the space belongs to the first word of the text.
        let is_of_characters = !self.separators.is_empty() && !self.codec.is_of_subwords();
        if is_of_characters && is_space_missing(&context, text) {
            context.push(b' ');
        }
        let line = self.encoder.encode(&context)?;
        let has_end = line.tokens.last() == self.codec.tokenizer().line_end();
        let count = line.ids.len() - usize::from(has_end && !line.tokens.is_empty());
        ids.extend(&line.ids[..count]);
        Ok(ids)
    }

    /// Whether words have an end of their own: the tokens are characters or parts of words.
    pub(super) fn has_separators(&self) -> bool {
        !self.separators.is_empty()
    }

    /// Whether a token ends the word before it.
    pub(super) fn separates(&self, id: Option<u32>) -> bool {
        id.is_some_and(|id| self.separators.binary_search(&id).is_ok())
    }

    /// Whether a token is no part of a word.
    pub(super) fn is_blank(&self, id: Option<u32>) -> bool {
        id.is_some_and(|id| self.blanks.binary_search(&id).is_ok())
    }

    /// The scores of each model, and of the ensemble, if asked for.
    pub(super) fn predict(
        &mut self,
        texts: &[EncodedPassage],
        options: &SurprisalOptions,
    ) -> Result<Vec<Scores>> {
        let blank: Scores = texts.iter().map(|text| vec![None; text.tokens.len()]).collect();
        let mut scores = vec![blank; self.members.len() + usize::from(options.ensemble)];
        let mut rows: Vec<Row> =
            texts.iter().enumerate().map(|(index, text)| Row::new(index, text)).collect();
        for row in &rows {
            self.members.iter().try_for_each(|member| member.handle.check_ids(&row.ids))?;
        }
        if options.carry_state {
            for (mut row, text) in rows.into_iter().zip(texts) {
                if text.continues {
                    row.continue_after(self.last, text.before.len());
                } else {
                    self.members.iter_mut().for_each(|member| member.carried.clear());
                }
                self.predict_rows(std::slice::from_ref(&row), options, &mut scores)?;
                self.last = row.ids.last().copied().or(self.last.filter(|_| text.continues));
            }
        } else {
            rows.sort_by_key(|row| Reverse(row.ids.len()));
            for rows in rows.chunks(options.batch_size) {
                self.predict_rows(rows, options, &mut scores)?;
            }
        }
        Ok(scores)
    }

    /// Predicts the tokens of some texts, in order of decreasing length: those still running always come first.
    fn predict_rows(
        &mut self,
        rows: &[Row],
        options: &SurprisalOptions,
        scores: &mut [Scores],
    ) -> Result<()> {
        let Group { codec, separators, members, .. } = self;
        // The last token is read only for the state after it.
        let read = |row: &Row| if options.states { row.ids.len() } else { row.ids.len().saturating_sub(1) };
        let vocab = codec.vocab().len();
        let width =
            members.iter().map(|member| member.handle.approximation().map_or(vocab, Approximation::width));
        let width = width.max().unwrap_or(vocab);
        let is_mean_exact = members.iter().all(|member| member.handle.approximation().is_none());
        let longest = rows.first().map_or(0, read);
        let mut states: Vec<State> = members
            .iter_mut()
            .map(|member| {
                let zero = member.handle.model().zero_state(rows.len());
                if options.carry_state { std::mem::replace(&mut member.carried, zero) } else { zero }
            })
            .collect();
        first_tokens(rows, scores);
        let mut start = 0;
        while start < longest {
            let running = rows.partition_point(|row| read(row) > start);
            let rows = &rows[..running];
            let all = (LOGITS / width / running).max(1);
            let steps = if options.states { 1 } else { all.min(longest - start) };
            let chunk = Chunk { rows, start, steps };
            let (mut mean, mut all_log_probs, count) = (Vec::new(), Vec::new(), members.len());
            for (number, (member, state)) in members.iter_mut().zip(&mut states).enumerate() {
                if running < state.batch() {
                    *state = state.select(member.handle.device(), &(0..running).collect::<Vec<_>>());
                }
                let into_mean = (options.ensemble && is_mean_exact).then_some((&mut mean, count));
                let predicted = member.read(&chunk, state, separators, into_mean)?;
                chunk.store(predicted.as_ref(), &mut scores[number]);
                all_log_probs.extend(predicted.map(|predicted| predicted.log_probs));
                if options.states {
                    chunk.store_states(state, &mut scores[number])?;
                }
            }
            if options.ensemble && !mean.is_empty() {
                let predicted = members[0].predict_mean(&chunk, &mean, separators)?;
                chunk.store(Some(&predicted), &mut scores[count]);
            } else if options.ensemble && !all_log_probs.is_empty() {
                chunk.store(Some(&Predicted::mean_of(&all_log_probs)), &mut scores[count]);
            }
            start += steps;
        }
        if options.carry_state {
            members.iter_mut().zip(states).for_each(|(member, state)| member.carried = state);
        }
        Ok(())
    }
}

/// Whether a context and the text after it have no space between them.
fn is_space_missing(context: &[u8], text: &[u8]) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_whitespace());
    is_word(context.last()) && is_word(text.first())
}

/// The first token that is read is not predicted, and has no score.
fn first_tokens(rows: &[Row], scores: &mut [Scores]) {
    for row in rows {
        if let Some(Some(token)) = row.tokens.first() {
            scores.iter_mut().for_each(|scores| scores[row.index][*token] = Some(TokenScore::default()));
        }
    }
}

impl Row {
    fn new(index: usize, text: &EncodedPassage) -> Row {
        let (mut ids, mut tokens) = (text.before.clone(), vec![None; text.before.len()]);
        for (place, token) in text.tokens.iter().enumerate() {
            if let Some(id) = token.id {
                ids.push(id);
                tokens.push(Some(place));
            }
        }
        Row { index, ids, tokens }
    }

    /// Replaces what comes before the text, `before` tokens, by the last token of the text before.
    fn continue_after(&mut self, last: Option<u32>, before: usize) {
        self.ids.splice(..before, last);
        self.tokens.splice(..before, last.map(|_| None));
    }
}

/// Some steps of some texts.
struct Chunk<'a> {
    rows: &'a [Row],
    start: usize,
    steps: usize,
}

impl Chunk<'_> {
    /// The ids at some steps after the first one, row by row of the batch; past the end of a text, any will do.
    fn ids(&self, offset: usize) -> Vec<u32> {
        let steps = self.start + offset..self.start + offset + self.steps;
        let at = |step: usize| self.rows.iter().map(move |row| row.ids.get(step).copied().unwrap_or(0));
        steps.flat_map(at).collect()
    }

    /// Calls `each` with the row of the batch, the text and the token of all that is predicted.
    fn for_each(&self, mut each: impl FnMut(usize, usize, usize)) {
        for step in 0..self.steps {
            for (place, row) in self.rows.iter().enumerate() {
                if let Some(Some(token)) = row.tokens.get(self.start + step + 1) {
                    each(step * self.rows.len() + place, row.index, *token);
                }
            }
        }
    }

    /// Whether a row of the batch predicts a token of a text.
    fn predicts(&self, row: usize) -> bool {
        let (step, place) = (row / self.rows.len(), row % self.rows.len());
        matches!(self.rows[place].tokens.get(self.start + step + 1), Some(Some(_)))
    }

    fn predicts_something(&self) -> bool {
        let mut some = false;
        self.for_each(|_, _, _| some = true);
        some
    }

    fn store(&self, predicted: Option<&Predicted>, scores: &mut Scores) {
        let Some(predicted) = predicted else { return };
        self.for_each(|row, text, token| {
            scores[text][token] = Some(TokenScore {
                // `x + 0` rather than −0 for a token of probability 1.
                log_prob: Some(f64::from(predicted.log_probs[row]) + 0.0),
                entropy: predicted.entropies.get(row).map(|entropy| f64::from(entropy.max(0.0))),
                rank: predicted.ranks.get(row).copied(),
                separators: predicted.separators.get(row).copied(),
                state: Vec::new(),
            });
        });
    }

    /// Stores the state after the step that was read.
    fn store_states(&self, state: &State, scores: &mut Scores) -> Result<()> {
        let parts: Vec<_> = state
            .parts()
            .iter()
            .map(|part| part.values().read())
            .collect::<std::result::Result<_, _>>()
            .map_err(NnError::from)?;
        for (place, row) in self.rows.iter().enumerate() {
            let Some(Some(token)) = row.tokens.get(self.start) else { continue };
            if let Some(score) = &mut scores[row.index][*token] {
                for (part, values) in state.parts().iter().zip(&parts) {
                    score.state.extend(&values[place * part.width()..(place + 1) * part.width()]);
                }
            }
        }
        Ok(())
    }
}

impl Member {
    /// Reads a chunk, and predicts what follows each token; nothing if no prediction is needed. Adds the probabilities
    /// to the mean of this number of models.
    fn read(
        &mut self,
        chunk: &Chunk<'_>,
        state: &mut State,
        separators: &[u32],
        into_mean: Option<(&mut Vec<f64>, usize)>,
    ) -> Result<Option<Predicted>> {
        let Member { handle, workspace, results, buffers, .. } = self;
        let model = handle.model();
        let inputs = chunk.ids(0);
        let before = chunk.rows.iter().map(|row| match chunk.start.checked_sub(1) {
            Some(before) => row.ids[before],
            None => handle.start(),
        });
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        handle.set_resets(&mut tape, &inputs, &before.collect::<Vec<_>>());
        let hidden = model.forward(&mut tape, &inputs, state);
        if !chunk.predicts_something() {
            return Ok(None);
        }
        if let Some(approximation) = handle.approximation() {
            let is_text = |row| chunk.predicts(row);
            let approximation = Some((approximation, buffers));
            let nll = nll_of(approximation, model, &mut tape, hidden, &chunk.ids(1), &is_text)?;
            let predicted = Predicted::only(nll.iter().map(|nll| 0.0 - nll).collect());
            check_finite(chunk, &predicted)?;
            return Ok(Some(predicted));
        }
        let logits = model.logits(&mut tape, hidden);
        let dims = Dims { rows: inputs.len(), vocab: model.vocab_size() };
        results.predict(dims, tape.values(logits), &chunk.ids(1))?;
        let mut predicted = Predicted::of(results.read(dims.rows)?);
        check_finite(chunk, &predicted)?;
        if separators.is_empty() && into_mean.is_none() {
            return Ok(Some(predicted));
        }
        let logits = tape.read(logits)?;
        let log_sum = |row| Ok(Distribution::new(row)?.log_normalizer());
        let log_sums: Vec<f64> = logits.chunks_exact(dims.vocab).map(log_sum).collect::<Result<_>>()?;
        for (row, log_sum) in
            logits.chunks_exact(dims.vocab).zip(&log_sums).filter(|_| !separators.is_empty())
        {
            predicted
                .separators
                .push(log_sum_of(separators.iter().map(|&id| f64::from(row[id as usize]))) - log_sum);
        }
        if let Some((mean, count)) = into_mean {
            mean.resize(logits.len(), 0.0);
            let rows = logits.chunks_exact(dims.vocab).zip(&log_sums).zip(mean.chunks_exact_mut(dims.vocab));
            for ((row, log_sum), mean) in rows {
                for (mean, &logit) in mean.iter_mut().zip(row) {
                    *mean += (f64::from(logit) - log_sum).exp() / count as f64;
                }
            }
        }
        Ok(Some(predicted))
    }

    /// What the mean of the models' probabilities predicts.
    fn predict_mean(&mut self, chunk: &Chunk<'_>, mean: &[f64], separators: &[u32]) -> Result<Predicted> {
        let device = self.handle.device();
        let vocab = self.handle.model().vocab_size();
        let dims = Dims { rows: mean.len() / vocab, vocab };
        let logits: Vec<f32> = mean.iter().map(|share| share.ln() as f32).collect();
        let logits = Buffer::from_slice(device, &logits).map_err(NnError::from)?;
        self.results.predict(dims, logits.slice(), &chunk.ids(1))?;
        let mut predicted = Predicted::of(self.results.read(dims.rows)?);
        check_finite(chunk, &predicted)?;
        if !separators.is_empty() {
            let share = |row: &[f64]| separators.iter().map(|&id| row[id as usize]).sum::<f64>().ln();
            predicted.separators = mean.chunks_exact(vocab).map(share).collect();
        }
        Ok(predicted)
    }
}

impl Predicted {
    fn of(HostPredictions { log_probs, entropies, ranks }: HostPredictions) -> Predicted {
        Predicted { log_probs, entropies, ranks, separators: Vec::new() }
    }

    /// Log-probabilities, and nothing that needs the whole distribution.
    fn only(log_probs: Vec<f32>) -> Predicted {
        Predicted { log_probs, entropies: Vec::new(), ranks: Vec::new(), separators: Vec::new() }
    }

    /// The mean of the probabilities of several models.
    fn mean_of(all: &[Vec<f32>]) -> Predicted {
        let rows = 0..all.first().map_or(0, Vec::len);
        let mean = |row: usize| {
            let log_sum = log_sum_of(all.iter().map(|log_probs| f64::from(log_probs[row])));
            (log_sum - (all.len() as f64).ln()) as f32
        };
        Predicted::only(rows.map(mean).collect())
    }
}

/// Fails if a prediction that is needed is no distribution.
fn check_finite(chunk: &Chunk<'_>, predicted: &Predicted) -> Result<()> {
    let mut is_finite = true;
    chunk.for_each(|row, _, _| is_finite &= !predicted.log_probs[row].is_nan());
    if is_finite { Ok(()) } else { Err(InferError::NonFiniteLogits) }
}

fn log_sum_of(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        largest
    } else {
        largest + logits.map(|logit| (logit - largest).exp()).sum::<f64>().ln()
    }
}
