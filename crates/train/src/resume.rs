//! Which settings may change when a run is resumed, and what has changed.
//!
//! ```text
//! plan.toml + flags ─▶ plan ─┐
//!                            ├─▶ changes ─▶ recorded with their place in the run, applied to its state
//! checkpoint's plan ─────────┘
//! ```
//!
//! Promises: a change that would contradict the training so far is refused, with both values in the error.
//! Not here: reading the checkpoint (`checkpoint`), applying changes (the trainer), repeating them (`repetition`),
//! checking the texts (the trainer compares their fingerprints).

use std::fs;
use std::path::Path;

use rondo_runs::{Change, RunFolder};

use crate::checkpoint::Checkpoint;
use crate::settings::{FIELDS, Field, Settings, SoftmaxKind};
use crate::{Plan, Result, TrainError};

/// Settings that may change and do not affect the results: where the texts are (their content is compared),
/// what is generated after an epoch, and what is fitted to the best model at the end.
const WITHOUT_EFFECT: &[&str] = &[
    "text.corpus",
    "text.data",
    "text.train",
    "text.valid",
    "text.test",
    "text.text_field",
    "text.ids_dir",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
    "training.normalizer",
];

pub(crate) const LEARNING_RATE: &str = "optimization.learning_rate";

pub(crate) const MIN_LEARNING_RATE: &str = "optimization.min_learning_rate";

/// The settings of the learning rate schedule.
pub(crate) const SCHEDULE: &[&str] = &[
    "optimization.schedule",
    "optimization.decay_factor",
    "optimization.decay_every",
    "optimization.patience",
    "optimization.reload_best",
];

/// The settings of weight averaging.
pub(crate) const AVERAGING: &[&str] =
    &["optimization.averaging", "optimization.averaging_patience", "optimization.averaging_after"];

/// The other settings that may change. They affect the results from then on, so the place of a change is recorded.
const WITH_EFFECT: &[&str] = &[
    LEARNING_RATE,
    "model.softmax",
    "model.sampler",
    "model.dropout_input",
    "model.dropout_between",
    "model.dropout_output",
    "model.dropout_words",
    "model.dropout_weights",
    "model.locked_dropout",
    "training.epochs",
    "training.max_steps",
    "training.time",
    "training.early_stopping",
    "training.accumulate", // the last digits differ
    "training.device",
    "training.threads",
    "training.precision",
    "training.checkpoint_every", // a rollback returns to the last checkpoint
    "training.on_nan",
    "training.max_rollbacks",
    "training.rollback_factor",
    "training.log_every",
    MIN_LEARNING_RATE,
    "optimization.momentum",
    "optimization.weight_decay",
    "optimization.beta1",
    "optimization.beta2",
    "optimization.epsilon",
    "optimization.clip_norm",
    "optimization.clip_norm_unit",
    "optimization.clip_value",
    "optimization.activation_penalty",
    "optimization.temporal_penalty",
    "evaluation.every",
    "evaluation.unaveraged",
    "evaluation.bptt",
];

/// Whether a setting that may change affects the results.
pub(crate) fn has_effect(setting: &str) -> bool {
    !WITHOUT_EFFECT.contains(&setting)
}

/// The plan of a run that is resumed from `checkpoint`, or from its beginning if it has none, and the settings that
/// changed. `flags` override the settings that the run had before. `plan` makes a plan from settings:
/// [`Plan::new`], or [`Plan::continuing`] for a run that continued from a model.
///
/// A given learning rate becomes the current one, so it is compared with the current one: a schedule may have
/// reduced the rate that is in the plan.
///
/// # Errors
/// [`TrainError::Fixed`] for a setting that cannot change in a resumed run; [`TrainError::FewerEpochs`] for fewer
/// epochs than the run already has; [`TrainError::FixedLength`] for another number of epochs or steps if the learning rate decays
/// over the run; those of reading the run's plan, and of `plan`.
pub fn resumed_plan(
    run: &RunFolder,
    checkpoint: Option<&Checkpoint>,
    flags: Settings,
    plan: impl Fn(&Settings) -> Result<Plan>,
) -> Result<(Plan, Vec<Change>)> {
    let path = run.plan();
    let text = fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
    let before = Settings::parse(&path.display().to_string(), &text)?;
    let reached = match checkpoint {
        None => None,
        Some(checkpoint) => Some(Reached {
            settings: checkpoint.settings()?,
            learning_rate: checkpoint.progress.schedule.learning_rate(),
            epoch: checkpoint.progress.epoch,
            batch: checkpoint.progress.batch,
        }),
    };
    changed_plan(run.path(), &before, reached.as_ref(), flags, plan)
}

/// What a run has reached at a checkpoint.
struct Reached {
    /// Its settings.
    settings: Settings,
    /// The current learning rate.
    learning_rate: f64,
    /// The current epoch.
    epoch: usize,
    /// The number of its batches that are done.
    batch: usize,
}

fn changed_plan(
    run: &Path,
    before: &Settings,
    reached: Option<&Reached>,
    mut flags: Settings,
    plan: impl Fn(&Settings) -> Result<Plan>,
) -> Result<(Plan, Vec<Change>)> {
    if reached.is_some_and(|reached| flags.optimization.learning_rate == Some(reached.learning_rate)) {
        flags.optimization.learning_rate = None;
    }
    let now = before.clone().overlaid_with(flags.clone());
    let resumed = match plan(&now) {
        Ok(resumed) => resumed,
        // If a changed size no longer fits the other settings, the error is about the change, not the mismatch.
        Err(error) => return Err(check(run, &flags, &changes(before, &now)).err().unwrap_or(error)),
    };
    let changes = match reached {
        None => changes(&plan(before)?.settings(), &resumed.settings()),
        Some(reached) => {
            let (was, at, now) = (plan(before)?, plan(&reached.settings)?, resumed.settings());
            let is_given = flags.optimization.learning_rate.is_some();
            check_length(run, &at, &resumed)?;
            reached.changes(&was.settings(), &at.settings(), &now, is_given)
        }
    };
    check(run, &flags, &changes)?;
    if let Some(reached) = reached.filter(|_| !resumed.training.is_unplanned()) {
        reached.check_epochs(run, resumed.training.epochs)?;
    }
    Ok((resumed, changes))
}

impl Reached {
    /// The changes from the settings `at` the checkpoint to those `now`. `was` are the settings that the run was last
    /// given: if it was killed before the next checkpoint, they are not those of the checkpoint.
    fn changes(&self, was: &Settings, at: &Settings, now: &Settings, rate_is_given: bool) -> Vec<Change> {
        let (given, reached) = (changes(was, now), changes(at, now));
        let rate_changes = rate_is_given || reached.iter().any(|change| change.setting == LEARNING_RATE);
        let rate = now.optimization.learning_rate.filter(|&rate| rate_changes && rate != self.learning_rate);
        let change = |field: &Field| {
            let setting = field.path();
            if setting == LEARNING_RATE {
                let (before, now) = (self.learning_rate.to_string(), rate?.to_string());
                return Some(Change { setting, before, now });
            }
            let changes = if has_effect(&setting) && is_changeable(&setting) { &reached } else { &given };
            changes.iter().find(|change| change.setting == setting).cloned()
        };
        FIELDS.iter().filter_map(change).collect()
    }

    /// Refuses a number of epochs that the run has already exceeded.
    fn check_epochs(&self, run: &Path, wanted: usize) -> Result<()> {
        let has_begun = self.batch > 0;
        let fewest = if has_begun { self.epoch } else { self.epoch - 1 };
        if wanted < fewest {
            return Err(TrainError::FewerEpochs { run: run.to_owned(), wanted, fewest, has_begun });
        }
        Ok(())
    }
}

/// Refuses another number of epochs or steps if the learning rate has been decreasing toward the end of the run, and is to
/// do so from now on.
fn check_length(run: &Path, at: &Plan, resumed: &Plan) -> Result<()> {
    let decays = |plan: &Plan| plan.optimization.schedule.decays_over_run();
    if !(decays(at) && decays(resumed)) {
        return Ok(());
    }
    let lengths = |plan: &Plan| {
        let training = &plan.training;
        [("training.epochs", training.epochs as u64), ("training.max_steps", training.max_steps.unwrap_or(0))]
    };
    for ((setting, before), (_, now)) in lengths(at).into_iter().zip(lengths(resumed)) {
        if before != now {
            return Err(TrainError::FixedLength { run: run.to_owned(), setting, before, now });
        }
    }
    Ok(())
}

/// The settings that differ.
pub(crate) fn changes(before: &Settings, now: &Settings) -> Vec<Change> {
    let value = |settings: &Settings, field: &Field| {
        let mut given = settings.given();
        given.find(|(found, _)| *found == field).map(|(_, texts)| texts.join(" ")).unwrap_or_default()
    };
    let change = |field: &Field| {
        let (before, now) = (value(before, field), value(now, field));
        (before != now).then(|| Change { setting: field.path(), before, now })
    };
    FIELDS.iter().filter_map(change).collect()
}

fn is_changeable(setting: &str) -> bool {
    [WITHOUT_EFFECT, SCHEDULE, AVERAGING, WITH_EFFECT].iter().any(|settings| settings.contains(&setting))
}

/// Whether a run cannot resume with the change. An adaptive softmax is part of the model.
fn is_fixed(Change { setting, before, now }: &Change) -> bool {
    let is_adaptive = |text: &str| matches!(text.parse(), Ok(SoftmaxKind::Adaptive { .. }));
    !is_changeable(setting) || (setting == "model.softmax" && (is_adaptive(before) || is_adaptive(now)))
}

/// Refuses changes that are not allowed in a resumed run. The error names the setting that was given, rather than
/// one that follows it.
fn check(run: &Path, flags: &Settings, changes: &[Change]) -> Result<()> {
    let is_given = |change: &Change| flags.given().any(|(field, _)| field.path() == change.setting);
    let fixed = || changes.iter().filter(|change| is_fixed(change));
    match fixed().find(|change| is_given(change)).or_else(|| fixed().next()) {
        None => Ok(()),
        Some(Change { setting, before, now }) => Err(TrainError::Fixed {
            run: run.to_owned(),
            setting: setting.clone(),
            before: before.clone(),
            now: now.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse("test", text).unwrap()
    }

    /// The plan with all defaults, resumed with flags.
    fn resumed(flags: &str) -> Result<Vec<Change>> {
        let before = Plan::new(&settings("")).unwrap().settings();
        Ok(changed_plan(Path::new("run"), &before, None, settings(flags), Plan::new)?.1)
    }

    /// The changes of a run in the second batch of its third epoch. Its learning rate has decreased from 20 to 5.
    fn resumed_at(at: &str, was: &str, flags: &str) -> Result<Vec<String>> {
        let [at, was] = [at, was].map(|text| Plan::new(&settings(text)).unwrap().settings());
        let reached = Reached { settings: at, learning_rate: 5.0, epoch: 3, batch: 2 };
        let (_, changes) = changed_plan(Path::new("run"), &was, Some(&reached), settings(flags), Plan::new)?;
        Ok(changes.iter().map(|c| format!("{} {} {}", c.setting, c.before, c.now)).collect())
    }

    #[test]
    fn every_setting_that_may_change_is_a_setting_and_in_one_list() {
        let lists = [WITHOUT_EFFECT, SCHEDULE, AVERAGING, WITH_EFFECT].concat();
        for path in &lists {
            assert!(Field::find(path).is_some(), "{path}");
            assert_eq!(lists.iter().filter(|other| *other == path).count(), 1, "{path}");
        }
    }

    #[test]
    fn more_epochs_are_allowed_and_told() {
        assert_eq!(resumed("[training]\nepochs = 10").unwrap(), []);
        let changes = resumed("[training]\nepochs = 20\nlog_every = 7").unwrap();
        let told: Vec<_> = changes.iter().map(|c| (&*c.setting, &*c.before, &*c.now)).collect();
        assert_eq!(told, [("training.epochs", "10", "20"), ("training.log_every", "200", "7")]);
    }

    #[test]
    fn another_model_or_optimizer_is_refused_with_both_values() {
        let base = format!("`{}`", std::path::absolute("/m").unwrap().display());
        for (flags, setting, before, now) in [
            ("[model]\nhidden_size = 64", "model.hidden_size", "`200`", "`64`"),
            ("[model]\ncell = 'gru'", "model.cell", "`lstm`", "`gru`"),
            ("[model]\nsoftmax = 'adaptive:5'", "model.softmax", "`full`", "`adaptive:5`"),
            ("[training]\nseed = 2", "training.seed", "`1`", "`2`"),
            ("[training]\nbptt = 20", "training.bptt", "`35`", "`20`"),
            ("[training]\nfrom = '/m'", "training.from", "unset", &*base),
            ("[text]\nmin_frequency = 3", "text.min_frequency", "`1`", "`3`"),
            ("[optimization]\noptimizer = 'adam'", "optimization.optimizer", "`sgd`", "`adam`"),
        ] {
            let error = resumed(flags).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("cannot change `{setting}` from {before} to {now} when resuming a run")
            );
        }
    }

    #[test]
    fn a_learning_rate_is_compared_with_the_current_one() {
        let rate =
            |rate: &str| resumed_at("", "", &format!("[optimization]\nlearning_rate = {rate}")).unwrap();
        assert_eq!(rate("20"), ["optimization.learning_rate 5 20"]);
        assert_eq!(rate("1"), ["optimization.learning_rate 5 1"]);
        assert_eq!(rate("5"), [] as [&str; 0]);
        assert_eq!(resumed_at("", "", "[training]\nepochs = 12").unwrap(), ["training.epochs 10 12"]);
    }

    #[test]
    fn a_change_that_was_lost_with_its_checkpoint_is_made_again() {
        let was = "[text]\ndata = ['/b.txt']\n[optimization]\nlearning_rate = 2\nmomentum = 0.5";
        let found = resumed_at("[text]\ndata = ['/a.txt']", was, "[training]\nepochs = 12").unwrap();
        let expected =
            ["training.epochs 10 12", "optimization.learning_rate 5 2", "optimization.momentum 0 0.5"];
        assert_eq!(found, expected);
    }

    #[test]
    fn options_of_another_schedule_come_and_go_with_it() {
        let found = resumed_at("", "", "[optimization]\nschedule = 'step'\ndecay_every = 4").unwrap();
        let expected = [
            "optimization.schedule plateau step",
            "optimization.decay_factor 0.25 0.5",
            "optimization.decay_every  4",
            "optimization.patience 1 ",
            "optimization.reload_best false ",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn epochs_that_are_done_or_begun_cannot_be_taken_back() {
        let epochs = |epochs: usize| resumed_at("", "", &format!("[training]\nepochs = {epochs}"));
        assert!(epochs(3).is_ok());
        let error = epochs(2).unwrap_err().to_string();
        assert_eq!(error, "cannot reduce `training.epochs` to 2: the run has already begun epoch 3");

        let at_end = Reached { settings: settings(""), learning_rate: 5.0, epoch: 3, batch: 0 };
        assert!(at_end.check_epochs(Path::new("run"), 2).is_ok());
        let error = at_end.check_epochs(Path::new("run"), 1).unwrap_err().to_string();
        assert_eq!(error, "cannot reduce `training.epochs` to 1: the run has already completed 2 epochs");
    }
}
