//! Which settings may change when a run is resumed.
//!
//! Promises: a change that would contradict the training so far is refused, with both values in the error.
//! Not here: reading the checkpoint (`checkpoint`), checking the texts (the trainer compares their
//! fingerprints).

use rondo_runs::Change;

use crate::settings::{FIELDS, Field, Settings};
use crate::{Plan, Result, TrainError};

/// Settings that may change because they do not affect the training so far: where the texts are (their
/// content is compared), when to end, what to show and save, how to compute.
const FREE: &[&str] = &[
    "text.corpus",
    "text.data",
    "training.epochs",
    "training.early_stopping",
    "training.threads",
    "training.precision",
    "training.checkpoint_every",
    "training.on_nan",
    "training.max_rollbacks",
    "training.rollback_factor",
    "training.log_every",
    "optimization.min_learning_rate",
    "evaluation.every",
    "evaluation.bptt",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
];

/// The plan of a resumed run, and the settings that changed. `flags` override the settings that the run had
/// `before`. `plan` makes a plan from settings: [`Plan::new`], or [`Plan::continuing`] for a run that
/// continued from a model.
///
/// # Errors
/// [`TrainError::Fixed`] for a setting that cannot change in a resumed run; those of `plan`.
pub fn resumed_plan(
    before: &Settings,
    flags: Settings,
    plan: impl Fn(&Settings) -> Result<Plan>,
) -> Result<(Plan, Vec<Change>)> {
    let now = before.clone().overlaid_with(flags);
    let resumed = match plan(&now) {
        Ok(resumed) => resumed,
        // If a changed size no longer fits the other settings, the error is about the change, not the mismatch.
        Err(error) => return Err(check(&changes(before, &now)).err().unwrap_or(error)),
    };
    let changes = changes(&plan(before)?.settings(), &resumed.settings());
    check(&changes)?;
    Ok((resumed, changes))
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

/// Refuses changes that are not allowed in a resumed run.
fn check(changes: &[Change]) -> Result<()> {
    match changes.iter().find(|change| !FREE.contains(&change.setting.as_str())) {
        None => Ok(()),
        Some(Change { setting, before, now }) => {
            Err(TrainError::Fixed { setting: setting.clone(), before: before.clone(), now: now.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(flags: &str) -> Result<Vec<Change>> {
        let settings = |text| Settings::parse("test", text).unwrap();
        let before = Plan::new(&settings("")).unwrap().settings();
        Ok(resumed_plan(&before, settings(flags), Plan::new)?.1)
    }

    #[test]
    fn every_free_setting_is_a_setting() {
        for path in FREE {
            assert!(Field::find(path).is_some(), "{path}");
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
        for (flags, setting, before, now) in [
            ("[model]\nhidden_size = 64", "model.hidden_size", "`200`", "`64`"),
            ("[model]\ndropout = 0.5", "model.dropout_input", "`0.2`", "`0.5`"),
            ("[training]\nseed = 2", "training.seed", "`1`", "`2`"),
            ("[training]\nfrom = '/m'", "training.from", "unset", "`/m`"),
            ("[optimization]\nlearning_rate = 1", "optimization.learning_rate", "`20`", "`1`"),
        ] {
            let error = resumed(flags).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("cannot change `{setting}` from {before} to {now} when resuming a run")
            );
        }
    }
}
