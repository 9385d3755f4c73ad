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
//! Reading (`read`) is parallel (`reading`), and the ids are in memory or in a file (`store`). A token takes four bytes
//! there, and each distinct token one string in memory, which can be limited (`counting`).
//!
//! Promises: ids depend only on the texts and the options; statistics are reported for each file.
//! Not here: batches (`batches`), finding the named corpora (`named`).

use std::{fmt, ops::Range, path::PathBuf};

use crate::{DataError, Result, TextCodec, TextLook, TextReport, TokenIds, Tokenizer, Vocab, VocabOptions};

mod counting;
mod destination;
mod divide;
mod find;
mod part;
mod read;
mod reading;
mod source;
mod store;

pub use find::CorpusTexts;
pub use part::CorpusPart;
pub use read::{CorpusEvent, CorpusObserver, CorpusReading, IdsFault};
pub use source::{TextSource, readable};
pub use store::IdStore;

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
    /// The memory in bytes, about, for the tokens that are counted to build a vocabulary; `None` for no limit. If it is
    /// exceeded, the rarest ones are forgotten, and the texts are read twice. A text without splits of its own is then
    /// counted as a whole.
    pub count_memory: Option<u64>,
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
            count_memory: None,
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

impl Corpus {
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
        let ids = TokenIds::from(ids);
        let [train_end, valid_end] = divide::cuts(&ids, codec.line_end(), valid_fraction, test_fraction)?;
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

#[cfg(test)]
mod tests;
