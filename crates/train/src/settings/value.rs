//! The types of settings: how their values are read from flags and TOML, and written.

use std::path::PathBuf;

use rondo_data::{
    BatchOrder, BlankLines, Division, Joints, LastBatch, Normalization, Punctuation, TokenizerChoice,
    VocabOrder, VocabSplits, or_nearest,
};
use rondo_kernels::{DeviceChoice, PrecisionChoice};
use rondo_nn::{Cell, Initializer};
use serde::{Serialize, Serializer};
use toml::Value as Toml;

use super::averaging_kind::AveragingKind;
use super::byte_size::ByteSize;
use super::choices::*;
use super::interval::{CheckpointEvery, TimeLimit};
use super::softmax_kind::{SamplerKind, SoftmaxKind};
use crate::error::listed;

/// The kind of values that a setting takes, as needed to define its command-line flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`; a flag without a value means `true`.
    Switch,
    /// One value of any other kind.
    One,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any number of values; a single empty value is an empty list.
    Many,
    /// Any number of these words; a single empty value is an empty list.
    ManyOf(&'static [&'static str]),
}

/// The type of a setting. The errors of reading it say what was expected: `expected …`.
pub(super) trait Value: Sized {
    const KIND: Kind;

    fn from_texts(texts: &[&str]) -> Result<Self, String>;
    fn texts(&self) -> Vec<String>;
    fn from_toml(value: &Toml) -> Result<Self, String>;
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
}

/// The text of a setting that takes a single value.
fn only<'a>(texts: &[&'a str]) -> Result<&'a str, String> {
    match texts {
        [text] => Ok(text),
        texts => Err(format!("expected one value, found {}", texts.len())),
    }
}

/// The texts of a setting that takes any number of values.
fn many<'a>(texts: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    texts.iter().copied().filter(move |_| texts != [""])
}

/// Implements settings that have their own TOML type and are written in flags as in Rust. The integers of TOML
/// are below 2⁶³.
macro_rules! native {
    ($($value:ty: $kind:expr, $expected:literal, $from_toml:expr, $fits:expr;)+) => { $(
        impl Value for $value {
            const KIND: Kind = $kind;

            fn from_texts(texts: &[&str]) -> Result<Self, String> {
                let (value, fits): ($value, fn(&$value) -> bool) =
                    (only(texts)?.parse().map_err(|_| $expected.to_owned())?, $fits);
                if fits(&value) { Ok(value) } else { Err(format!("expected at most {}", i64::MAX)) }
            }

            fn texts(&self) -> Vec<String> {
                vec![self.to_string()]
            }

            fn from_toml(value: &Toml) -> Result<Self, String> {
                let from_toml: fn(&Toml) -> Option<$value> = $from_toml;
                from_toml(value).ok_or_else(|| $expected.to_owned())
            }

            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                Serialize::serialize(self, to)
            }
        }
    )+ };
}

native! {
    bool: Kind::Switch, "expected `true` or `false`", Toml::as_bool, |_| true;
    u64: Kind::One, "expected a non-negative integer", |value| value.as_integer()?.try_into().ok(),
        |&number| i64::try_from(number).is_ok();
    usize: Kind::One, "expected a non-negative integer", |value| value.as_integer()?.try_into().ok(),
        |&number| i64::try_from(number).is_ok();
    f32: Kind::One, "expected a number", |value| Some(number(value)? as f32), |_| true;
    f64: Kind::One, "expected a number", number, |_| true;
    String: Kind::One, "expected text in quotes", |value| value.as_str().map(str::to_owned), |_| true;
}

/// A number in TOML, with or without a fraction.
fn number(value: &Toml) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64))
}

/// The items of a list in TOML.
fn items<V>(value: &Toml, item: impl Fn(&Toml) -> Result<V, String>) -> Result<Vec<V>, String> {
    let of_items = |reason: String| {
        format!("expected a list, each item {}", reason.strip_prefix("expected ").unwrap_or(&reason))
    };
    match value {
        Toml::Array(items) => items.iter().map(&item).collect::<Result<_, _>>().map_err(of_items),
        single => Err(match item(single) {
            Ok(_) => format!("expected a list, `[{single}]`"),
            Err(reason) => of_items(reason),
        }),
    }
}

/// The type of a setting that is written as a string both in flags and in TOML.
trait Word: Sized {
    const WORDS: Option<&'static [&'static str]>;

    fn from_word(word: &str) -> Result<Self, String>;
    fn word(&self) -> String;
}

/// The value that `find` returns for `word`, or an error that lists the expected words.
fn chosen<T>(word: &str, words: &[&str], find: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
    find(word).ok_or_else(|| format!("expected {}{}", listed(words), or_nearest(word, words.iter().copied())))
}

macro_rules! words {
    ($($choice:ty),+) => { $(
        impl Word for $choice {
            const WORDS: Option<&'static [&'static str]> = Some(<$choice>::NAMES);

            fn from_word(word: &str) -> Result<Self, String> {
                chosen(word, <$choice>::NAMES, <$choice>::from_name)
            }

            fn word(&self) -> String {
                self.name().to_owned()
            }
        }
    )+ };
}

words!(
    ModelInput,
    Site,
    OptimizerKind,
    ResetState,
    LossReduction,
    StepDivisor,
    ClipUnit,
    ScheduleKind,
    OnNan
);

/// Implements choices whose type is defined in another crate. The match in `word` ensures that no variant is
/// missing.
macro_rules! words_of {
    ($($choice:ty { $($variant:ident = $word:literal),+ })+) => { $(
        impl Word for $choice {
            const WORDS: Option<&'static [&'static str]> = Some(&[$($word),+]);

            fn from_word(word: &str) -> Result<Self, String> {
                chosen(word, &[$($word),+], |word| match word {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                })
            }

            fn word(&self) -> String {
                match self { $( Self::$variant => $word.to_owned(), )+ }
            }
        }
    )+ };
}

words_of! {
    BlankLines { Keep = "keep", Skip = "skip" }
    Normalization { None = "none", Nfc = "nfc", Nfkc = "nfkc" }
    Punctuation { Keep = "keep", Remove = "remove" }
    Joints { Keep = "keep", Dashes = "dashes", All = "all" }
    Division { End = "end", RandomLines = "random-lines" }
    VocabOrder { Frequency = "frequency", FirstAppearance = "first-appearance" }
    VocabSplits { Train = "train", All = "all" }
    LastBatch { Keep = "keep", Discard = "discard" }
    BatchOrder { Sequential = "sequential", Shuffled = "shuffled" }
}

/// The names of [`Cell::ALL`], which cannot be computed at compile time.
const CELLS: &[&str] = &["rnn_tanh", "rnn_relu", "lstm", "mogrifier", "cifg", "gru"];

impl Word for Cell {
    const WORDS: Option<&'static [&'static str]> = Some(CELLS);

    fn from_word(word: &str) -> Result<Self, String> {
        chosen(word, CELLS, |word| word.parse().ok())
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for Initializer {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        let expected = "expected `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`";
        word.parse().map_err(|_| expected.to_owned())
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for TokenizerChoice {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for DeviceChoice {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse().map_err(|_| "expected `cpu`, `gpu`, `gpu:N` or `auto`".to_owned())
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for PrecisionChoice {
    const WORDS: Option<&'static [&'static str]> = Some(&["f32", "bf16x3", "bf16", "auto"]);

    fn from_word(word: &str) -> Result<Self, String> {
        chosen(word, &["f32", "bf16x3", "bf16", "auto"], |word| word.parse().ok())
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for AveragingKind {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for SoftmaxKind {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for SamplerKind {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for TimeLimit {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for ByteSize {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for CheckpointEvery {
    const WORDS: Option<&'static [&'static str]> = None;

    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
    }

    fn word(&self) -> String {
        self.to_string()
    }
}

/// The word in TOML.
fn word_from_toml<W: Word>(value: &Toml) -> Result<W, String> {
    // A value that is no text is in no list of words, so the error is the same.
    W::from_word(value.as_str().unwrap_or_default())
}

impl<W: Word> Value for W {
    const KIND: Kind = match W::WORDS {
        Some(words) => Kind::OneOf(words),
        None => Kind::One,
    };

    fn from_texts(texts: &[&str]) -> Result<Self, String> {
        W::from_word(only(texts)?)
    }

    fn texts(&self) -> Vec<String> {
        vec![self.word()]
    }

    fn from_toml(value: &Toml) -> Result<Self, String> {
        word_from_toml(value)
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.word())
    }
}

impl<W: Word> Value for Vec<W> {
    const KIND: Kind = match W::WORDS {
        Some(words) => Kind::ManyOf(words),
        None => Kind::Many,
    };

    fn from_texts(texts: &[&str]) -> Result<Self, String> {
        many(texts).map(W::from_word).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.iter().map(W::word).collect()
    }

    fn from_toml(value: &Toml) -> Result<Self, String> {
        items(value, word_from_toml)
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.texts())
    }
}

impl Value for Vec<usize> {
    const KIND: Kind = Kind::Many;

    fn from_texts(texts: &[&str]) -> Result<Self, String> {
        many(texts).map(|text| usize::from_texts(&[text])).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.iter().map(usize::to_string).collect()
    }

    fn from_toml(value: &Toml) -> Result<Self, String> {
        items(value, usize::from_toml)
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, to)
    }
}

impl Value for PathBuf {
    const KIND: Kind = Kind::One;

    fn from_texts(texts: &[&str]) -> Result<Self, String> {
        only(texts).map(PathBuf::from)
    }

    fn texts(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }

    fn from_toml(value: &Toml) -> Result<Self, String> {
        String::from_toml(value).map(PathBuf::from)
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, to)
    }
}

/// Implements lists whose items have their own TOML type and for which any text is valid.
macro_rules! lists {
    ($($item:ty, $text:expr;)+) => { $(
        impl Value for Vec<$item> {
            const KIND: Kind = Kind::Many;

            fn from_texts(texts: &[&str]) -> Result<Self, String> {
                Ok(many(texts).map(<$item>::from).collect())
            }

            fn texts(&self) -> Vec<String> {
                self.iter().map($text).collect()
            }

            fn from_toml(value: &Toml) -> Result<Self, String> {
                items(value, <$item>::from_toml)
            }

            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                Serialize::serialize(self, to)
            }
        }
    )+ };
}

lists! {
    String, String::clone;
    PathBuf, |path| path.display().to_string();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_are_all_there() {
        assert_eq!(CELLS, Cell::ALL.map(Cell::name));
    }

    #[test]
    fn texts_are_read_or_it_is_said_what_was_expected() {
        assert_eq!(f64::from_texts(&["0.25"]), Ok(0.25));
        assert_eq!(usize::from_texts(&["-1"]).unwrap_err(), "expected a non-negative integer");
        assert_eq!(usize::from_texts(&["1", "2"]).unwrap_err(), "expected one value, found 2");
        assert_eq!(bool::from_texts(&["yes"]).unwrap_err(), "expected `true` or `false`");
        assert_eq!(Cell::from_texts(&["gru"]), Ok(Cell::Gru));
        let error = Cell::from_texts(&["ltsm"]).unwrap_err();
        assert_eq!(
            error,
            "expected one of `rnn_tanh`, `rnn_relu`, `lstm`, `mogrifier`, `cifg`, `gru`; did you mean `lstm`?"
        );
        assert_eq!(Initializer::from_texts(&["uniform:0.1"]), Ok(Initializer::Uniform(0.1)));
    }

    #[test]
    fn a_single_empty_text_is_the_empty_list() {
        assert_eq!(Vec::<Site>::from_texts(&["input", "output"]), Ok(vec![Site::Input, Site::Output]));
        assert_eq!(Vec::<Site>::from_texts(&[""]), Ok(vec![]));
        assert_eq!(Vec::<String>::from_texts(&[""]), Ok(vec![]));
        assert_eq!(Vec::<String>::from_texts(&["a", ""]), Ok(vec!["a".to_owned(), String::new()]));
    }

    #[test]
    fn every_word_names_its_variant() {
        for name in OptimizerKind::NAMES {
            assert_eq!(OptimizerKind::from_name(name).map(OptimizerKind::name), Some(*name));
        }
        assert_eq!(OptimizerKind::from_name("SGD"), None);
    }
}
