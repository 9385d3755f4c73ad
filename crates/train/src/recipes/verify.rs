//! Judges whether a run reproduces a recipe: whether its perplexities are within the recipe's bands.
//!
//! Not here: training. A run is judged by the files in its folder.

use rondo_runs::metrics::{self, Record, RecordKind};
use rondo_runs::{Change, Perplexity, Provenance, RunFolder, SettingsChange};

use super::{Band, Recipe, Verify};
use crate::reproduce::has_ended;
use crate::resume::changes;
use crate::{Plan, Result, Settings, TrainError};

/// Settings that may differ from the recipe's: they do not affect the result, or no more than another seed does.
const FREE: &[&str] = &[
    "text.data",
    "training.threads",
    "training.checkpoint_every",
    "training.on_nan",
    "training.max_rollbacks",
    "training.rollback_factor",
    "training.log_every",
    "training.moving_loss_decay",
    "training.moving_loss_correction",
    "training.seed",
    "evaluation.batch_size",
    "evaluation.bptt",
    "evaluation.every",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
];

/// One run that verifies a recipe: its settings, and the bands that its perplexities must be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// The settings that differ from the recipe's.
    pub with: Settings,
    /// All settings of the run.
    pub settings: Settings,
    /// What the run must reach.
    pub bands: Vec<Verify>,
}

/// A perplexity of a run, and the band it must be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The name of the band, if it has one.
    pub name: Option<String>,
    /// The number of epochs of which the best model counts.
    pub after_epoch: usize,
    /// `valid` or `test`.
    pub text: &'static str,
    /// The perplexity of that model.
    pub perplexity: Perplexity,
    /// The band it must be in.
    pub band: Band,
}

impl Finding {
    /// Whether the perplexity is within its band.
    pub fn holds(&self) -> bool {
        self.band.contains(self.perplexity.value())
    }
}

impl Recipe {
    /// The runs that verify the recipe, in the order of the file. Bands with the same settings share a run.
    ///
    /// `names` selects the bands with these names; if it is empty, all bands are selected.
    ///
    /// # Errors
    /// [`TrainError::NothingToVerify`] if the recipe has no bands, [`TrainError::UnknownBand`] if none has one of
    /// the names.
    pub fn verifications(&self, names: &[String]) -> Result<Vec<Verification>> {
        let bands = &self.about.verify;
        if bands.is_empty() {
            return Err(TrainError::NothingToVerify { name: self.about.name.clone() });
        }
        let known = || bands.iter().filter_map(|band| band.name.as_ref());
        if let Some(name) = names.iter().find(|name| known().all(|known| known != *name)) {
            let mut distinct: Vec<String> = vec![];
            for known in known() {
                if !distinct.contains(known) {
                    distinct.push(known.clone());
                }
            }
            let recipe = self.about.name.clone();
            return Err(TrainError::UnknownBand { recipe, name: name.clone(), known: distinct });
        }
        let mut verifications: Vec<Verification> = vec![];
        for band in bands {
            if !names.is_empty() && band.name.as_ref().is_none_or(|name| !names.contains(name)) {
                continue;
            }
            let settings = self.settings.clone().overlaid_with(band.with.clone());
            match verifications.iter_mut().find(|verification| verification.settings == settings) {
                Some(verification) => verification.bands.push(band.clone()),
                None => verifications.push(Verification {
                    with: band.with.clone(),
                    settings,
                    bands: vec![band.clone()],
                }),
            }
        }
        Ok(verifications)
    }

    /// The verification that has the settings of this run; `names` selects bands as in [`Recipe::verifications`].
    ///
    /// # Errors
    /// [`TrainError::OtherPlan`] if there is none: it names the first setting that differs from those of the most
    /// similar verification. [`TrainError::ChangedPlan`] as [`Verification::check`]. Errors of
    /// [`Recipe::verifications`] and of reading the run's plan.
    pub fn verification_of(&self, folder: &RunFolder, names: &[String]) -> Result<Verification> {
        refuse_changed(folder)?;
        let found = plan_of(folder)?.settings();
        let mut nearest: Option<(Vec<Change>, Verification)> = None;
        for verification in self.verifications(names)? {
            let differing = differing(&Plan::new(&verification.settings)?, &found);
            if nearest.as_ref().is_none_or(|(fewest, _)| differing.len() < fewest.len()) {
                nearest = Some((differing, verification));
            }
        }
        let (differing, verification) =
            nearest.ok_or_else(|| TrainError::NothingToVerify { name: self.about.name.clone() })?;
        refuse(folder, differing)?;
        Ok(verification)
    }
}

impl Verification {
    /// Checks that a run has these settings. Seed, threads, and what is only shown or saved may differ.
    ///
    /// # Errors
    /// [`TrainError::OtherPlan`] if another setting differs, [`TrainError::ChangedPlan`] if one was changed while the
    /// run was trained; errors of reading the run's plan.
    pub fn check(&self, folder: &RunFolder) -> Result<()> {
        refuse_changed(folder)?;
        refuse(folder, differing(&Plan::new(&self.settings)?, &plan_of(folder)?.settings()))
    }

    /// Judges a finished run: the perplexities of its best model, or of the best until some epoch, against the bands.
    ///
    /// # Errors
    /// [`TrainError::OtherPlan`] if the run has other settings, [`TrainError::Unfinished`] if it has not reached its
    /// last epoch; errors of reading its files.
    pub fn judge(&self, folder: &RunFolder) -> Result<Vec<Finding>> {
        self.check(folder)?;
        let records = metrics::read(&folder.metrics())?;
        let evaluated =
            records.iter().filter(|record| record.kind == RecordKind::Epoch && record.valid_loss.is_some());
        let epochs = evaluated.map(|record| record.epoch).max().unwrap_or(0);
        let plan = Plan::new(&self.settings)?;
        let wanted = plan.training.epochs;
        if epochs < wanted && !has_ended(folder, &plan)? {
            return Err(TrainError::Unfinished { path: folder.path().to_owned(), epochs, wanted });
        }
        Ok(self.bands.iter().flat_map(|band| findings(band, &records, wanted)).collect())
    }
}

/// The perplexities of the best epoch, with their bands.
fn findings(verify: &Verify, records: &[Record], epochs: usize) -> Vec<Finding> {
    let after_epoch = verify.after_epoch.unwrap_or(epochs);
    // The model of an interruption does not count.
    let evaluated = records.iter().filter(|record| {
        record.kind != RecordKind::Batch
            && record.epoch <= after_epoch
            && record.valid_loss.is_some_and(f64::is_finite)
    });
    let loss = |record: &Record| record.valid_loss.unwrap_or(f64::INFINITY);
    let best = evaluated.min_by(|a, b| loss(a).total_cmp(&loss(b)));
    // A run without any finite loss fails on every text that has a band.
    let perplexity = |of: fn(&Record) -> Option<f64>| {
        Perplexity::from_nll_mean(best.and_then(of).unwrap_or(f64::INFINITY))
    };
    let finding = |text, band: Option<Band>, of| {
        band.map(|band| Finding {
            name: verify.name.clone(),
            after_epoch,
            text,
            perplexity: perplexity(of),
            band,
        })
    };
    [
        finding("valid", verify.valid, |record| record.valid_loss),
        finding("test", verify.test, |record| record.test_loss),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The plan of a run.
fn plan_of(folder: &RunFolder) -> Result<Plan> {
    let origin = folder.plan().display().to_string();
    let text = std::fs::read_to_string(folder.plan()).map_err(TrainError::io("read", folder.plan()))?;
    Plan::new(&Settings::parse(&origin, &text)?)
}

/// The settings of a run that differ from the expected ones and must not.
fn differing(expected: &Plan, found: &Settings) -> Vec<Change> {
    let mut changes = changes(&expected.settings(), found);
    changes.retain(|change| !FREE.contains(&change.setting.as_str()));
    changes
}

/// Refuses a run that had other settings for some of its steps. More epochs than it was first given do not count: the
/// last number is compared.
fn refuse_changed(folder: &RunFolder) -> Result<()> {
    if !folder.provenance().is_file() {
        return Ok(());
    }
    for SettingsChange { step, settings, .. } in Provenance::read(folder)?.changes {
        let counts = |setting: &str| setting != "training.epochs" && !FREE.contains(&setting);
        if let Some(change) = settings.into_iter().find(|change| counts(&change.setting)) {
            let (path, setting) = (folder.path().to_owned(), change.setting);
            return Err(TrainError::ChangedPlan { path, setting, step });
        }
    }
    Ok(())
}

/// Refuses a run whose settings differ.
fn refuse(folder: &RunFolder, differing: Vec<Change>) -> Result<()> {
    match differing.into_iter().next() {
        None => Ok(()),
        Some(Change { setting, before: expected, now: found }) => {
            Err(TrainError::OtherPlan { path: folder.path().to_owned(), setting, found, expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use rondo_runs::metrics::MetricsLog;

    use super::*;
    use crate::recipes;

    /// A folder of a run by the recipe's settings, changed by `with`, that reached these perplexities; after them, it
    /// has begun another epoch.
    fn run(recipe: &Recipe, with: &str, perplexities: &[(f64, f64)]) -> (tempfile::TempDir, RunFolder) {
        let settings = recipe.settings.clone().overlaid_with(Settings::parse("test", with).unwrap());
        let parent = tempfile::tempdir().unwrap();
        let plan = Plan::new(&settings).unwrap().to_toml().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), &plan).unwrap();
        let mut log = MetricsLog::create(&folder, 0.0).unwrap();
        for (epoch, (valid, test)) in (1..).zip(perplexities) {
            let (valid_loss, test_loss) = (Some(valid.ln()), Some(test.ln()));
            let (kind, step) = (RecordKind::Epoch, epoch as u64);
            log.write(&Record { kind, epoch, step, valid_loss, test_loss, ..Record::default() }).unwrap();
        }
        let epoch = perplexities.len() + 1;
        log.write(&Record { epoch, step: epoch as u64, ..Record::default() }).unwrap();
        (parent, folder)
    }

    #[test]
    fn a_run_whose_settings_changed_while_it_was_trained_does_not_count() {
        let recipe = recipes::find("ptb-rnn").unwrap();
        let with = recipe.verifications(&[]).unwrap()[0].with.to_toml().unwrap();
        let (_parent, folder) = run(&recipe, &with, &[]);
        let provenance = |setting: &str| {
            let change = serde_json::json!({ "setting": setting, "before": "1", "now": "2" });
            serde_json::json!({
                "rondo": "", "system": "", "device": "", "seed": 1, "threads": 1, "started_unix_s": 0.0,
                "corpus": { "vocabulary": "", "train": "" },
                "changes": [{ "epoch": 2, "batch": 3, "step": 9, "settings": [change] }],
            })
        };
        for (setting, counts) in
            [("training.epochs", false), ("training.log_every", false), ("optimization.learning_rate", true)]
        {
            std::fs::write(folder.provenance(), provenance(setting).to_string()).unwrap();
            let error = recipe.verification_of(&folder, &[]).err().map(|error| error.to_string());
            let expected = format!(
                "the run `{}` does not follow the recipe: `{setting}` was changed at step 9",
                folder.path().display()
            );
            assert_eq!(error, counts.then_some(expected), "{setting}");
        }
    }

    fn judge(with: &str, perplexities: &[(f64, f64)]) -> Result<Vec<bool>> {
        let recipe = recipes::find("wikitext2-standard-200").unwrap();
        let (_parent, folder) = run(&recipe, with, perplexities);
        let findings = recipe.verification_of(&folder, &[])?.judge(&folder)?;
        Ok(findings.iter().map(Finding::holds).collect())
    }

    /// A recipe with bands of two runs, one of them after each of its two epochs.
    fn with_bands() -> Recipe {
        let bands = r#"
            [recipe]
            name = "three"
            title = ""
            summary = ""
            source = ""
            command = ""
            [[recipe.verify]]
            name = "lstm"
            with = { model = { cell = "lstm" }, training = { epochs = 2 } }
            after_epoch = 1
            valid = [230, 240]
            [[recipe.verify]]
            name = "gru"
            with = { model = { cell = "gru" } }
            test = [220, 230]
            [[recipe.verify]]
            name = "lstm"
            with = { training = { epochs = 2 }, model = { cell = "lstm" } }
            valid = [180, 190]
            test = [170, 180]
            [model]
            hidden_size = 8
            [training]
            epochs = 1
        "#;
        Recipe::parse("three.toml", bands).unwrap()
    }

    #[test]
    fn the_best_epoch_counts() {
        let epochs = [(230.0, 210.0), (159.0, 147.0), (170.0, 160.0)];
        assert_eq!(judge("[training]\nthreads = 7\nseed = 2\nlog_every = 3", &epochs).unwrap(), [true, true]);
        assert_eq!(judge("", &[(230.0, 210.0), (159.0, 170.0), (180.0, 147.0)]).unwrap(), [true, false]);
        let nan = [(f64::NAN, f64::NAN); 3];
        assert_eq!(judge("", &nan).unwrap(), [false, false]);
    }

    #[test]
    fn another_plan_and_an_unfinished_run_are_refused() {
        let epochs = [(159.0, 147.0); 3];
        let error = judge("[model]\ndropout = 0.1", &epochs).unwrap_err();
        let TrainError::OtherPlan { setting, found, expected, .. } = error else { panic!("{error}") };
        assert_eq!((&*setting, &*found, &*expected), ("model.dropout_input", "0.1", "0.2"));
        let error = judge("", &epochs[..2]).unwrap_err();
        assert!(matches!(error, TrainError::Unfinished { epochs: 2, wanted: 3, .. }), "{error}");
        let error = recipes::find("built-in").unwrap().verifications(&[]).unwrap_err();
        assert!(matches!(&error, TrainError::NothingToVerify { name } if name == "built-in"), "{error}");
    }

    #[test]
    fn bands_with_the_same_settings_share_a_run_and_are_selected_by_name() {
        let bands = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let verifications = with_bands().verifications(&names)?;
            Ok::<_, TrainError>(verifications.iter().map(|one| one.bands.len()).collect::<Vec<_>>())
        };
        assert_eq!(bands(&[]).unwrap(), [2, 1]);
        assert_eq!(bands(&["gru"]).unwrap(), [1]);
        assert_eq!(bands(&["gru", "lstm"]).unwrap(), [2, 1]);
        let error = bands(&["gru", "rnn"]).unwrap_err().to_string();
        assert_eq!(error, "the recipe `three` has no band `rnn`, expected one of `lstm`, `gru`");
        let unnamed = recipes::find("wikitext2-standard-200").unwrap();
        let error = unnamed.verifications(&["best".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "the recipe `wikitext2-standard-200` has no band `best`: its bands have no names");
    }

    #[test]
    fn a_run_is_judged_by_the_bands_of_its_own_settings() {
        let recipe = with_bands();
        let judge = |with: &str, perplexities: &[(f64, f64)], names: &[String]| {
            let (_parent, folder) = run(&recipe, with, perplexities);
            recipe.verification_of(&folder, names)?.judge(&folder)
        };
        let lstm = "[model]\ncell = 'lstm'\n[training]\nepochs = 2";
        let findings = judge(lstm, &[(235.0, 228.0), (191.0, 179.0)], &[]).unwrap();
        let found: Vec<_> = findings.iter().map(|f| (f.after_epoch, f.text, f.holds())).collect();
        assert_eq!(found, [(1, "valid", true), (2, "valid", false), (2, "test", true)]);
        assert!(findings.iter().all(|finding| finding.name.as_deref() == Some("lstm")));

        // A later, better epoch does not count for an earlier band, an earlier one does for a later band.
        let findings = judge(lstm, &[(185.0, 175.0), (300.0, 300.0)], &[]).unwrap();
        let holds: Vec<_> = findings.iter().map(Finding::holds).collect();
        assert_eq!(holds, [false, true, true]);

        // The nearest of the settings are those of the GRU, which is trained for one epoch.
        let error = judge("[model]\ncell = 'rnn_tanh'", &[(235.0, 228.0)], &[]).unwrap_err();
        let TrainError::OtherPlan { setting, found, expected, .. } = error else { panic!("{error}") };
        assert_eq!((&*setting, &*found, &*expected), ("model.cell", "rnn_tanh", "gru"));
        let error = judge(lstm, &[(235.0, 228.0), (191.0, 179.0)], &["gru".to_owned()]).unwrap_err();
        assert!(
            matches!(&error, TrainError::OtherPlan { setting, .. } if setting == "model.cell"),
            "{error}"
        );
    }

    #[test]
    fn every_free_setting_is_a_setting() {
        for path in FREE {
            assert!(crate::settings::Field::find(path).is_some(), "{path}");
        }
    }
}
