//! The items of a table of surprisals: lines, or the records of a table or of JSON Lines.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::TextCodec;
use rondo_data::records::{Field, Quoting, Record, Records};
use rondo_infer::Passage;

use crate::console::Console;
use crate::error::CliError;
use crate::input::{Input, check_text};
use crate::lines::LineBatches;

/// The records that are read before they are answered.
const BATCH: usize = 256;

/// Where the items are in a file.
#[derive(Args, Debug)]
pub(super) struct ItemArgs {
    /// Column of a CSV or TSV file, or field of JSON Lines, that contains the text; the others are passed through
    /// [default: each line is an item]
    #[arg(long, alias = "text-field", value_name = "NAME", help_heading = "Items")]
    text_column: Option<String>,
    /// Column that contains what comes before the text: it is read, but not scored
    #[arg(long, value_name = "NAME", requires = "text_column", help_heading = "Items")]
    context_column: Option<String>,
    /// Column that tells documents apart: an item with the same value as the one before continues its text, and the model's
    /// state is carried over
    #[arg(long, value_name = "NAME", requires = "text_column", help_heading = "Items")]
    document_column: Option<String>,
    /// Whether double quotes enclose fields of CSV and TSV, or are part of the text
    #[arg(long, value_name = "RULE", default_value = "rfc4180", help_heading = "Items")]
    quoting: QuotingRule,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum QuotingRule {
    Rfc4180,
    None,
}

/// A text of the table.
pub(super) struct Item {
    pub(super) passage: Passage,
    /// Its number in the file, starting at 1.
    pub(super) number: u64,
    /// The fields that are passed through, in the order of [`Items::columns`].
    pub(super) fields: Vec<Option<Field>>,
}

/// The items of a file.
pub(super) struct Items<'a> {
    source: Source<'a>,
    number: u64,
    columns: Vec<Arc<str>>,
    args: &'a ItemArgs,
    origin: String,
    /// Whether texts can be any bytes.
    takes_bytes: bool,
    /// The document of the last item, and those before it.
    document: Option<String>,
    finished: HashSet<String>,
    /// The fields of later records that the first has not.
    left_out: BTreeSet<Arc<str>>,
}

enum Source<'a> {
    Lines(LineBatches<'a>),
    Records(Box<Records<'a>>, Option<Record>),
}

impl ItemArgs {
    /// Whether items continue those before.
    pub(super) fn has_documents(&self) -> bool {
        self.document_column.is_some()
    }

    /// Opens a file of items, to be read by this codec.
    pub(super) fn open<'a>(
        &'a self,
        input: &'a Input,
        codec: &TextCodec,
        takes_bytes: bool,
        console: Console,
    ) -> Result<Items<'a>> {
        let origin = input.origin();
        let (source, columns) = match &self.text_column {
            None if is_table(&origin) => {
                let mut records = Records::open(input.open(console)?, &origin, self.quoting())?;
                let first = records.next()?;
                let known = first.map_or_else(Vec::new, |record| record.fields);
                let known = known.iter().map(|(name, _)| name.to_string()).collect();
                return Err(CliError::NoTextColumn { origin, known }.into());
            }
            None => (Source::Lines(LineBatches::open(input, None, Some(codec), console)?), Vec::new()),
            Some(text) => {
                let mut records = Records::open(input.open(console)?, &origin, self.quoting())?;
                records.require(text)?;
                let first = records.next()?;
                let names = first.iter().flat_map(|record| &record.fields).map(|(name, _)| Arc::clone(name));
                let columns = names.filter(|name| **name != **text).collect();
                (Source::Records(Box::new(records), first), columns)
            }
        };
        let (document, finished, left_out) = (None, HashSet::new(), BTreeSet::new());
        Ok(Items {
            source,
            number: 0,
            columns,
            args: self,
            origin,
            takes_bytes,
            document,
            finished,
            left_out,
        })
    }

    fn quoting(&self) -> Quoting {
        match self.quoting {
            QuotingRule::Rfc4180 => Quoting::Rfc4180,
            QuotingRule::None => Quoting::None,
        }
    }
}

/// Whether the name of a file says that it is a table or consists of records.
fn is_table(name: &str) -> bool {
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
    let kind = Path::new(name).extension().map(|kind| kind.to_ascii_lowercase());
    kind.is_some_and(|kind| ["csv", "tsv", "jsonl", "ndjson"].iter().any(|table| kind == *table))
}

impl Items<'_> {
    /// The columns that are passed through.
    pub(super) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Whether answers are waited for before more items come.
    pub(super) fn is_interactive(&self) -> bool {
        matches!(&self.source, Source::Lines(lines) if lines.is_interactive())
    }

    /// Fields of later records that the first record does not have: they are not passed through.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.left_out.iter().map(|name| &**name)
    }

    /// The next items; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        if let Source::Lines(lines) = &mut self.source {
            for line in lines.next()? {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let bom = "\u{feff}".as_bytes();
                let text = line.strip_prefix(bom).filter(|_| self.number == 0).unwrap_or(line);
                self.number += 1;
                check_text(text, self.takes_bytes, &self.origin, self.number)?;
                let passage = Passage { text: text.to_vec(), ..Passage::default() };
                items.push(Item { passage, number: self.number, fields: Vec::new() });
            }
            return Ok(items);
        }
        while items.len() < BATCH {
            let Source::Records(records, first) = &mut self.source else { break };
            let record = match first.take() {
                Some(first) => Some(first),
                None => records.next()?,
            };
            let Some(record) = record else { break };
            items.push(self.item(record)?);
        }
        Ok(items)
    }

    fn item(&mut self, mut record: Record) -> Result<Item> {
        let ItemArgs { text_column, context_column, document_column, .. } = self.args;
        let text_of = |name: &Option<String>| match name {
            Some(name) => record.text(name, &self.origin).map(<[u8]>::to_vec),
            None => Ok(Vec::new()),
        };
        let (text, context) = (text_of(text_column)?, text_of(context_column)?);
        for text in [&text, &context] {
            check_text(text, self.takes_bytes, &self.origin, record.line)?;
        }
        let mut continues = false;
        if let Some(column) = document_column {
            let document = record.label(column, &self.origin)?;
            continues = self.document.as_ref() == Some(&document);
            if self.finished.contains(&document) && !continues {
                let (origin, line) = (self.origin.clone(), record.line);
                return Err(CliError::DividedDocument { origin, line, document }.into());
            }
            self.finished.insert(document.clone());
            self.document = Some(document);
        }
        let mut take = |name: &Arc<str>| {
            let index = record.fields.iter().position(|(field, _)| field == name)?;
            Some(record.fields.swap_remove(index).1)
        };
        let fields = self.columns.iter().map(&mut take).collect();
        let rest = record.fields.into_iter().map(|(name, _)| name);
        self.left_out.extend(rest.filter(|name| Some(&**name) != text_column.as_deref()));
        self.number += 1;
        Ok(Item { passage: Passage { text, context, continues, regions: None }, number: self.number, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_by_their_name() {
        assert!(["a.csv", "b/c.TSV.gz", "d.jsonl.zst", "e.ndjson"].into_iter().all(is_table));
        assert!(!["a.txt", "csv", "b.gz", "stdin"].into_iter().any(is_table));
    }
}
