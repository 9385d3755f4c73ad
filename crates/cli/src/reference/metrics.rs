//! `metrics.md`: the measurements in a run's records, and the result in its summary.

use rondo_runs::metrics::{Record, RecordKind};

use super::files::fields;
use super::{cell, heading, source};

/// The page.
pub(super) fn page() -> String {
    let introduction = "What a run measures: in `metrics.jsonl`, a JSON object per line, and in `summary.json`. [Runs]\
        (../runs.md#metrics) explains the records and shows how to use them. Losses are in nats per token; a measurement \
        that was not made is left out, and a value that is NaN or infinite is `null`.";
    let mut page = heading("Metrics", introduction);
    page +=
        "\n## metrics.jsonl\n\n| key | in records | unit | meaning | TensorBoard |\n|---|---|---|---|---|\n";
    for [key, unit, meaning, tag] in [
        ["kind", "", "`start`, `batch` or `epoch`", ""],
        ["epoch", "", "The epoch, counted from 1; 0 in `start`", ""],
        ["step", "steps", "Optimizer steps since the start of the run", "the horizontal axis"],
        ["tokens", "tokens", "Training tokens since the start of the run", ""],
    ] {
        page += &format!("| `{key}` | all | {unit} | {meaning} | {tag} |\n");
    }
    for measurement in Record::MEASUREMENTS {
        let kinds: Vec<&str> = measurement.kinds.iter().map(|kind| kind.name()).collect();
        let all = [RecordKind::Start, RecordKind::Batch, RecordKind::Epoch];
        let kinds = if all.iter().all(|kind| measurement.kinds.contains(kind)) {
            "all".to_owned()
        } else {
            kinds.join(", ")
        };
        let meaning = cell(measurement.meaning.trim().trim_end_matches('.'));
        page += &format!(
            "| `{}` | {kinds} | {} | {meaning} | `{}` |\n",
            measurement.key, measurement.unit, measurement.tag
        );
    }
    let source = &source("crates/runs/src/summary.rs");
    page += "\n## summary.json\n\n";
    page += &fields(source, "RunSummary");
    page += "\n`best` and `last` contain:\n\n";
    page + &fields(source, "EpochResult")
}
