//! What may be another when a run is resumed.
//!
//! Promises: what was trained so far stays what it is; a change that would make it something else is refused, with both
//! values. Not here: the checkpoint (`checkpoint`), the texts (their fingerprint is compared by the trainer).

use rondo_runs::Change;

use crate::settings::{FIELDS, Field, Settings};
use crate::{Plan, Result, TrainError};

/// Settings that change nothing about what was trained so far: where the texts are (their content is compared), when to
/// end, what to show and to save, what to compute with.
const FREE: &[&str] = &[
    "text.corpus",
    "text.data",
    "training.epochs",
    "training.threads",
    "training.precision",
    "training.checkpoint_every",
    "training.on_nan",
    "training.max_rollbacks",
    "training.rollback_factor",
    "training.log_every",
    "evaluation.every",
    "evaluation.bptt",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
];

/// The plan of a run that goes on with `flags` laid over the settings that it had `before`, and what is another in it.
/// `plan` makes a plan of settings: [`Plan::new`], or [`Plan::continuing`] for a run that went on from a model.
///
/// # Errors
/// [`TrainError::Fixed`] for a setting that cannot be changed any more; those of `plan`.
pub fn resumed_plan(
    before: &Settings,
    flags: Settings,
    plan: impl Fn(&Settings) -> Result<Plan>,
) -> Result<(Plan, Vec<Change>)> {
    let now = before.clone().overlaid_with(flags);
    let resumed = match plan(&now) {
        Ok(resumed) => resumed,
        // A width of layers that no longer fits the rest is refused for being another, not for that.
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

/// Refuses changes that a resumed run cannot have.
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
            ("[model]\nhidden_size = 64", "model.hidden_size", "200", "64"),
            ("[model]\ndropout = 0.5", "model.dropout_input", "0.2", "0.5"),
            ("[training]\nseed = 2", "training.seed", "1", "2"),
            ("[training]\nfrom = '/m'", "training.from", "nothing", "/m"),
            ("[optimization]\nlearning_rate = 1", "optimization.learning_rate", "20", "1"),
        ] {
            let error = resumed(flags).unwrap_err().to_string();
            assert_eq!(error, format!("`{setting}` was {before} and cannot become {now} in a run under way"));
        }
    }
}
