//! Rows of named cells, as TSV, CSV or JSON Lines.
//!
//! TSV and CSV are quoted as RFC 4180 says: a cell with a delimiter, a quote or a line end is enclosed in quotes, so that
//! nothing in a text can break a row. A missing number is `NA`, as R and pandas expect; in JSON it is null.

use std::io::{self, Write};

use anyhow::Result;
use clap::ValueEnum;
use rondo_data::records::Field;
use serde_json::Value;

use crate::output;

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Tsv,
    Csv,
    Jsonl,
}

/// What a cell contains.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(Vec<u8>),
    /// A value of JSON that is passed through.
    Json(Value),
    Count(u64),
    Number(f64),
    /// A missing number.
    Missing,
}

/// Writes rows.
pub(crate) struct Table<'a> {
    columns: Vec<String>,
    out: Out<'a>,
}

enum Out<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Json(&'a mut dyn Write),
}

impl<'a> Table<'a> {
    /// A table with these columns; TSV and CSV begin with their names.
    pub(crate) fn new(
        format: TableFormat,
        columns: Vec<String>,
        out: &'a mut dyn Write,
    ) -> Result<Table<'a>> {
        let delimiter = match format {
            TableFormat::Tsv => b'\t',
            TableFormat::Csv => b',',
            TableFormat::Jsonl => return Ok(Table { columns, out: Out::Json(out) }),
        };
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        writer.write_record(&columns).map_err(io_error)?;
        Ok(Table { columns, out: Out::Csv(Box::new(writer)) })
    }

    /// Writes a row, which has a cell for each column.
    pub(crate) fn row(&mut self, cells: &[Cell]) -> Result<()> {
        debug_assert_eq!(cells.len(), self.columns.len());
        match &mut self.out {
            Out::Csv(writer) => {
                for cell in cells {
                    writer.write_field(cell.bytes()).map_err(io_error)?;
                }
                Ok(writer.write_record(None::<&[u8]>).map_err(io_error)?)
            }
            Out::Json(out) => {
                // By hand, in the order of the columns: objects of `serde_json` are sorted by name.
                let pairs = self.columns.iter().zip(cells);
                let pairs =
                    pairs.map(|(name, cell)| format!("{}:{}", Value::from(name.as_str()), cell.json()));
                Ok(writeln!(out, "{{{}}}", pairs.collect::<Vec<_>>().join(","))?)
            }
        }
    }

    /// Passes on what has been written.
    pub(crate) fn flush(&mut self) -> Result<()> {
        match &mut self.out {
            Out::Csv(writer) => Ok(writer.flush()?),
            Out::Json(out) => Ok(out.flush()?),
        }
    }
}

/// The error of the file below, which says whether its reader has gone.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        // Rows have as many cells as there are columns, and cells can be any bytes.
        other => io::Error::other(format!("{other:?}")),
    }
}

impl Cell {
    /// A number with six decimals, or none.
    pub(crate) fn number(value: Option<f64>) -> Cell {
        value.map_or(Cell::Missing, Cell::Number)
    }

    /// The field of an item.
    pub(crate) fn field(field: Option<Field>) -> Cell {
        match field {
            Some(Field::Text(text)) => Cell::Text(text),
            Some(Field::Json(value)) => Cell::Json(value),
            None => Cell::Json(Value::Null),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Json(Value::Null) => Vec::new(),
            Cell::Json(value) => value.to_string().into_bytes(),
            Cell::Count(count) => count.to_string().into_bytes(),
            Cell::Number(value) => fixed(*value).into_bytes(),
            Cell::Missing => b"NA".to_vec(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => String::from_utf8_lossy(text).into(),
            Cell::Json(value) => value.clone(),
            Cell::Count(count) => (*count).into(),
            // As many digits as in the other formats.
            Cell::Number(value) => fixed(*value).parse().map_or(Value::Null, output::number),
            Cell::Missing => Value::Null,
        }
    }
}

fn fixed(value: f64) -> String {
    let fixed = format!("{value:.6}");
    if fixed == "-0.000000" { "0.000000".to_owned() } else { fixed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: TableFormat) -> String {
        let columns = ["id", "text", "n", "s"].map(str::to_owned).to_vec();
        let mut bytes = vec![];
        let mut table = Table::new(format, columns, &mut bytes).unwrap();
        let awkward = b"it's \"a\",\tb\nc \xff".to_vec();
        table.row(&[Cell::Json(3.into()), Cell::Text(awkward), Cell::Count(2), Cell::Number(0.5)]).unwrap();
        let infinite = Cell::Number(f64::INFINITY);
        table.row(&[Cell::Json(Value::Null), Cell::Text(vec![]), Cell::Missing, infinite]).unwrap();
        table.flush().unwrap();
        drop(table);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn nothing_breaks_a_row() {
        let tsv = "id\ttext\tn\ts\n3\t\"it's \"\"a\"\",\tb\nc \u{fffd}\"\t2\t0.500000\n\t\tNA\tinf\n";
        assert_eq!(written(TableFormat::Tsv), tsv);
        let csv = "id,text,n,s\n3,\"it's \"\"a\"\",\tb\nc \u{fffd}\",2,0.500000\n,,NA,inf\n";
        assert_eq!(written(TableFormat::Csv), csv);
        let json = "{\"id\":3,\"text\":\"it's \\\"a\\\",\\tb\\nc \u{fffd}\",\"n\":2,\"s\":0.5}\n{\"id\":null,\"text\":\"\",\"n\":null,\"s\":null}\n";
        assert_eq!(written(TableFormat::Jsonl), json);
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(fixed(-1e-9), "0.000000");
        assert_eq!(fixed(-1e-3), "-0.001000");
    }
}
