//! What a run must do to repeat another one, whose settings may have changed while it was trained.
//!
//! ```text
//! plan-original.toml ─▶ settings ──▶ train to the place of the first change ─▶ changed settings ─▶ …
//! provenance.json ────▶ changes ───────────┘
//! ```
//!
//! Not here: training (the session).

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;

use rondo_runs::{Provenance, RunFolder, SettingsChange};

use crate::progress::Position;
use crate::resume::has_effect;
use crate::settings::{Field, Kind, Settings};
use crate::{Result, TrainError};

/// The settings of a run, and the changes that are still to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repetition {
    /// The settings now.
    pub(crate) settings: Settings,
    changes: VecDeque<SettingsChange>,
}

impl Repetition {
    /// The repetition of the run in a folder.
    pub(crate) fn of(folder: &RunFolder, provenance: &Provenance) -> Result<Repetition> {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
            Settings::parse(&path.display().to_string(), &text)
        };
        let last = read(folder.plan())?;
        if provenance.changes.is_empty() {
            return Ok(Repetition { settings: last, changes: VecDeque::new() });
        }
        let mut settings = read(folder.original_plan())?;
        // The texts may have been moved since.
        (settings.text.corpus, settings.text.data) = (last.text.corpus, last.text.data);
        Ok(Repetition { settings, changes: provenance.changes.iter().cloned().collect() })
    }

    /// Where the next change is to be made, if there is one.
    pub(crate) fn next_place(&self) -> Option<Position> {
        self.changes.front().map(Position::from)
    }

    /// Makes the next change, and returns it.
    pub(crate) fn advance(&mut self) -> Result<Option<SettingsChange>> {
        let Some(next) = self.changes.pop_front() else { return Ok(None) };
        self.settings = std::mem::take(&mut self.settings).overlaid_with(given(&next)?);
        Ok(Some(next))
    }
}

/// The settings that a change gives.
fn given(change: &SettingsChange) -> Result<Settings> {
    let mut settings = Settings::default();
    for change in change.settings.iter().filter(|change| has_effect(&change.setting)) {
        let text = change.now.as_str();
        let Some(field) = Field::find(&change.setting) else {
            let (setting, text) = (change.setting.clone(), change.now.clone());
            return Err(TrainError::Value { setting, text, reason: "there is no such setting".to_owned() });
        };
        match field.kind {
            Kind::Many | Kind::ManyOf(_) => {
                settings.set(field, &text.split(' ').collect::<Vec<_>>())?;
            }
            // A setting that is unset belongs to the previous value of another one, which removes it.
            _ if text.is_empty() => {}
            _ => settings.set(field, &[text])?,
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use rondo_runs::Change;

    use super::*;
    use crate::Plan;
    use crate::resume::changes;

    #[test]
    fn changes_lead_from_each_plan_to_the_next() {
        let plans = [
            "",
            "[optimization]\nschedule = 'step'\ndecay_every = 4\nlearning_rate = 0.1",
            "[model]\nlocked_dropout = ['input', 'output']\ndropout = 0.3\n[optimization]\nschedule = 'constant'",
            "[optimization]\naveraging = 'nt-asgd'\nclip_norm = 0\nclip_value = 5",
            "[training]\non_nan = 'rollback'\nepochs = 7\n[optimization]\npatience = 3\nreload_best = true",
        ]
        .map(|text| Plan::new(&Settings::parse("test", text).unwrap()).unwrap().settings());
        let change =
            |settings: Vec<Change>| SettingsChange { epoch: 1, batch: 0, step: 0, rollbacks: 0, settings };
        let changes = plans.windows(2).map(|pair| change(changes(&pair[0], &pair[1]))).collect();
        let mut repetition = Repetition { settings: plans[0].clone(), changes };
        for plan in &plans[1..] {
            repetition.advance().unwrap().unwrap();
            assert_eq!(Plan::new(&repetition.settings).unwrap().settings(), *plan);
        }
        assert_eq!((repetition.advance().unwrap(), repetition.next_place()), (None, None));
    }

    #[test]
    fn a_setting_of_a_later_version_is_named() {
        let (before, now) = (String::new(), "9".to_owned());
        let settings = vec![Change { setting: "model.sparkle".to_owned(), before, now }];
        let change = SettingsChange { epoch: 1, batch: 0, step: 0, rollbacks: 0, settings };
        let error = given(&change).unwrap_err().to_string();
        assert_eq!(error, "invalid value `9` for `model.sparkle`: there is no such setting");
    }
}
