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

use rondo_nn::{Mode, RnnLm, State, Workspace};

use crate::evaluate::{CHUNK_ROWS, check_ids};
use crate::{InferError, Result};

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
/// use rondo_infer::{Scorer, Scoring};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm, Workspace};
///
/// let device = Device::cpu(1)?;
/// let model = RnnLm::new(PRESETS[0].config(4), &device)?; // all parameters zero: all tokens are as likely
/// let mut workspace = Workspace::new(&device);
///
/// let scoring = Scoring { start: Some(0), ..Scoring::default() };
/// let scores = Scorer::new(&model, &mut workspace, scoring)?.score(&[vec![2, 3, 0], vec![1, 0]])?;
/// assert!((scores[0].log_prob_sum - 3.0 * 0.25_f64.ln()).abs() < 1e-6);
/// assert_eq!(scores[1].log_probs.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scorer<'m> {
    model: &'m RnnLm,
    workspace: &'m mut Workspace,
    scoring: Scoring,
    /// With [`Scoring::carry_state`], the state after all tokens but the last, and the last.
    carried: State,
    last: Option<u32>,
}

impl<'m> Scorer<'m> {
    /// A scorer that has read nothing yet.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if a size is 0, [`InferError::IdOutOfRange`] if the start is no token of the model.
    pub fn new(model: &'m RnnLm, workspace: &'m mut Workspace, scoring: Scoring) -> Result<Self> {
        for (name, size) in
            [("batch_size", scoring.batch_size), ("lookahead_tokens", scoring.lookahead_tokens)]
        {
            if size == 0 {
                return Err(InferError::ZeroSize { name });
            }
        }
        check_ids(model, scoring.start.as_slice())?;
        let last = scoring.start;
        Ok(Scorer { model, workspace, scoring, carried: model.zero_state(1), last })
    }

    /// Scores sentences, each given as its ids with those of its line end, if any.
    ///
    /// # Errors
    /// [`InferError::IdOutOfRange`] if an id is no token of the model; nothing is scored then.
    pub fn score<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Result<Vec<SentenceScore>> {
        for sentence in sentences {
            check_ids(self.model, sentence.as_ref())?;
        }
        Ok(if self.scoring.carry_state { self.score_text(sentences) } else { self.score_apart(sentences) })
    }

    /// Scores sentences that know nothing of each other.
    fn score_apart<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Vec<SentenceScore> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| Reverse(sentences[index].as_ref().len()));
        let mut scores: Vec<Option<SentenceScore>> = sentences.iter().map(|_| None).collect();
        for group in order.chunks(self.scoring.batch_size) {
            let rows: Vec<Vec<u32>> = group
                .iter()
                .map(|&index| self.scoring.start.iter().chain(sentences[index].as_ref()).copied().collect())
                .collect();
            let (log_probs, _) = self.predict(&rows, self.model.zero_state(rows.len()));
            for (&index, log_probs) in group.iter().zip(log_probs) {
                scores[index] = Some(SentenceScore::new(log_probs, sentences[index].as_ref().len()));
            }
        }
        scores.into_iter().flatten().collect()
    }

    /// Scores sentences that continue what was scored before.
    fn score_text<S: AsRef<[u32]>>(&mut self, sentences: &[S]) -> Vec<SentenceScore> {
        let mut unscored_tokens = usize::from(self.last.is_none());
        let text: Vec<u32> = self
            .last
            .iter()
            .chain(sentences.iter().flat_map(|sentence| sentence.as_ref()))
            .copied()
            .collect();
        let state = std::mem::replace(&mut self.carried, self.model.zero_state(1));
        let (mut log_probs, state) = self.predict(std::slice::from_ref(&text), state);
        self.carried = state;
        self.last = text.last().copied();
        let mut log_probs = log_probs.pop().unwrap_or_default().into_iter();
        let score = |sentence: &S| {
            let len = sentence.as_ref().len();
            let scored = len - unscored_tokens.min(len);
            unscored_tokens -= len - scored;
            SentenceScore::new(log_probs.by_ref().take(scored).collect(), len)
        };
        sentences.iter().map(score).collect()
    }

    /// The log-probability of each token of each row but the row's first, and the state after all tokens but the last.
    ///
    /// Rows stand by falling length, so that those still running are always the first; the state shrinks to them.
    fn predict(&mut self, rows: &[Vec<u32>], mut state: State) -> (Vec<Vec<f32>>, State) {
        let predicted = |row: &Vec<u32>| row.len().saturating_sub(1);
        let mut log_probs: Vec<Vec<f32>> =
            rows.iter().map(|row| Vec::with_capacity(predicted(row))).collect();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let mut start = 0;
        loop {
            let running = rows.partition_point(|row| predicted(row) > start);
            if running == 0 {
                return (log_probs, state);
            }
            state = first_rows(self.model, state, running);
            let steps = (CHUNK_ROWS / running).clamp(1, predicted(&rows[0]) - start);
            inputs.clear();
            targets.clear();
            for t in start..start + steps {
                // Past a row's end stands some token that nobody looks at.
                let at = |t| rows[..running].iter().map(move |row| row.get(t).copied().unwrap_or(0));
                inputs.extend(at(t));
                targets.extend(at(t + 1));
            }
            let mut tape = self.workspace.tape(self.model.parameters(), Mode::Evaluate);
            let hidden = self.model.forward(&mut tape, &inputs, &mut state);
            let loss = self.model.loss(&mut tape, hidden, &targets);
            let nll = tape.nll(loss).host();
            for (b, (row, log_probs)) in rows[..running].iter().zip(&mut log_probs).enumerate() {
                let steps = steps.min(predicted(row) - start);
                // 0 − x, for −x would make a certain token's zero a negative one.
                log_probs.extend(nll.iter().skip(b).step_by(running).take(steps).map(|nll| 0.0 - nll));
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

/// The state of the first `count` batch rows.
fn first_rows(model: &RnnLm, state: State, count: usize) -> State {
    if state.batch() == count {
        return state;
    }
    let mut first = model.zero_state(count);
    for (to, from) in first.layers.iter_mut().zip(&state.layers) {
        let len = to.hidden.len();
        to.hidden.slice_mut().copy_from(from.hidden.range(0..len));
        if let (Some(to), Some(from)) = (&mut to.cell_state, &from.cell_state) {
            to.slice_mut().copy_from(from.range(0..len));
        }
    }
    first
}
