//! Log-probabilities of the regions of texts.
//!
//! ```text
//! the cat  sat     regions 0..3, 3..12 ─▶ log p(the), log p(cat sat | the), log p(line end | the cat sat)
//! ```
//!
//! A token belongs to the first region that ends after the token begins; whitespace before a region belongs to it. What is
//! after the last region belongs to the end, with the line end.

use std::ops::Range;

use rondo_data::{EncodedLine, TextCodec};

use crate::{InferError, LanguageModel, Result, Scoring};

/// The score of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RegionScore {
    /// Its log-probability (natural logarithm) given what is before it: 0 for a region without tokens, −∞ if the text has
    /// characters that the model's vocabulary does not contain.
    pub(super) log_prob: f64,
    /// The number of its tokens.
    pub(super) tokens: usize,
    /// The number of unknown tokens among them.
    pub(super) unknown_tokens: usize,
}

/// The score of each region of each text, given as byte ranges in order; the last entry of a text is its end. Texts are
/// independent lines.
pub(super) fn region_log_probs(
    model: &LanguageModel,
    texts: &[(String, Vec<Range<usize>>)],
) -> Result<Vec<Vec<RegionScore>>> {
    let codec = model.codec();
    let mut encoder = codec.line_encoder("the text");
    let mut lines = vec![];
    for (text, _) in texts {
        lines.push(encoder.encode(text.as_bytes())?);
    }
    let ids: Vec<&[u32]> =
        lines.iter().filter(|line| line.missing.is_empty()).map(|line| line.ids.as_slice()).collect();
    let scoring = Scoring { start: codec.line_end(), ..Scoring::default() };
    let mut scores = model.scorer(scoring)?.score(&ids)?.into_iter();
    let mut all = vec![];
    for (line, (text, ranges)) in lines.iter().zip(texts) {
        let mut regions = vec![RegionScore::default(); ranges.len() + 1];
        let score = if line.missing.is_empty() { scores.next() } else { None };
        match score {
            None => regions.iter_mut().for_each(|region| region.log_prob = f64::NEG_INFINITY),
            Some(score) => {
                let starts = token_starts(codec, line, text, ranges)?;
                let tokens = starts.into_iter().zip(&line.ids).skip(score.unscored_tokens);
                for ((start, &id), &log_prob) in tokens.zip(&score.log_probs) {
                    let region = ranges.partition_point(|range| range.end <= start);
                    regions[region].log_prob += f64::from(log_prob);
                    regions[region].tokens += 1;
                    regions[region].unknown_tokens += usize::from(codec.unknown_id() == Some(id));
                }
            }
        }
        all.push(regions);
    }
    Ok(all)
}

/// Where each token begins in the text; the line end begins after it.
fn token_starts(
    codec: &TextCodec,
    line: &EncodedLine,
    text: &str,
    ranges: &[Range<usize>],
) -> Result<Vec<usize>> {
    let ends_line = codec.line_end().is_some() && line.ids.last().copied() == codec.line_end();
    let tokens = line.ids.len() - usize::from(ends_line);
    let mut starts: Vec<usize> = match codec.unit() {
        // Where in the only region a token is makes no difference.
        _ if ranges.len() == 1 && ranges[0] == (0..text.len()) => vec![0; tokens],
        "byte" => (0..text.len()).collect(),
        "character" => text.char_indices().map(|(start, _)| start).collect(),
        _ => text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize).collect(),
    };
    if starts.len() != tokens {
        return Err(InferError::Unaligned { text: text.to_owned(), tokens, expected: starts.len() });
    }
    starts.resize(line.ids.len(), text.len());
    Ok(starts)
}
