//! N-gram models with backoff, read from ARPA files, as SRILM, KenLM and other toolkits write them.
//!
//! ```text
//! \data\                    log₁₀ p(c | a b) = the value of `a b c`, if the file has it
//! ngram 1=4                                  else  backoff(a b) + log₁₀ p(c | b)
//! ngram 2=5                 backoff of a context that the file does not have: 0
//!
//! \1-grams:                 in memory: a trie of sorted arrays, 16 bytes per n-gram
//! -99    <s>    -0.3          a ─┬─ a ─┬─ b      level 1: indexed by word
//! …                              │     └─ c      level n: sorted by context, then by word
//! \end\                          └─ c ─── b
//! ```
//!
//! Promises: the file is read once, as a stream, and only one level is in memory twice, while it is sorted; a count,
//! word or number that is wrong is an error with its line.
//! Not here: n-grams of ids (`ngram` has baselines), interpolation with a model, KenLM's binary files.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

mod read;

pub use read::ArpaFault;

/// The word that an n-gram model assumes before each line.
const START: &str = "<s>";
/// The word that ends each line.
const END: &str = "</s>";
/// The spellings of the word that stands for unknown ones.
const UNKNOWN: [&str; 2] = ["<unk>", "<UNK>"];

/// An n-gram model with backoff.
///
/// ```
/// use rondo_data::Arpa;
///
/// let file = "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n-0.6\t</s>\n-0.2\ta\t-0.1\n-2\t<unk>\n\n\
///             \\2-grams:\n-0.3\t<s> a\n\n\\end\\\n";
/// let model = Arpa::read(file.as_bytes(), "example")?;
/// let (start, a) = (model.start().unwrap(), model.id("a").unwrap());
///
/// assert!((model.log10_prob(&[start], a) - -0.3).abs() < 1e-6); // as listed
/// assert!((model.log10_prob(&[a], a) - (-0.1 - 0.2)).abs() < 1e-6); // backoff of `a`, then `a` alone
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arpa {
    words: IndexSet<Box<str>, FxBuildHasher>,
    /// One per order; the first is indexed by word.
    levels: Vec<Level>,
    unknown: u32,
    lists_unknown: bool,
}

/// The n-grams of one order.
#[derive(Clone, Debug, Default)]
struct Level {
    /// The last word of each n-gram; empty for unigrams.
    words: Vec<u32>,
    log10_probs: Vec<f32>,
    /// Empty in the highest order.
    backoffs: Vec<f32>,
    /// Where the n-grams that continue each begin in the next level, and where those of the last end; empty in the
    /// highest order.
    children: Vec<u32>,
}

impl Arpa {
    /// The log-probability (base 10) of an unknown word in a model that lists none: as KenLM has it.
    pub const MISSING_UNKNOWN: f32 = -100.0;

    /// The highest order: the length of the longest n-grams.
    #[must_use]
    pub fn order(&self) -> usize {
        self.levels.len()
    }

    /// The number of n-grams of each order.
    pub fn counts(&self) -> impl Iterator<Item = usize> + '_ {
        let extra = usize::from(!self.lists_unknown);
        let count =
            move |(level, n): (&Level, usize)| level.log10_probs.len() - if n == 0 { extra } else { 0 };
        self.levels.iter().zip(0..).map(count)
    }

    /// The words that it knows, including `<s>`, `</s>` and `<unk>`.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.words.iter().map(|word| &**word)
    }

    /// The id of a word.
    #[must_use]
    pub fn id(&self, word: &str) -> Option<u32> {
        self.words.get_index_of(word).map(|id| id as u32)
    }

    /// The id for words that it does not know.
    #[must_use]
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Whether the file lists the unknown word; otherwise [`Arpa::MISSING_UNKNOWN`] is its log-probability.
    #[must_use]
    pub fn lists_unknown(&self) -> bool {
        self.lists_unknown
    }

    /// The id of `<s>`, the context of the first word of a line.
    #[must_use]
    pub fn start(&self) -> Option<u32> {
        self.id(START)
    }

    /// The id of `</s>`, which ends a line.
    #[must_use]
    pub fn end(&self) -> Option<u32> {
        self.id(END)
    }

    /// Whether a word is one of `<s>`, `</s>` and `<unk>`.
    #[must_use]
    pub fn is_special(word: &str) -> bool {
        word == START || word == END || UNKNOWN.contains(&word)
    }

    /// The log-probability (base 10) of a word after a context, whose last word comes last.
    ///
    /// # Panics
    /// If `word` is not an id of this model.
    #[must_use]
    pub fn log10_prob(&self, context: &[u32], word: u32) -> f64 {
        let longest = context.len().min(self.order() - 1);
        let mut backoff = 0.0;
        for len in (1..=longest).rev() {
            let Some(node) = self.find(&context[context.len() - len..]) else { continue };
            if let Some(found) = self.child(len - 1, node, word) {
                return backoff + f64::from(self.levels[len].log10_probs[found]);
            }
            backoff += f64::from(self.levels[len - 1].backoffs[node]);
        }
        backoff + f64::from(self.levels[0].log10_probs[word as usize])
    }

    /// The position of an n-gram in its level.
    fn find(&self, words: &[u32]) -> Option<usize> {
        let (&first, rest) = words.split_first()?;
        let first = Some(first as usize).filter(|&first| first < self.levels[0].log10_probs.len())?;
        rest.iter().enumerate().try_fold(first, |node, (level, &word)| self.child(level, node, word))
    }

    /// The position, in the next level, of the n-gram that continues `node` with `word`.
    fn child(&self, level: usize, node: usize, word: u32) -> Option<usize> {
        let children = &self.levels[level].children;
        let (&from, &to) = (children.get(node)?, children.get(node + 1)?);
        let (from, to) = (from as usize, to as usize);
        let words = &self.levels.get(level + 1)?.words[from..to];
        words.binary_search(&word).ok().map(|place| from + place)
    }
}

#[cfg(test)]
mod tests;
