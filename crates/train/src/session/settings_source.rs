//! The base settings of a new run, which the user's settings override.

use std::path::{Path, PathBuf};

use rondo_infer::LanguageModel;
use rondo_runs::{Provenance, RunFolder};

use super::corpus_lookup::{BUILT_IN, with_named_corpus};
use super::stored::is_stream;
use crate::settings::{ModelSettings, Settings, SettingsFile, TextSettings};
use crate::{Plan, Result, TrainError, recipes};

/// Where the base settings of a new run come from. The given settings override them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SettingsSource {
    /// The settings of the model to continue from, if the given settings name one
    /// ([`training.from`](crate::settings)); otherwise those of the recipe `built-in`, unless the given
    /// settings name another text; otherwise none.
    #[default]
    Default,
    /// A recipe, given by its name or its file.
    Recipe(String),
    /// A plan, given by its file or the folder of its run.
    Plan(PathBuf),
}

/// All settings of a new run, and its name.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) settings: Settings,
    /// The built-in recipe among them, if any.
    pub(super) recipe: Option<String>,
    /// The file that they are from, if any.
    pub(super) file: Option<SettingsFile>,
}

impl Wanted {
    /// The error with its place in the file, if it is about a setting from there.
    pub(super) fn locate(&self, error: TrainError) -> TrainError {
        match &self.file {
            Some(file) => file.locate(error),
            None => error,
        }
    }

    /// Fails for a recipe for texts of the user's, without one: the built-in language would say nothing about it.
    pub(super) fn require_text(&self) -> Result<()> {
        let TextSettings { corpus, data, train, .. } = &self.settings.text;
        match &self.recipe {
            Some(name) if corpus.is_none() && data.is_none() && train.is_none() => {
                Err(TrainError::RecipeNeedsText { name: name.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl SettingsSource {
    /// The plan of a new run with these settings, before its texts and the model to continue from are read.
    ///
    /// # Errors
    /// [`TrainError::UnknownRecipe`], those of reading a file with settings, and those of [`Plan::new`].
    pub fn plan(&self, given: Settings) -> Result<Plan> {
        let wanted = self.resolve(given)?;
        Plan::new(&wanted.settings).map_err(|error| wanted.locate(error))
    }

    /// Combines these settings with the given ones, which override them.
    pub(super) fn resolve(&self, given: Settings) -> Result<Wanted> {
        let given = with_named_corpus(given);
        let (mut name, mut recipe, mut file) = (None, None, None);
        let mut of_known = |known: &str| {
            (name, recipe) = (Some(known.to_owned()), Some(known.to_owned()));
            recipes::find(known).map(|recipe| recipe.settings)
        };
        let mut of_file = |path: &Path| {
            let (read, settings) = SettingsFile::read(path)?;
            file = Some(read.overridden_by(&given));
            Ok::<_, TrainError>(settings)
        };
        let below = match self {
            SettingsSource::Recipe(recipe) => match recipe_file(recipe) {
                Some(path) => {
                    let settings = of_file(path)?;
                    name = stem(path);
                    settings
                }
                None => of_known(recipe)?,
            },
            SettingsSource::Plan(plan) => of_file(&plan_file(plan)?)?,
            SettingsSource::Default if given.training.from.is_some() => of_model(&given)?,
            SettingsSource::Default if is_built_in(&given) => of_known(BUILT_IN)?,
            SettingsSource::Default => Settings::default(),
        };
        let settings = below.overlaid_with(given);
        let name = name.unwrap_or_else(|| corpus_name(&settings));
        Ok(Wanted { name, settings, recipe, file })
    }
}

impl SettingsSource {
    /// The run whose plan this is, and the step of its first change of settings, if its settings changed.
    pub(super) fn changed_run(&self) -> Option<(&Path, u64)> {
        let SettingsSource::Plan(path) = self else { return None };
        let run = if path.is_dir() { path } else { path.parent()? };
        if !path.is_dir() && path.file_name()? != RunFolder::PLAN {
            return None;
        }
        // A plan that is not in the folder of a run has no provenance, which is no error.
        let provenance = Provenance::read(&RunFolder::open(run).ok()?).ok()?;
        Some((run, provenance.changes.first()?.step))
    }
}

fn is_built_in(given: &Settings) -> bool {
    given.text.data.is_none()
        && given.text.train.is_none()
        && given.text.corpus.as_deref().is_none_or(|name| name == BUILT_IN)
}

/// The settings that the model to continue from was trained with, including its text unless another one is
/// given.
fn of_model(given: &Settings) -> Result<Settings> {
    let Some(path) = &given.training.from else { return Ok(Settings::default()) };
    let plan = LanguageModel::file_at(path)?.with_file_name(RunFolder::PLAN);
    if !plan.is_file() {
        return Ok(Settings::default());
    }
    let (_, mut settings) = SettingsFile::read(&plan)?;
    if !is_built_in(given) {
        settings.text = TextSettings::default();
    }
    // The model file has its own vocabulary and tokenizer.
    settings.text.vocab_list = None;
    settings.text.tokenizer = settings.text.tokenizer.filter(|tokenizer| tokenizer.file().is_none());
    // The model file defines its own shape, and already includes what the earlier run continued from.
    settings.model = ModelSettings::default();
    settings.training.from = None;
    settings.training.extend_vocab = None;
    settings.training.device = None;
    settings.training.threads = None;
    settings.training.precision = None;
    Ok(settings)
}

/// The file of a recipe, if it looks like a path and not like the name of a built-in recipe.
fn recipe_file(recipe: &str) -> Option<&Path> {
    let path = Path::new(recipe);
    (path.is_file() || path.extension().is_some() || path.components().count() > 1).then_some(path)
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}

/// The plan file itself, or the one of the run in a folder.
fn plan_file(path: &Path) -> Result<PathBuf> {
    if path.is_dir() { Ok(RunFolder::open(path)?.plan()) } else { Ok(path.to_owned()) }
}

/// The name of a text without its extensions.
fn text_name(path: &Path) -> &str {
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
    let path = if is_compressed { Path::new(path.file_stem().unwrap_or_default()) } else { path };
    match path.file_stem().and_then(|stem| stem.to_str()) {
        _ if is_stream(path) => "stdin",
        Some(stem) => stem,
        None => BUILT_IN,
    }
}

/// The name of the corpus, or of the user's first text.
pub(super) fn corpus_name(settings: &Settings) -> String {
    let named = settings.text.corpus.as_deref().filter(|&name| name != BUILT_IN);
    let paths = [&settings.text.data, &settings.text.train];
    let own = paths.into_iter().flatten().flatten().next().map(|path| text_name(path));
    named.or(own).unwrap_or(BUILT_IN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(source: &SettingsSource, given: &str) -> Wanted {
        source.resolve(Settings::parse("given", given).unwrap()).unwrap()
    }

    #[test]
    fn nothing_and_small_changes_are_the_built_in_recipe() {
        let Wanted { name, settings, recipe, .. } =
            wanted(&SettingsSource::Default, "[training]\nepochs = 2\n");
        assert_eq!((name.as_str(), settings.training.epochs), ("built-in", Some(2)));
        assert!(settings.optimization.learning_rate.is_some());
        assert_eq!(recipe.as_deref(), Some(BUILT_IN));
    }

    #[test]
    fn a_text_of_ones_own_has_the_usual_settings_and_names_the_run() {
        let Wanted { name, settings, .. } =
            wanted(&SettingsSource::Default, "[text]\ndata = [\"texts/my poems.txt\"]\n");
        assert_eq!((name.as_str(), settings.optimization.learning_rate), ("my poems", None));
    }

    #[test]
    fn data_may_be_the_name_of_a_corpus() {
        let Wanted { name, settings, .. } = wanted(&SettingsSource::Default, "[text]\ndata = [\"ptb\"]\n");
        assert_eq!(
            (name.as_str(), settings.text.corpus.as_deref(), settings.text.data),
            ("ptb", Some("ptb"), None)
        );
        // The built-in corpus has its own recipe, which sets more than the defaults.
        let built_in = wanted(&SettingsSource::Default, "[text]\ndata = [\"built-in\"]\n");
        assert!(built_in.settings.training.epochs.is_some());
    }

    #[test]
    fn a_recipe_names_the_run() {
        let recipe = |name: &str| SettingsSource::Recipe(name.to_owned());
        assert_eq!(wanted(&recipe("ptb-rnn"), "").name, "ptb-rnn");
        let error = |name: &str| recipe(name).resolve(Settings::default()).unwrap_err().to_string();
        assert!(error("ptb-rn").ends_with("did you mean `ptb-rnn`?"), "{}", error("ptb-rn"));
        assert_eq!(error("mine.toml"), "could not read `mine.toml`");
    }

    #[test]
    fn a_recipe_for_texts_of_ones_own_needs_one() {
        let require = |name: &str, given: &str| {
            wanted(&SettingsSource::Recipe(name.to_owned()), given)
                .require_text()
                .map_err(|error| error.to_string())
        };
        assert!(require("log-keys", "").unwrap_err().contains("`log-keys`"));
        for given in ["[text]\ndata = [\"keys.txt\"]\n", "[text]\ncorpus = \"ptb\"\n"] {
            assert_eq!(require("log-keys", given), Ok(()));
        }
        assert_eq!(require("ptb-rnn", ""), Ok(()));
    }
}
