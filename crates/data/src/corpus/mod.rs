//! Corpora: texts for training, validation and test as ids, with the vocabulary they share.
//!
//! ```text
//! folder  ptb.train.txt ptb.valid.txt ptb.test.txt      three texts
//! folder  input.txt            ┐
//! file    input.txt            ├ one text               train │ valid │ test, divided near its end
//! files   one.txt two.txt      ┘ (files joined)
//! ```
//!
//! All texts are read once. Each token first gets its index in order of first appearance; when the vocabulary
//! stands, the indices are replaced by ids in place. So a token costs four bytes and each type one string.
//!
//! Promises: ids depend on the texts and the options alone; each file's report says what was found in it.
//! Not here: batches (`batches`), where the named corpora are kept (`named`).

use std::{fmt, ops::Range, path::Path};

use crate::{
    Counter, DataError, Result, TextCodec, TextReport, TokenIds, Tokenizer, Vocab, VocabOptions, tokenize,
};

mod divide;
mod find;
mod source;

pub use find::CorpusTexts;
pub use source::TextSource;

/// A part of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What decides which model is the best.
    Valid,
    /// What that model is reported on.
    Test,
}

impl Split {
    /// All splits, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        })
    }
}

/// How texts become a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusOptions {
    /// What a token is.
    pub tokenizer: Tokenizer,
    /// Where the vocabulary comes from.
    pub vocab: VocabSource,
    /// Characters to drop from the end of every text file, such as a license; 0 is off.
    pub drop_tail_chars: u64,
    /// Whether invalid UTF-8 and NUL bytes are taken for U+FFFD, instead of being an error.
    pub lossy: bool,
    /// The part of a text that has no splits of its own to use as validation text; 0 is none.
    pub valid_fraction: f64,
    /// The part to use as test text; 0 is none.
    pub test_fraction: f64,
}

impl Default for CorpusOptions {
    /// As [`for_tokenizer`](Self::for_tokenizer) for words.
    fn default() -> Self {
        Self::for_tokenizer(Tokenizer::default())
    }
}

impl CorpusOptions {
    /// The usual options for a kind of token: 5 % each for validation and test, nothing dropped.
    ///
    /// The vocabulary is [the usual one](VocabOptions::for_tokenizer), of the training text's words or of all
    /// the characters: a character has no unknown token to stand for it.
    #[must_use]
    pub fn for_tokenizer(tokenizer: Tokenizer) -> Self {
        let options = VocabOptions::for_tokenizer(&tokenizer);
        let splits = if options.unknown.is_some() { VocabSplits::Train } else { VocabSplits::All };
        let vocab = VocabSource::Build { options, splits };
        Self { tokenizer, vocab, drop_tail_chars: 0, lossy: false, valid_fraction: 0.05, test_fraction: 0.05 }
    }
}

/// Where the vocabulary of a corpus comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VocabSource {
    /// From the texts.
    Build {
        /// Which of their tokens, and in which order.
        options: VocabOptions,
        /// Which of the texts.
        splits: VocabSplits,
    },
    /// It stands already: a model's, to train further or to evaluate.
    Given(Vocab),
    /// A model's, to which the tokens of the texts that it lacks are added; see [`Vocab::extended`].
    Extend {
        /// The vocabulary whose ids stay.
        vocab: Vocab,
        /// Leave out tokens that occur fewer times than this.
        min_freq: u64,
        /// The most tokens in all.
        max_size: Option<usize>,
        /// Which of the texts.
        splits: VocabSplits,
    },
}

/// The texts that a vocabulary is built from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VocabSplits {
    /// The training text alone.
    #[default]
    Train,
    /// Train, valid and test, in this order.
    All,
}

/// Texts as ids, and their vocabulary.
///
/// ```
/// use rondo_data::{Corpus, CorpusOptions, CorpusTexts, TextSource, TokenIds};
///
/// let text = |name: &str, text: &str| TextSource::Memory { name: name.into(), text: text.into() };
/// let texts = CorpusTexts::Splits {
///     train: text("train", "the cat saw the dog\n"),
///     valid: Some(text("valid", "the dog saw the bird\n")),
///     test: None,
/// };
/// let corpus = Corpus::read(&texts, &CorpusOptions::default())?;
/// // <unk> = 0, <eos> = 1, the = 2, then once each, alphabetical: cat, dog, saw.
/// assert_eq!(corpus.train, TokenIds::from(vec![2, 3, 5, 2, 4, 1]));
/// assert_eq!(corpus.valid, Some(TokenIds::from(vec![2, 4, 5, 2, 0, 1])));
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The training text.
    pub train: TokenIds,
    /// The validation text, if there is one.
    pub valid: Option<TokenIds>,
    /// The test text, if there is one.
    pub test: Option<TokenIds>,
    /// How the texts were cut, and what the ids mean.
    pub codec: TextCodec,
    /// What was found in each text, in the order of reading.
    pub sources: Vec<SourceReport>,
    /// Whether validation and test text were divided off the end of one text, instead of being texts of their
    /// own.
    pub divided: bool,
}

/// What was found in one text of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The split that the text is; `None` if it was divided among them.
    pub split: Option<Split>,
    /// What was found in it.
    pub text: TextReport,
}

/// All texts in one sequence, and where each ends.
struct Sequence {
    ids: Vec<u32>,
    sources: Vec<SourceReport>,
}

impl Corpus {
    /// Finds the texts at `path`, a folder or a file, and reads them.
    ///
    /// # Errors
    /// As [`CorpusTexts::find`] and [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>, options: &CorpusOptions) -> Result<Self> {
        Self::read(&CorpusTexts::find(path)?, options)
    }

    /// Reads the texts.
    ///
    /// # Errors
    /// [`DataError::Empty`] for a text without tokens; those of [`Tokenizer::for_each_token`] for what is no
    /// text; [`DataError::UnknownToken`] for a token that is neither in the vocabulary nor has an unknown
    /// token to stand for it; those of [`Vocab::from_counter`]; [`DataError::SplitFractions`] and
    /// [`DataError::CannotDivide`] for a text that has no splits of its own.
    pub fn read(texts: &CorpusTexts, options: &CorpusOptions) -> Result<Self> {
        divide::check_fractions(options.valid_fraction, options.test_fraction)?;
        let sources = texts.sources();
        let codec = |vocab: Vocab| TextCodec::new(options.tokenizer.clone(), vocab);
        let (mut all, [train_end, valid_end], codec) = match &options.vocab {
            VocabSource::Given(vocab) => {
                let codec = codec(vocab.clone());
                let all = encode(&sources, &codec, options)?;
                let cuts = cuts(&all, texts, options, options.tokenizer.eos().and_then(|eos| vocab.id(eos)))?;
                (all, cuts, codec)
            }
            VocabSource::Build { splits, .. } | VocabSource::Extend { splits, .. } => {
                let (mut all, counter) = count(&sources, options)?;
                let cuts =
                    cuts(&all, texts, options, options.tokenizer.eos().and_then(|eos| counter.index(eos)))?;
                let vocab = match splits {
                    VocabSplits::All => options.vocab.of(&counter)?,
                    VocabSplits::Train => options.vocab.of(&counter.restricted_to(&all.ids[..cuts[0]]))?,
                };
                let codec = codec(vocab);
                if !replace_indices(&mut all, &counter, codec.vocab()) {
                    // The word is known but not its line; reading again until it turns up tells.
                    encode(&sources, &codec, options)?;
                }
                (all, cuts, codec)
            }
        };
        all.ids.shrink_to_fit();
        let ids = TokenIds::from(all.ids);
        let part = |range: Range<usize>| (!range.is_empty()).then(|| ids.slice(range));
        Ok(Self {
            train: ids.slice(0..train_end),
            valid: part(train_end..valid_end),
            test: part(valid_end..ids.len()),
            codec,
            sources: all.sources,
            divided: matches!(texts, CorpusTexts::Whole(_))
                && options.valid_fraction + options.test_fraction > 0.0,
        })
    }

    /// What the ids mean.
    #[must_use]
    pub fn vocab(&self) -> &Vocab {
        self.codec.vocab()
    }

    /// How the texts were cut.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        self.codec.tokenizer()
    }

    /// The fingerprint of a split's ids, if the corpus has it; see [`TokenIds::fingerprint`].
    ///
    /// # Errors
    /// As [`TokenIds::read`].
    pub fn fingerprint(&self, split: Split) -> Result<Option<String>> {
        self.split(split).map(TokenIds::fingerprint).transpose()
    }

    /// The ids of a split, if the corpus has it.
    #[must_use]
    pub fn split(&self, split: Split) -> Option<&TokenIds> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }
}

impl VocabSource {
    /// The vocabulary for what was counted.
    fn of(&self, counter: &Counter) -> Result<Vocab> {
        match self {
            Self::Build { options, .. } => Vocab::from_counter(counter, options),
            Self::Given(vocab) => Ok(vocab.clone()),
            Self::Extend { vocab, min_freq, max_size, .. } => {
                Ok(vocab.extended(counter, *min_freq, *max_size))
            }
        }
    }
}

/// Reads all sources into ids.
fn encode(
    sources: &[(Option<Split>, &TextSource)],
    codec: &TextCodec,
    options: &CorpusOptions,
) -> Result<Sequence> {
    let codec = codec.clone().lossy(options.lossy);
    let mut all = Sequence { ids: Vec::new(), sources: Vec::new() };
    for &(split, source) in sources {
        let origin = source.origin();
        let text = codec.append(source.open()?, &origin, options.drop_tail_chars, &mut all.ids)?;
        all.push(split, text)?;
    }
    Ok(all)
}

/// Reads all sources into indices of a counter.
fn count(sources: &[(Option<Split>, &TextSource)], options: &CorpusOptions) -> Result<(Sequence, Counter)> {
    let mut counter = Counter::new();
    let reading = tokenize::Reading { drop_tail_chars: options.drop_tail_chars, lossy: options.lossy };
    let mut all = Sequence { ids: Vec::new(), sources: Vec::new() };
    for &(split, source) in sources {
        let (reader, origin) = (source.open()?, source.origin());
        let visit = |token: &str, _line| {
            all.ids.push(counter.add(token));
            Ok(())
        };
        let stats = tokenize::read_tokens(&options.tokenizer, reader, &origin, reading, visit)?;
        all.push(split, TextReport { origin, stats, unknown_tokens: 0, out_of_vocab_tokens: 0 })?;
    }
    Ok((all, counter))
}

/// Replaces the counter's indices by the vocabulary's ids and counts the unknown ones in the reports.
///
/// Gives up and returns false if a token has no id.
fn replace_indices(all: &mut Sequence, counter: &Counter, vocab: &Vocab) -> bool {
    /// Where an index leads; a token out of the vocabulary is told from the unknown token itself.
    struct Target {
        id: u32,
        in_vocab: bool,
    }
    let targets = counter.iter().map(|(token, _)| {
        vocab.id_or_unknown(token).map(|id| Target { id, in_vocab: vocab.id(token).is_some() })
    });
    let Some(targets) = targets.collect::<Option<Vec<Target>>>() else {
        return false;
    };
    let mut rest = all.ids.as_mut_slice();
    for source in &mut all.sources {
        let report = &mut source.text;
        let (ids, later) = rest.split_at_mut(report.stats.tokens as usize);
        rest = later;
        for id in ids {
            let target = &targets[*id as usize];
            *id = target.id;
            report.unknown_tokens += u64::from(vocab.unknown_id() == Some(target.id));
            report.out_of_vocab_tokens += u64::from(!target.in_vocab);
        }
    }
    true
}

/// Where the training text and where the validation text ends; `eos` is the end-of-line token in `all`.
fn cuts(
    all: &Sequence,
    texts: &CorpusTexts,
    options: &CorpusOptions,
    eos: Option<u32>,
) -> Result<[usize; 2]> {
    match texts {
        CorpusTexts::Splits { .. } => {
            let len = |splits: &[Split]| -> usize {
                let of_them =
                    all.sources.iter().filter(|source| source.split.is_some_and(|s| splits.contains(&s)));
                of_them.map(|source| source.text.stats.tokens as usize).sum()
            };
            Ok([len(&[Split::Train]), len(&[Split::Train, Split::Valid])])
        }
        CorpusTexts::Whole(_) => divide::cuts(&all.ids, eos, options.valid_fraction, options.test_fraction),
    }
}

impl Sequence {
    /// Ends a text.
    fn push(&mut self, split: Option<Split>, text: TextReport) -> Result<()> {
        if text.stats.tokens == 0 {
            return Err(DataError::Empty { origin: text.origin });
        }
        self.sources.push(SourceReport { split, text });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
