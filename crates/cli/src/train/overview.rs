//! The overview printed before training.

use std::fmt;
use std::path::Path;

use rondo_data::{Division, Split};
use rondo_nn::ActivationPenalty;
use rondo_runs::Compact;
use rondo_train::settings::{ResetState, TimeLimit};
use rondo_train::{
    AveragingRule, ClipNorm, CorpusChoice, OptimizerPlan, SampledSoftmax, ScheduleRule, Session, SoftmaxPlan,
};

use crate::describe;

/// The overview of a run.
pub(super) struct Overview<'a>(pub(super) &'a Session);

impl fmt::Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0.plan().model.config(self.0.corpus().vocab().len());
        let parameters = describe::count(config.parameter_count());
        writeln!(f, "rondo    {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "device   {}", self.0.device())?;
        writeln!(f, "corpus   {}", self.0.title())?;
        writeln!(f, "         {}", self.sizes())?;
        for note in self.notes() {
            writeln!(f, "         {note}")?;
        }
        writeln!(f, "model    {}", describe::model(&config))?;
        writeln!(f, "         {parameters} parameters")?;
        if let Some(from) = &self.0.plan().training.from {
            writeln!(f, "         fine-tuned from {}", from.display())?;
        }
        writeln!(f, "plan     {}", self.epochs())?;
        writeln!(f, "         {}", self.steps())?;
        write!(f, "run      {}", self.0.folder().path().display())
    }
}

impl Overview<'_> {
    /// Tokens per text, and vocabulary size.
    fn sizes(&self) -> String {
        let unit = self.0.corpus().codec.unit();
        let texts = Split::ALL.into_iter().filter_map(|split| {
            let ids = self.0.corpus().split(split)?;
            Some(format!("{split} {}", describe::count(ids.len())))
        });
        let texts = texts.collect::<Vec<_>>().join(", ");
        format!("{texts} {unit}s; vocabulary {}", describe::count(self.0.corpus().vocab().len()))
    }

    /// Notes on the texts.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        notes.extend(self.splits());
        for source in &self.0.corpus().sources {
            let unknown = source.text.out_of_vocab_tokens;
            if unknown > 0 {
                let origin = &source.text.origin;
                notes.push(format!(
                    "out-of-vocabulary words in {origin}: {}",
                    describe::count(unknown as usize)
                ));
            }
            let replaced = source.text.stats.replaced;
            if replaced > 0 {
                let (count, origin) = (describe::count(replaced as usize), &source.text.origin);
                notes.push(format!("invalid sequences replaced by U+FFFD in {origin}: {count}"));
            }
        }
        if self.0.corpus().valid.is_none() {
            notes.push("no validation text: the latest model is kept as the best".to_owned());
        }
        notes
    }

    /// How the texts were divided into splits, if the user has not named a file for each.
    fn splits(&self) -> Option<String> {
        let corpus = self.0.corpus();
        let CorpusChoice::Own(paths) = &self.0.plan().text.corpus else { return self.divided("single text") };
        let texts = corpus.sources.len();
        if corpus.divided {
            return self.divided(&match (texts, paths.len()) {
                (1, _) => "single text".to_owned(),
                (_, 1) => format!("{texts} texts of the folder, in order of their names"),
                _ => format!("{texts} files joined"),
            });
        }
        if paths.len() < 2 {
            return None;
        }
        let names = |split| {
            let of_split = corpus.sources.iter().filter(|source| source.split == Some(split));
            let names: Vec<String> = of_split.map(|source| file_name(&source.text.origin)).collect();
            (!names.is_empty()).then(|| format!("{split} {}", names.join(" ")))
        };
        let splits: Vec<String> = Split::ALL.into_iter().filter_map(names).collect();
        (!splits.is_empty()).then(|| format!("by file name: {}", splits.join(", ")))
    }

    /// Says which part of the text was split off, if any.
    fn divided(&self, text: &str) -> Option<String> {
        let percent = |fraction: f64| format!("{} %", (fraction * 1000.0).round() / 10.0);
        let options = &self.0.plan().text.options;
        self.0.corpus().divided.then(|| {
            let fractions = [options.valid_fraction, options.test_fraction].map(percent).join(" and ");
            match options.division {
                Division::End => {
                    format!("{text}: the last {fractions} are split off for validation and test")
                }
                Division::RandomLines => {
                    format!("{text}: random lines, {fractions} of it, are split off for validation and test")
                }
            }
        })
    }

    fn epochs(&self) -> String {
        let training = &self.0.plan().training;
        let batch_count = self.0.batches().batch_count().min(training.max_batches.unwrap_or(usize::MAX));
        let units = match training.reset_state {
            ResetState::Never => String::new(),
            ResetState::Batch => ", state reset before each batch".to_owned(),
            units if training.shuffle_lines => format!(", independent {units}s in random order"),
            units => format!(", independent {units}s"),
        };
        let most =
            training.max_steps.map_or(String::new(), |steps| format!(", at most {steps} steps in all"));
        let about = if training.variable_bptt { "about " } else { "" };
        let early = match training.early_stopping {
            None => String::new(),
            Some(1) => ", early stopping after an evaluation without improvement".to_owned(),
            Some(most) => format!(", early stopping after {most} evaluations without improvement"),
        };
        let epochs = match (training.time, training.max_steps) {
            (TimeLimit(None), _) => epochs(training.epochs),
            (time, None) => format!("{time}, as many steps as fit; epochs"),
            (time, Some(_)) => format!("{time}; epochs"),
        };
        format!(
            "{epochs} of {about}{} batches, {} sequences × {about}{} steps{most}{units}; seed {}{early}",
            describe::count(batch_count),
            training.batch_size,
            training.bptt,
            training.seed
        )
    }

    fn steps(&self) -> String {
        let optimization = &self.0.plan().optimization;
        let optimizer = match optimization.optimizer {
            OptimizerPlan::Sgd { momentum } if momentum > 0.0 => format!("sgd with momentum {momentum}"),
            OptimizerPlan::Sgd { .. } => "sgd".to_owned(),
            OptimizerPlan::Adam { decoupled: false, .. } => "adam".to_owned(),
            OptimizerPlan::Adam { decoupled: true, .. } => "adamw".to_owned(),
        };
        let mut parts = vec![format!("{optimizer}, learning rate {}", Compact(optimization.learning_rate))];
        if let SoftmaxPlan::Sampled(SampledSoftmax { draws, sampler }) = self.0.plan().model.softmax {
            parts.push(format!("softmax over {} sampled tokens ({sampler})", describe::count(draws)));
        }
        parts.push(match optimization.schedule {
            ScheduleRule::Constant => "constant".to_owned(),
            ScheduleRule::Plateau { decay_factor, patience: 1, .. } => {
                format!("× {decay_factor} if an epoch does not improve")
            }
            ScheduleRule::Plateau { decay_factor, patience, .. } => {
                format!("× {decay_factor} after {} without improvement", epochs(patience))
            }
            ScheduleRule::Step { decay_factor, decay_every } => {
                format!("× {decay_factor} every {}", epochs(decay_every))
            }
            ScheduleRule::Linear { min_learning_rate } => {
                format!("linear decay to {}", Compact(min_learning_rate))
            }
            ScheduleRule::Cosine { min_learning_rate } => {
                format!("cosine decay to {}", Compact(min_learning_rate))
            }
        });
        if optimization.warmup > 0 {
            parts.push(format!("warm-up of {} steps", describe::count(optimization.warmup as usize)));
        }
        if let Some(minimum) = optimization.min_learning_rate {
            parts.push(format!("down to {}", Compact(minimum)));
        }
        if let Some(ClipNorm { limit, unit }) = optimization.clip_norm {
            let unit = match unit.name() {
                "one" => String::new(),
                unit => format!(" × {unit}"),
            };
            parts.push(format!("clip norm {}{unit}", Compact(limit)));
        }
        if let Some(limit) = optimization.clip_value {
            parts.push(format!("clip value {}", Compact(limit)));
        }
        if optimization.weight_decay > 0.0 {
            parts.push(format!("weight decay {}", Compact(optimization.weight_decay)));
        }
        let ActivationPenalty { activation, temporal } = optimization.penalty;
        if activation > 0.0 || temporal > 0.0 {
            parts.push(format!("activation penalty {activation}, temporal {temporal}"));
        }
        match optimization.averaging {
            AveragingRule::Off => {}
            AveragingRule::Stalled { patience } => {
                parts.push(format!("NT-ASGD after {} without improvement", epochs(patience)));
            }
            AveragingRule::After { epochs: 0 } => parts.push("ASGD".to_owned()),
            AveragingRule::After { epochs: after } => parts.push(format!("ASGD after {}", epochs(after))),
            AveragingRule::Tail { fraction } => {
                parts.push(format!("average of the last {} % of steps", 100.0 * fraction))
            }
            AveragingRule::Exponential { decay } => {
                parts.push(format!("moving average of the weights, decay {decay}"))
            }
        }
        parts.join(", ")
    }
}

fn file_name(origin: &str) -> String {
    Path::new(origin).file_name().map_or_else(|| origin.to_owned(), |name| name.display().to_string())
}

fn epochs(count: usize) -> String {
    format!("{count} epoch{}", if count == 1 { "" } else { "s" })
}
