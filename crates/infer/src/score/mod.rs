//! Log-probabilities of sentences, token by token.
//!
//! A language model trained on lines separated by a line end, such as `<eos>`, predicts the beginning of a
//! line from the line end before it. So each sentence is scored after that token from a zero state, including
//! its own line end:
//!
//! ```text
//! read     <eos>  the    cat  slept
//! scored   the    cat  slept  <eos>      log p(sentence) = Σ log p(token | the tokens read)
//! ```
//!
//! Without such a token ([`Scoring::start`] is `None`), the first token of a sentence is only read, not
//! scored. With [`Scoring::carry_state`] the sentences form one text: each is scored given everything before
//! it.
//!
//! Promises: sentences of similar length are scored together, which changes results only by rounding; padding
//! is never scored; results are in the order of the sentences; [`Scorer::lines`] holds no more of a text than
//! it reads ahead. Not here: which words are out of vocabulary (`rondo_data::EncodedLine`).

use std::cmp::Reverse;
use std::num::NonZeroU32;

use rondo_nn::{Mode, State};

use crate::evaluate::BATCH_ROWS;
use crate::handle::PooledWorkspace;
use crate::ngram::NgramContext;
use crate::normalizer::{Buffers, nll_of};
use crate::predictions::{LOGITS, Predictions};
use crate::{InferError, Interpolation, ModelHandle, Result};

mod lines;

pub use lines::{ScoredLine, ScoredLines};

/// How sentences are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// The token before each sentence, commonly [`line_end`](rondo_data::TextCodec::line_end). If `None`, the
    /// first token of a sentence is not scored.
    pub start: Option<u32>,
    /// Whether each sentence continues the previous one: its first token follows the previous sentence's last
    /// token, and only the first sentence starts from a zero state and [`Scoring::start`]. The batch size is
    /// then 1.
    pub carry_state: bool,
    /// How many sentences are scored in a batch.
    pub batch_size: usize,
    /// How many tokens [`Scorer::lines`] reads ahead to find sentences of similar length. With 1, each line
    /// is scored as soon as it is read.
    pub lookahead_tokens: usize,
}

impl Default for Scoring {
    /// Independent sentences, without a start token.
    fn default() -> Self {
        Scoring { start: None, carry_state: false, batch_size: 32, lookahead_tokens: 1 << 14 }
    }
}

/// The score of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceScore {
    /// Its log-probability (natural logarithm): the sum over its tokens.
    pub log_prob_sum: f64,
    /// The log-probability of each scored token (natural logarithm).
    pub log_probs: Vec<f32>,
    /// The rank of each scored token, one more than the number of tokens that are more likely in its place; empty unless the
    /// scorer [ranks](Scorer::with_ranks).
    pub ranks: Vec<u32>,
    /// How many tokens at the beginning are not scored: 1 if there is nothing to predict the first from,
    /// otherwise 0.
    pub unscored_tokens: usize,
}

impl SentenceScore {
    /// `exp` of the mean negative log-likelihood of the scored tokens; NaN if there are none.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        (-self.log_prob_sum / self.log_probs.len() as f64).exp()
    }

    /// How many of the scored tokens are not among the `max_rank` most likely ones in their place, or are the `unknown` token.
    /// `ids` are those of the sentence, and the scorer ranks.
    #[must_use]
    pub fn unlikely_tokens(&self, ids: &[u32], unknown: Option<u32>, max_rank: NonZeroU32) -> usize {
        let scored = ids.iter().skip(self.unscored_tokens).zip(&self.ranks);
        scored.filter(|&(&id, &rank)| unknown == Some(id) || rank > max_rank.get()).count()
    }
}

/// The log-probabilities of tokens, and their ranks, if asked for.
#[derive(Default)]
struct Ranked {
    log_probs: Vec<f32>,
    ranks: Vec<u32>,
}

/// Scores sentences with a model.
///
/// ```
/// use rondo_infer::{ModelHandle, Scorer, Scoring};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all tokens are equally likely.
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?);
///
/// let scoring = Scoring { start: Some(0), ..Scoring::default() };
/// let scores = Scorer::new(&model, scoring)?.score(&[vec![2, 3, 0], vec![1, 0]])?;
/// assert!((scores[0].log_prob_sum - 3.0 * 0.25_f64.ln()).abs() < 1e-6);
/// assert_eq!(scores[1].log_probs.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scorer {
    handle: ModelHandle,
    workspace: PooledWorkspace,
    buffers: Buffers,
    scoring: Scoring,
    /// With [`Scoring::carry_state`], the state after all tokens except the last, and the last token.
    carried: State,
    last: Option<u32>,
    /// An n-gram model to interpolate with, and, with [`Scoring::carry_state`], the words before the next sentence.
    ngram: Option<(Interpolation, NgramContext)>,
    /// Whether tokens are ranked, and the memory for it.
    predictions: Option<Predictions>,
}

impl Scorer {
    /// A scorer that has read nothing yet.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if a size is 0, [`InferError::IdOutOfRange`] if the start token is outside
    /// the model's vocabulary.
    pub fn new(model: &ModelHandle, scoring: Scoring) -> Result<Self> {
        for (name, size) in
            [("batch_size", scoring.batch_size), ("lookahead_tokens", scoring.lookahead_tokens)]
        {
            if size == 0 {
                return Err(InferError::ZeroSize { name });
            }
        }
        model.check_ids(scoring.start.as_slice())?;
        let last = scoring.start;
        let (workspace, carried) = (model.workspace(), model.model().zero_state(1));
        let buffers = Buffers::new(model.device());
        Ok(Scorer {
            handle: model.clone(),
            workspace,
            buffers,
            scoring,
            carried,
            last,
            ngram: None,
            predictions: None,
        })
    }

    /// The same, interpolated with an n-gram model.
    #[must_use]
    pub fn with_ngram(mut self, interpolation: Interpolation) -> Self {
        let context = before_text(&interpolation, &self.scoring);
        self.ngram = Some((interpolation, context));
        self
    }

    /// The same, with the [rank](SentenceScore::ranks) of each token: the model's own, also if it is interpolated.
    ///
    /// # Errors
    /// [`InferError::NeedsDistribution`] for an approximate model.
    pub fn with_ranks(mut self) -> Result<Self> {
        if self.handle.approximation().is_some() {
            return Err(InferError::NeedsDistribution { what: "the rank of a token" });
        }
        self.predictions = Some(Predictions::new(self.handle.device()));
        Ok(self)
    }

    /// Scores sentences, each given as its ids, including its line end, if any.
    ///
    /// # Errors
    /// [`InferError::IdOutOfRange`] if an id is outside the model's vocabulary; nothing is scored then.
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution.
    pub fn score<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        for sentence in sentences {
            self.handle.check_ids(sentence.as_ref())?;
        }
        let carry_state = self.scoring.carry_state;
        let scores = if carry_state { self.score_text(sentences) } else { self.score_apart(sentences) };
        let Some((interpolation, context)) = &mut self.ngram else { return scores };
        let mut scores = match scores {
            Ok(scores) => scores,
            Err(error) => {
                *context = before_text(interpolation, &self.scoring);
                return Err(error);
            }
        };
        for (score, sentence) in scores.iter_mut().zip(sentences) {
            if !carry_state {
                *context = before_text(interpolation, &self.scoring);
            }
            let (read, scored) = sentence.as_ref().split_at(score.unscored_tokens);
            for &token in read {
                interpolation.read(context, token);
            }
            interpolation.mix(context, scored, &mut score.log_probs);
            score.log_prob_sum = sum(&score.log_probs);
        }
        Ok(scores)
    }

    /// Scores independent sentences.
    fn score_apart<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| Reverse(sentences[index].as_ref().len()));
        let mut scores: Vec<Option<SentenceScore>> = sentences.iter().map(|_| None).collect();
        for group in order.chunks(self.scoring.batch_size) {
            let rows: Vec<Vec<u32>> = group
                .iter()
                .map(|&index| self.scoring.start.iter().chain(sentences[index].as_ref()).copied().collect())
                .collect();
            let (predicted, _) = self.predict(&rows, self.handle.model().zero_state(rows.len()))?;
            for (&index, predicted) in group.iter().zip(predicted) {
                scores[index] = Some(SentenceScore::new(predicted, sentences[index].as_ref().len()));
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// Scores sentences that continue the text scored before.
    fn score_text<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        let mut unscored_tokens = usize::from(self.last.is_none());
        let text: Vec<u32> = self
            .last
            .iter()
            .chain(sentences.iter().flat_map(|sentence| sentence.as_ref()))
            .copied()
            .collect();
        let state = std::mem::replace(&mut self.carried, self.handle.model().zero_state(1));
        // After an error, start again.
        self.last = self.scoring.start;
        let (mut predicted, state) = self.predict(std::slice::from_ref(&text), state)?;
        self.carried = state;
        self.last = text.last().copied();
        let Ranked { log_probs, ranks } = predicted.pop().unwrap_or_default();
        let (mut log_probs, mut ranks) = (log_probs.into_iter(), ranks.into_iter());
        let score = |sentence: &S| {
            let len = sentence.as_ref().len();
            let scored = len - unscored_tokens.min(len);
            unscored_tokens -= len - scored;
            let log_probs = log_probs.by_ref().take(scored).collect();
            SentenceScore::new(Ranked { log_probs, ranks: ranks.by_ref().take(scored).collect() }, len)
        };
        Ok(sentences.iter().map(score).collect())
    }

    /// The log-probability and the rank of each token of each row except the row's first, and the state after all tokens
    /// except the last.
    ///
    /// Rows are sorted by decreasing length, so the rows still running always come first; the state shrinks
    /// to them.
    fn predict(&mut self, rows: &[Vec<u32>], mut state: State) -> Result<(Vec<Ranked>, State)> {
        let predicted = |row: &Vec<u32>| row.len().saturating_sub(1);
        let mut found: Vec<Ranked> = rows.iter().map(|_| Ranked::default()).collect();
        // Ranks need all logits of a batch in memory.
        let most_rows = match self.predictions {
            Some(_) => BATCH_ROWS.min(LOGITS / self.handle.model().vocab_size()),
            None => BATCH_ROWS,
        };
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let mut start = 0;
        loop {
            let running = rows.partition_point(|row| predicted(row) > start);
            if running == 0 {
                return Ok((found, state));
            }
            if running < state.batch() {
                state = state.select(self.handle.device(), &(0..running).collect::<Vec<_>>());
            }
            let steps = (most_rows / running).clamp(1, predicted(&rows[0]) - start);
            inputs.clear();
            targets.clear();
            for t in start..start + steps {
                // Past the end of a row, any token will do: its prediction is not used.
                let at = |t| rows[..running].iter().map(move |row| row.get(t).copied().unwrap_or(0));
                inputs.extend(at(t));
                targets.extend(at(t + 1));
            }
            let model = self.handle.model();
            let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
            let before = rows[..running].iter().map(|row| match start.checked_sub(1) {
                Some(before) => row[before],
                None => self.handle.start(),
            });
            self.handle.set_resets(&mut tape, &inputs, &before.collect::<Vec<_>>());
            let hidden = model.forward(&mut tape, &inputs, &mut state);
            let is_text = |row: usize| start + row / running < predicted(&rows[row % running]);
            let (nll, ranks) = match &mut self.predictions {
                Some(predictions) => {
                    let found = predictions.ranked(model, &mut tape, hidden, &targets, &[])?;
                    (found.log_probs.iter().map(|log_prob| 0.0 - log_prob).collect(), found.ranks)
                }
                None => {
                    let approximation = self.handle.approximation().map(|found| (found, &mut self.buffers));
                    (nll_of(approximation, model, &mut tape, hidden, &targets, &is_text)?, vec![])
                }
            };
            for (b, (row, found)) in rows[..running].iter().zip(&mut found).enumerate() {
                let steps = steps.min(predicted(row) - start);
                let nll = nll.iter().skip(b).step_by(running).take(steps);
                if nll.clone().any(|nll| nll.is_nan()) {
                    return Err(InferError::NonFiniteLogits);
                }
                // `0 − x` rather than `−x`, which would give −0 for a token of probability 1.
                found.log_probs.extend(nll.map(|nll| 0.0 - nll));
                found.ranks.extend(ranks.iter().skip(b).step_by(running).take(steps));
            }
            start += steps;
        }
    }
}

impl SentenceScore {
    /// The score of a sentence of `len` tokens, the last of which have these log-probabilities and ranks.
    fn new(Ranked { log_probs, ranks }: Ranked, len: usize) -> Self {
        let unscored_tokens = len - log_probs.len();
        SentenceScore { log_prob_sum: sum(&log_probs), unscored_tokens, log_probs, ranks }
    }
}

fn sum(log_probs: &[f32]) -> f64 {
    log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum()
}

/// What an n-gram model has read before the first sentence.
fn before_text(interpolation: &Interpolation, scoring: &Scoring) -> NgramContext {
    let mut context = interpolation.context();
    if let Some(start) = scoring.start {
        interpolation.read(&mut context, start);
    }
    context
}
