//! What the user wrote: settings that may be missing, from flags, recipes and files.
//!
//! ```text
//! recipe.toml ──▶ Settings ─┐
//!                           ├─ overlaid_with ─▶ Settings ─▶ Plan ─▶ training
//! flags ─▶ FIELDS ─▶ set ───┘                                 └───▶ plan.toml, itself a settings file
//! ```
//!
//! Promises: each setting is named, described and typed once, in `fields`; an unknown key is refused, the
//! nearest known one named; what is written is read back the same.
//! Not here: defaults and checks ([`Plan`](crate::Plan)).

use crate::{Result, TrainError};

mod choices;
mod fields;
mod interval;
mod macros;
mod table;
mod value;

pub use choices::*;
pub use fields::*;
pub use interval::CheckpointEvery;
pub use rondo_data::TokenizerKind;
pub use value::Kind;

/// The description of a setting: enough to make a flag of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The table it stands in, such as `model`.
    pub section: &'static str,
    /// Its key in the table, such as `hidden_size`.
    pub key: &'static str,
    /// The heading of its section in a help text, such as `Model`.
    pub heading: &'static str,
    /// What stands for its value in a help text, such as `WIDTH`.
    pub value_name: &'static str,
    /// What it means, in a sentence without full stop.
    pub help: &'static str,
    /// What holds when it is not given, in words; empty when that is nothing.
    pub default: &'static str,
    /// What may be written for it.
    pub kind: Kind,
    /// Another name for its key, from an earlier version.
    pub alias: Option<&'static str>,
    /// Whether it is one of the settings that people change most, which a short help text shows.
    pub is_common: bool,
    flag_prefix: &'static str,
}

impl Field {
    /// The field of this path, such as `model.hidden_size`.
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
    /// [`TrainError::Settings`] for what is not TOML, an unknown key, and a value of the wrong type.
    pub fn parse(origin: &str, text: &str) -> Result<Settings> {
        parse_toml(origin, text)
    }

    /// These settings with `over` laid on top: what it gives wins.
    ///
    /// What is given on top also rules out what lies below but was meant for something else:
    /// - a corpus drops the data below it;
    /// - a preset drops the whole model below it;
    /// - a width for all layers drops the widths one by one, and these drop the width and number of all;
    /// - `dropout` drops the probabilities of single places;
    /// - another optimizer drops the learning rate and all that only the old one knows;
    /// - another schedule drops the old one's factor and all that only the old one knows;
    /// - another way of averaging drops when the old one was to begin;
    /// - another way with numbers that are not finite drops how often and how far to go back.
    #[must_use]
    pub fn overlaid_with(mut self, over: Settings) -> Settings {
        if over.text.corpus.is_some() {
            self.text.data = None;
        }
        if over.model.preset.is_some() {
            self.model = ModelSettings::default();
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
        let (below, above) = (&mut self.training, &over.training);
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

    /// Gives a setting from the texts of its flag: one, or any number for a list.
    ///
    /// # Errors
    /// [`TrainError::Value`] for a text that the setting cannot hold.
    pub fn set(&mut self, field: &Field, texts: &[&str]) -> Result<()> {
        self.set_texts(field, texts).map_err(|reason| TrainError::Value {
            setting: field.path(),
            text: texts.join(" "),
            reason,
        })
    }

    /// The settings that are given, in the order of [`FIELDS`], each with its texts as [`Settings::set`]
    /// takes them.
    pub fn given(&self) -> impl Iterator<Item = (&'static Field, Vec<String>)> + '_ {
        FIELDS.iter().filter_map(|field| Some((field, self.texts(field)?)))
    }

    /// The settings as a TOML document that [`Settings::parse`] reads back.
    ///
    /// # Errors
    /// [`TrainError::PlanText`] if TOML cannot hold them, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Reads a TOML document; an error is reduced to its line and its reason.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(origin: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        TrainError::Settings {
            origin: origin.to_owned(),
            line: before.matches('\n').count() + 1,
            reason: error.message().trim().replace('\n', ", "),
        }
    })
}

#[cfg(test)]
mod tests;
