//! Beam search: finds the most likely continuations of a prefix.
//!
//! ```text
//! beam of 2      the ─┬─ cat ──┬─ sat      all hypotheses are extended by all tokens in one forward
//!                     └─ dog ─┐└─ ran      pass, one row each; the two best extensions are kept
//!                             └─ (dropped)
//! ```
//!
//! A hypothesis that has ended stays in the beam unchanged, and the others continue for as long as they score
//! better. The search stops when every hypothesis in the beam has ended.
//!
//! Promises: scores are the model's own and equal those that [`Scorer`](crate::Scorer) gives the same tokens;
//! a beam of size 1 is greedy decoding; a beam wide enough to hold every text finds the best one.
//! Not here: random sampling ([`Streams`](crate::Streams)).

use rondo_nn::Mode;

use crate::distribution::{Best, Distribution};
use crate::logit_blocks::LogitBlocks;
use crate::memory::{check_generation, search_rows};
use crate::{InferError, ModelHandle, Result};

/// The settings of a beam search.
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
    /// Beam size: how many hypotheses are kept at each step.
    pub beams: usize,
    /// The maximum number of tokens in a hypothesis; longer ones are cut off.
    pub max_tokens: usize,
    /// `α` of the length penalty; at 0 the search is for the most likely text, which favors short ones. Wu et
    /// al. found 0.6 to 0.7 best for translation.
    pub length_penalty: f64,
    /// Tokens that end a hypothesis, commonly [`TextCodec::line_end`](rondo_data::TextCodec::line_end).
    pub ends: Vec<u32>,
    /// Tokens that no hypothesis may contain.
    pub forbidden: Vec<u32>,
}

/// A continuation found by the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without the prefix but including the token that ends it.
    pub ids: Vec<u32>,
    /// The log-probability (natural logarithm): the sum over its tokens.
    pub log_prob_sum: f64,
    /// `log_prob_sum` after the length penalty: hypotheses are ordered by it.
    pub score: f64,
    /// Whether its last token is one that ends it; otherwise it was cut off after [`BeamSearch::max_tokens`].
    pub ended: bool,
}

/// A hypothesis extended by one token, or one that has ended.
#[derive(Clone, Copy)]
struct Extension {
    score: f64,
    log_prob_sum: f64,
    /// Its position in the previous beam.
    parent: usize,
    token: Option<u32>,
}

impl Default for BeamSearch {
    /// Five hypotheses of up to 100 tokens, with no length penalty, end tokens or forbidden tokens.
    fn default() -> Self {
        BeamSearch { beams: 5, max_tokens: 100, length_penalty: 0.0, ends: Vec::new(), forbidden: Vec::new() }
    }
}

impl BeamSearch {
    /// Finds continuations of `prefix`, read from a zero state. Returns as many as the beam size, or fewer if
    /// there are no more texts; best first, ties broken by the smaller ids.
    ///
    /// ```text
    /// score = Σ log p(token | all before it) / penalty(n)      penalty(n) = (5 + n)^α / 6^α
    /// ```
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`]; [`InferError::ZeroSize`] if the beam size is 0;
    /// [`InferError::LengthPenalty`] if the penalty is negative or not finite; [`InferError::IdOutOfRange`]
    /// for a token outside the model's vocabulary; [`InferError::AllForbidden`] if every token is forbidden;
    /// [`InferError::NonFiniteLogits`] if the logits are not finite; [`InferError::NotEnoughMemory`] if the
    /// beam does not fit in memory.
    ///
    /// # Source
    /// Length penalty: Wu et al. 2016, equation 14, without the coverage penalty.
    pub fn run(&self, handle: &ModelHandle, prefix: &[u32]) -> Result<Vec<Hypothesis>> {
        let forbidden = self.check(handle)?;
        handle.check_ids(prefix)?;
        let Some((&last, before)) = prefix.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        let rows = search_rows(self.beams, forbidden.len(), self.max_tokens);
        check_generation(handle.model(), rows, "the beam size")?;
        let (model, workspace) = (handle.model(), &mut *handle.workspace());
        let mut state = model.zero_state(1);
        let before = handle.read_text(workspace, before, &mut state);
        let mut other_state = model.zero_state(1);
        let mut beam = vec![Hypothesis { ids: Vec::new(), log_prob_sum: 0.0, score: 0.0, ended: false }];
        // The last token of each hypothesis that is still running, and the one before it: the rows of the state.
        let (mut inputs, mut before) = (vec![last], vec![before]);
        let mut blocks = LogitBlocks::new(handle.device());
        for length in 1..=self.max_tokens {
            let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
            handle.set_resets(&mut tape, &inputs, &before);
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
            // The parent of a running hypothesis was running too; its row is its position among the running
            // ones.
            let rows: Vec<usize> = extensions
                .iter()
                .zip(&beam)
                .filter(|(_, hypothesis)| !hypothesis.ended)
                .filter_map(|(extension, _)| running.binary_search(&extension.parent).ok())
                .collect();
            if rows.is_empty() {
                break;
            }
            before = rows.iter().map(|&row| inputs[row]).collect();
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

    /// For each token of the vocabulary, whether it is forbidden.
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

    /// The best among all ended hypotheses and all extensions (to `length` tokens) of the running ones;
    /// `distributions` has one entry per running hypothesis, in order.
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
        // Every token with a nonzero probability may be forbidden, if the other logits are −∞.
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
