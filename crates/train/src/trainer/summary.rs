//! The summary of a run in `summary.json`.

use std::collections::BTreeMap;

use rondo_runs::{EpochResult, RunFolder, RunSummary, Status, metrics};
use serde_json::Value;

use super::run::Run;
use super::{Resumption, Trainer};
use crate::plan::absolute;
use crate::settings::Settings;
use crate::{Result, TrainError, recipes};

/// What the settings of a run are compared with, and those that differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The built-in recipe that the run started from; `None` for the defaults.
    recipe: Option<String>,
    changed: BTreeMap<String, Value>,
}

impl Origin {
    /// Compares settings with those of a recipe, or with the defaults.
    pub(crate) fn new(settings: &Settings, recipe: Option<String>) -> Result<Origin> {
        let base = match &recipe {
            Some(recipe) => recipes::find(recipe)?.settings,
            None => Settings::default(),
        };
        let mut changed = settings.minimal(&base);
        for path in changed.text.data.iter_mut().flatten().chain(&mut changed.training.from) {
            *path = absolute(path)?;
        }
        Ok(Origin { changed: changed.values()?, recipe })
    }
}

impl Trainer {
    /// The origin of a run in this folder: recorded there if the run is resumed.
    pub(super) fn origin(&self, folder: &RunFolder, resumption: Option<&Resumption>) -> Result<Origin> {
        // A summary that is missing or damaged does not prevent resuming.
        let Some(before) = RunSummary::read(folder).ok().flatten() else { return Ok(self.origin.clone()) };
        if resumption.is_some_and(|resumption| resumption.changes.is_empty()) {
            return Ok(Origin { recipe: before.recipe, changed: before.changed });
        }
        // The recipe may be one of another version.
        let recipe = before.recipe.filter(|name| recipes::find(name).is_ok());
        Origin::new(&self.plan.settings(), recipe)
    }
}

impl Run<'_> {
    /// Writes the summary with the results so far.
    pub(super) fn summarize(&self, status: Status, error: Option<&TrainError>) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        let (progress, folder) = (&self.progress, self.output.folder);
        // Without a validation text too, the best epoch is what the progress says.
        let results = match self.output.metrics {
            Some(_) => EpochResult::of_records(&metrics::read(&folder.metrics())?),
            None => vec![],
        };
        let best = progress.best_epoch.map(|epoch| {
            let recorded = results.iter().find(|result| result.epoch == epoch);
            recorded.copied().unwrap_or_else(|| {
                // The run was stopped before the end of the epoch.
                let train_loss = (epoch == progress.epoch).then(|| progress.epoch_sum.nll_mean());
                EpochResult::new(epoch, progress.steps, [train_loss, progress.best_valid, progress.best_test])
            })
        });
        let elapsed_s = self.elapsed_s();
        let speed = |seconds: f64| Some(progress.tokens as f64 / seconds).filter(|speed| speed.is_finite());
        let model = self.learner.model();
        let description = model.description();
        let summary = RunSummary {
            rondo: crate::provenance::VERSION.to_owned(),
            status,
            error: error.map(ToString::to_string),
            recipe: self.origin.recipe.clone(),
            changed: self.origin.changed.clone(),
            seed: self.plan.training.seed,
            model: serde_json::from_str(&description)
                .unwrap_or_else(|_| BTreeMap::from([("description".to_owned(), description.into())])),
            parameters: Some(model.parameters().count() as u64),
            epochs: progress.epoch - 1,
            planned_epochs: Some(self.plan.training.epochs),
            steps: progress.steps,
            tokens: progress.tokens,
            best,
            last: results.last().copied(),
            started_unix_s: progress.started_unix_s,
            elapsed_s,
            training_s: progress.training_s,
            training_tokens_per_s: speed(progress.training_s),
            tokens_per_s: speed(elapsed_s),
        };
        Ok(summary.write(folder)?)
    }
}
