//! Tests of JSON Lines and CSV.

use std::io;

use proptest::prelude::*;

use super::*;
use crate::read_text;

fn text_of(bytes: &[u8], field: &str) -> Result<String> {
    let reader = field_lines(Box::new(io::BufReader::with_capacity(3, bytes)), "file", field)?;
    read_text(reader, "file", false)
}

#[track_caller]
fn check(bytes: &str, expected: &str) {
    assert_eq!(text_of(bytes.as_bytes(), "text").unwrap(), expected);
}

#[track_caller]
fn check_error(bytes: &str, expected: &str) {
    assert_eq!(text_of(bytes.as_bytes(), "text").unwrap_err().to_string(), expected);
}

#[test]
fn a_field_of_each_object_is_a_line() {
    check(
        "{\"id\": 1, \"text\": \"a b\"}\n{\"text\": \"\\u00e9 \\\"c\\\"\", \"more\": [1]}\n",
        "a b\né \"c\"\n",
    );
    check("\u{feff}\n{\"text\": \"a\"}\r\n\n{\"text\": \"b\"}", "a\nb\n");
    check("{\"text\": null}\n{\"text\": \"\"}\n{\"text\": \"a\"}\n", "\n\na\n");
}

#[test]
fn line_ends_within_a_record_are_spaces() {
    check(r#"{"text": "a\nb\r\nc\rd\n"}"#, "a b c d \n");
    check("text,id\n\"a\nb\r\nc\",1\nd,2\n", "a b c\nd\n");
}

#[test]
fn a_column_of_a_table_is_a_line_each() {
    check("id,text\n1,\"the company, said\"\n2,it will \"\"sell\n", "the company, said\nit will \"\"sell\n");
    check("\u{feff}text;id\r\na, b;1\r\n\r\nc;2\r\n", "a, b\nc\n");
    check("id\ttext\n1\t\"a\" b\n2\tit's 5\" long\n", "\"a\" b\nit's 5\" long\n");
    check("\"text\"|\"id, other\"\na|1\n", "a\n");
    check("text\na\nb\n", "a\nb\n");
    check("text,id\n", "");
}

#[test]
fn quotes_that_enclose_no_field_are_refused() {
    let quotes = |table: &str, quoting| {
        let mut records = Records::open(Box::new(table.as_bytes()), "file", quoting)?;
        let mut texts = vec![];
        while let Some(record) = records.next()? {
            texts.push(String::from_utf8_lossy(record.text("text", "file")?).into_owned());
        }
        Ok::<_, DataError>(texts)
    };
    let table = "id\ttext\n1\t\"a\"\"\tb\nc\"\n2\td\"e\n";
    assert_eq!(quotes(table, Quoting::Rfc4180).unwrap(), ["a\"\tb\nc", "d\"e"]);
    let table = "id\ttext\n1\ta\n\n2\t\"No,\" he said.\n";
    assert_eq!(quotes(table, Quoting::NotWithTabs).unwrap(), ["a", "\"No,\" he said."]);
    assert_eq!(quotes(table, Quoting::None).unwrap(), ["a", "\"No,\" he said."]);
    let error = quotes(table, Quoting::Rfc4180).unwrap_err().to_string();
    assert_eq!(error, "`file`, line 4: a quoted field continues after its closing quote");
    check_error("id,text\n1,a\n2,\"b\n3,c\n4,d\n", "`file`, line 3: a quoted field is not closed");
    check_error("id,text\n1,\"a\"b\n", "`file`, line 2: a quoted field continues after its closing quote");
}

#[test]
fn records_have_their_fields_in_order() {
    let json = "\n{\"z\": \"a\\nb\", \"text\": null, \"c\": [1, \"x\"], \"b\": 1.50}\n";
    let mut records = Records::open(Box::new(json.as_bytes()), "file", Quoting::Rfc4180).unwrap();
    let record = records.next().unwrap().unwrap();
    let names: Vec<&str> = record.fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!((names, record.line), (vec!["z", "text", "c", "b"], 2));
    assert_eq!(record.text("z", "file").unwrap(), b"a\nb");
    assert_eq!(record.text("text", "file").unwrap(), b"");
    assert_eq!(records.next().unwrap(), None);
    let table = "\nid;text\n1;a\n2;\"b\n\"\n3;c\n";
    let mut records = Records::open(Box::new(table.as_bytes()), "file", Quoting::Rfc4180).unwrap();
    assert_eq!(records.columns().unwrap().len(), 2);
    let lines: Vec<u64> = std::iter::from_fn(|| records.next().unwrap()).map(|record| record.line).collect();
    assert_eq!(lines, [3, 4, 6]);
}

#[test]
fn a_missing_field_is_named_with_its_line_and_those_that_there_are() {
    check_error(
        "{\"text\": \"a\"}\n\n{\"id\": 3, \"texts\": \"b\"}\n",
        "line 3 of `file` has no field `text`: its fields are `id`, `texts`; did you mean `texts`?",
    );
    check_error("id,body\n1,a\n", "line 1 of `file` has no field `text`: its fields are `id`, `body`");
    check_error("{}\n", "line 1 of `file` has no field `text`: it has no fields");
    check_error("", "line 1 of `file` has no field `text`: it has no fields");
}

#[test]
fn records_that_are_none_have_their_line() {
    check_error("{\"text\": \"a\"}\n{\"text\": \n", "line 2 of `file` is not a JSON object");
    check_error("{\"text\": \"a\"}\ntext\n", "line 2 of `file` is not a JSON object");
    check_error("{\"text\": 3}\n", "the field `text` on line 1 of `file` is a number, not text");
    check_error("{\"text\": [\"a\"]}\n", "the field `text` on line 1 of `file` is an array, not text");
    check_error("\nid,text\n1,a\n2,b,c\n", "line 4 of `file` has 3 fields, but its header has 2");
    check_error("[{\"text\": \"a\"}]\n", "`file` is a JSON array, not one JSON object per line");
}

#[test]
fn bytes_that_are_no_text_are_refused_as_elsewhere() {
    let error = text_of(b"id,text\n1,caf\xE9\n", "text").unwrap_err().to_string();
    assert_eq!(error, "`file` is not UTF-8 text: invalid byte at offset 3 (line 1)");
}

proptest! {
    #[test]
    fn what_is_written_is_read(texts in prop::collection::vec("[ -~\u{e9}\n\r\t]{0,12}", 1..8)) {
        let json: String = texts
            .iter()
            .map(|text| serde_json::json!({ "id": 1, "text": text }).to_string() + "\n")
            .collect();
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["id", "text"]).unwrap();
        texts.iter().for_each(|text| csv.write_record(["1", text]).unwrap());
        let expected: String =
            texts.iter().map(|text| text.replace("\r\n", " ").replace(['\r', '\n'], " ") + "\n").collect();
        prop_assert_eq!(&text_of(json.as_bytes(), "text").unwrap(), &expected);
        prop_assert_eq!(&text_of(&csv.into_inner().unwrap(), "text").unwrap(), &expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in "[a{}\\[\",:;\t\n\\\\tex]{0,40}") {
        let _ = text_of(bytes.as_bytes(), "text");
    }
}
