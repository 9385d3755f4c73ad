//! `GET /v1/runs`: the runs in a folder, and the curve of one of them, also while it is trained.

use axum::Json;
use axum::extract::{Path, State};
use rondo_runs::metrics::{self, Record};
use rondo_runs::{ListedRun, RunFolder};
use serde_json::{Value, json};

use super::Shared;
use crate::error::ApiError;

/// About how many records of a curve are sent at most.
const MOST_RECORDS: usize = 2_000;

/// Lists the runs.
pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, ApiError> {
    let Some(folder) = shared.options.runs.clone() else {
        return Ok(Json(json!({ "object": "list", "data": [] })));
    };
    let find = move || {
        let runs =
            ListedRun::find(&folder).map_err(|error| ApiError::not_found("no_runs", error.to_string()))?;
        // Folders that cannot be read are not shown.
        let runs = runs.into_iter().flatten();
        Ok(runs.map(|run| json!({ "name": run.name, "summary": run.summary })).collect::<Vec<_>>())
    };
    Ok(Json(json!({ "object": "list", "data": shared.compute(find).await? })))
}

/// The curve of a run.
pub(super) async fn show(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let no_run = |name: &str| ApiError::not_found("no_run", format!("there is no run `{name}`"));
    let Some(folder) = shared.options.runs.clone() else { return Err(no_run(&name)) };
    let read = move || {
        let runs = ListedRun::find(&folder).map_err(|_| no_run(&name))?;
        // Only names that are listed: no other path.
        let run = runs.into_iter().flatten().find(|run| run.name == name).ok_or_else(|| no_run(&name))?;
        let records = records(&run.folder);
        let every = records.len().div_ceil(MOST_RECORDS).max(1);
        let is_kept = |(place, record): &(usize, &Record)| place % every == 0 || record.valid_loss.is_some();
        let records: Vec<&Record> =
            records.iter().enumerate().filter(is_kept).map(|(_, record)| record).collect();
        Ok(json!({ "name": run.name, "summary": run.summary, "records": records }))
    };
    Ok(Json(shared.compute(read).await?))
}

/// The records that have been written; a run may be writing the next one.
fn records(folder: &RunFolder) -> Vec<Record> {
    let path = folder.metrics();
    let Ok(bytes) = std::fs::read(&path) else { return vec![] };
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    metrics::parse(&path, &bytes[..whole]).unwrap_or_default()
}
