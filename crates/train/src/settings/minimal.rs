//! The settings that make a difference.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{FIELDS, Settings};
use crate::{Plan, Result};

impl Settings {
    /// As few of these settings as give, over `base`, the same plan: without those that are the default, the same in
    /// `base`, or follow from another one, as the embedding size follows from the hidden size. Three equal dropout
    /// probabilities become the setting `dropout`.
    ///
    /// Settings that are not a valid plan are returned as they are.
    #[must_use]
    pub fn minimal(&self, base: &Settings) -> Settings {
        let plan = |settings: &Settings| Plan::new(&base.clone().overlaid_with(settings.clone()));
        let Ok(target) = plan(self) else { return self.clone() };
        let is_same = |settings: &Settings| plan(settings).is_ok_and(|plan| plan == target);
        let mut minimal = self.clone();
        if let Some(merged) = self.with_one_dropout().filter(is_same) {
            minimal = merged;
        }
        for field in FIELDS {
            let mut fewer = minimal.clone();
            if fewer.unset(field) && is_same(&fewer) {
                minimal = fewer;
            }
        }
        minimal
    }

    /// The settings as plain values, each under its path, such as `model.cell`.
    ///
    /// # Errors
    /// As [`Settings::to_toml`].
    pub fn values(&self) -> Result<BTreeMap<String, Value>> {
        Ok(rondo_runs::parse_settings(Path::new("settings"), &self.to_toml()?)?)
    }

    /// The settings with `dropout` instead of the three places, if these have the same probability.
    fn with_one_dropout(&self) -> Option<Settings> {
        let mut merged = self.clone();
        let model = &mut merged.model;
        let places = [model.dropout_input.take(), model.dropout_between.take(), model.dropout_output.take()];
        let [Some(input), Some(between), Some(output)] = places else { return None };
        model.dropout = Some(input);
        (model.dropout.is_some() && input == between && between == output).then_some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minimal settings, from all settings of the plan and from those given.
    fn minimal(text: &str, base: &str) -> Vec<String> {
        let [given, base] = [text, base].map(|text| Settings::parse("test", text).unwrap());
        let all = Plan::new(&base.clone().overlaid_with(given)).unwrap().settings();
        let minimal = all.minimal(&base);
        let plan = |settings| Plan::new(&settings).unwrap();
        assert_eq!(plan(base.clone().overlaid_with(minimal.clone())), plan(all));
        minimal.given().map(|(field, texts)| format!("{} = {}", field.key, texts.join(" "))).collect()
    }

    #[test]
    fn settings_that_are_defaults_or_follow_from_others_are_left_out() {
        for (text, expected) in [
            ("", &[][..]),
            ("[model]\nhidden_size = 64", &["hidden_size = 64"]),
            ("[model]\nembedding_size = 100", &["embedding_size = 100"]),
            ("[model]\ndropout = 0.5\n[training]\nbatch_size = 8", &["dropout = 0.5", "batch_size = 8"]),
            ("[model]\ndropout_input = 0.5", &["dropout_input = 0.5"]),
            ("[model]\nhidden_sizes = [64, 32]", &["hidden_sizes = 64 32"]),
            ("[optimization]\noptimizer = 'adam'\nlearning_rate = 0.001", &["optimizer = adam"]),
            ("[optimization]\noptimizer = 'adam'\nbeta2 = 0.99", &["optimizer = adam", "beta2 = 0.99"]),
            ("[optimization]\nschedule = 'step'\ndecay_every = 10", &["schedule = step"]),
            ("[training]\nseed = 1\non_nan = 'skip'", &["on_nan = skip"]),
        ] {
            assert_eq!(minimal(text, ""), expected, "{text}");
        }
    }

    #[test]
    fn settings_of_the_base_are_left_out() {
        let base = "[model]\ncell = 'gru'\nhidden_size = 64\n[training]\nseed = 5";
        assert_eq!(minimal("[model]\nhidden_size = 64\n[training]\nseed = 6", base), ["seed = 6"]);
        assert_eq!(minimal("[model]\ncell = 'lstm'", base), ["cell = lstm"]);
    }

    #[test]
    fn the_settings_of_a_recipe_differ_in_nothing_from_it() {
        for recipe in crate::recipes::all().unwrap() {
            let all = Plan::new(&recipe.settings).unwrap().settings();
            for settings in [&all, &recipe.settings] {
                assert_eq!(settings.minimal(&recipe.settings), Settings::default(), "{}", recipe.about.name);
            }
        }
    }

    #[test]
    fn values_are_plain() {
        let settings = Settings::parse("test", "[model]\ndropout = 0.2\nhidden_sizes = [4, 2]\n").unwrap();
        let values = serde_json::to_string(&settings.values().unwrap()).unwrap();
        assert_eq!(values, r#"{"model.dropout":0.2,"model.hidden_sizes":[4,2]}"#);
    }
}
