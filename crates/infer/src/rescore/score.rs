//! Scores lists of hypotheses with a language model.

use rondo_data::{DataError, TextCodec};

use super::List;
use crate::language_model::encode_line;
use crate::{InferError, Interpolation, Result, Scorer};

/// Fills in the language model's log-probabilities of hypotheses.
#[derive(Debug)]
pub struct ListScorer {
    codec: TextCodec,
    scorer: Scorer,
    impossible: u64,
}

impl ListScorer {
    pub(crate) fn new(codec: TextCodec, scorer: Scorer) -> ListScorer {
        ListScorer { codec, scorer, impossible: 0 }
    }

    /// The same, interpolated with an n-gram model.
    #[must_use]
    pub fn with_ngram(self, interpolation: Interpolation) -> ListScorer {
        ListScorer { scorer: self.scorer.with_ngram(interpolation), ..self }
    }

    /// The number of hypotheses with a token that the model does not know, where it has no unknown token: their
    /// log-probability is minus infinity.
    #[must_use]
    pub fn impossible(&self) -> u64 {
        self.impossible
    }

    /// Scores all hypotheses of the lists: the log-probability of each as a line, including its line end. Many lists at
    /// once are faster than one by one, because texts of similar length are scored together.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution; [`InferError::Data`] if a text cannot be
    /// encoded for another reason than unknown tokens.
    pub fn score(&mut self, lists: &mut [List]) -> Result<()> {
        let all = || lists.iter().flat_map(|list| &list.hypotheses);
        let mut ids = Vec::with_capacity(all().count());
        for (hypothesis, number) in all().zip(1..) {
            ids.push(match encode_line(&self.codec, "the hypothesis", &hypothesis.text, number) {
                Ok(line) => Some(line.ids),
                Err(DataError::UnknownToken { .. }) => None,
                Err(error) => return Err(InferError::Data(error)),
            });
        }
        let known: Vec<&Vec<u32>> = ids.iter().flatten().collect();
        let mut scores = self.scorer.score(&known)?.into_iter();
        for (hypothesis, ids) in lists.iter_mut().flat_map(|list| &mut list.hypotheses).zip(&ids) {
            let score = ids.as_ref().and_then(|_| scores.next());
            self.impossible += u64::from(score.is_none());
            hypothesis.lm_log_prob = score.map_or(f64::NEG_INFINITY, |score| score.log_prob_sum);
        }
        Ok(())
    }
}
