//! Filtering a text by perplexity and by the ranks of its tokens, and dividing it into buckets.
//!
//! ```text
//! texts ─▶ lines ─▶ log-probabilities ─▶ perplexity per word ─┬▶ within bounds? ─┬▶ kept : dropped
//!                └▶ ranks ─▶ unlikely tokens ─────────────────┼▶ none? ──────────┘
//!                                                             └▶ head | middle | tail      by cutoffs
//! ```
//!
//! The perplexity of a text is per word, so that models with different tokenizers compare: `exp` of the negative
//! log-likelihood of its lines and their ends, divided by the number of words between whitespace plus that of lines.
//! Each line is scored on its own, after a line end. An unknown word costs what an unseen word costs: the probability of
//! the unknown token is shared among as many unseen words as there are unknown words in the training text.
//!
//! Buckets are as those of CCNet: cutoffs are quantiles of the perplexities of a sample, so that each bucket has its
//! fraction of texts like those of the sample.
//!
//! Promises: every text is counted once, as kept or dropped; memory does not grow with the number of texts.
//! Not here: files, records, printing.
//!
//! *Source*: Wenzek et al. 2020 (*CCNet: Extracting high quality monolingual datasets from web crawl data*).

use std::num::NonZeroU32;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_data::{EncodedLine, LineEncoder, TextCodec};

use crate::{InferError, LanguageModel, Result, Scorer, Scoring, SentenceScore};

/// What a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterUnit {
    /// A line: line breaks in it are read as spaces.
    #[default]
    Line,
    /// A document of lines, each of which is scored on its own. Blank lines do not count.
    Document,
}

/// How texts are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Filtering {
    /// What a text is.
    pub unit: FilterUnit,
    /// The smallest perplexity of texts that are kept.
    pub min_perplexity: f64,
    /// The largest.
    pub max_perplexity: f64,
    /// If given, only texts are kept whose tokens are all known and among this number of most likely ones in their place.
    pub max_rank: Option<NonZeroU32>,
    /// Whether to keep what would be dropped instead.
    pub invert: bool,
    /// The number of unseen words that share the unknown token's probability. `None` for the number of unknown words in
    /// the training text; if that is not known, or 0, the size of the vocabulary.
    pub unknown_words: Option<u64>,
    /// How many lines are scored in a batch.
    pub batch_size: usize,
}

impl Default for Filtering {
    /// All lines are kept.
    fn default() -> Self {
        Filtering {
            unit: FilterUnit::Line,
            min_perplexity: 0.0,
            max_perplexity: f64::INFINITY,
            max_rank: None,
            invert: false,
            unknown_words: None,
            batch_size: 32,
        }
    }
}

/// What is to be done with a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Its perplexity per word; infinite if it has characters that the model's vocabulary does not contain.
    pub perplexity: f64,
    /// The number of its tokens that are unknown, or rank below [`Filtering::max_rank`]; 0 if that is not given.
    pub unlikely_tokens: usize,
    /// Whether it is kept.
    pub is_kept: bool,
    /// Its bucket, if there are buckets.
    pub bucket: Option<usize>,
}

/// What was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSummary {
    /// The number of texts that are kept.
    pub kept: u64,
    /// The number of texts that are dropped.
    pub dropped: u64,
    /// The number of their tokens.
    pub tokens: u64,
    /// The number of tokens that are unknown, or not in the vocabulary.
    pub unknown_tokens: u64,
    /// The number of texts with a perplexity up to each of [`PERPLEXITIES`](Self::PERPLEXITIES), and of those beyond.
    pub histogram: [u64; FilterSummary::PERPLEXITIES.len() + 1],
    /// The number of texts that are kept in each bucket; empty without buckets.
    pub buckets: Vec<u64>,
}

impl FilterSummary {
    /// The perplexities at which the histogram is divided.
    pub const PERPLEXITIES: [f64; 7] = [25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0];

    /// The number of texts.
    pub fn texts(&self) -> u64 {
        self.kept + self.dropped
    }

    /// The fraction of tokens that are unknown.
    pub fn unknown_share(&self) -> f64 {
        self.unknown_tokens as f64 / self.tokens.max(1) as f64
    }

    fn add(&mut self, lines: &[EncodedLine], verdict: Verdict) {
        *(if verdict.is_kept { &mut self.kept } else { &mut self.dropped }) += 1;
        for line in lines {
            self.tokens += line.tokens.len() as u64;
            self.unknown_tokens += line.unknown_tokens + line.missing.len() as u64;
        }
        self.histogram[Self::PERPLEXITIES.partition_point(|&end| end < verdict.perplexity)] += 1;
        if let Some(bucket) = verdict.bucket.filter(|_| verdict.is_kept) {
            self.buckets[bucket] += 1;
        }
    }
}

/// Names of buckets and the perplexities at which they end.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    names: Vec<String>,
    cutoffs: Vec<f64>,
}

impl Buckets {
    /// Buckets that end at these perplexities, which increase; the last has no end.
    ///
    /// # Errors
    /// [`InferError::Buckets`] unless there are at least two different names, and one cutoff less, in order.
    pub fn new(names: Vec<String>, cutoffs: Vec<f64>) -> Result<Buckets> {
        let refuse = |reason| Err(InferError::Buckets { reason });
        if names.len() < 2 {
            return refuse(format!("there must be at least 2 buckets: `{}`", names.join(",")));
        }
        if (1..names.len()).any(|place| names[..place].contains(&names[place])) {
            return refuse(format!("the names of buckets must differ: `{}`", names.join(",")));
        }
        if cutoffs.len() + 1 != names.len() {
            let (count, needed, found) = (names.len(), names.len() - 1, cutoffs.len());
            return refuse(format!("{count} buckets need {needed} cutoffs or quantiles, not {found}"));
        }
        if cutoffs.iter().any(|cutoff| cutoff.is_nan()) || !cutoffs.is_sorted() {
            return refuse(format!("the cutoffs of buckets must increase: {cutoffs:?}"));
        }
        Ok(Buckets { names, cutoffs })
    }

    /// Buckets that divide a sample of perplexities at these quantiles. A bucket contains the texts up to its quantile.
    ///
    /// # Errors
    /// [`InferError::Buckets`] unless there is one quantile less than names, they increase and are between 0 and 1, and
    /// the sample has at least one perplexity for each bucket.
    pub fn of_sample(names: Vec<String>, quantiles: &[f64], mut sample: Vec<f64>) -> Result<Buckets> {
        let is_within = |quantile: &f64| *quantile > 0.0 && *quantile < 1.0;
        if !quantiles.iter().all(is_within) || !quantiles.is_sorted_by(|a, b| a < b) {
            let reason =
                format!("the quantiles of buckets must increase, and be between 0 and 1: {quantiles:?}");
            return Err(InferError::Buckets { reason });
        }
        if sample.len() < names.len() {
            let (texts, buckets) = (sample.len(), names.len());
            let reason = format!("a reference of {texts} texts is too small for {buckets} buckets");
            return Err(InferError::Buckets { reason });
        }
        sample.sort_by(f64::total_cmp);
        // The smallest perplexity that this fraction of the sample does not exceed; products are rounded.
        let quantile = |&quantile: &f64| {
            let rank = (quantile * sample.len() as f64 - 1e-9).ceil() as usize;
            sample[rank.clamp(1, sample.len()) - 1]
        };
        Buckets::new(names, quantiles.iter().map(quantile).collect())
    }

    /// Quantiles that divide a sample into this many equal parts.
    pub fn even_quantiles(count: usize) -> Vec<f64> {
        (1..count).map(|place| place as f64 / count as f64).collect()
    }

    /// Their names, from the lowest perplexity to the highest.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The perplexities up to which each bucket goes; the last has no end.
    pub fn cutoffs(&self) -> &[f64] {
        &self.cutoffs
    }

    /// The bucket of a perplexity.
    pub fn place(&self, perplexity: f64) -> usize {
        self.cutoffs.partition_point(|&cutoff| cutoff < perplexity)
    }
}

/// A random sample of texts of a fixed size, in which each text that was added is equally likely.
#[derive(Debug)]
pub struct TextSample {
    size: usize,
    seen: u64,
    texts: Vec<Vec<u8>>,
    random: ChaCha8Rng,
}

impl TextSample {
    /// An empty sample for at most `size` texts; the same seed gives the same sample.
    pub fn new(size: usize, seed: u64) -> TextSample {
        TextSample { size, seen: 0, texts: Vec::new(), random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Adds a text.
    ///
    /// *Source*: Vitter 1985, algorithm R.
    pub fn add(&mut self, text: Vec<u8>) {
        self.seen += 1;
        if self.texts.len() < self.size {
            return self.texts.push(text);
        }
        let place = self.random.random_range(0..self.seen);
        if let Some(kept) = usize::try_from(place).ok().and_then(|place| self.texts.get_mut(place)) {
            *kept = text;
        }
    }

    /// The number of texts that were added.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The texts of the sample.
    pub fn texts(&self) -> &[Vec<u8>] {
        &self.texts
    }
}

/// A text that was scored.
struct Read {
    lines: Vec<EncodedLine>,
    perplexity: f64,
    unlikely_tokens: usize,
}

/// Judges texts by their perplexity, and by the ranks of their tokens.
///
/// ```
/// use rondo_data::{TextCodec, Tokenizer, Vocab};
/// use rondo_infer::{Filter, Filtering, LanguageModel, ModelHandle};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all four tokens are equally likely.
/// let vocab = Vocab::from_tokens("example", ["<eos>", "the", "cat", "."], None)?;
/// let model = RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?;
/// let model = LanguageModel::new(ModelHandle::new(model), TextCodec::new(Tokenizer::moses(), vocab))?;
///
/// let mut filter = Filter::new(&model, Filtering { max_perplexity: 7.0, ..Filtering::default() })?;
/// // Four tokens and the line end, for three words and the line end.
/// let verdicts = filter.judge(&["the cat the".as_bytes(), "cat.".as_bytes()])?;
/// assert!(verdicts[0].is_kept && (verdicts[0].perplexity - 4.0).abs() < 1e-4);
/// assert!(!verdicts[1].is_kept && (verdicts[1].perplexity - 8.0).abs() < 1e-4);
/// assert_eq!((filter.summary().kept, filter.summary().dropped), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Filter {
    options: Filtering,
    codec: TextCodec,
    encoder: LineEncoder,
    scorer: Scorer,
    /// What each unknown token adds to the negative log-likelihood of its line.
    unknown_cost: f64,
    buckets: Option<Buckets>,
    summary: FilterSummary,
}

impl Filter {
    /// A filter that has judged nothing yet, without buckets.
    ///
    /// # Errors
    /// [`InferError::Bounds`] if no perplexity is within the bounds; [`InferError::ZeroSize`] if a size is 0;
    /// [`InferError::NeedsDistribution`] for ranks of an approximate model.
    pub fn new(model: &LanguageModel, options: Filtering) -> Result<Filter> {
        let (min, max) = (options.min_perplexity, options.max_perplexity);
        if min.is_nan() || max.is_nan() || min > max {
            return Err(InferError::Bounds { min, max });
        }
        if options.unknown_words == Some(0) {
            return Err(InferError::ZeroSize { name: "unknown_words" });
        }
        let codec = model.codec().clone();
        let (start, batch_size) = (codec.line_end(), options.batch_size);
        let mut scorer = model.scorer(Scoring { start, batch_size, ..Scoring::default() })?;
        if options.max_rank.is_some() {
            scorer = scorer.with_ranks()?;
        }
        let unknown_cost = (unseen_words(&codec, options.unknown_words) as f64).ln();
        let encoder = codec.line_encoder("the text");
        let summary = FilterSummary::default();
        Ok(Filter { options, codec, encoder, scorer, unknown_cost, buckets: None, summary })
    }

    /// The same, with buckets.
    #[must_use]
    pub fn with_buckets(mut self, buckets: Buckets) -> Filter {
        self.summary.buckets = vec![0; buckets.names.len()];
        Filter { buckets: Some(buckets), ..self }
    }

    /// The buckets, if there are any.
    pub fn buckets(&self) -> Option<&Buckets> {
        self.buckets.as_ref()
    }

    /// What was judged so far.
    pub fn summary(&self) -> &FilterSummary {
        &self.summary
    }

    /// Judges texts, and counts them.
    ///
    /// # Errors
    /// As [`perplexities`](Self::perplexities); nothing is counted then.
    pub fn judge<T: AsRef<[u8]>>(&mut self, texts: &[T]) -> Result<Vec<Verdict>> {
        let read = self.read(texts)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        for Read { lines, perplexity, unlikely_tokens } in read {
            let Filtering { min_perplexity, max_perplexity, invert, .. } = self.options;
            let is_within =
                perplexity >= min_perplexity && perplexity <= max_perplexity && unlikely_tokens == 0;
            let bucket = self.buckets.as_ref().map(|buckets| buckets.place(perplexity));
            let verdict = Verdict { perplexity, unlikely_tokens, is_kept: is_within != invert, bucket };
            self.summary.add(&lines, verdict);
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// The perplexity of each text, without counting it.
    ///
    /// # Errors
    /// [`InferError::Data`] for bytes that are not text, [`InferError::NonFiniteLogits`].
    pub fn perplexities<T: AsRef<[u8]>>(&mut self, texts: &[T]) -> Result<Vec<f64>> {
        Ok(self.read(texts)?.into_iter().map(|read| read.perplexity).collect())
    }

    /// Scores texts.
    fn read<T: AsRef<[u8]>>(&mut self, texts: &[T]) -> Result<Vec<Read>> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let encode = |line: Vec<u8>| self.encoder.encode(&line);
            let lines = lines_of(text.as_ref(), self.options.unit).into_iter().map(encode);
            all.push(lines.collect::<rondo_data::Result<Vec<_>>>()?);
        }
        let possible = all.iter().flatten().filter(|line| line.missing.is_empty());
        let ids: Vec<&[u32]> = possible.map(|line| line.ids.as_slice()).collect();
        let mut scores = self.scorer.score(&ids)?.into_iter();
        let mut read = Vec::with_capacity(all.len());
        for lines in all {
            let (mut nll, mut units, mut unlikely_tokens) = (0.0, 0, 0);
            for line in &lines {
                let score = if line.missing.is_empty() { scores.next() } else { None };
                nll += self.nll(line, score.as_ref());
                unlikely_tokens += self.unlikely_tokens(line, score.as_ref());
                let words = self.codec.as_read(&line.text);
                units += String::from_utf8_lossy(&words).split_whitespace().count() + 1;
            }
            read.push(Read { lines, perplexity: (nll / units as f64).exp(), unlikely_tokens });
        }
        Ok(read)
    }

    /// The negative log-likelihood of a line; infinite if it has characters that the model does not know.
    fn nll(&self, line: &EncodedLine, score: Option<&SentenceScore>) -> f64 {
        score.map_or(f64::INFINITY, |score| {
            line.unknown_tokens as f64 * self.unknown_cost - score.log_prob_sum
        })
    }

    /// How many tokens of a line are unlikely, if that is asked for; characters that the model does not know are.
    fn unlikely_tokens(&self, line: &EncodedLine, score: Option<&SentenceScore>) -> usize {
        let Some(max_rank) = self.options.max_rank else { return 0 };
        let unlikely =
            |score: &SentenceScore| score.unlikely_tokens(&line.ids, self.codec.unknown_id(), max_rank);
        score.map_or(0, unlikely) + line.missing.len()
    }
}

/// The lines of a text, at least one.
fn lines_of(text: &[u8], unit: FilterUnit) -> Vec<Vec<u8>> {
    let unbroken = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if unit == FilterUnit::Line {
        let one_line = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        return vec![unbroken(text).iter().map(one_line).collect()];
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<Vec<u8>> = lines.map(unbroken).collect();
    if lines.is_empty() { vec![Vec::new()] } else { lines }
}

/// The number of words that share the probability of the unknown token.
fn unseen_words(codec: &TextCodec, given: Option<u64>) -> u64 {
    let vocab = codec.vocab();
    let counted = codec.unknown_id().and_then(|id| vocab.count(id)).filter(|&count| count > 0);
    given.or(counted).unwrap_or(vocab.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        ["head", "middle", "tail"].into_iter().take(count).map(str::to_owned).collect()
    }

    #[test]
    fn quantiles_divide_a_sample_evenly() {
        for count in [9, 10, 300] {
            let sample: Vec<f64> = (0..count).rev().map(f64::from).collect();
            let buckets = Buckets::of_sample(names(3), &Buckets::even_quantiles(3), sample.clone()).unwrap();
            let mut counts = [0_i32; 3];
            sample.iter().for_each(|&perplexity| counts[buckets.place(perplexity)] += 1);
            assert!(counts.iter().all(|&own| (own - count / 3).abs() <= 1), "{counts:?}");
        }
        let sample = vec![1.0, 2.0, f64::INFINITY, f64::INFINITY];
        let buckets = Buckets::of_sample(names(2), &[0.75], sample).unwrap();
        assert_eq!((buckets.cutoffs(), buckets.place(f64::INFINITY)), (&[f64::INFINITY][..], 0));
    }

    #[test]
    fn what_gives_no_buckets_says_why() {
        let check =
            |found: Result<Buckets>, expected: &str| assert_eq!(found.unwrap_err().to_string(), expected);
        check(Buckets::new(names(3), vec![1.0]), "3 buckets need 2 cutoffs or quantiles, not 1");
        check(Buckets::new(names(1), vec![]), "there must be at least 2 buckets: `head`");
        check(Buckets::new(names(3), vec![2.0, 1.0]), "the cutoffs of buckets must increase: [2.0, 1.0]");
        let twice = vec!["a".to_owned(), "a".to_owned()];
        check(Buckets::new(twice, vec![2.0]), "the names of buckets must differ: `a,a`");
        let between = "the quantiles of buckets must increase, and be between 0 and 1: ";
        check(Buckets::of_sample(names(2), &[1.0], vec![1.0; 9]), &format!("{between}[1.0]"));
        check(Buckets::of_sample(names(3), &[0.6, 0.3], vec![1.0; 9]), &format!("{between}[0.6, 0.3]"));
        let small = "a reference of 2 texts is too small for 3 buckets";
        check(Buckets::of_sample(names(3), &[0.3, 0.6], vec![1.0; 2]), small);
    }

    #[test]
    fn each_text_is_equally_likely_in_a_sample() {
        let mut counts = [0; 20];
        for seed in 0..2_000 {
            let mut sample = TextSample::new(5, seed);
            (0..20).for_each(|text| sample.add(vec![text]));
            assert_eq!((sample.texts().len(), sample.seen()), (5, 20));
            sample.texts().iter().for_each(|text| counts[usize::from(text[0])] += 1);
        }
        // 500 each, with a standard deviation of 19.
        assert!(counts.iter().all(|&count: &i32| (count - 500).abs() < 100), "{counts:?}");
    }

    #[test]
    fn a_document_has_lines_and_a_line_has_none() {
        let lines = |text: &str, unit| {
            let lines = lines_of(text.as_bytes(), unit).into_iter();
            lines.map(|line| String::from_utf8(line).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(lines("a\r\n \n\nb\n", FilterUnit::Document), ["a", "b"]);
        assert_eq!(lines("a\nb\r\n", FilterUnit::Line), ["a b"]);
        assert_eq!(lines("\n\n", FilterUnit::Document), [""]);
    }
}
