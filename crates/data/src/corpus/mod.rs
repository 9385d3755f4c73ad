//! Corpora: training, validation and test texts as ids, with a shared vocabulary.
//!
//! ```text
//! folder  ptb.train.txt ptb.valid.txt ptb.test.txt      three texts, or several of each split
//! files   train.txt valid.txt test.txt                  the same
//! folder  a.txt b.txt.gz …     ┐
//! file    input.txt            ├ one text               train │ valid │ test, split near its end
//! files   one.txt two.txt      ┘ (files joined)
//! ```
//!
//! Each text is read once. Each token is first stored as its index in order of first appearance. When the
//! vocabulary is complete, the indices are replaced by ids in place. So a token takes four bytes, and each
//! distinct token one string.
//!
//! Promises: ids depend only on the texts and the options; statistics are reported for each file.
//! Not here: batches (`batches`), finding the named corpora (`named`).

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    Counter, DataError, Result, TextCodec, TextLook, TextReport, TokenIds, Tokenizer, Vocab, VocabOptions,
    tokenize,
};

mod divide;
mod find;
mod part;
mod source;

use divide::Parts;
pub use find::CorpusTexts;
pub use part::CorpusPart;
pub use source::{TextSource, readable};

/// A split of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// The training set.
    Train,
    /// The validation set, used to select the best model.
    Valid,
    /// The test set, used to report the final results.
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

/// Options for reading a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusOptions {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Where the vocabulary comes from.
    pub vocab: VocabSource,
    /// The number of characters to drop from the end of every text file, such as a license; 0 drops none.
    pub drop_tail_chars: u64,
    /// Whether invalid UTF-8 and NUL bytes are replaced by U+FFFD instead of being an error.
    pub lossy: bool,
    /// The field of JSON Lines or CSV files that contains the text; `None` for files of plain text.
    pub text_field: Option<String>,
    /// The fraction of a text without splits of its own to use as validation text; 0 for none.
    pub valid_fraction: f64,
    /// The fraction to use as test text; 0 for none.
    pub test_fraction: f64,
    /// Where in such a text they are.
    pub division: Division,
}

/// Where in a text without splits of its own the validation and test text are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Division {
    /// At its end.
    #[default]
    End,
    /// Lines drawn at random, the same lines in each run; lines of a split are in the order of the text.
    RandomLines,
}

impl Default for CorpusOptions {
    /// [`for_tokenizer`](Self::for_tokenizer) with words.
    fn default() -> Self {
        Self::for_tokenizer(Tokenizer::default())
    }
}

impl CorpusOptions {
    /// The default options for a tokenizer: 5 % each for validation and test, nothing dropped.
    ///
    /// The vocabulary is [the default one](VocabOptions::for_tokenizer), built from the training text for words
    /// and from all texts for characters, since characters have no unknown token. A tokenizer for subwords comes with its
    /// vocabulary.
    #[must_use]
    pub fn for_tokenizer(tokenizer: Tokenizer) -> Self {
        let options = VocabOptions::for_tokenizer(&tokenizer);
        let splits = if options.unknown.is_some() { VocabSplits::Train } else { VocabSplits::All };
        let vocab = match tokenizer.vocab() {
            Ok(Some(vocab)) => VocabSource::Given(vocab),
            _ => VocabSource::Build { options, splits },
        };
        Self {
            tokenizer,
            vocab,
            drop_tail_chars: 0,
            lossy: false,
            text_field: None,
            valid_fraction: 0.05,
            test_fraction: 0.05,
            division: Division::End,
        }
    }
}

/// Where the vocabulary of a corpus comes from.
///
/// Its [counts](Vocab::counts) are those of the training text, whichever texts it is built from. A given vocabulary
/// keeps its own, and so does a given one that is extended: only its new tokens are counted in the training text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VocabSource {
    /// Built from the texts.
    Build {
        /// Which tokens to include, and in which order.
        options: VocabOptions,
        /// The texts to build it from.
        splits: VocabSplits,
    },
    /// A word list, with the special tokens of the options; see [`Vocab::from_list`].
    List {
        /// The list.
        list: PathBuf,
        /// The special tokens.
        options: VocabOptions,
    },
    /// The vocabulary of a tokenizer in a file, and this tokenizer, instead of the one of the options; see
    /// [`Tokenizer::open`].
    TokenizerFile(PathBuf),
    /// An existing vocabulary: that of a model to continue training or to evaluate.
    Given(Vocab),
    /// The vocabulary of a model, extended by the new tokens of the texts; see [`Vocab::extended`].
    Extend {
        /// The vocabulary to extend; its ids stay the same.
        vocab: Vocab,
        /// Leave out new tokens that occur fewer times than this.
        min_freq: u64,
        /// The maximum size of the extended vocabulary.
        max_size: Option<usize>,
        /// The texts to take new tokens from.
        splits: VocabSplits,
    },
}

/// The texts that a vocabulary is built from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VocabSplits {
    /// Only the training text.
    #[default]
    Train,
    /// The training, validation and test texts, in this order.
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
    /// The tokenizer and the vocabulary.
    pub codec: TextCodec,
    /// The statistics of each text, in reading order.
    pub sources: Vec<SourceReport>,
    /// Whether the validation and test texts were split off from one text instead of being separate texts.
    pub divided: bool,
}

/// The statistics of one text of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The split that the text is used for; `None` if it was split.
    pub split: Option<Split>,
    /// What its start looks like.
    pub look: TextLook,
    /// The statistics.
    pub text: TextReport,
}

/// All texts in one sequence, and where each text ends.
struct Sequence {
    ids: Vec<u32>,
    sources: Vec<SourceReport>,
}

impl Corpus {
    /// Finds the texts at `path`, a folder or a file, and reads them.
    ///
    /// # Errors
    /// The errors of [`CorpusTexts::find`] and [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>, options: &CorpusOptions) -> Result<Self> {
        Self::read(&CorpusTexts::find(path)?, options)
    }

    /// Reads the texts.
    ///
    /// # Errors
    /// [`DataError::Empty`] for a text without tokens; the errors of [`Tokenizer::for_each_token`] for a file
    /// that is not a text; [`DataError::UnknownToken`] for an out-of-vocabulary token if there is no unknown
    /// token; the errors of [`Vocab::from_counter`]; [`DataError::SplitFractions`] and
    /// [`DataError::CannotDivide`] for a text without splits of its own.
    pub fn read(texts: &CorpusTexts, options: &CorpusOptions) -> Result<Self> {
        divide::check_fractions(options.valid_fraction, options.test_fraction)?;
        let sources = texts.sources();
        let codec = |vocab: Vocab| TextCodec::new(options.tokenizer.clone(), vocab);
        let encoded = |codec: TextCodec| {
            let all = encode(&sources, &codec, options, None)?;
            let parts = parts(&all, texts, options, |token| codec.vocab().id(token))?;
            Ok::<_, DataError>((all, parts, codec))
        };
        let counted = |splits: VocabSplits, vocab: &dyn Fn(&Counter) -> Result<Vocab>| {
            let (mut all, counter) = count(&sources, options)?;
            let parts = parts(&all, texts, options, |token| counter.index(token))?;
            let codec = codec(match splits {
                VocabSplits::All => vocab(&counter)?,
                VocabSplits::Train => vocab(&counter.restricted_to(&parts.train(&all.ids)))?,
            });
            if !replace_indices(&mut all, &counter, codec.vocab()) {
                // The token is known but not its line, so the texts are read again to find it.
                encode(&sources, &codec, options, None)?;
            }
            Ok::<_, DataError>((all, parts, codec))
        };
        let (mut all, parts, codec) = match &options.vocab {
            VocabSource::Given(vocab) => encoded(codec(vocab.clone()))?,
            VocabSource::List { list, options: special } => encoded(codec(Vocab::from_list(
                &TextSource::File(list.clone()),
                &options.tokenizer,
                special,
            )?))?,
            VocabSource::TokenizerFile(path) => {
                let tokenizer = Tokenizer::open(path)?;
                encoded(TextCodec::of_tokenizer(tokenizer)?.ok_or(DataError::EmptyVocab)?)?
            }
            VocabSource::Build { options, splits } => {
                counted(*splits, &|counter| Vocab::from_counter(counter, options))?
            }
            VocabSource::Extend { vocab, min_freq, max_size, splits } => {
                counted(*splits, &|counter| Ok(vocab.extended(counter, *min_freq, *max_size)))?
            }
        };
        all.ids.shrink_to_fit();
        let (ids, [train_end, valid_end]) = parts.divide(all.ids);
        let ids = TokenIds::from(ids);
        let train = ids.slice(0..train_end);
        let codec = match first_counted(&options.vocab) {
            Some(first) => codec.counted_from(first, &train)?,
            None => codec,
        };
        let part = |range: Range<usize>| (!range.is_empty()).then(|| ids.slice(range));
        Ok(Self {
            train,
            valid: part(train_end..valid_end),
            test: part(valid_end..ids.len()),
            codec,
            sources: all.sources,
            divided: matches!(texts, CorpusTexts::Whole(_))
                && options.valid_fraction + options.test_fraction > 0.0,
        })
    }

    /// A corpus of ids. If the vocabulary has no [counts](Vocab::counts), it gets those of the training text.
    ///
    /// ```
    /// use rondo_data::{Corpus, TextCodec, TokenIds, Tokenizer, Vocab};
    ///
    /// let codec = TextCodec::new(Tokenizer::words(), Vocab::from_tokens("example", ["a", "b"], None)?);
    /// let corpus = Corpus::of_ids(codec, vec![0, 1, 1].into(), None, Some(vec![1].into()))?;
    /// assert_eq!(corpus.vocab().counts(), Some(&[1, 2][..]));
    /// assert_eq!(corpus.test, Some(TokenIds::from(vec![1])));
    /// # Ok::<(), rondo_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::IdOutOfRange`] for an id that is not in the vocabulary; [`DataError::Empty`] for a text without ids.
    pub fn of_ids(
        codec: TextCodec,
        train: TokenIds,
        valid: Option<TokenIds>,
        test: Option<TokenIds>,
    ) -> Result<Self> {
        let vocab_size = codec.vocab().len();
        for ids in [Some(&train), valid.as_ref(), test.as_ref()].into_iter().flatten() {
            if ids.is_empty() {
                return Err(DataError::Empty { origin: "the ids".to_owned() });
            }
            for block in ids.blocks() {
                if let Some(&id) = block?.iter().find(|&&id| id as usize >= vocab_size) {
                    return Err(DataError::IdOutOfRange { id, vocab_size });
                }
            }
        }
        let codec = if codec.vocab().counts().is_none() { codec.counted_from(0, &train)? } else { codec };
        Ok(Self { train, valid, test, codec, sources: Vec::new(), divided: false })
    }

    /// The same for one text, whose end becomes validation and test text: whole lines if the codec has line ends.
    ///
    /// # Errors
    /// As [`of_ids`](Self::of_ids), and those of [`read`](Self::read) for a text without splits of its own.
    pub fn of_divided_ids(
        codec: TextCodec,
        ids: Vec<u32>,
        valid_fraction: f64,
        test_fraction: f64,
    ) -> Result<Self> {
        divide::check_fractions(valid_fraction, test_fraction)?;
        let [train_end, valid_end] = divide::cuts(&ids, codec.line_end(), valid_fraction, test_fraction)?;
        let ids = TokenIds::from(ids);
        let part = |range: Range<usize>| (!range.is_empty()).then(|| ids.slice(range));
        let (valid, test) = (part(train_end..valid_end), part(valid_end..ids.len()));
        let corpus = Self::of_ids(codec, ids.slice(0..train_end), valid, test)?;
        Ok(Self { divided: valid_fraction + test_fraction > 0.0, ..corpus })
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocab(&self) -> &Vocab {
        self.codec.vocab()
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        self.codec.tokenizer()
    }

    /// The fingerprint of a split's ids, if the corpus has this split; see [`TokenIds::fingerprint`].
    ///
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn fingerprint(&self, split: Split) -> Result<Option<String>> {
        self.split(split).map(TokenIds::fingerprint).transpose()
    }

    /// The ids of a split, if the corpus has this split.
    #[must_use]
    pub fn split(&self, split: Split) -> Option<&TokenIds> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }
}

/// The index of the first token that is to be counted in the training text; `None` if no token is.
fn first_counted(source: &VocabSource) -> Option<usize> {
    match source {
        VocabSource::Build { .. } | VocabSource::List { .. } | VocabSource::TokenizerFile(_) => Some(0),
        VocabSource::Extend { vocab, .. } => vocab.counts().map(<[u64]>::len),
        VocabSource::Given(_) => None,
    }
}

/// Reads all sources as ids. With `missing`, this is the id of each out-of-vocabulary token.
fn encode(
    sources: &[(Option<Split>, &TextSource)],
    codec: &TextCodec,
    options: &CorpusOptions,
    missing: Option<u32>,
) -> Result<Sequence> {
    let codec = codec.clone().lossy(options.lossy);
    let mut all = Sequence { ids: Vec::new(), sources: Vec::new() };
    for &(split, source) in sources {
        let origin = source.origin();
        let mut reader = source.open_field(options.text_field.as_deref())?;
        let look = TextLook::at(&mut reader, &origin)?;
        let drop_tail_chars = options.drop_tail_chars;
        let text = match missing {
            None => codec.append(reader, &origin, drop_tail_chars, &mut all.ids)?,
            Some(id) => {
                codec.append_with(reader, &origin, drop_tail_chars, &mut all.ids, |_, _| Ok(Some(id)))?
            }
        };
        all.push(split, look, text)?;
    }
    Ok(all)
}

/// Reads all sources as indices of a counter.
fn count(sources: &[(Option<Split>, &TextSource)], options: &CorpusOptions) -> Result<(Sequence, Counter)> {
    let mut counter = Counter::new();
    let reading = tokenize::Reading { drop_tail_chars: options.drop_tail_chars, lossy: options.lossy };
    let mut all = Sequence { ids: Vec::new(), sources: Vec::new() };
    for &(split, source) in sources {
        let (mut reader, origin) = (source.open_field(options.text_field.as_deref())?, source.origin());
        let look = TextLook::at(&mut reader, &origin)?;
        let visit = |token: &str, _line| {
            all.ids.push(counter.add(token));
            Ok(())
        };
        let stats = tokenize::read_tokens(&options.tokenizer, reader, &origin, reading, visit)?;
        all.push(split, look, TextReport { origin, stats, unknown_tokens: 0, out_of_vocab_tokens: 0 })?;
    }
    Ok((all, counter))
}

/// Replaces the counter's indices by vocabulary ids, and counts unknown tokens in the reports.
///
/// Stops and returns false if a token has no id.
fn replace_indices(all: &mut Sequence, counter: &Counter, vocab: &Vocab) -> bool {
    /// The id for an index; an out-of-vocabulary token is distinguished from the unknown token itself.
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

/// The parts of the texts for training, validation and testing; `id` gives the ids of tokens in `all`.
fn parts(
    all: &Sequence,
    texts: &CorpusTexts,
    options: &CorpusOptions,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Parts> {
    let CorpusOptions { valid_fraction, test_fraction, division, ref tokenizer, .. } = *options;
    match texts {
        CorpusTexts::Splits { .. } | CorpusTexts::Assigned(_) => {
            let len = |splits: &[Split]| -> usize {
                let of_them =
                    all.sources.iter().filter(|source| source.split.is_some_and(|s| splits.contains(&s)));
                of_them.map(|source| source.text.stats.tokens as usize).sum()
            };
            Ok(Parts::InOrder([len(&[Split::Train]), len(&[Split::Train, Split::Valid])]))
        }
        CorpusTexts::Whole(_) => match division {
            Division::RandomLines => {
                let line_end = tokenizer.line_end().and_then(id);
                divide::random_lines(&all.ids, line_end, valid_fraction, test_fraction)
            }
            Division::End => {
                let eos = tokenizer.eos().and_then(id);
                Ok(Parts::InOrder(divide::cuts(&all.ids, eos, valid_fraction, test_fraction)?))
            }
        },
    }
}

impl Sequence {
    /// Adds the report of a text that was read to its end.
    fn push(&mut self, split: Option<Split>, look: TextLook, text: TextReport) -> Result<()> {
        if text.stats.tokens == 0 {
            return Err(DataError::Empty { origin: text.origin });
        }
        self.sources.push(SourceReport { split, look, text });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
