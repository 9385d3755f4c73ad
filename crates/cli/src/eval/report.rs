//! What an evaluation prints.

use anyhow::Result;
use rondo_infer::{Evaluation, Measures, Ranks};
use rondo_runs::{Loss, Perplexity};
use serde_json::{Map, Value, json};

use super::baselines::Baselines;
use super::keystrokes::Typed;
use super::text::Text;
use super::top_k;
use crate::model_args::Loaded;
use crate::normalizer::check_in_json;
use crate::{describe, output};

/// The results of an evaluation.
pub(super) struct Findings {
    /// The model alone.
    pub(super) base: Evaluation,
    /// The same per word, character and byte, unless the model is adapted.
    pub(super) measures: Option<Measures>,
    /// How high the tokens rank, if requested.
    pub(super) ranks: Option<Ranks>,
    /// The keystrokes that suggestions save, if requested.
    pub(super) typed: Option<Typed>,
    /// The model adapted to the text, in each requested way.
    pub(super) adapted: Vec<Adapted>,
    /// Predicted tokens per second; with adaptation, those of the adapted model.
    pub(super) tokens_per_s: f64,
}

impl Findings {
    /// Those of a model alone and adapted to the text.
    pub(super) fn adapted(base: Evaluation, adapted: Vec<Adapted>, tokens_per_s: f64) -> Findings {
        Findings { base, measures: None, ranks: None, typed: None, adapted, tokens_per_s }
    }
}

/// The evaluation of a model adapted to the text.
pub(super) struct Adapted {
    pub(super) evaluation: Evaluation,
    /// Its name in text and JSON: `cache` or `dynamic`.
    pub(super) name: &'static str,
    /// The heading of its column.
    pub(super) title: &'static str,
    /// Its settings in one line.
    pub(super) summary: String,
    /// Its settings for JSON.
    pub(super) settings: Map<String, Value>,
    /// A table of the tuning results, if any.
    pub(super) table: Option<String>,
}

/// Prints the results.
pub(super) fn print(
    json: bool,
    loaded: &Loaded,
    text: &Text,
    findings: &Findings,
    baselines: Option<&Baselines>,
) -> Result<()> {
    let unit = loaded.codec().unit();
    if json {
        let mut object = in_json(unit, loaded, text, findings);
        if let Some(check) = check_in_json(loaded) {
            object["approximate"] = check;
        }
        if let Some(Baselines { unigram, bigram }) = baselines {
            let numbers = |evaluation: &Evaluation| numbers(unit, *evaluation).into_iter().collect::<Value>();
            object["baselines"] =
                json!({ "unigram": unigram.as_ref().map(numbers), "bigram": bigram.as_ref().map(numbers) });
        }
        output::json(&object)
    } else {
        output::text(&in_columns(unit, loaded, text, findings, baselines))
    }
}

fn in_json(unit: &str, loaded: &Loaded, text: &Text, findings: &Findings) -> Value {
    let mut object = json!({
        "model": loaded.path.display().to_string(),
        "text": text.title,
        "unit": unit,
        "tokens": text.ids.len(),
        "predicted_tokens": findings.base.tokens,
        "unknown_words": text.unknown_words,
        "unknown_share": output::number(text.unknown_share()),
        "left_out": text.leaves_out && text.unknown_words > 0,
        "tokens_per_s": output::number(findings.tokens_per_s),
    });
    for (key, number) in numbers(unit, findings.base) {
        object[key] = number;
    }
    if let Some(measures) = &findings.measures {
        crate::measures::add_to(&mut object, measures);
    }
    if let Some(ranks) = &findings.ranks {
        object["ranks"] = top_k::in_json(ranks);
    }
    if let Some(typed) = &findings.typed {
        object["keystrokes"] = typed.in_json();
    }
    for adapted in &findings.adapted {
        let mut settings = adapted.settings.clone();
        settings.extend(numbers(unit, adapted.evaluation));
        object[adapted.name] = Value::Object(settings);
    }
    object
}

fn numbers(unit: &str, evaluation: Evaluation) -> [(String, Value); 3] {
    [
        ("loss".to_owned(), output::number(evaluation.nll_mean())),
        ("perplexity".to_owned(), output::number(perplexity(evaluation).value())),
        (format!("bits_per_{unit}"), output::number(evaluation.bits_per_token())),
    ]
}

fn in_columns(
    unit: &str,
    loaded: &Loaded,
    text: &Text,
    findings: &Findings,
    baselines: Option<&Baselines>,
) -> String {
    let predicted = describe::count(findings.base.tokens as usize);
    let unknown = describe::count(text.unknown_words as usize);
    let mut rows = vec![
        ["model".to_owned(), loaded.path.display().to_string()],
        ["text".to_owned(), text.title.clone()],
        ["tokens".to_owned(), format!("{}, {predicted} predicted", describe::count(text.ids.len()))],
        [
            "unknown words".to_owned(),
            match text.unknown_words {
                0 => unknown,
                _ => {
                    let left_out = if text.leaves_out { ", left out: their probability is 0" } else { "" };
                    format!("{unknown} ({:.1} %){left_out}", 100.0 * text.unknown_share())
                }
            },
        ],
    ];
    let measures = |evaluation: Evaluation| {
        [
            format!("{} nats per {unit}", Loss(evaluation.nll_mean())),
            format!("{} per {unit}", Loss(evaluation.bits_per_token())),
            perplexity(evaluation).to_string(),
        ]
    };
    let names = ["loss", "bits", "perplexity"].map(str::to_owned);
    let mut both = String::new();
    let adapted = &findings.adapted;
    if adapted.is_empty() {
        rows.extend(names.into_iter().zip(measures(findings.base)).map(|(name, base)| [name, base]));
    } else {
        rows.extend(adapted.iter().map(|adapted| [adapted.name.to_owned(), adapted.summary.clone()]));
        // As wide as the names above, so that the columns line up.
        let name = |name: &str| format!("{name:<13}");
        let all: Vec<_> =
            std::iter::once(findings.base).chain(adapted.iter().map(|adapted| adapted.evaluation)).collect();
        let titles = ["model alone"].into_iter().chain(adapted.iter().map(|adapted| adapted.title));
        let mut table: Vec<Vec<String>> =
            vec![[name("")].into_iter().chain(titles.map(str::to_owned)).collect()];
        for (row, title) in names.iter().enumerate() {
            let numbers = all.iter().map(|&evaluation| measures(evaluation)[row].clone());
            table.push([name(title)].into_iter().chain(numbers).collect());
        }
        both = output::columns(&table, &[]);
    }
    let speed = ["speed".to_owned(), format!("{} tokens/s", describe::count(findings.tokens_per_s as usize))];
    let in_lines =
        |rows: &[[String; 2]]| output::columns(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), &[]);
    rows.extend(findings.measures.iter().flat_map(crate::measures::rows));
    rows.extend(baselines.into_iter().flat_map(baseline_rows));
    rows.extend(findings.ranks.iter().flat_map(top_k::rows));
    rows.extend(findings.typed.iter().flat_map(Typed::rows));
    rows.push(speed);
    let positions = findings.ranks.as_ref().and_then(top_k::table);
    let positions = positions.map(|table| format!("\n{table}")).unwrap_or_default();
    if adapted.is_empty() {
        return in_lines(&rows) + &positions;
    }
    let tables: String = adapted
        .iter()
        .filter_map(|adapted| adapted.table.as_ref())
        .map(|table| format!("{table}\n"))
        .collect();
    format!("{tables}{}\n{both}", in_lines(&rows))
}

/// The baselines that are known, as rows of names and values.
fn baseline_rows(baselines: &Baselines) -> impl Iterator<Item = [String; 2]> {
    let both = [("unigram", baselines.unigram), ("bigram", baselines.bigram)];
    both.into_iter().filter_map(|(name, evaluation)| {
        let evaluation = evaluation?;
        let value = format!("loss {}, perplexity {}", Loss(evaluation.nll_mean()), perplexity(evaluation));
        Some([name.to_owned(), value])
    })
}

/// The perplexity in the form that all commands print.
pub(super) fn perplexity(evaluation: Evaluation) -> Perplexity {
    Perplexity::from_nll_mean(evaluation.nll_mean())
}
