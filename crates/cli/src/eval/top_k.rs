//! `rondo eval --top-k`: how often the next token is among the k most likely ones.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use rondo_infer::{RankSums, Ranking, Ranks};
use serde_json::{Map, Value, json};

use crate::console::Console;
use crate::model_args::Loaded;
use crate::{describe, exclusion, output};

/// The ranks to report, if any.
#[derive(Args, Debug)]
pub(super) struct TopKArgs {
    /// Also print the accuracy at each K, such as 1,3,5,10: the fraction of the tokens that are among the K most likely
    /// ones; and the mean reciprocal rank; both also by the position in the line. Unknown tokens are never found
    #[arg(
        long,
        value_name = "K,...",
        value_delimiter = ',',
        conflicts_with_all = ["approximate", "cache", "tune_cache", "dynamic", "ngram"],
        help_heading = "Suggestions"
    )]
    top_k: Vec<NonZeroUsize>,
}

impl TopKArgs {
    /// What to rank, if anything.
    pub(super) fn ranking(
        &self,
        exclude: Option<&Path>,
        loaded: &Loaded,
        console: Console,
    ) -> Result<Option<Ranking>> {
        if self.top_k.is_empty() {
            return Ok(None);
        }
        let excluded = exclude.map(|path| exclusion::ids(path, loaded.codec(), console));
        let mut cutoffs: Vec<usize> = self.top_k.iter().map(|k| k.get()).collect();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        Ok(Some(Ranking { cutoffs, excluded: excluded.transpose()?.unwrap_or_default() }))
    }
}

/// The ranks of all tokens as rows of names and values.
pub(super) fn rows(ranks: &Ranks) -> Vec<[String; 2]> {
    let at = ranks.cutoffs.iter().zip(ranks.all.accuracies());
    let mut rows: Vec<_> =
        at.map(|(k, accuracy)| [format!("accuracy at {k}"), format!("{:.2} %", 100.0 * accuracy)]).collect();
    rows.push(["mean reciprocal rank".to_owned(), format!("{:.4}", ranks.all.mean_reciprocal_rank())]);
    rows
}

/// The ranks by position as a table; `None` without positions.
pub(super) fn table(ranks: &Ranks) -> Option<String> {
    let last = ranks.by_position.len().checked_sub(1)?;
    let mut heading = vec!["position".to_owned(), "tokens".to_owned()];
    heading.extend(ranks.cutoffs.iter().map(|k| format!("at {k}")));
    heading.push("reciprocal rank".to_owned());
    let row = |(place, sums): (usize, &RankSums)| {
        let later = if place == last { " and later" } else { "" };
        let mut row = vec![format!("{}{later}", place + 1), describe::count(sums.tokens as usize)];
        row.extend(sums.accuracies().iter().map(|accuracy| format!("{:.2} %", 100.0 * accuracy)));
        row.push(format!("{:.4}", sums.mean_reciprocal_rank()));
        row
    };
    let mut table = vec![heading];
    table.extend(ranks.by_position.iter().enumerate().filter(|(_, sums)| sums.tokens > 0).map(row));
    let right: Vec<usize> = (1..table[0].len()).collect();
    Some(output::columns(&table, &right))
}

/// The ranks in JSON.
pub(super) fn in_json(ranks: &Ranks) -> Value {
    let positions = ranks.by_position.iter().zip(1..).map(|(sums, position)| {
        let mut object = sums_in_json(&ranks.cutoffs, sums);
        object.insert("position".to_owned(), position.into());
        object.insert("and_later".to_owned(), (position == ranks.by_position.len()).into());
        Value::Object(object)
    });
    let mut object = sums_in_json(&ranks.cutoffs, &ranks.all);
    object.insert("by_position".to_owned(), positions.collect());
    Value::Object(object)
}

fn sums_in_json(cutoffs: &[usize], sums: &RankSums) -> Map<String, Value> {
    let at = cutoffs.iter().zip(sums.accuracies());
    let accuracies: Map<String, Value> =
        at.map(|(k, accuracy)| (k.to_string(), output::number(accuracy))).collect();
    Map::from_iter([
        ("tokens".to_owned(), json!(sums.tokens)),
        ("accuracy".to_owned(), accuracies.into()),
        ("mean_reciprocal_rank".to_owned(), output::number(sums.mean_reciprocal_rank())),
    ])
}
