//! A text as the tokens of a model, each of which belongs to a region.

use std::ops::Range;

use super::group::Group;
use super::regions::{Place, Span, place};
use super::{Passage, RegionFault, RegionUnit};
use crate::Result;

/// A token of a text.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    /// `None` if it has none: it is not read, and has probability 0.
    pub(super) id: Option<u32>,
    pub(super) is_unknown: bool,
    pub(super) is_line_end: bool,
    /// The part of the text that it stands for; `None` if that is not known.
    pub(super) part: Option<Range<usize>>,
}

/// A text as the tokens of a model.
#[derive(Debug)]
pub(super) struct EncodedPassage {
    pub(super) tokens: Vec<Token>,
    /// Where each token belongs; empty if the tokens do not match the text.
    pub(super) places: Vec<Place>,
    /// What comes before the text, and is not scored.
    pub(super) before: Vec<u32>,
    pub(super) continues: bool,
    /// Whether a token that is not predicted is left out of its region's score.
    pub(super) is_partial: bool,
    /// Whether the first token ends the last word of what comes before.
    pub(super) follows_word: bool,
    /// Whether each token ends the word before it.
    pub(super) separates: Vec<bool>,
    /// Whether each token is no part of a word.
    pub(super) is_blank: Vec<bool>,
    faults: Vec<Option<RegionFault>>,
}

impl EncodedPassage {
    /// Finds the regions of a text's tokens.
    pub(super) fn new(
        tokens: Vec<Token>,
        text: &[u8],
        spans: &[Span],
        unit: RegionUnit,
        ascii: bool,
        passage: &Passage,
        group: &mut Group,
    ) -> Result<EncodedPassage> {
        let parts: Option<Vec<_>> =
            tokens.iter().map(|token| Some((token.part.clone()?, token.is_line_end))).collect();
        let (places, faults) = match parts {
            Some(parts) => {
                let whole = unit != RegionUnit::Word;
                let (places, shared) = place(text, &parts, spans, whole, ascii);
                let fault = |index: usize| RegionFault::SharedToken(tokens[index].text.clone());
                (places, shared.into_iter().map(|index| index.map(fault)).collect())
            }
            None => {
                let first = tokens.iter().find(|token| token.part.is_none());
                let fault = first.map(|token| RegionFault::Unaligned(token.text.clone()));
                (Vec::new(), vec![fault; spans.len()])
            }
        };
        let is_partial = passage.regions.is_some();
        let before = group.before(&passage.context, text)?;
        let follows_word = group.adds_space(&passage.context, text);
        let separates = tokens.iter().map(|token| group.separates(token.id)).collect();
        let is_blank = tokens.iter().map(|token| group.is_blank(token.id)).collect();
        Ok(EncodedPassage {
            tokens,
            places,
            before,
            continues: passage.continues,
            is_partial,
            follows_word,
            separates,
            is_blank,
            faults,
        })
    }

    /// Whether tokens belong to the end of the text.
    pub(super) fn has_end(&self) -> bool {
        self.places.last() == Some(&Place::End)
    }

    /// The tokens of a region, or of the end.
    pub(super) fn tokens_of(&self, region: Option<usize>) -> Range<usize> {
        let place = region.map_or(Place::End, Place::Region);
        // Places are in order.
        let start = self.places.partition_point(|&other| other < place);
        start..self.places.partition_point(|&other| other <= place)
    }

    pub(super) fn fault(&self, region: Option<usize>) -> Option<RegionFault> {
        match region {
            Some(region) => self.faults[region].clone(),
            None => self
                .faults
                .first()
                .cloned()
                .flatten()
                .filter(|fault| matches!(fault, RegionFault::Unaligned(_))),
        }
    }
}
