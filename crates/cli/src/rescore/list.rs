//! Lists of hypotheses and of references, line by line.

use std::collections::HashSet;
use std::io::BufRead;

use anyhow::Result;
use rondo_data::DataError;
use serde_json::Value;

use crate::console::Console;
use crate::failure::CliError;
use crate::input::Input;

/// A hypothesis as it stands in a list.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) score: f64,
    pub(super) text: String,
}

/// What should have been said.
#[derive(Debug, PartialEq)]
pub(super) struct Reference {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) text: String,
}

/// Reads a list of hypotheses. Blank lines are nothing.
pub(super) fn entries(input: &Input, console: Console) -> Result<Vec<Entry>> {
    read(input, console, "hypothesis", |line, text| {
        let (id, score, text) = if text.starts_with('{') { json_entry(text)? } else { tab_entry(text)? };
        Ok(Entry { line, id, score, text })
    })
}

/// Reads a list of references, one an id. Blank lines are nothing.
pub(super) fn references(input: &Input, console: Console) -> Result<Vec<Reference>> {
    let mut known = HashSet::new();
    read(input, console, "reference", |line, text| {
        let (id, text) = text.split_once('\t').ok_or("expected an id, a tab and a text")?;
        if !known.insert(id.to_owned()) {
            return Err(format!("`{id}` has a reference already"));
        }
        Ok(Reference { line, id: id.to_owned(), text: text.to_owned() })
    })
}

/// Reads what each line holds; `parse` gets its number and says what is wrong with it.
fn read<T>(
    input: &Input,
    console: Console,
    what: &'static str,
    mut parse: impl FnMut(usize, &str) -> std::result::Result<T, String>,
) -> Result<Vec<T>> {
    let origin = input.origin();
    let mut all = Vec::new();
    for (text, line) in input.open(console)?.lines().zip(1..) {
        let text = text.map_err(|source| DataError::Read { origin: origin.clone(), source })?;
        let text = text.strip_suffix('\r').unwrap_or(&text);
        if !text.trim().is_empty() {
            let error = |reason| CliError::Line { origin: origin.clone(), line, reason };
            all.push(parse(line, text).map_err(error)?);
        }
    }
    if all.is_empty() { Err(CliError::EmptyList { origin, what }.into()) } else { Ok(all) }
}

type Fields = (String, f64, String);

fn tab_entry(line: &str) -> std::result::Result<Fields, String> {
    let mut fields = line.splitn(3, '\t');
    let (Some(id), Some(score), Some(text)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("expected an id, a score and a text with tabs between them".to_owned());
    };
    let number = score.trim().parse().ok().filter(|score: &f64| score.is_finite());
    let score = number.ok_or_else(|| format!("the score `{score}` is no number"))?;
    Ok((id.to_owned(), score, text.to_owned()))
}

fn json_entry(line: &str) -> std::result::Result<Fields, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let missing = |key: &str, kind: &str| format!("the key `{key}` is missing, or no {kind}");
    // Ids are often numbers.
    let id = match &object["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Err(missing("id", "text")),
    };
    let score = object["score"].as_f64().ok_or_else(|| missing("score", "number"))?;
    let text = object["text"].as_str().ok_or_else(|| missing("text", "text"))?;
    // What is printed has a hypothesis a line, and columns.
    if let Some(char) = [&id, text].iter().find_map(|text| text.chars().find(|char| "\n\r\t".contains(*char)))
    {
        return Err(format!("`{}` stands in the id or the text", char.escape_default()));
    }
    Ok((id, score, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypotheses_are_lines_with_tabs_or_json() {
        let expected = Ok(("u1".to_owned(), -1.5, "a  b".to_owned()));
        assert_eq!(tab_entry("u1\t-1.5\ta  b"), expected);
        assert_eq!(json_entry(r#"{"id":"u1","score":-1.5,"text":"a  b","more":0}"#), expected);
        assert_eq!(json_entry(r#"{"id":7,"score":2,"text":""}"#), Ok(("7".to_owned(), 2.0, String::new())));
        assert_eq!(tab_entry("u1\t1e3\t"), Ok(("u1".to_owned(), 1000.0, String::new())));
    }

    #[test]
    fn other_lines_say_what_is_wrong() {
        let tabs = |line| tab_entry(line).unwrap_err();
        assert_eq!(tabs("u1 -1.5 a"), "expected an id, a score and a text with tabs between them");
        assert_eq!(tabs("u1\tx\ta"), "the score `x` is no number");
        assert_eq!(tabs("u1\tnan\ta"), "the score `nan` is no number");
        let json = |line| json_entry(line).unwrap_err();
        assert!(json("{").starts_with("no JSON: "));
        assert_eq!(json(r#"{"score":1,"text":"a"}"#), "the key `id` is missing, or no text");
        assert_eq!(json(r#"{"id":"a","score":"1","text":"a"}"#), "the key `score` is missing, or no number");
        assert_eq!(json(r#"{"id":"a","score":1}"#), "the key `text` is missing, or no text");
        assert_eq!(json(r#"{"id":"a","score":1,"text":"a\nb"}"#), r"`\n` stands in the id or the text");
    }
}
