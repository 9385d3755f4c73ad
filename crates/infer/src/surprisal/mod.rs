//! Surprisal: how unexpected each word, token or character of a text is to a model.
//!
//! ```text
//! text        The cat  didn't sleep.
//! regions     0..3 4..7  9..15  16..22  end                        words, by whitespace
//! tokens      the cat  didn 't  sleep .  <eos>                     as the model's tokenizer divides them
//! surprisal   the sum of −log p over the tokens of each region
//! ```
//!
//! A token of a model of words says that a word ends with it; a character does not. There, the probability of a word
//! includes its end: `B`, whitespace or the line end, follows it. The whitespace before it is known to be some of `B`:
//!
//! ```text
//! p(word | before) = p(␣) / p(B | before) · p(c₁) · p(c₂) ⋯ p(cₙ) · p(B | before, word)
//! p(end | before)  = p(⏎) / p(B | before)
//! ```
//!
//! So the probabilities of all words and of the end add up to 1, and the surprisals of the regions of a text add up to
//! that of its tokens. The first word has no whitespace to divide.
//! *Source*: Pimentel & Meister 2024 (*How to compute the probability of a word*); Oh & Schuler 2024 (*Leading whitespaces
//! of language models' subword vocabulary pose a confound for calculating word probabilities*).
//!
//! Promises: every part of a text is in a region, except the whitespace between words; a region whose surprisal is not
//! known has none. Not here: bases of logarithms, files, printing.

use std::ops::Range;

use crate::compare::described;
use crate::{InferError, LanguageModel, Result};

mod encode;
mod group;
mod regions;
mod words;

use encode::EncodedPassage;
use group::Group;

/// A text to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The text, commonly a sentence. A line break in it is read as a space.
    pub text: Vec<u8>,
    /// The regions of the text, as ranges of bytes in order; by default, they follow from [`SurprisalOptions::unit`].
    /// Whitespace before a region belongs to it. A first token that follows nothing is left out of its region's score.
    pub regions: Option<Vec<Range<usize>>>,
    /// What comes before the text: it is read, but not scored. Models of characters read a space between the two.
    pub context: Vec<u8>,
    /// Whether the text continues the one before: the model's state and last token are carried over. Needs
    /// [`SurprisalOptions::carry_state`].
    pub continues: bool,
}

/// What a region is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionUnit {
    /// A token of the model.
    Token,
    /// A word: what stands between whitespace.
    #[default]
    Word,
    /// A character.
    Character,
}

/// What comes before a text without context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// A line end, if the model has one.
    #[default]
    LineEnd,
    /// Nothing: a state of zeros. The first token is not scored, since it is not predicted from anything.
    Zero,
}

/// How regions with unknown tokens are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownWords {
    /// By the probability of the unknown token.
    #[default]
    Mark,
    /// Not at all.
    Missing,
    /// By the probability of the unknown token divided by this number: it stands for that number of words.
    Share(u64),
}

/// How texts are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurprisalOptions {
    /// What a region is.
    pub unit: RegionUnit,
    /// Whether punctuation at the beginning and the end of a word is a region of its own.
    pub split_punctuation: bool,
    /// What comes before a text.
    pub start: Start,
    /// How regions with unknown tokens are scored.
    pub unknown: UnknownWords,
    /// Whether to score with the mean of the models' probabilities, too.
    pub ensemble: bool,
    /// Whether a text may continue the one before. The texts are then read one by one.
    pub carry_state: bool,
    /// Whether to return the model's state after each region.
    pub states: bool,
    /// How many texts are read in parallel.
    pub batch_size: usize,
}

impl Default for SurprisalOptions {
    /// Words after a line end; unknown tokens are marked.
    fn default() -> Self {
        SurprisalOptions {
            unit: RegionUnit::Word,
            split_punctuation: false,
            start: Start::LineEnd,
            unknown: UnknownWords::Mark,
            ensemble: false,
            carry_state: false,
            states: false,
            batch_size: 32,
        }
    }
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Where it is in the text, in bytes.
    pub bytes: Range<usize>,
    /// Where it is in the text, in characters; invalid UTF-8 counts as one.
    pub characters: Range<usize>,
    /// Whether it is the end of the text: the whitespace after the last word, and the line end.
    pub is_end: bool,
    /// The score of each model, and then of the ensemble, if asked for.
    pub scores: Vec<RegionScore>,
}

/// How a model predicts a region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionScore {
    /// The number of its tokens, those of the whitespace before a word included.
    pub tokens: usize,
    /// The number of them that are unknown to the model.
    pub unknown_tokens: usize,
    /// The natural logarithm of its probability. `None` if it has no token, if its first token follows nothing, if it is
    /// not scored because of an unknown token, or because of a [fault](Self::fault). −∞ if a token has no id.
    pub log_prob: Option<f64>,
    /// The entropy, in nats, of the prediction of its first token after whitespace; `None`, as the rank, for an approximate
    /// model.
    pub entropy: Option<f64>,
    /// One more than the number of tokens that are more likely in this place.
    pub rank: Option<u32>,
    /// The natural logarithm of its frequency in the training text, relative to all tokens; only for a region of one known
    /// token, if the model knows the frequencies.
    pub log_frequency: Option<f64>,
    /// Why there is no score although there are tokens.
    pub fault: Option<RegionFault>,
    /// The model's state after it, part by part as in [`Surprisals::state_parts`]; empty unless asked for.
    pub state: Vec<f32>,
}

/// Why a region has no score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionFault {
    /// This token belongs to this region and to another one.
    SharedToken(String),
    /// The tokens of the text do not match it, from this one on.
    Unaligned(String),
}

/// Reads texts, and says how unexpected their regions are.
///
/// ```
/// use rondo_data::{TextCodec, Tokenizer, Vocab};
/// use rondo_infer::{LanguageModel, Passage, SurprisalOptions, Surprisals};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all four tokens are equally likely.
/// let vocab = Vocab::from_tokens("example", ["<eos>", "the", "cat", "."], None)?;
/// let model = RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?;
/// let model = LanguageModel::new(rondo_infer::ModelHandle::new(model), TextCodec::new(Tokenizer::moses(), vocab))?;
///
/// let mut surprisals = Surprisals::new(&[model], SurprisalOptions::default())?;
/// let passage = Passage { text: b"the cat.".to_vec(), ..Passage::default() };
/// let regions = &surprisals.read(&[passage])?[0];
/// let bits = |region: usize| -regions[region].scores[0].log_prob.unwrap() / 2.0_f64.ln();
/// assert!((bits(0) - 2.0).abs() < 1e-6); // the
/// assert!((bits(1) - 4.0).abs() < 1e-6); // cat.
/// assert!((bits(2) - 2.0).abs() < 1e-6 && regions[2].is_end);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Surprisals {
    options: SurprisalOptions,
    groups: Vec<Group>,
    /// The group of each model, and its number in the group.
    places: Vec<(usize, usize)>,
    /// Whether only the whitespace of ASCII separates words.
    ascii: bool,
}

impl Surprisals {
    /// A reader for these models.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if a size is 0; [`InferError::DifferentTokens`] if models that must have the same tokens
    /// have not; [`InferError::NoCharacters`] if the regions are characters, but a model's tokens are words;
    /// [`InferError::OneModel`] if states of several models are asked for; [`InferError::NeedsDistribution`] if the regions
    /// are words, and an approximate model's tokens are characters.
    pub fn new(models: &[LanguageModel], options: SurprisalOptions) -> Result<Surprisals> {
        if options.batch_size == 0 {
            return Err(InferError::ZeroSize { name: "batch_size" });
        }
        if options.unknown == UnknownWords::Share(0) {
            return Err(InferError::ZeroSize { name: "unknown_words" });
        }
        let (mut groups, mut places) = (Vec::<Group>::new(), Vec::new());
        for model in models {
            let codec = model.codec();
            if options.unit == RegionUnit::Character && (codec.is_of_words() || codec.is_of_subwords()) {
                return Err(InferError::NoCharacters { tokens: model.codec().tokenizer().to_string() });
            }
            let index = groups.iter().position(|group| group.codec() == model.codec());
            let index = index.unwrap_or_else(|| {
                groups.push(Group::new(model.codec(), &options));
                groups.len() - 1
            });
            places.push((index, groups[index].add(model)));
        }
        let what = match options.unit {
            _ if options.ensemble => "an ensemble",
            _ => "a table by token",
        };
        if groups.len() > 1 && (options.ensemble || options.unit == RegionUnit::Token) {
            let tokens = groups.iter().map(|group| described(group.codec())).collect();
            return Err(InferError::DifferentTokens { what, tokens });
        }
        let is_approximate = models.iter().any(|model| model.handle().approximation().is_some());
        let divides = options.unit == RegionUnit::Word && groups.iter().any(Group::has_separators);
        if is_approximate && divides {
            return Err(InferError::NeedsDistribution { what: "the probability of a word of characters" });
        }
        if models.len() > 1 && options.states {
            return Err(InferError::OneModel { what: "states" });
        }
        let ascii = groups.iter().any(|group| group.codec().is_of_bytes());
        Ok(Surprisals { options, groups, places, ascii })
    }

    /// The parts of a [state](RegionScore::state), in order, with their widths: `hidden/0`, `cell/0` and so on.
    pub fn state_parts(&self) -> Vec<(String, usize)> {
        self.groups.first().map_or_else(Vec::new, Group::state_parts)
    }

    /// Reads the next texts: the regions of each, in order. There is at least one, if only the end.
    ///
    /// # Errors
    /// [`InferError::Data`] for text that is not UTF-8, unless a codec is lossy; [`InferError::NonFiniteLogits`] if a model
    /// predicts no distribution.
    pub fn read(&mut self, passages: &[Passage]) -> Result<Vec<Vec<Region>>> {
        let Surprisals { options, groups, places, ascii } = self;
        let texts: Vec<Vec<u8>> = passages.iter().map(|passage| one_line(&passage.text)).collect();
        let divide = |(passage, text): (&Passage, &Vec<u8>)| match (&passage.regions, options.unit) {
            (Some(ranges), _) => regions::given(text, ranges),
            (None, RegionUnit::Token) => Vec::new(),
            (None, RegionUnit::Word) => regions::words(text, options.split_punctuation, *ascii),
            (None, RegionUnit::Character) => regions::characters(text),
        };
        let mut regions: Vec<Vec<regions::Span>> = passages.iter().zip(&texts).map(divide).collect();
        let mut scored = Vec::with_capacity(groups.len());
        for group in groups.iter_mut() {
            let mut encoded = Vec::with_capacity(texts.len());
            for ((passage, text), spans) in passages.iter().zip(&texts).zip(&mut regions) {
                let tokens = group.encode(text, &passage.context)?;
                if options.unit == RegionUnit::Token && passage.regions.is_none() {
                    *spans = regions::tokens(text, &tokens);
                }
                encoded.push(EncodedPassage::new(tokens, text, spans, options.unit, *ascii, passage, group)?);
            }
            let predicted = group.predict(&encoded, options)?;
            scored.push((encoded, predicted));
        }
        // In its group, the ensemble comes after the models.
        let ensemble = (0, places.len());
        let score = |index: usize, spans: &[regions::Span]| {
            let text_len = texts[index].len();
            let characters = regions::character_count(&texts[index]);
            let mut regions: Vec<Region> = spans
                .iter()
                .map(|span| Region {
                    bytes: span.bytes.clone(),
                    characters: span.characters.clone(),
                    is_end: false,
                    scores: Vec::new(),
                })
                .collect();
            let has_end = scored.iter().any(|(encoded, _)| encoded[index].has_end());
            if has_end || regions.is_empty() {
                let (bytes, characters) = (text_len..text_len, characters..characters);
                regions.push(Region { bytes, characters, is_end: true, scores: Vec::new() });
            }
            for &(group, member) in places.iter().chain(options.ensemble.then_some(&ensemble)) {
                let (encoded, predicted) = &scored[group];
                let (passage, predicted) = (&encoded[index], predicted[member][index].as_slice());
                let combine = words::Combine { passage, predicted, options, group: &groups[group] };
                for (number, region) in regions.iter_mut().enumerate() {
                    let number = (!region.is_end).then_some(number);
                    region.scores.push(combine.score(number));
                }
            }
            regions
        };
        Ok(regions.iter().enumerate().map(|(index, spans)| score(index, spans)).collect())
    }
}

impl LanguageModel {
    /// The surprisals of the words of texts, each read after a line end: see [`Surprisals`].
    ///
    /// # Errors
    /// As [`Surprisals::read`].
    pub fn surprisals<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<Region>>> {
        let passages: Vec<Passage> = texts
            .iter()
            .map(|text| Passage { text: text.as_ref().as_bytes().to_vec(), ..Passage::default() })
            .collect();
        Surprisals::new(std::slice::from_ref(self), SurprisalOptions::default())?.read(&passages)
    }
}

/// The text with a space for each byte of a line break.
fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}
