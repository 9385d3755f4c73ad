//! Generated corpora of any size, to test how speed and memory depend on it.
//!
//! ```text
//! word        a ranked list: ba, be, bi, …, baba, …     the weight of rank r is 1 / (r + 2.7)
//! stretch     some hundred lines about one topic        half of the words are those of the topic: every Nth of the list
//! ```
//!
//! The frequencies of words follow Zipf's law, and words of a topic occur together, so a model has something to learn.
//!
//! Promises: a seed always gives the same text; it is written as it is generated, so memory does not depend on its size.
//! Not here: a language with known entropy (`tales`).

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use rondo_runs::write_atomically;

use crate::{DataError, Result, Split};

const CONSONANTS: &[u8] = b"bdfghjklmnprstvwzcxq";
const VOWELS: &[u8] = b"aeiou";
/// The shortest and the longest line, in words.
const WORDS_PER_LINE: std::ops::RangeInclusive<u32> = 5..=35;
/// The mean number of lines about one topic.
const LINES_PER_TOPIC: u32 = 200;
/// The number of lines between two reports of progress.
const LINES_PER_REPORT: u64 = 1 << 14;

/// A generated language of ranked words and topics.
///
/// ```
/// use rondo_data::ZipfText;
///
/// let language = ZipfText::new(1000, 10, 1)?;
/// let mut text = Vec::new();
/// let tokens = language.write(0, 100, &mut text, &mut |_| std::ops::ControlFlow::Continue(()))?;
/// assert!((100..140).contains(&tokens)); // to the end of the last line
/// assert!(text.starts_with(b"be redo "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ZipfText {
    words: Words,
    topics: usize,
    seed: u64,
    all: WeightedAliasIndex<u64>,
    /// For the words of one topic.
    of_topic: WeightedAliasIndex<u64>,
}

/// The files of a generated corpus, and their numbers of tokens.
pub type GeneratedFiles = Vec<(Split, PathBuf, u64)>;

/// Receives the number of tokens so far; `Break` stops the generation.
pub type TokenProgress<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

impl ZipfText {
    /// Creates a language with this number of words and of topics.
    ///
    /// # Errors
    /// [`DataError::ZeroSize`] if one of them is 0; [`DataError::TooManyTopics`] for fewer words than topics.
    pub fn new(vocab: usize, topics: usize, seed: u64) -> Result<Self> {
        if let Some((name, _)) =
            [("vocab", vocab), ("topics", topics)].into_iter().find(|(_, size)| *size == 0)
        {
            return Err(DataError::ZeroSize { name });
        }
        // Every topic has the same number of words, and the last words of the list can be in none.
        let too_many = || DataError::TooManyTopics { topics, vocab };
        let weights = |len: usize| {
            // In integers, which are the same on every machine: 10¹² / (r + 2.7).
            let weight = |rank| 10_000_000_000_000 / (10 * rank as u64 + 27);
            WeightedAliasIndex::new((0..len).map(weight).collect()).map_err(|_| too_many())
        };
        let (all, of_topic) = (weights(vocab)?, weights(vocab / topics)?);
        Ok(Self { words: Words::new(vocab), topics, seed, all, of_topic })
    }

    /// Writes lines until they have `tokens` tokens, where each line end is one, and returns how many they have. The
    /// streams of a seed are independent texts.
    ///
    /// # Errors
    /// Those of `to`; [`io::ErrorKind::Interrupted`] if `progress` stops it.
    pub fn write(
        &self,
        stream: u64,
        tokens: u64,
        to: &mut dyn Write,
        progress: &mut TokenProgress<'_>,
    ) -> io::Result<u64> {
        // The key is spelled out because a release of the library could change how `seed_from_u64` derives it.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        let (mut written, mut lines, mut topic) = (0, 0_u64, rng.random_range(0..self.topics));
        let mut line = Vec::new();
        while written < tokens {
            if rng.random_range(0..LINES_PER_TOPIC) == 0 {
                topic = rng.random_range(0..self.topics);
            }
            line.clear();
            let words = rng.random_range(WORDS_PER_LINE);
            for word in 0..words {
                if word > 0 {
                    line.push(b' ');
                }
                let word = if rng.random() {
                    self.of_topic.sample(&mut rng) * self.topics + topic
                } else {
                    self.all.sample(&mut rng)
                };
                line.extend_from_slice(self.words.get(word));
            }
            line.push(b'\n');
            to.write_all(&line)?;
            written += u64::from(words) + 1;
            lines += 1;
            if lines.is_multiple_of(LINES_PER_REPORT) && progress(written).is_break() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        Ok(written)
    }

    /// Writes a corpus into a folder: `train.txt` with `tokens` tokens, and `valid.txt` and `test.txt` with a thousandth of
    /// them each, but at least 10 000 and at most a million. `progress` receives the number of tokens of all files so far.
    ///
    /// # Errors
    /// [`DataError::Exists`] if one of the files is already there; [`DataError::Write`] and [`DataError::Runs`].
    pub fn write_corpus(
        &self,
        folder: &Path,
        tokens: u64,
        progress: &mut TokenProgress<'_>,
    ) -> Result<GeneratedFiles> {
        let small = (tokens / 1000).clamp(10_000, 1_000_000);
        let splits = [(Split::Train, tokens), (Split::Valid, small), (Split::Test, small)];
        let splits = splits.map(|(split, tokens)| (split, folder.join(format!("{split}.txt")), tokens));
        if let Some((_, path, _)) = splits.iter().find(|(_, path, _)| path.exists()) {
            return Err(DataError::Exists { path: path.clone() });
        }
        fs::create_dir_all(folder).map_err(|source| DataError::Write { path: folder.to_owned(), source })?;
        let (mut files, mut before) = (vec![], 0);
        for (stream, (split, path, tokens)) in (0..).zip(splits) {
            let mut written = 0;
            write_atomically(&path, |to| {
                written = self.write(stream, tokens, to, &mut |done| progress(before + done))?;
                Ok(())
            })?;
            before += written;
            files.push((split, path, written));
        }
        Ok(files)
    }
}

/// The words by rank, in one text.
#[derive(Debug)]
struct Words {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Words {
    fn new(len: usize) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(len));
        let syllables = CONSONANTS.len() * VOWELS.len();
        for rank in 0..len {
            // The rank in digits without a zero, so that no two words are the same, and frequent ones are short.
            let (mut rest, start) = (rank + 1, text.len());
            while rest > 0 {
                let digit = (rest - 1) % syllables;
                text.extend([CONSONANTS[digit / VOWELS.len()], VOWELS[digit % VOWELS.len()]]);
                rest = (rest - 1) / syllables;
            }
            debug_assert!(start < text.len(), "a word has a syllable");
            ends.push(text.len() as u32);
        }
        Self { text, ends }
    }

    fn get(&self, rank: usize) -> &[u8] {
        let start = rank.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[rank] as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Counter;

    fn text(language: &ZipfText, stream: u64, tokens: u64) -> String {
        let mut text = Vec::new();
        language.write(stream, tokens, &mut text, &mut |_| ControlFlow::Continue(())).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_text_and_a_longer_one_begins_with_it() {
        let language = |seed| ZipfText::new(5000, 7, seed).unwrap();
        let one = text(&language(1), 0, 2000);
        assert_eq!(one, text(&language(1), 0, 2000));
        assert!(text(&language(1), 0, 4000).starts_with(&one));
        assert_ne!(one, text(&language(1), 1, 2000));
        assert_ne!(one, text(&language(2), 0, 2000));
        // Pinned: published measurements name a seed.
        assert!(one.starts_with("bo qebi dufu niho calu tobo bu taba sejo hine hoba daki "));
    }

    #[test]
    fn all_words_are_different() {
        let words = Words::new(30_000);
        let all: HashSet<&[u8]> = (0..30_000).map(|rank| words.get(rank)).collect();
        assert_eq!(all.len(), 30_000);
        assert_eq!((words.get(0), words.get(99), words.get(100)), (&b"ba"[..], &b"qu"[..], &b"baba"[..]));
    }

    #[test]
    fn frequencies_follow_zipfs_law_and_topics_differ() {
        let language = ZipfText::new(1000, 4, 3).unwrap();
        let text = text(&language, 0, 400_000);
        let counter: Counter = text.split_whitespace().collect();
        let counts: Vec<u64> = counter.most_common().iter().map(|(_, count)| *count).collect();
        // From rank 20 to rank 200, frequencies fall by about a factor of ten.
        let ratio = counts[19] as f64 / counts[199] as f64;
        assert!((6.0..14.0).contains(&ratio), "{ratio}");
        // A frequent word of one topic is much more frequent in some stretches than in others.
        let word = std::str::from_utf8(language.words.get(0)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut densities: Vec<usize> = lines
            .chunks(100)
            .map(|lines| lines.iter().flat_map(|line| line.split(' ')).filter(|w| *w == word).count())
            .collect();
        densities.sort_unstable();
        assert!(densities[densities.len() * 9 / 10] > 2 * densities[densities.len() / 10]);
    }

    #[test]
    fn a_corpus_has_three_files_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let language = ZipfText::new(100, 1, 1).unwrap();
        let files = language.write_corpus(folder.path(), 20_000, &mut |_| ControlFlow::Continue(())).unwrap();
        let tokens: Vec<u64> = files
            .iter()
            .map(|(_, path, _)| {
                let text = fs::read_to_string(path).unwrap();
                text.lines().map(|line| line.split(' ').count() as u64 + 1).sum()
            })
            .collect();
        assert_eq!(tokens, files.iter().map(|(_, _, tokens)| *tokens).collect::<Vec<_>>());
        let again = language.write_corpus(folder.path(), 20_000, &mut |_| ControlFlow::Continue(()));
        let path = folder.path().join("train.txt");
        assert_eq!(again.unwrap_err().to_string(), format!("`{}` already exists", path.display()));
        let elsewhere = folder.path().join("stopped");
        language.write_corpus(&elsewhere, 2_000_000, &mut |_| ControlFlow::Break(())).unwrap_err();
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn sizes_must_fit() {
        assert_eq!(
            ZipfText::new(0, 1, 1).unwrap_err().to_string(),
            DataError::ZeroSize { name: "vocab" }.to_string()
        );
        let error = ZipfText::new(3, 4, 1).unwrap_err().to_string();
        assert_eq!(error, "4 topics need at least 4 words, and there are 3");
    }
}
