//! The user's settings, all optional, from flags, recipes and files.
//!
//! ```text
//! recipe.toml ──▶ Settings ─┐
//!                           ├─ overlaid_with ─▶ Settings ─▶ Plan ─▶ training
//! flags ─▶ FIELDS ─▶ set ───┘                                 └───▶ plan.toml, itself a settings file
//! ```
//!
//! Promises: each setting is named, described and typed once, in `fields`; an unknown key is an error that
//! suggests the most similar known key; settings that are written and read again are the same. Not here:
//! defaults and checks of values ([`Plan`](crate::Plan)).

use rondo_nn::Cell;

use crate::{Result, TrainError};

mod averaging_kind;
mod byte_size;
mod choices;
mod fields;
mod file;
mod interval;
mod macros;
mod minimal;
mod softmax_kind;
mod table;
mod value;

pub use averaging_kind::AveragingKind;
pub use byte_size::ByteSize;
pub use choices::*;
pub use fields::*;
pub(crate) use file::SettingsFile;
pub use interval::{CheckpointEvery, TimeLimit};
pub use rondo_data::{TokenizerChoice, TokenizerKind};
pub use softmax_kind::{SamplerKind, SoftmaxKind};
pub use value::Kind;

/// The description of a setting, from which a command-line flag can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its table, such as `model`.
    pub section: &'static str,
    /// Its key in the table, such as `hidden_size`.
    pub key: &'static str,
    /// The heading of its section in help texts, such as `Model`.
    pub heading: &'static str,
    /// The placeholder for its value in help texts, such as `WIDTH`.
    pub value_name: &'static str,
    /// Its help text, without a final period.
    pub help: &'static str,
    /// Its default, as shown to users; empty if there is none.
    pub default: &'static str,
    /// The kind of values it takes.
    pub kind: Kind,
    /// An alias for its key, from an earlier version.
    pub alias: Option<&'static str>,
    /// Whether it is a commonly used setting, shown in the short help text.
    pub is_common: bool,
    flag_prefix: &'static str,
}

impl Field {
    /// Finds the field with this path, such as `model.hidden_size`.
    pub fn find(path: &str) -> Option<&'static Field> {
        FIELDS.iter().find(|field| field.path() == path)
    }

    /// Its section and key, such as `model.hidden_size`: unique among all fields.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// Its flag without the dashes, such as `hidden-size`: unique among all fields.
    pub fn flag(&self) -> String {
        self.as_flag(self.key)
    }

    /// Its [`alias`](Self::alias) as a flag without the dashes.
    pub fn flag_alias(&self) -> Option<String> {
        self.alias.map(|alias| self.as_flag(alias))
    }

    fn as_flag(&self, key: &str) -> String {
        format!("{}{key}", self.flag_prefix).replace('_', "-")
    }
}

impl Settings {
    /// Reads settings from TOML; `origin` is the file's name, for errors.
    ///
    /// # Errors
    /// [`TrainError::Settings`] for invalid TOML, an unknown key, or a value of the wrong type.
    pub fn parse(origin: &str, text: &str) -> Result<Settings> {
        parse_toml(origin, text)
    }

    /// Reads what this version knows of settings that another version may have written, and returns the paths of the
    /// settings that it does not know, or whose values it does not know.
    ///
    /// # Errors
    /// [`TrainError::Settings`] for invalid TOML.
    pub fn parse_known(origin: &str, text: &str) -> Result<(Settings, Vec<String>)> {
        let (mut settings, mut unknown) = (Settings::default(), vec![]);
        for (section, table) in parse_toml::<toml::Table>(origin, text)? {
            let toml::Value::Table(table) = table else {
                unknown.push(section);
                continue;
            };
            for (key, value) in table.iter().filter(|_| section != "recipe") {
                let is_it = |field: &&Field| {
                    field.section == section && (field.key == key || field.alias == Some(key))
                };
                let field = FIELDS.iter().find(is_it);
                if field.is_none_or(|field| settings.set_toml(field, value).is_err()) {
                    unknown.push(format!("{section}.{key}"));
                }
            }
        }
        Ok((settings, unknown))
    }

    /// These settings overridden by those given in `over`.
    ///
    /// Settings given in `over` also remove settings below that no longer apply:
    /// - `corpus`, `data` and `train` replace each other, except that `data` can be the place of a `corpus`; with
    ///   `train`, also `valid` and `test`;
    /// - a `tokenizer` in a file removes the settings of the vocabulary and of words;
    /// - `vocab_list` removes the other settings of the vocabulary, and each of these removes it;
    /// - `preset` removes all other model settings;
    /// - `hidden_size` and `projection_size` remove an `embedding_size` that is the same as that of the layers below;
    /// - another `cell` removes the rounds of a Mogrifier;
    /// - `hidden_size` and `layers` remove `hidden_sizes`, and `hidden_sizes` removes these two;
    /// - an adaptive `softmax` removes `tied`, and any other than a sampled one `sampler`;
    /// - `dropout` removes the probabilities of the individual places;
    /// - a different `optimizer` removes the learning rate and the options of the old optimizer;
    /// - a different `schedule` removes the options of the old schedule;
    /// - a different `averaging` removes the options of the old one;
    /// - `reset_state` and `carry_state` remove each other;
    /// - a different `on_nan` removes `max_rollbacks` and `rollback_factor`.
    #[must_use]
    pub fn overlaid_with(mut self, over: Settings) -> Settings {
        let (below, above) = (&mut self.text, &over.text);
        let is_given = |paths: &Option<Vec<_>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
        if above.corpus.is_some() || is_given(&above.train) {
            below.data = None;
        }
        if is_given(&above.train) {
            below.corpus = None;
        }
        if above.corpus.is_some() || is_given(&above.data) || is_given(&above.train) {
            (below.train, below.valid, below.test) = (None, None, None);
        }
        if above.tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.file().is_some()) {
            (below.vocab_order, below.vocab_from, below.vocab_list) = (None, None, None);
            (below.min_frequency, below.max_vocab_size) = (None, None);
            (below.unknown_token, below.reserved_tokens) = (None, None);
            (below.punctuation, below.number_token, below.normalize) = (None, None, None);
        }
        if above.vocab_list.as_ref().is_some_and(|list| !list.as_os_str().is_empty()) {
            (below.vocab_order, below.vocab_from) = (None, None);
            (below.min_frequency, below.max_vocab_size) = (None, None);
        }
        let builds_vocabulary = above.vocab_order.is_some()
            || above.vocab_from.is_some()
            || above.min_frequency.is_some()
            || above.max_vocab_size.is_some();
        if builds_vocabulary {
            below.vocab_list = None;
        }
        if over.model.preset.is_some() {
            self.model = ModelSettings::default();
        }
        let output_size = self.model.projection_size.filter(|&size| size > 0).or(self.model.hidden_size);
        let changes_output = over.model.hidden_size.is_some() || over.model.projection_size.is_some();
        if changes_output && self.model.embedding_size == output_size {
            self.model.embedding_size = None;
        }
        if over.model.cell.is_some_and(|cell| cell != Cell::Mogrifier) {
            (self.model.mogrifier_rounds, self.model.mogrifier_rank) = (None, None);
        }
        if over.model.hidden_size.is_some() || over.model.layers.is_some() {
            self.model.hidden_sizes = None;
        }
        if over.model.hidden_sizes.as_ref().is_some_and(|sizes| !sizes.is_empty()) {
            self.model.hidden_size = None;
            self.model.layers = None;
        }
        if over.model.dropout.is_some() {
            self.model.dropout_input = None;
            self.model.dropout_between = None;
            self.model.dropout_output = None;
        }
        if over.model.softmax.as_ref().is_some_and(|softmax| !matches!(softmax, SoftmaxKind::Sampled { .. }))
        {
            self.model.sampler = None;
        }
        if matches!(over.model.softmax, Some(SoftmaxKind::Adaptive { .. })) {
            self.model.tied = None;
        }
        let (below, above) = (&mut self.training, &over.training);
        if above.reset_state.is_some() {
            below.carry_state = None;
        }
        if above.carry_state.is_some() {
            below.reset_state = None;
        }
        if above.on_nan.is_some_and(|on_nan| on_nan != below.on_nan.unwrap_or(OnNan::Stop)) {
            below.max_rollbacks = None;
            below.rollback_factor = None;
        }
        let (below, above) = (&mut self.optimization, &over.optimization);
        if above.optimizer.is_some_and(|optimizer| optimizer != below.optimizer.unwrap_or(OptimizerKind::Sgd))
        {
            below.learning_rate = None;
            below.momentum = None;
            below.beta1 = None;
            below.beta2 = None;
            below.epsilon = None;
        }
        if above.schedule.is_some_and(|schedule| schedule != below.schedule.unwrap_or(ScheduleKind::Plateau))
        {
            // With `plateau` and `step` the minimum ends the run, with `linear` and `cosine` it is the last rate.
            let ends_run = |kind| matches!(kind, None | Some(ScheduleKind::Plateau | ScheduleKind::Step));
            let has_none = above.schedule == Some(ScheduleKind::Constant);
            if has_none || ends_run(above.schedule) != ends_run(below.schedule) {
                below.min_learning_rate = None;
            }
            below.decay_factor = None;
            below.decay_every = None;
            below.patience = None;
            below.reload_best = None;
        }
        if above.averaging.is_some_and(|averaging| averaging != below.averaging.unwrap_or(AveragingKind::Off))
        {
            below.averaging_patience = None;
            below.averaging_after = None;
        }
        self.overlaid_by_section(over)
    }

    /// Sets a field from the texts given to its flag: one text, or any number for a list.
    ///
    /// # Errors
    /// [`TrainError::Value`] for a text that is not a valid value.
    pub fn set(&mut self, field: &Field, texts: &[&str]) -> Result<()> {
        self.set_texts(field, texts).map_err(|reason| TrainError::Value {
            setting: field.path(),
            text: texts.join(" "),
            reason,
        })
    }

    /// The settings that are given, in the order of [`FIELDS`], each with its texts in the form that
    /// [`Settings::set`] takes.
    pub fn given(&self) -> impl Iterator<Item = (&'static Field, Vec<String>)> + '_ {
        FIELDS.iter().filter_map(|field| Some((field, self.texts(field)?)))
    }

    /// The settings as a TOML document, which [`Settings::parse`] can read.
    ///
    /// # Errors
    /// [`TrainError::PlanText`] if a value cannot be written as TOML, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Reads a TOML document; errors keep only the line, the key and the reason.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(origin: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let index = before.matches('\n').count();
        let mut reason = error.message().trim().replace('\n', ", ");
        // Errors of types other than settings do not name the key.
        let key = text.lines().nth(index).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
        if let Some(key) = key.filter(|_| reason.starts_with("invalid type")) {
            reason = format!("`{key}`: {}", in_words(&reason));
        }
        TrainError::Settings { origin: origin.to_owned(), line: index + 1, reason }
    })
}

/// The reason with the names of Rust's types in words.
fn in_words(reason: &str) -> String {
    match reason.rsplit_once("expected ") {
        Some((found, "f32" | "f64")) => format!("{found}expected a number"),
        Some((found, "u32" | "u64" | "usize")) => format!("{found}expected a non-negative integer"),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
