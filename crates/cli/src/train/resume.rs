//! `rondo train --resume`: goes on with a run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rondo_data::{Corpus, Tokenizer, Vocab};
use rondo_infer::ModelParts;
use rondo_nn::RnnLmConfig;
use rondo_runs::RunFolder;
use rondo_train::{Checkpoint, Outcome, Plan, Settings, Trainer, resumed_plan};

use super::wanted::{named_corpus, of_plan};
use super::{Format, Started, device_of};
use crate::console::Console;
use crate::corpora;

/// Goes on with the run in `out` from its last checkpoint, or from its beginning if it has none, with `flags` laid over
/// its settings.
pub(super) fn resume(
    out: PathBuf,
    flags: Settings,
    console: Console,
    format: Format,
) -> Result<(Outcome, RunFolder)> {
    let folder = RunFolder::open(out)?;
    // Whether another process is at it is better known before the texts are read; the trainer asks again.
    drop(folder.lock()?);
    let before = of_plan(folder.path())?;
    let checkpoint = latest_checkpoint(&folder, console)?;
    let basis = match &checkpoint {
        Some(checkpoint) if before.training.from.is_some() => Some(Basis::of_run(&folder, checkpoint)?),
        _ => None,
    };
    let plan = |settings: &Settings| match &basis {
        Some(basis) => Plan::continuing(settings, &basis.config, &basis.tokenizer, basis.vocab.clone()),
        None => Plan::new(settings),
    };
    let (mut plan, changes) = resumed_plan(&before, named_corpus(flags), plan)?;
    for change in &changes {
        let or_nothing = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
        let (before, now) = (or_nothing(&change.before), or_nothing(&change.now));
        console.say(&format!("note     `{}` was {before} and is {now} from here on", change.setting));
    }
    let device = device_of(&plan, console)?;
    let mut model = None;
    if let (None, Some(from)) = (&checkpoint, plan.training.from.clone()) {
        let loaded = ModelParts::open(&from, None, &device)?;
        plan = Plan::continuing(
            &plan.settings(),
            loaded.model.config(),
            loaded.codec.tokenizer(),
            loaded.codec.vocab().clone(),
        )?;
        model = Some(loaded.model);
    }
    let found = corpora::find(&plan.text.corpus, console)?;
    let corpus = Corpus::read(&found.texts, &plan.text.options)?;
    let trainer = match (checkpoint, model) {
        (Some(checkpoint), _) => {
            Trainer::resuming(plan.clone(), corpus.clone(), &device, checkpoint, changes)?
        }
        (None, Some(model)) => Trainer::continuing(plan.clone(), corpus.clone(), model)?,
        (None, None) => Trainer::new(plan.clone(), corpus.clone(), &device)?,
    };
    let run = Started { plan: &plan, device: &device, found: &found, corpus: &corpus, folder: &folder };
    let outcome = run.follow(trainer, console, format)?;
    Ok((outcome, folder))
}

/// The last checkpoint that can be used; what is wrong with a later one is said.
fn latest_checkpoint(folder: &RunFolder, console: Console) -> Result<Option<Checkpoint>> {
    let Some((checkpoint, damaged)) = Checkpoint::latest(folder)? else {
        console.say("note     the run has no checkpoint yet: it begins anew");
        return Ok(None);
    };
    for error in damaged {
        console.say(&format!("note     {error}: the one before it is used"));
    }
    Ok(Some(checkpoint))
}

/// What a run that went on from a model has of it: the model itself need not be there any more.
struct Basis {
    config: RnnLmConfig,
    tokenizer: Tokenizer,
    vocab: Vocab,
}

impl Basis {
    fn of_run(folder: &RunFolder, checkpoint: &Checkpoint) -> Result<Basis> {
        let config = checkpoint.config().context("the run's model is of another kind")?.clone();
        let tokenizer = checkpoint.tokenizer()?;
        let vocab = Vocab::load(folder.vocab()).context("could not load the run's vocabulary")?;
        Ok(Basis { config, tokenizer, vocab })
    }
}
