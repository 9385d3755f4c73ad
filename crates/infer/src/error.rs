//! Errors of this crate.

use std::path::PathBuf;

use rondo_data::DataError;
use rondo_kernels::{AvailableMemory, Bytes};
use rondo_nn::NnError;

use crate::compare::CompareUnit;
use crate::lattice::LatticeFault;
use crate::pairs::SuiteFault;
use crate::rescore::LineFault;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, InferError>;

/// Why a text could not be evaluated, scored or generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// The text could not be read or encoded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model could not be loaded, or its device failed.
    #[error(transparent)]
    Model(#[from] NnError),
    /// The text is too short: its first token is only read, not predicted.
    #[error("cannot evaluate a text of {tokens} tokens: it needs at least 2, one to read and one to predict")]
    TextTooShort {
        /// The number of tokens.
        tokens: usize,
    },
    /// A token id is not in the model's vocabulary.
    #[error("token id {id} is out of range: the model's vocabulary has {vocab_size} tokens")]
    IdOutOfRange {
        /// The token id.
        id: u32,
        /// The vocabulary size.
        vocab_size: usize,
    },
    /// A checkpoint was given instead of a model.
    #[error("`{}` is a checkpoint, from which a run resumes, and not a model{}", path.display(), beside(models))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The models next to it: of the best epoch, and the latest.
        models: Vec<PathBuf>,
    },
    /// A method that adapts to the text so far was requested for a model of independent lines or paragraphs.
    #[error(
        "{what} adapts a model to the text before a line, but this model was trained on independent {unit}s"
    )]
    IndependentUnits {
        /// The method.
        what: &'static str,
        /// `line` or `paragraph`.
        unit: &'static str,
    },
    /// Approximate probabilities were asked for, but no normalizer was fitted to the model.
    #[error("{} has no approximate normalizer", path.as_ref().map_or("the model".to_owned(), |path| format!("`{}`", path.display())))]
    NoNormalizer {
        /// The file of the model, if it has one.
        path: Option<PathBuf>,
    },
    /// The logits of a model are not those of a dense layer of the normalizer's width.
    #[error(
        "an approximate normalizer needs a model whose logits are those of a dense layer, of the width it was fitted to, and \
         not those of an adaptive softmax"
    )]
    NoDecoder,
    /// No perplexity is within the bounds of a filter.
    #[error("no perplexity is at least {min} and at most {max}")]
    Bounds {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
    /// Perplexities cannot be divided into buckets in this way.
    #[error("{reason}")]
    Buckets {
        /// What is wrong, with what was found.
        reason: String,
    },
    /// Something that is not known of an approximate model was asked for.
    #[error("{what} needs the whole distribution, which an approximate normalizer leaves out")]
    NeedsDistribution {
        /// What was asked for.
        what: &'static str,
    },
    /// Characters were asked for, but a model's tokens are words.
    #[error("a model with the tokenizer `{tokens}` has no surprisals of characters: its tokens are longer")]
    NoCharacters {
        /// The name of its tokenizer.
        tokens: String,
    },
    /// Something that is there for one model only was asked for with several.
    #[error("{what} can only be written for one model")]
    OneModel {
        /// What was asked for.
        what: &'static str,
    },
    /// The caller's progress callback stopped the evaluation.
    #[error("stopped after {done_tokens} of {total_tokens} tokens")]
    Stopped {
        /// The number of tokens predicted so far.
        done_tokens: u64,
        /// The total number of tokens to predict.
        total_tokens: u64,
    },
    /// A size that must be at least 1 is zero.
    #[error("`{name}` must be at least 1")]
    ZeroSize {
        /// The name of the setting.
        name: &'static str,
    },
    /// The sampling temperature is negative, infinite or NaN.
    #[error("`temperature` must be at least 0 and finite, but is {found}")]
    Temperature {
        /// The given value.
        found: f32,
    },
    /// `top_p` is not a probability above 0.
    #[error("`top_p` must be above 0 and at most 1, but is {found}")]
    TopP {
        /// The given value.
        found: f32,
    },
    /// `min_p` is not within `[0, 1]`.
    #[error("`min_p` must be at least 0 and at most 1, but is {found}")]
    MinP {
        /// The given value.
        found: f32,
    },
    /// The repetition penalty is not above 0, infinite or NaN.
    #[error("`repetition_penalty` must be above 0 and finite, but is {found}")]
    RepetitionPenalty {
        /// The given value.
        found: f32,
    },
    /// A setting is infinite or NaN.
    #[error("`{name}` must be finite, but is {found}")]
    NotFinite {
        /// The name of the setting.
        name: &'static str,
        /// The given value.
        found: f32,
    },
    /// The stream is not running.
    #[error("stream {id} is not running")]
    NoStream {
        /// The stream's id.
        id: u64,
    },
    /// A stop string is empty.
    #[error("stop strings cannot be empty: every text would stop at its beginning")]
    EmptyStopString,
    /// The folder contains no run, or the run has not saved a model yet.
    #[error("no model in `{}`: it contains no `{file}`", folder.display())]
    NoModel {
        /// The folder.
        folder: PathBuf,
        /// The model file that was expected.
        file: &'static str,
    },
    /// A model could not be opened.
    #[error("could not load model `{}`", path.display())]
    Open {
        /// The model file.
        path: PathBuf,
        /// The cause.
        source: NnError,
    },
    /// A model file does not contain a vocabulary, and none was found next to it.
    #[error("the model file contains no vocabulary, and none was found next to it")]
    NoVocabulary(#[source] DataError),
    /// The codec's vocabulary size differs from the model's.
    #[error("the codec has {found} tokens, but the model has {expected}")]
    CodecSize {
        /// The vocabulary size of the codec.
        found: usize,
        /// The vocabulary size of the model.
        expected: usize,
    },
    /// The number of states differs from the number of tokens.
    #[error("{states} states and {tokens} tokens: each state reads exactly one token")]
    Unpaired {
        /// The number of states.
        states: usize,
        /// The number of tokens.
        tokens: usize,
    },
    /// The vocabulary is not the one the model was trained with.
    #[error(
        "`{}` is not the model's vocabulary: its fingerprint is {found}, but the model's is {expected}",
        vocab.display()
    )]
    OtherVocabulary {
        /// Where the vocabulary comes from.
        vocab: PathBuf,
        /// Its fingerprint.
        found: String,
        /// The fingerprint of the model's vocabulary.
        expected: String,
    },
    /// The vocabulary size differs from the model's.
    #[error("`{}` has {found} tokens, but the model has {expected}", vocab.display())]
    VocabularySize {
        /// Where the vocabulary comes from.
        vocab: PathBuf,
        /// Its size.
        found: usize,
        /// The size of the model's vocabulary.
        expected: usize,
    },
    /// A file could not be written.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// The length penalty is negative, infinite or NaN.
    #[error("`length_penalty` must be at least 0 and finite, but is {found}")]
    LengthPenalty {
        /// The given exponent.
        found: f64,
    },
    /// `theta` of a neural cache is negative, infinite or NaN.
    #[error("`theta` must be at least 0 and finite, but is {found}")]
    Theta {
        /// The given value.
        found: f64,
    },
    /// `lambda` of a neural cache is not within `[0, 1)`.
    #[error("`lambda` must be at least 0 and below 1, but is {found}")]
    Lambda {
        /// The given value.
        found: f64,
    },
    /// The weight of a user's own words is not within `[0, 1)`.
    #[error("`user_weight` must be at least 0 and below 1, but is {found}")]
    UserWeight {
        /// The given value.
        found: f64,
    },
    /// The weight of a user's word is not above 0, infinite or NaN.
    #[error("the weight of `{word}` must be above 0 and finite, but is {found}")]
    WordWeight {
        /// The word.
        word: String,
        /// The given value.
        found: f64,
    },
    /// Something that there is for words only was asked of a model of other tokens.
    #[error("{what} need a model of words, and the tokenizer of this one is `{tokens}`")]
    NeedsWords {
        /// What was asked for.
        what: &'static str,
        /// The name of its tokenizer.
        tokens: String,
    },
    /// The weight of an n-gram model is not within `[0, 1]`.
    #[error("`ngram_weight` must be at least 0 and at most 1, but is {found}")]
    NgramWeight {
        /// The given value.
        found: f64,
    },
    /// An n-gram model of words cannot be interpolated with a model of other tokens.
    #[error("the model predicts {tokens}: only a model of words can be interpolated with an n-gram model")]
    NgramOfWords {
        /// The model's tokenizer.
        tokens: String,
    },
    /// The grid for tuning a neural cache is empty.
    #[error("no values of `{name}` to try")]
    EmptyGrid {
        /// The setting without values.
        name: &'static str,
    },
    /// Every token of the vocabulary is forbidden.
    #[error("all {vocab_size} tokens of the vocabulary are forbidden")]
    AllForbidden {
        /// The vocabulary size.
        vocab_size: usize,
    },
    /// A line of a list cannot be parsed.
    #[error("{origin}, line {line}: {fault}")]
    ListLine {
        /// The list.
        origin: String,
        /// The line number, from 1.
        line: usize,
        /// The cause.
        fault: LineFault,
    },
    /// A line of a file of lattices cannot be parsed.
    #[error("{origin}, line {line}: {fault}")]
    LatticeLine {
        /// The file.
        origin: String,
        /// The line number, from 1.
        line: usize,
        /// The cause.
        fault: LatticeFault,
    },
    /// A graph is no lattice, or cannot be searched.
    #[error("`{origin}`, lattice `{id}`: {fault}")]
    Lattice {
        /// The file.
        origin: String,
        /// The id of the lattice.
        id: String,
        /// The cause.
        fault: LatticeFault,
    },
    /// A list is empty.
    #[error("{origin} is empty: it contains no {what}")]
    EmptyList {
        /// The list.
        origin: String,
        /// What it should contain.
        what: &'static str,
    },
    /// A file is no test suite, or none that can be evaluated.
    #[error("`{origin}`: {fault}")]
    Suite {
        /// The file.
        origin: String,
        /// The cause.
        fault: SuiteFault,
    },
    /// A table has no columns of minimal pairs.
    #[error(
        "`{origin}` has no minimal pairs: it needs the columns `sentence_good` and `sentence_bad`, or two columns \
         without names, and has {columns}"
    )]
    PairColumns {
        /// The file.
        origin: String,
        /// The number of its columns.
        columns: usize,
    },
    /// A file of minimal pairs has none.
    #[error("`{origin}` is empty: it contains no minimal pairs")]
    NoPairs {
        /// The file.
        origin: String,
    },
    /// A token of a text is part of two of its regions, or does not match the text.
    #[error("the token `{token}` of `{text}` cannot be assigned to one of its regions")]
    Unaligned {
        /// The text.
        text: String,
        /// The token.
        token: String,
    },
    /// Models that must have the same tokens have different ones.
    #[error("{what} needs models with the same tokens, and these have {}", tokens.join(" and "))]
    DifferentTokens {
        /// What needs them.
        what: &'static str,
        /// What the tokens of each model are.
        tokens: Vec<String>,
    },
    /// There is nothing to compare.
    #[error("there is nothing to compare: no line has {}s that both models can score", unit.name())]
    NothingToCompare {
        /// The unit.
        unit: CompareUnit,
    },
    /// The prefix is empty.
    #[error("the prefix is empty: a model must read at least one token before it can predict the next")]
    EmptyPrefix,
    /// The work does not fit in memory.
    #[error("{what} needs about {} of memory, but only {} can be used ({}): reduce {reduce}", Bytes(*needed), Bytes(available.bytes), available.limit)]
    NotEnoughMemory {
        /// The work.
        what: &'static str,
        /// The bytes that it needs.
        needed: u64,
        /// The bytes that can be allocated.
        available: AvailableMemory,
        /// What to reduce.
        reduce: &'static str,
    },
    /// The model has no embedding to compare words by.
    #[error("the model has no embedding: its input is one-hot, so it has no vectors to compare words by")]
    NoEmbedding,
    /// The embedding of a token contains NaN or infinity.
    #[error("the embedding of `{token}` is NaN or infinite: the model is damaged, or training diverged")]
    NonFiniteEmbedding {
        /// The token.
        token: String,
    },
    /// A word is not in the vocabulary.
    #[error("`{word}` is not in the model's vocabulary{}", most_similar(nearest))]
    UnknownWord {
        /// The word.
        word: String,
        /// Known words that are spelled similarly, the most similar first.
        nearest: Vec<String>,
    },
    /// The model's logits are NaN or infinite.
    #[error("the model's logits are NaN or infinite: its parameters are damaged, or training diverged")]
    NonFiniteLogits,
}

/// Names the known words for the end of a message.
fn most_similar(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!("; the most similar word is `{one}`"),
        words => format!("; the most similar words are `{}`", words.join("`, `")),
    }
}

/// Names the models next to a checkpoint.
fn beside(models: &[PathBuf]) -> String {
    let names: Vec<String> = models.iter().map(|model| format!("`{}`", model.display())).collect();
    match names.as_slice() {
        [] => String::new(),
        [model] => format!("; its run has saved the model {model}"),
        models => format!("; its run has saved the models {}", models.join(" and ")),
    }
}
