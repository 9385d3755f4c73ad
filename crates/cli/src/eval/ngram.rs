//! Evaluation of the model interpolated with an n-gram model.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::Result;
use serde_json::Map;

use super::report::{Adapted, Findings, perplexity};
use super::text::Text;
use super::token_bar;
use crate::console::Console;
use crate::model_args::Loaded;
use crate::ngram_args::LoadedNgram;
use crate::output;

/// Evaluates the text with the model, with the n-gram model, and with both.
pub(super) fn evaluate(
    ngram: &LoadedNgram,
    batch_size: usize,
    bptt: usize,
    text: &Text,
    loaded: &Loaded,
    console: Console,
) -> Result<Findings> {
    let LoadedNgram { origin, interpolation, tuned_on } = ngram;
    let bar = token_bar(console, text);
    let mut progress = |done| {
        bar.set_position(done);
        ControlFlow::Continue(())
    };
    let begun = Instant::now();
    let found =
        loaded.model.evaluate_with_ngram(&text.ids, interpolation, batch_size, bptt, &mut progress)?;
    let tokens_per_s = found.base.tokens as f64 / begun.elapsed().as_secs_f64();
    let order = interpolation.arpa().order();
    let on = tuned_on.as_ref().map(|on| format!(", tuned on {on}")).unwrap_or_default();
    let alone = perplexity(found.ngram);
    let summary =
        format!("order {order}, weight {:.4}{on}, perplexity {alone} alone, {origin}", found.weight);
    let mut settings = Map::from_iter([
        ("file".to_owned(), origin.as_str().into()),
        ("order".to_owned(), order.into()),
        ("weight".to_owned(), output::number(found.weight)),
        ("ngram_perplexity".to_owned(), output::number(alone.value())),
        ("unknown_tokens".to_owned(), interpolation.unknown_tokens().into()),
        ("unknown_words".to_owned(), interpolation.unknown_words().into()),
    ]);
    if let Some(on) = tuned_on {
        settings.insert("tuned_on".to_owned(), on.as_str().into());
    }
    let adapted = Adapted {
        evaluation: found.mixed,
        name: "ngram",
        title: "interpolated",
        summary,
        settings,
        table: None,
    };
    Ok(Findings::adapted(found.base, vec![adapted], tokens_per_s))
}
