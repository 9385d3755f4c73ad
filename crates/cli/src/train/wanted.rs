//! What the user wants: the settings below the flags, and what to call the run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rondo_infer::LanguageModel;
use rondo_runs::{CorpusFingerprint, RunFolder};
use rondo_train::settings::{ModelSettings, TextSettings};
use rondo_train::{Settings, recipes};

use crate::corpora::{self, BUILT_IN};
use crate::loaded;

/// Settings, and what a run by them is called.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// The texts that it must be of, if they are known.
    pub(crate) corpus: Option<CorpusFingerprint>,
}

/// Lays the flags over the recipe or plan they are given with.
pub(crate) fn resolve(recipe: Option<String>, plan: Option<PathBuf>, flags: Settings) -> Result<Wanted> {
    let flags = named_corpus(flags);
    let (name, below) = match (recipe, plan) {
        (Some(recipe), _) => of_recipe(&recipe)?,
        (None, Some(plan)) => (None, of_plan(&plan)?),
        (None, None) if flags.training.from.is_some() => (None, of_model(&flags)?),
        (None, None) if is_built_in(&flags) => of_recipe(BUILT_IN)?,
        (None, None) => (None, Settings::default()),
    };
    let settings = below.overlaid_with(flags);
    let name = name.unwrap_or_else(|| corpus_name(&settings));
    Ok(Wanted { name, settings, corpus: None })
}

/// The flags with `--data NAME` as what it means.
pub(super) fn named_corpus(mut flags: Settings) -> Settings {
    if let Some(name) = corpora::name_for(flags.text.data.as_deref().unwrap_or_default()) {
        flags.text.corpus = Some(name.to_owned());
        flags.text.data = None;
    }
    flags
}

fn is_built_in(flags: &Settings) -> bool {
    flags.text.data.is_none() && flags.text.corpus.as_deref().is_none_or(|name| name == BUILT_IN)
}

/// The settings that the model to go on from was trained by: its text too, unless another one is given.
fn of_model(flags: &Settings) -> Result<Settings> {
    let Some(path) = &flags.training.from else { return Ok(Settings::default()) };
    let Some(mut settings) = loaded::settings_beside(&LanguageModel::file_at(path)?)? else {
        return Ok(Settings::default());
    };
    if !is_built_in(flags) {
        settings.text = TextSettings::default();
    }
    // The model says these itself, and what the earlier run went on from is in it.
    settings.model = ModelSettings::default();
    settings.training.from = None;
    settings.training.extend_vocab = None;
    settings.training.threads = None;
    settings.training.precision = None;
    Ok(settings)
}

/// A recipe by its name or, if it looks like a path, from its file.
fn of_recipe(recipe: &str) -> Result<(Option<String>, Settings)> {
    let path = Path::new(recipe);
    if path.is_file() || path.extension().is_some() || path.components().count() > 1 {
        let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        return Ok((name, of_file(path)?));
    }
    Ok((Some(recipe.to_owned()), recipes::find(recipe)?.settings))
}

/// The settings of a plan, or of the run in a folder.
pub(crate) fn of_plan(path: &Path) -> Result<Settings> {
    if path.is_dir() { of_file(&RunFolder::open(path)?.plan()) } else { of_file(path) }
}

fn of_file(path: &Path) -> Result<Settings> {
    let origin = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("could not read `{origin}`"))?;
    Ok(Settings::parse(&origin, &text)?)
}

/// The name of the corpus, or of the user's first text.
fn corpus_name(settings: &Settings) -> String {
    let named = settings.text.corpus.as_deref().filter(|&name| name != BUILT_IN);
    let own = || settings.text.data.as_ref()?.first()?.file_stem()?.to_str();
    named.or_else(own).unwrap_or(BUILT_IN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(recipe: Option<&str>, flags: &str) -> Wanted {
        resolve(recipe.map(str::to_owned), None, Settings::parse("flags", flags).unwrap()).unwrap()
    }

    #[test]
    fn nothing_and_small_changes_are_the_built_in_recipe() {
        let Wanted { name, settings, .. } = wanted(None, "[training]\nepochs = 2\n");
        assert_eq!((name.as_str(), settings.training.epochs), ("built-in", Some(2)));
        assert!(settings.optimization.learning_rate.is_some());
    }

    #[test]
    fn a_text_of_ones_own_has_the_usual_settings_and_names_the_run() {
        let Wanted { name, settings, .. } = wanted(None, "[text]\ndata = [\"texts/my poems.txt\"]\n");
        assert_eq!((name.as_str(), settings.optimization.learning_rate), ("my poems", None));
    }

    #[test]
    fn data_may_be_the_name_of_a_corpus() {
        let Wanted { name, settings, .. } = wanted(None, "[text]\ndata = [\"ptb\"]\n");
        assert_eq!(
            (name.as_str(), settings.text.corpus.as_deref(), settings.text.data),
            ("ptb", Some("ptb"), None)
        );
        // The built-in language has a recipe of its own, which says more than the defaults.
        let epochs = wanted(None, "[text]\ndata = [\"built-in\"]\n").settings.training.epochs;
        assert!(epochs.is_some());
    }

    #[test]
    fn a_recipe_names_the_run() {
        assert_eq!(wanted(Some("ptb-rnn"), "").name, "ptb-rnn");
        let error = resolve(Some("ptb-rn".to_owned()), None, Settings::default()).unwrap_err().to_string();
        assert!(error.ends_with("the nearest is `ptb-rnn`"), "{error}");
        let error = resolve(Some("mine.toml".to_owned()), None, Settings::default()).unwrap_err().to_string();
        assert_eq!(error, "could not read `mine.toml`");
    }
}
