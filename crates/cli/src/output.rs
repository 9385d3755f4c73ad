//! Writing to stdout: results, as text in columns or as JSON.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde_json::Value;

/// Calls `work` with stdout. On an error, what was written before it is still printed.
pub(crate) fn write(work: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    work(&mut stdout)?;
    Ok(stdout.flush()?)
}

/// Prints a text.
pub(crate) fn text(text: &str) -> Result<()> {
    write(|out| Ok(out.write_all(text.as_bytes())?))
}

/// Prints a JSON document.
pub(crate) fn json(value: &Value) -> Result<()> {
    text(&format!("{value:#}\n"))
}

/// A number for JSON; NaN and infinities become null.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Rows as aligned columns; `right` lists the right-aligned ones.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width_of).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["name", "size"], ["ptb", "5"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, &[1]), "name  size\nptb      5\n");
        assert_eq!(columns(&rows, &[]), "name  size\nptb   5\n");
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(number(f64::INFINITY), Value::Null);
        assert_eq!(number(1.5).to_string(), "1.5");
    }
}
