//! A table of rows of any kind: named columns, order, and printing as text, CSV or JSON.

use std::cmp::Ordering;

use rondo_data::nearest;
use rondo_runs::natural_order;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::output;
use crate::terminal::shown;

/// A value, and how it is printed in a text.
pub(super) struct Cell {
    pub(super) value: Value,
    pub(super) text: String,
}

/// A column of rows `R`.
pub(super) struct Column<'a, R> {
    pub(super) name: String,
    /// Its heading in a text, where a value has another unit there; finds it, too [default: the name].
    pub(super) heading: Option<&'static str>,
    /// Another name that finds it.
    pub(super) alias: Option<String>,
    pub(super) cell: Box<dyn Fn(&R) -> Cell + 'a>,
}

/// All columns that rows have.
pub(super) struct Columns<'a, R>(pub(super) Vec<Column<'a, R>>);

impl<R> Columns<'_, R> {
    /// The column with this name; dashes stand for underscores.
    pub(super) fn find(&self, name: &str) -> Result<&Column<'_, R>, CliError> {
        let name = name.trim().trim_start_matches("--");
        let wanted = name.replace('-', "_");
        let is_it = |known: &str| known == name || known.replace('-', "_") == wanted;
        let by_name = self.0.iter().find(|column| is_it(&column.name));
        let by_alias = || {
            self.0.iter().find(|column| {
                column.alias.as_deref().is_some_and(is_it) || column.heading.is_some_and(is_it)
            })
        };
        by_name.or_else(by_alias).ok_or_else(|| {
            let nearest = nearest(&wanted, self.0.iter().map(|column| column.name.as_str()));
            CliError::UnknownColumn { name: name.to_owned(), nearest: nearest.map(str::to_owned) }
        })
    }
}

impl<R> Column<'_, R> {
    /// Orders rows by this column: numbers before texts, missing values last in either direction. Rows with equal
    /// values keep their order.
    pub(super) fn sort(&self, rows: &mut [&R], descending: bool) {
        rows.sort_by_cached_key(|row| Key { value: (self.cell)(row).value, descending });
    }
}

/// A value by which rows are ordered.
#[derive(PartialEq)]
pub(super) struct Key {
    value: Value,
    descending: bool,
}

impl Key {
    pub(super) fn ascending(value: Value) -> Key {
        Key { value, descending: false }
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let directed = |order: Ordering| if self.descending { order.reverse() } else { order };
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (a, b) => directed(match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => natural_order(&super::entry::text(a), &super::entry::text(b)),
            }),
        }
    }
}

/// What stands for a missing value in a text.
const MISSING: &str = "-";

/// Chosen columns of rows.
pub(super) struct Table {
    names: Vec<String>,
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new<R>(columns: &[&Column<'_, R>], rows: &[&R]) -> Table {
        Table {
            names: columns.iter().map(|column| column.name.clone()).collect(),
            headings: columns
                .iter()
                .map(|column| column.heading.map_or_else(|| column.name.clone(), str::to_owned))
                .collect(),
            rows: rows.iter().map(|row| columns.iter().map(|column| (column.cell)(row)).collect()).collect(),
        }
    }

    /// Aligned columns, numbers to the right.
    pub(super) fn text(&self) -> String {
        let is_number = |index: &usize| {
            self.rows.iter().all(|row| row[*index].value.is_number() || row[*index].value.is_null())
        };
        let right: Vec<usize> = (0..self.names.len()).filter(is_number).collect();
        let text = |cell: &Cell| match cell.value {
            Value::Null => MISSING.to_owned(),
            _ => shown(&cell.text).replace('\n', " "),
        };
        let body = self.rows.iter().map(|row| row.iter().map(text).collect());
        let rows: Vec<Vec<String>> = std::iter::once(self.headings.clone()).chain(body).collect();
        output::columns(&rows, &right)
    }

    /// Comma-separated values with a line of names, as in RFC 4180 but with `\n` line ends.
    pub(super) fn csv(&self) -> String {
        let body =
            self.rows.iter().map(|row| row.iter().map(|cell| super::entry::text(&cell.value)).collect());
        let lines = std::iter::once(self.names.clone()).chain(body);
        lines
            .map(|line: Vec<String>| {
                line.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(",") + "\n"
            })
            .collect()
    }

    /// An array of objects.
    pub(super) fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| -> Value {
            let values = row.iter().map(|cell| cell.value.clone());
            Value::Object(self.names.iter().cloned().zip(values).collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns() -> Columns<'static, Value> {
        let column = |name: &str| {
            let key = name.to_owned();
            let cell = move |row: &Value| Cell {
                value: row[&key].clone(),
                text: super::super::entry::text(&row[&key]),
            };
            Column {
                name: name.to_owned(),
                heading: None,
                alias: Some(format!("model.{name}")),
                cell: Box::new(cell),
            }
        };
        Columns(vec![column("name"), column("hidden_size")])
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let columns = columns();
        for name in ["hidden_size", "hidden-size", "--hidden-size", "model.hidden_size", " hidden_size"] {
            assert_eq!(columns.find(name).unwrap().name, "hidden_size");
        }
        let error = |name| columns.find(name).err().unwrap();
        assert!(
            matches!(error("hiden_size"), CliError::UnknownColumn { nearest: Some(name), .. } if name == "hidden_size")
        );
        assert!(matches!(error("zzz"), CliError::UnknownColumn { nearest: None, .. }));
    }

    #[test]
    fn rows_are_ordered_by_numbers_and_missing_values_are_last() {
        let rows = [
            json!({"name": "a-10", "hidden_size": 9}),
            json!({"name": "a-9", "hidden_size": 10}),
            json!({"name": "b"}),
        ];
        let order = |name: &str, descending| -> Vec<String> {
            let mut rows: Vec<&Value> = rows.iter().collect();
            columns().find(name).unwrap().sort(&mut rows, descending);
            rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(order("hidden_size", false), ["a-10", "a-9", "b"]);
        assert_eq!(order("hidden_size", true), ["a-9", "a-10", "b"]);
        assert_eq!(order("name", false), ["a-9", "a-10", "b"]);
    }

    #[test]
    fn a_table_is_text_csv_or_json() {
        let columns = columns();
        let columns: Vec<&Column<'_, Value>> = columns.0.iter().collect();
        let rows = [json!({"name": "a, \"b\"", "hidden_size": 9}), json!({"name": "c\u{1b}[1m"})];
        let table = Table::new(&columns, &rows.iter().collect::<Vec<_>>());
        let lines = ["name        hidden_size", "a, \"b\"                9", "c\\u{1b}[1m            -", ""];
        assert_eq!(table.text(), lines.join("\n"));
        assert_eq!(table.csv(), "name,hidden_size\n\"a, \"\"b\"\"\",9\nc\u{1b}[1m,\n");
        assert_eq!(
            table.json(),
            json!([{"name": "a, \"b\"", "hidden_size": 9}, {"name": "c\u{1b}[1m", "hidden_size": null}])
        );
    }
}
