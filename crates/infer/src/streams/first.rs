//! Streams that begin without a prompt: their first token is drawn by its frequency.
//!
//! Not here: where the counts come from (`rondo_data::Vocab`), the tokens after the first.

use std::collections::BTreeMap;
use std::ops::Range;

use rondo_kernels::Buffer;
use rondo_nn::NnError;

use super::{History, StreamToken, Streams, rng};
use crate::memory::check_generation;
use crate::{InferError, Result, Sampler, Sampling};

impl Streams {
    /// Adds the streams with these numbers, each with a first token that is drawn by its frequency: for a model that has
    /// no line-end token to start from. Returns the first tokens, which are part of the texts; the streams continue
    /// them from the next step on.
    ///
    /// ```text
    /// p(w) = counts[w] / Σ counts        counts: [V], such as those of a vocabulary (rondo_data::Vocab::counts)
    /// ```
    ///
    /// The sampling settings apply to this distribution as to those of the model: at temperature 0 the most frequent
    /// token is taken, and forbidden tokens are not. A stream's tokens depend on its number and the seed.
    ///
    /// # Panics
    /// If there is not one count for each token of the model's vocabulary.
    /// # Errors
    /// As [`Streams::admit_many`]; [`InferError::EmptyPrefix`] if no token that may be drawn has a count above 0.
    pub fn admit_first(
        &mut self,
        counts: &[u64],
        numbers: Range<u64>,
        sampling: &Sampling,
        seed: u64,
    ) -> Result<Vec<StreamToken>> {
        let vocab_size = self.handle.model().vocab_size();
        assert_eq!(counts.len(), vocab_size, "number of counts");
        let count = numbers.end.saturating_sub(numbers.start) as usize;
        check_generation(
            self.handle.model(),
            self.streams.len().saturating_add(count),
            "the number of samples",
        )?;
        let mut sampler = Sampler::new(sampling, vocab_size, self.handle.device())?;
        let mut may_be_drawn = (0..).zip(counts).filter(|(id, _)| !sampling.forbidden.contains(id));
        if !may_be_drawn.any(|(_, &count)| count > 0) {
            return Err(InferError::EmptyPrefix);
        }
        let mut logits: Vec<f32> = counts.iter().map(|&count| (count as f64).ln() as f32).collect();
        let adjusts = sampling.adjusts_logits();
        if adjusts {
            History::default().adjust(sampling, &mut logits);
        }
        let logits = Buffer::from_slice(self.handle.device(), &logits).map_err(NnError::from)?;
        let log_total = counts.iter().map(|&count| count as f64).sum::<f64>().ln();
        numbers
            .map(|number| {
                let mut rng = rng(seed, number);
                let token = sampler.draw(logits.slice(), &mut rng)?;
                let settings = self.settings_of(sampling)?;
                let state = self.handle.model().zero_state(1);
                let history = adjusts.then(|| History { generated: BTreeMap::from([(token, 1)]) });
                let read = (&state, self.handle.start(), token);
                let stream = self.insert(settings, vec![rng], history, read)[0];
                Ok(StreamToken { stream, token, log_prob: (counts[token as usize] as f64).ln() - log_total })
            })
            .collect()
    }
}
