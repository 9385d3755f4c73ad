//! The columns of a table of surprisals, and the rows of an item.

use rondo_infer::{Passage, Region, RegionScore};
use rondo_runs::Interval;

use super::SurprisalArgs;
use super::items::Item;
use crate::table::Cell;

/// The columns of the table.
pub(super) struct Columns<'a> {
    pub(super) args: &'a SurprisalArgs,
    pub(super) names: &'a [String],
    pub(super) has_files: bool,
}

impl Columns<'_> {
    /// Whether there are columns that need the whole distribution.
    fn has_distribution(&self) -> bool {
        !self.args.approximate.approximate
    }

    /// The names of the columns, with those that are passed through, and which of these have got another name because the
    /// table has a column of the same name.
    pub(super) fn names(&self, passed: &[String]) -> (Vec<String>, Vec<String>) {
        let own_of = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let first = if self.has_files { own_of(&["file", "item"]) } else { own_of(&["item"]) };
        let mut last = own_of(&["region", "text", "start", "end"]);
        let (unit, log) = (self.args.base.unit(), self.args.base.log_name());
        let ensemble = self.args.ensemble.then(|| "ensemble".to_owned());
        let models = self.names.iter().cloned().chain(ensemble);
        for name in models {
            // A single model does not need a name.
            let end =
                if self.names.len() == 1 && !self.args.ensemble { String::new() } else { format!(".{name}") };
            last.extend([
                format!("tokens{end}"),
                format!("surprisal_{unit}{end}"),
                format!("unknown_tokens{end}"),
            ]);
            if self.has_distribution() {
                last.extend([format!("entropy_{unit}{end}"), format!("rank{end}")]);
            }
            last.push(format!("{log}_frequency{end}"));
        }
        if self.args.mean {
            last.extend(["mean", "low", "high"].map(|name| format!("surprisal_{unit}.{name}")));
        }
        let is_own = |name: &String| first.contains(name) || last.contains(name);
        let renamed: Vec<String> = passed.iter().filter(|name| is_own(name)).cloned().collect();
        let passed =
            passed.iter().map(|name| if is_own(name) { format!("item_{name}") } else { name.clone() });
        (first.iter().cloned().chain(passed).chain(last.iter().cloned()).collect(), renamed)
    }
}

/// The rows of an item.
pub(super) struct Rows<'a> {
    pub(super) item: &'a Item,
    pub(super) passage: &'a Passage,
    pub(super) origin: &'a str,
    pub(super) columns: &'a Columns<'a>,
}

impl Rows<'_> {
    pub(super) fn row(&self, number: u64, region: &Region) -> Vec<Cell> {
        let Rows { item, passage, origin, columns } = self;
        let base = columns.args.base;
        let file = columns.has_files.then(|| Cell::Text(origin.as_bytes().to_vec()));
        let mut row: Vec<Cell> = file.into_iter().collect();
        row.push(Cell::Count(item.number));
        row.extend(item.fields.iter().map(|field| Cell::field(field.clone())));
        row.extend([
            Cell::Count(number),
            Cell::Text(passage.text[region.bytes.clone()].to_vec()),
            Cell::Count(region.characters.start as u64),
            Cell::Count(region.characters.end as u64),
        ]);
        let surprisal = |score: &RegionScore| score.log_prob.map(|log_prob| base.log(0.0 - log_prob));
        for score in &region.scores {
            row.extend([
                Cell::Count(score.tokens as u64),
                Cell::number(surprisal(score)),
                Cell::Count(score.unknown_tokens as u64),
            ]);
            if columns.has_distribution() {
                row.push(Cell::number(score.entropy.map(|entropy| base.log(entropy))));
                row.push(score.rank.map_or(Cell::Missing, |rank| Cell::Count(rank.into())));
            }
            row.push(Cell::number(score.log_frequency.map(|frequency| base.log(frequency))));
        }
        if columns.args.mean {
            let models = &region.scores[..columns.names.len()];
            let values: Option<Vec<f64>> = models.iter().map(surprisal).collect();
            let interval = values.and_then(|values| Interval::of(&values));
            let half_width = interval.and_then(|interval| interval.half_width);
            let mean = interval.map(|interval| interval.mean);
            let at = |side: f64| Cell::number(mean.zip(half_width).map(|(mean, half)| mean + side * half));
            row.extend([Cell::number(mean), at(-1.0), at(1.0)]);
        }
        row
    }
}
