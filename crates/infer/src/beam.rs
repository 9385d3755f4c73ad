//! Searches for the likeliest continuations of a prefix.
//!
//! ```text
//! beam of 2      the ─┬─ cat ──┬─ sat      all of them are extended by all tokens at once, in one pass of
//!                     └─ dog ─┐└─ ran      the model with a row each; the two best extensions go on
//!                             └─ (dropped)
//! ```
//!
//! A hypothesis that has ended stays in the beam as it is, and the others go on for as long as they are better than
//! it: so no place is held by what has lost, and the search ends when all that is left has ended.
//!
//! Promises: the scores are the model's own, those that [`Scorer`](crate::Scorer) gives the same tokens; a beam of
//! one is the text that always takes the likeliest token; a beam wide enough for all texts finds the best of them.
//! Not here: drawing by chance ([`Streams`](crate::Streams)).

use rondo_nn::Mode;

use crate::distribution::{Best, Distribution};
use crate::logit_blocks::LogitBlocks;
use crate::{InferError, ModelHandle, Result};

/// How continuations are searched for.
///
/// ```
/// use rondo_infer::{BeamSearch, ModelHandle};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all tokens are equally likely.
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?);
/// let search = BeamSearch { beams: 2, max_tokens: 3, ends: vec![1], ..BeamSearch::default() };
/// let found = search.run(&model, &[0])?;
/// assert_eq!(found[0].ids, [1]); // a longer text is less likely
/// assert!((found[0].log_prob_sum - 0.25_f64.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BeamSearch {
    /// How many hypotheses are kept from token to token.
    pub beams: usize,
    /// After how many tokens a hypothesis is at its end whatever it is.
    pub max_tokens: usize,
    /// `α` of the length penalty; at 0 the likeliest text is searched for, which favors short ones. Wu et al. found
    /// 0.6 to 0.7 best for translation.
    pub length_penalty: f64,
    /// Tokens that end a hypothesis, commonly [`TextCodec::line_end`](rondo_data::TextCodec::line_end).
    pub ends: Vec<u32>,
    /// Tokens that no hypothesis has.
    pub forbidden: Vec<u32>,
}

/// A continuation that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without the prefix, the one that ends it included.
    pub ids: Vec<u32>,
    /// The natural logarithm of its probability: the sum of its tokens'.
    pub log_prob_sum: f64,
    /// `log_prob_sum` after the length penalty: what hypotheses are ordered by.
    pub score: f64,
    /// Whether its last token ends it; otherwise it was cut off after [`BeamSearch::max_tokens`].
    pub ended: bool,
}

/// A hypothesis with one more token, or one that has ended.
#[derive(Clone, Copy)]
struct Extension {
    score: f64,
    log_prob_sum: f64,
    /// Its place in the beam before.
    parent: usize,
    token: Option<u32>,
}

impl Default for BeamSearch {
    /// Five hypotheses of up to 100 tokens, without penalty, end or forbidden tokens.
    fn default() -> Self {
        BeamSearch { beams: 5, max_tokens: 100, length_penalty: 0.0, ends: Vec::new(), forbidden: Vec::new() }
    }
}

impl BeamSearch {
    /// Finds continuations of `prefix`, which is read from a zero state: as many as there are beams, or fewer if
    /// there are no more texts; the best first, and of equals the one with smaller ids.
    ///
    /// ```text
    /// score = Σ log p(token | all before it) / penalty(n)      penalty(n) = (5 + n)^α / 6^α
    /// ```
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`], [`InferError::ZeroSize`] for no beams, [`InferError::LengthPenalty`] for one that
    /// is negative or not finite, [`InferError::IdOutOfRange`] for a token that is not the model's,
    /// [`InferError::AllForbidden`] if no token is left, [`InferError::NonFiniteLogits`] if the model predicts no
    /// distribution.
    ///
    /// # Source
    /// The penalty: Wu et al. 2016, equation 14, without coverage.
    pub fn run(&self, handle: &ModelHandle, prefix: &[u32]) -> Result<Vec<Hypothesis>> {
        let forbidden = self.check(handle)?;
        handle.check_ids(prefix)?;
        let Some((&last, before)) = prefix.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        let (model, workspace) = (handle.model(), &mut *handle.workspace());
        let mut state = model.zero_state(1);
        handle.read_on(workspace, before, &mut state);
        let mut other_state = model.zero_state(1);
        let mut beam = vec![Hypothesis { ids: Vec::new(), log_prob_sum: 0.0, score: 0.0, ended: false }];
        // The last token of each hypothesis that goes on, which are the rows of the state.
        let mut inputs = vec![last];
        let mut blocks = LogitBlocks::new(handle.device());
        for length in 1..=self.max_tokens {
            let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
            let hidden = model.forward(&mut tape, &inputs, &mut state);
            let logits = model.logits(&mut tape, hidden);
            blocks.look(forbidden.len(), tape.values(logits), None, Some(1.0));
            let (logits, blocks) = (tape.read(logits)?, blocks.read()?);
            let mut distributions = logits
                .chunks_exact(forbidden.len())
                .zip(blocks.rows())
                .map(|(logits, blocks)| Distribution::of_blocks(logits, blocks));
            let extensions = self.extend(&beam, length, &mut distributions, &forbidden)?;
            let running: Vec<usize> = (0..beam.len()).filter(|&place| !beam[place].ended).collect();
            beam = extensions.iter().map(|extension| self.hypothesis(&beam, extension)).collect();
            // A parent of a hypothesis that goes on went on itself, and its row is its place among those that did.
            let rows: Vec<usize> = extensions
                .iter()
                .zip(&beam)
                .filter(|(_, hypothesis)| !hypothesis.ended)
                .filter_map(|(extension, _)| running.binary_search(&extension.parent).ok())
                .collect();
            if rows.is_empty() {
                break;
            }
            inputs.clear();
            inputs.extend(
                beam.iter().filter(|hypothesis| !hypothesis.ended).filter_map(|going| going.ids.last()),
            );
            if other_state.batch() != rows.len() {
                other_state = model.zero_state(rows.len());
            }
            other_state.copy_rows(&state, &rows);
            std::mem::swap(&mut state, &mut other_state);
        }
        Ok(beam)
    }

    /// For each token of the model, whether it is forbidden.
    fn check(&self, model: &ModelHandle) -> Result<Vec<bool>> {
        if self.beams == 0 {
            return Err(InferError::ZeroSize { name: "beams" });
        }
        let found = self.length_penalty;
        if !(found >= 0.0 && found.is_finite()) {
            return Err(InferError::LengthPenalty { found });
        }
        model.check_ids(&self.ends)?;
        model.check_ids(&self.forbidden)?;
        let vocab_size = model.model().vocab_size();
        let mut forbidden = vec![false; vocab_size];
        for &id in &self.forbidden {
            forbidden[id as usize] = true;
        }
        if !forbidden.contains(&false) {
            return Err(InferError::AllForbidden { vocab_size });
        }
        Ok(forbidden)
    }

    /// The best of all hypotheses that have ended and of all extensions, to `length` tokens, of those that have not;
    /// there is a distribution for each of the latter, in their order.
    fn extend<'a>(
        &self,
        beam: &[Hypothesis],
        length: usize,
        distributions: &mut dyn Iterator<Item = Result<Distribution<'a>>>,
        forbidden: &[bool],
    ) -> Result<Vec<Extension>> {
        let ids = |extension: &Extension| beam[extension.parent].ids.iter().copied().chain(extension.token);
        let mut best = Best::new(self.beams, |a: &Extension, b: &Extension| {
            b.score.total_cmp(&a.score).then_with(|| ids(a).cmp(ids(b)))
        });
        let penalty = self.penalty(length);
        for (parent, hypothesis) in beam.iter().enumerate() {
            let &Hypothesis { log_prob_sum, score, ended, .. } = hypothesis;
            if ended {
                best.offer(Extension { score, log_prob_sum, parent, token: None });
                continue;
            }
            let distribution = distributions.next().unwrap_or(Err(InferError::NonFiniteLogits))?;
            let allowed = |id: u32| !forbidden[id as usize];
            distribution.offer_to(&mut best, allowed, |candidate| {
                let log_prob_sum = log_prob_sum + candidate.log_prob;
                let score = log_prob_sum / penalty;
                Extension { score, log_prob_sum, parent, token: Some(candidate.id) }
            });
        }
        let extensions = best.into_sorted();
        // All that is possible can be forbidden, if the other logits are −∞.
        if extensions.is_empty() { Err(InferError::NonFiniteLogits) } else { Ok(extensions) }
    }

    fn hypothesis(&self, beam: &[Hypothesis], extension: &Extension) -> Hypothesis {
        let &Extension { score, log_prob_sum, parent, token } = extension;
        let mut ids = Vec::with_capacity(beam[parent].ids.len() + 1);
        ids.extend(beam[parent].ids.iter().copied().chain(token));
        Hypothesis { ids, log_prob_sum, score, ended: token.is_none_or(|token| self.ends.contains(&token)) }
    }

    fn penalty(&self, length: usize) -> f64 {
        ((5.0 + length as f64) / 6.0).powf(self.length_penalty)
    }
}
