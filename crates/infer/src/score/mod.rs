//! Log-probabilities of sentences, token by token.
//!
//! A language model of lines separated by a line end, such as `<eos>`, gives a line a probability only once it has
//! read the line end before it. So each sentence is scored as what follows that token from a zero state, its own
//! line end included:
//!
//! ```text
//! read     <eos>  the    cat  slept
//! scored   the    cat  slept  <eos>      log p(sentence) = Σ log p(token | the tokens read)
//! ```
//!
//! Where there is no such token ([`Scoring::start`] is none), a sentence's first token is only read, not scored.
//! With [`Scoring::carry_state`] the sentences are one text: each is scored given all before it.
//!
//! Promises: sentences of like length are scored together, which changes results by no more than rounding; padding
//! is never scored; results come in the order of the sentences; [`Scorer::lines`] holds no more of a text than it
//! reads ahead. Not here: which words are unknown (`rondo_data::EncodedLine`).

use std::cmp::Reverse;

use rondo_nn::{Mode, State};

use crate::evaluate::BATCH_ROWS;
use crate::handle::PooledWorkspace;
use crate::{InferError, ModelHandle, Result};

mod lines;

pub use lines::{ScoredLine, ScoredLines};

/// How sentences are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// The token that each sentence follows, commonly [`line_end`](rondo_data::TextCodec::line_end). Without one a
    /// sentence's first token is not scored.
    pub start: Option<u32>,
    /// Whether each sentence continues the one before it: its first token follows the last one's last token, and
    /// only the first sentence begins from a zero state and [`Scoring::start`]. There is then one batch row only.
    pub carry_state: bool,
    /// How many sentences are scored side by side.
    pub batch_size: usize,
    /// How many tokens [`Scorer::lines`] reads ahead to find sentences of like length. With 1 each line is scored as
    /// it comes.
    pub lookahead_tokens: usize,
}

impl Default for Scoring {
    /// Sentences on their own, without a token before them.
    fn default() -> Self {
        Scoring { start: None, carry_state: false, batch_size: 32, lookahead_tokens: 1 << 14 }
    }
}

/// What a model makes of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceScore {
    /// The natural logarithm of its probability: the sum of its tokens'.
    pub log_prob_sum: f64,
    /// The natural logarithm of each token's probability, but for the unscored ones.
    pub log_probs: Vec<f32>,
    /// How many tokens at the beginning are not scored: one if there is nothing to predict it from, else none.
    pub unscored_tokens: usize,
}

impl SentenceScore {
    /// `exp` of the mean negative log-likelihood of its scored tokens; NaN if there is none.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        (-self.log_prob_sum / self.log_probs.len() as f64).exp()
    }
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
    scoring: Scoring,
    /// With [`Scoring::carry_state`], the state after all tokens but the last, and the last.
    carried: State,
    last: Option<u32>,
}

impl Scorer {
    /// A scorer that has read nothing yet.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if a size is 0, [`InferError::IdOutOfRange`] if the start is no token of the model.
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
        Ok(Scorer { handle: model.clone(), workspace, scoring, carried, last })
    }

    /// Scores sentences, each given as its ids with those of its line end, if any.
    ///
    /// # Errors
    /// [`InferError::IdOutOfRange`] if an id is no token of the model; nothing is scored then.
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution.
    pub fn score<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        for sentence in sentences {
            self.handle.check_ids(sentence.as_ref())?;
        }
        if self.scoring.carry_state { self.score_text(sentences) } else { self.score_apart(sentences) }
    }

    /// Scores sentences that know nothing of each other.
    fn score_apart<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| Reverse(sentences[index].as_ref().len()));
        let mut scores: Vec<Option<SentenceScore>> = sentences.iter().map(|_| None).collect();
        for group in order.chunks(self.scoring.batch_size) {
            let rows: Vec<Vec<u32>> = group
                .iter()
                .map(|&index| self.scoring.start.iter().chain(sentences[index].as_ref()).copied().collect())
                .collect();
            let (log_probs, _) = self.predict(&rows, self.handle.model().zero_state(rows.len()))?;
            for (&index, log_probs) in group.iter().zip(log_probs) {
                scores[index] = Some(SentenceScore::new(log_probs, sentences[index].as_ref().len()));
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// Scores sentences that continue what was scored before.
    fn score_text<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        let mut unscored_tokens = usize::from(self.last.is_none());
        let text: Vec<u32> = self
            .last
            .iter()
            .chain(sentences.iter().flat_map(|sentence| sentence.as_ref()))
            .copied()
            .collect();
        let state = std::mem::replace(&mut self.carried, self.handle.model().zero_state(1));
        // After an error it begins anew.
        self.last = self.scoring.start;
        let (mut log_probs, state) = self.predict(std::slice::from_ref(&text), state)?;
        self.carried = state;
        self.last = text.last().copied();
        let mut log_probs = log_probs.pop().unwrap_or_default().into_iter();
        let score = |sentence: &S| {
            let len = sentence.as_ref().len();
            let scored = len - unscored_tokens.min(len);
            unscored_tokens -= len - scored;
            SentenceScore::new(log_probs.by_ref().take(scored).collect(), len)
        };
        Ok(sentences.iter().map(score).collect())
    }

    /// The log-probability of each token of each row but the row's first, and the state after all tokens but the last.
    ///
    /// Rows stand by falling length, so that those still running are always the first; the state shrinks to them.
    fn predict(&mut self, rows: &[Vec<u32>], mut state: State) -> Result<(Vec<Vec<f32>>, State)> {
        let predicted = |row: &Vec<u32>| row.len().saturating_sub(1);
        let mut log_probs: Vec<Vec<f32>> =
            rows.iter().map(|row| Vec::with_capacity(predicted(row))).collect();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let mut start = 0;
        loop {
            let running = rows.partition_point(|row| predicted(row) > start);
            if running == 0 {
                return Ok((log_probs, state));
            }
            if running < state.batch() {
                state = state.select(self.handle.device(), &(0..running).collect::<Vec<_>>());
            }
            let steps = (BATCH_ROWS / running).clamp(1, predicted(&rows[0]) - start);
            inputs.clear();
            targets.clear();
            for t in start..start + steps {
                // Past a row's end stands some token that nobody looks at.
                let at = |t| rows[..running].iter().map(move |row| row.get(t).copied().unwrap_or(0));
                inputs.extend(at(t));
                targets.extend(at(t + 1));
            }
            let model = self.handle.model();
            let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
            let hidden = model.forward(&mut tape, &inputs, &mut state);
            let loss = model.loss(&mut tape, hidden, &targets);
            let nll = tape.read_nll(loss)?;
            for (b, (row, log_probs)) in rows[..running].iter().zip(&mut log_probs).enumerate() {
                let steps = steps.min(predicted(row) - start);
                let nll = nll.iter().skip(b).step_by(running).take(steps);
                if nll.clone().any(|nll| nll.is_nan()) {
                    return Err(InferError::NonFiniteLogits);
                }
                // 0 − x, for −x would make a certain token's zero a negative one.
                log_probs.extend(nll.map(|nll| 0.0 - nll));
            }
            start += steps;
        }
    }
}

impl SentenceScore {
    /// The score of a sentence of `len` tokens, the last of which have these log-probabilities.
    fn new(log_probs: Vec<f32>, len: usize) -> Self {
        let log_prob_sum = log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
        SentenceScore { log_prob_sum, unscored_tokens: len - log_probs.len(), log_probs }
    }
}
