//! Whether a run of a recipe has come to what it must reach to count as a reproduction.
//!
//! Not here: training (a run is judged by what its folder says).

use rondo_runs::metrics::{self, Record};
use rondo_runs::{Change, Perplexity, RunFolder};

use super::{Band, Recipe, Verify};
use crate::resume::changes;
use crate::{Plan, Result, Settings, TrainError};

/// Settings that change nothing of what a run comes to but digits that do not matter, or what it shows meanwhile.
const FREE: &[&str] = &[
    "text.data",
    "training.threads",
    "training.checkpoint_every",
    "training.on_nan",
    "training.max_rollbacks",
    "training.rollback_factor",
    "training.log_every",
    "training.moving_loss_decay",
    "training.seed",
    "evaluation.batch_size",
    "evaluation.bptt",
    "evaluation.every",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
];

/// A perplexity that a run came to, and where it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// `valid` or `test`.
    pub text: &'static str,
    /// What the best model of the run has.
    pub perplexity: Perplexity,
    /// What it should have.
    pub band: Band,
}

impl Finding {
    /// Whether it is where it should be.
    pub fn holds(&self) -> bool {
        self.band.contains(self.perplexity.value())
    }
}

impl Recipe {
    /// What a run must reach, and the settings to reach it with.
    ///
    /// # Errors
    /// [`TrainError::NothingToVerify`] if the recipe does not say.
    pub fn verification(&self) -> Result<(&Verify, Settings)> {
        let verify = self
            .about
            .verify
            .as_ref()
            .ok_or_else(|| TrainError::NothingToVerify { name: self.about.name.clone() })?;
        Ok((verify, self.settings.clone().overlaid_with(verify.with.clone())))
    }

    /// Judges a run that has ended: its best model against what the recipe asks for.
    ///
    /// # Errors
    /// [`TrainError::NothingToVerify`]; [`TrainError::OtherPlan`] if the run was by other settings, and
    /// [`TrainError::Unfinished`] if it has not come to its end; those of reading its files.
    pub fn judge(&self, folder: &RunFolder) -> Result<Vec<Finding>> {
        let (verify, settings) = self.verification()?;
        let expected = Plan::new(&settings)?;
        check_plan(&expected, folder)?;
        let records = metrics::read(&folder.metrics())?;
        let epochs = records.iter().map(|record| record.epoch).max().unwrap_or(0);
        let wanted = expected.training.epochs;
        let ended = records.iter().any(|record| record.epoch == wanted && record.valid_loss.is_some());
        if !ended {
            return Err(TrainError::Unfinished { path: folder.path().to_owned(), epochs, wanted });
        }
        Ok(findings(verify, &records))
    }
}

/// The best epoch's perplexities beside their bands.
fn findings(verify: &Verify, records: &[Record]) -> Vec<Finding> {
    let evaluated = records.iter().filter(|record| record.valid_loss.is_some_and(f64::is_finite));
    let loss = |record: &Record| record.valid_loss.unwrap_or(f64::INFINITY);
    let best = evaluated.min_by(|a, b| loss(a).total_cmp(&loss(b)));
    // A run without any finite loss has failed in every text that was asked for.
    let perplexity = |of: fn(&Record) -> Option<f64>| {
        Perplexity::from_nll_mean(best.and_then(of).unwrap_or(f64::INFINITY))
    };
    let finding =
        |text, band: Option<Band>, of| band.map(|band| Finding { text, perplexity: perplexity(of), band });
    [
        finding("valid", verify.valid, |record| record.valid_loss),
        finding("test", verify.test, |record| record.test_loss),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Refuses a run by other settings than the recipe's.
fn check_plan(expected: &Plan, folder: &RunFolder) -> Result<()> {
    let origin = folder.plan().display().to_string();
    let text = std::fs::read_to_string(folder.plan()).map_err(TrainError::io("read", folder.plan()))?;
    let found = Plan::new(&Settings::parse(&origin, &text)?)?.settings();
    let mut changes = changes(&expected.settings(), &found).into_iter();
    match changes.find(|change| !FREE.contains(&change.setting.as_str())) {
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

    /// A folder of a run by the recipe's settings, changed by `with`, that came to these perplexities.
    fn run(with: &str, perplexities: &[(f64, f64)]) -> (tempfile::TempDir, RunFolder) {
        let recipe = recipes::find("wikitext2-standard-200").unwrap();
        let settings = recipe.settings.overlaid_with(Settings::parse("test", with).unwrap());
        let parent = tempfile::tempdir().unwrap();
        let plan = Plan::new(&settings).unwrap().to_toml().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), &plan).unwrap();
        let mut log = MetricsLog::create(&folder, 0.0).unwrap();
        for (epoch, (valid, test)) in (1..).zip(perplexities) {
            let (valid_loss, test_loss) = (Some(valid.ln()), Some(test.ln()));
            log.write(&Record { epoch, step: epoch as u64, valid_loss, test_loss, ..Record::default() })
                .unwrap();
        }
        (parent, folder)
    }

    fn judge(with: &str, perplexities: &[(f64, f64)]) -> Result<Vec<bool>> {
        let (_parent, folder) = run(with, perplexities);
        let findings = recipes::find("wikitext2-standard-200").unwrap().judge(&folder)?;
        Ok(findings.iter().map(Finding::holds).collect())
    }

    #[test]
    fn the_best_epoch_counts() {
        let epochs = [(230.0, 210.0), (159.0, 147.0), (170.0, 160.0)];
        assert_eq!(judge("[training]\nthreads = 7\nlog_every = 3", &epochs).unwrap(), [true, true]);
        assert_eq!(judge("", &[(230.0, 210.0), (159.0, 170.0), (180.0, 147.0)]).unwrap(), [true, false]);
        let nan = [(f64::NAN, f64::NAN); 3];
        assert_eq!(judge("", &nan).unwrap(), [false, false]);
    }

    #[test]
    fn another_plan_and_an_unfinished_run_are_refused() {
        let epochs = [(159.0, 147.0); 3];
        let error = judge("[model]\ndropout = 0.1", &epochs).unwrap_err().to_string();
        assert!(error.ends_with("`model.dropout_input` is `0.1`, but `0.2` in the recipe"), "{error}");
        let error = judge("", &epochs[..2]).unwrap_err().to_string();
        assert!(error.ends_with("is not finished: it has completed 2 of 3 epochs"), "{error}");
        let error = recipes::find("built-in").unwrap().verification().unwrap_err().to_string();
        assert_eq!(error, "the recipe `built-in` states no perplexities to verify");
    }
}
