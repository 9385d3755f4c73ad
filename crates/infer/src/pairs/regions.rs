//! Log-probabilities of the regions of texts.
//!
//! Not here: which region a token belongs to (`surprisal`).

use std::ops::Range;

use crate::{
    InferError, LanguageModel, Passage, RegionFault, RegionUnit, Result, SurprisalOptions, Surprisals,
};

/// The texts that are read at a time.
const BATCH: usize = 1 << 10;

/// The score of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RegionScore {
    /// Its log-probability (natural logarithm) given what is before it: 0 for a region without tokens, −∞ if it has
    /// characters that the model's vocabulary does not contain.
    pub(super) log_prob: f64,
    /// The number of its tokens.
    pub(super) tokens: usize,
    /// The number of unknown tokens among them.
    pub(super) unknown_tokens: usize,
}

/// The score of each region of each text, given as byte ranges in order; the last entry of a text is its end. Texts are
/// independent lines. `unit` says whether words of characters include their end, as [`RegionUnit::Word`] does: this makes
/// no difference to the sum of a text.
pub(super) fn region_log_probs(
    model: &LanguageModel,
    texts: &[(String, Vec<Range<usize>>)],
    unit: RegionUnit,
) -> Result<Vec<Vec<RegionScore>>> {
    let options = SurprisalOptions { unit, ..SurprisalOptions::default() };
    let mut reader = Surprisals::new(std::slice::from_ref(model), options)?;
    let mut all = Vec::with_capacity(texts.len());
    for texts in texts.chunks(BATCH) {
        let passage = |(text, regions): &(String, Vec<Range<usize>>)| Passage {
            text: text.clone().into_bytes(),
            regions: Some(regions.clone()),
            ..Passage::default()
        };
        let passages: Vec<Passage> = texts.iter().map(passage).collect();
        for ((text, ranges), regions) in texts.iter().zip(reader.read(&passages)?) {
            let mut scores = vec![RegionScore::default(); ranges.len() + 1];
            for (index, region) in regions.iter().enumerate() {
                let score = &region.scores[0];
                if let Some(RegionFault::SharedToken(token) | RegionFault::Unaligned(token)) = &score.fault {
                    return Err(InferError::Unaligned { text: text.clone(), token: token.clone() });
                }
                let index = if region.is_end { ranges.len() } else { index };
                scores[index] = RegionScore {
                    log_prob: score.log_prob.unwrap_or(0.0),
                    tokens: score.tokens,
                    unknown_tokens: score.unknown_tokens,
                };
            }
            all.push(scores);
        }
    }
    Ok(all)
}
