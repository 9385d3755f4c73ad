//! Evaluation with a neural cache.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use rondo_data::Split;
use rondo_infer::{Cache, CacheTuning, Evaluation};
use serde_json::{Map, Value, json};

use super::report::{Adapted, Findings, perplexity};
use super::text::{self, Text};
use super::token_bar;
use crate::console::Console;
use crate::model_args::Loaded;
use crate::{describe, output};

/// The neural cache to evaluate with, if any.
#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    /// Interpolate with a neural cache over the last WINDOW positions, for example 2000. Reads the text as a single
    /// sequence. With --dynamic, both are measured [default: no cache]
    #[arg(
        long,
        value_name = "WINDOW",
        conflicts_with_all = ["batch_size", "bptt", "ngram"],
        help_heading = "Neural cache"
    )]
    cache: Option<NonZeroUsize>,
    /// Sharpness of the cache's softmax over past hidden states (theta); 0 weights all positions equally
    /// [default: 0.662]
    #[arg(long, value_name = "THETA", requires = "cache", help_heading = "Neural cache")]
    cache_theta: Option<f64>,
    /// Interpolation weight of the cache (lambda); 0 is off [default: 0.1279]
    #[arg(long, value_name = "LAMBDA", requires = "cache", help_heading = "Neural cache")]
    cache_lambda: Option<f64>,
    /// Tune theta and lambda: use the best of 81 pairs on the validation text of the corpus the model was trained on
    #[arg(
        long,
        requires = "cache",
        conflicts_with_all = ["cache_theta", "cache_lambda", "dynamic"],
        help_heading = "Neural cache"
    )]
    tune_cache: bool,
    /// Text to tune on instead
    #[arg(long, value_name = "FILE", requires = "tune_cache", help_heading = "Neural cache")]
    tune_on: Option<PathBuf>,
}

/// The result of tuning on a text.
struct Tuned {
    on: String,
    tuning: CacheTuning,
}

impl CacheArgs {
    /// Whether a cache was requested.
    pub(super) fn is_wanted(&self) -> bool {
        self.cache.is_some()
    }

    /// Checks the requested cache.
    pub(super) fn check(&self) -> Result<()> {
        Ok(self.cache().check()?)
    }

    /// Evaluates the text with the cache, tuning it first if requested.
    pub(super) fn evaluate(&self, text: &Text, loaded: &Loaded, console: Console) -> Result<Findings> {
        let tuned = if self.tune_cache { Some(self.tune(loaded, console)?) } else { None };
        let cache = tuned.as_ref().map_or_else(|| self.cache(), |tuned| tuned.tuning.best().cache);
        let bar = token_bar(console, text);
        let mut progress = |done| {
            bar.set_position(done);
            ControlFlow::Continue(())
        };
        let begun = Instant::now();
        let found = loaded.model.evaluate_with_cache(&text.ids, &cache, &mut progress)?;
        let tokens_per_s = found.base.tokens as f64 / begun.elapsed().as_secs_f64();
        let adapted = Adapted::cache(found.cached, "with the cache", &cache, tuned.as_ref());
        Ok(Findings::adapted(found.base, vec![adapted], tokens_per_s))
    }

    /// The requested cache, not tuned.
    pub(super) fn wanted(&self) -> Option<Cache> {
        self.is_wanted().then(|| self.cache())
    }

    fn cache(&self) -> Cache {
        let default = Cache::default();
        Cache {
            window: self.cache.map_or(default.window, NonZeroUsize::get),
            theta: self.cache_theta.unwrap_or(default.theta),
            lambda: self.cache_lambda.unwrap_or(default.lambda),
        }
    }

    fn tune(&self, loaded: &Loaded, console: Console) -> Result<Tuned> {
        let text = match &self.tune_on {
            Some(path) => text::given_text(std::slice::from_ref(path), false, loaded, console)?,
            None => text::corpus_text(&[], Split::Valid, "--tune-on", false, loaded, console)?,
        };
        let bar = token_bar(console, &text);
        let mut progress = |done| {
            bar.set_position(done);
            ControlFlow::Continue(())
        };
        let (window, thetas, lambdas) = (self.cache().window, &Cache::THETAS, &Cache::LAMBDAS);
        let tuning = loaded.model.tune_cache(&text.ids, window, thetas, lambdas, &mut progress)?;
        Ok(Tuned { on: text.title, tuning })
    }
}

impl Adapted {
    /// The evaluation with a cache.
    fn cache(evaluation: Evaluation, title: &'static str, cache: &Cache, tuned: Option<&Tuned>) -> Adapted {
        let (summary, settings) = (summary(cache, tuned), settings(cache, tuned));
        Adapted { evaluation, name: "cache", title, summary, settings, table: tuned.map(table) }
    }

    /// The evaluation of a model that learns, with a cache.
    pub(super) fn dynamic_with_cache(evaluation: Evaluation, cache: &Cache) -> Adapted {
        Adapted::cache(evaluation, "dynamic, cache", cache, None)
    }
}

fn summary(cache: &Cache, tuned: Option<&Tuned>) -> String {
    let on = tuned.map(|tuned| format!(", tuned on {}", tuned.on)).unwrap_or_default();
    let Cache { window, theta, lambda } = cache;
    format!("{} positions, theta {theta}, lambda {lambda}{on}", describe::count(*window))
}

fn settings(cache: &Cache, tuned: Option<&Tuned>) -> Map<String, Value> {
    let number = |name: &str, value: f64| (name.to_owned(), output::number(value));
    let mut settings = Map::from_iter([
        ("window".to_owned(), cache.window.into()),
        number("theta", cache.theta),
        number("lambda", cache.lambda),
    ]);
    if let Some(Tuned { on, tuning }) = tuned {
        let point = |point: &rondo_infer::CachePoint| {
            json!({
                "theta": output::number(point.cache.theta),
                "lambda": output::number(point.cache.lambda),
                "perplexity": output::number(perplexity(point.evaluation).value()),
            })
        };
        settings.insert("tuned_on".to_owned(), on.as_str().into());
        settings.insert("tried".to_owned(), tuning.points.iter().map(point).collect());
    }
    settings
}

/// The perplexity of each pair, one line per theta.
fn table(Tuned { on, tuning }: &Tuned) -> String {
    let lambdas = Cache::LAMBDAS;
    let mut rows = vec![["theta".to_owned()].into_iter().chain(lambdas.map(|l| l.to_string())).collect()];
    for points in tuning.points.chunks(lambdas.len()) {
        let theta = points.iter().take(1).map(|point| point.cache.theta.to_string());
        rows.push(theta.chain(points.iter().map(|point| perplexity(point.evaluation).to_string())).collect());
    }
    let right: Vec<usize> = (1..=lambdas.len()).collect();
    format!("perplexity on {on}, by theta (rows) and lambda (columns)\n{}", output::columns(&rows, &right))
}
