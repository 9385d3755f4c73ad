//! Confusion networks, one per line.
//!
//! ```text
//! {"id": "u1", "positions": [[{"word": "the", "score": -0.1}, {"word": "", "probability": 0.1}], [{"word": "cat"}]]}
//! ```
//!
//! Each position has alternatives: words, or the empty word. A score is a natural logarithm; a probability becomes one.
//! An alternative can have the old language model's log-probability, `lm_score`.

use std::io::BufRead;
use std::ops::ControlFlow;

use serde_json::Value;

use super::reader::{LatticeReader, Lines};
use super::{Draft, Lattice, LatticeFault, Link};
use crate::Result;

type Parsed<T> = std::result::Result<T, LatticeFault>;

/// Reads the networks of a file.
pub(super) fn read<R: BufRead>(
    reader: &LatticeReader,
    lines: &mut Lines<'_, R>,
    each: &mut dyn FnMut(Lattice) -> ControlFlow<()>,
) -> Result<()> {
    while let Some(line) = lines.next()? {
        if !line.trim().is_empty() {
            let lattice = network(reader, &line).map_err(|fault| lines.fault(fault))?;
            if each(lattice).is_break() {
                break;
            }
        }
    }
    Ok(())
}

fn network(reader: &LatticeReader, line: &str) -> Parsed<Lattice> {
    let object: Value =
        serde_json::from_str(line).map_err(|error| LatticeFault::Json { reason: error.to_string() })?;
    let missing = |name| LatticeFault::Missing { what: "the network".to_owned(), name };
    let id = match &object["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Err(missing("id")),
    };
    let positions = object["positions"].as_array().ok_or_else(|| missing("positions"))?;
    let mut draft = Draft::default();
    let mut from = draft.node("0".to_owned(), None);
    // Each position has scores or none: a mixture would compare what cannot be compared.
    let all = || positions.iter().filter_map(Value::as_array).flatten();
    let has = |keys: &[&str]| all().any(|one| keys.iter().any(|&key| one.get(key).is_some()));
    let (has_score, has_lm) = (has(&SCORES), has(&[LM]));
    for (alternatives, position) in positions.iter().zip(1..) {
        let to = draft.node(position.to_string(), None);
        let alternatives = alternatives.as_array().map(Vec::as_slice).unwrap_or_default();
        if alternatives.is_empty() {
            return Err(LatticeFault::NoAlternatives { position });
        }
        for one in alternatives {
            let name = || format!("an alternative at position {position}");
            let missing = |name_of| LatticeFault::Missing { what: name(), name: name_of };
            let word = one["word"].as_str().ok_or_else(|| missing("word"))?;
            let acoustic = score(one)?;
            let missing = |what| LatticeFault::MissingScore { what: name(), name: what };
            let acoustic = if has_score { acoustic.ok_or_else(|| missing("acoustic"))? } else { 0.0 };
            let is_word = !reader.is_filler(word);
            let lm = match number(one, LM)? {
                None if has_lm && is_word => return Err(missing("language model")),
                lm => lm.unwrap_or(0.0),
            };
            let word = is_word.then(|| draft.word(word));
            draft.links.push(Link { from, to, word, acoustic, lm, detail: Box::default() });
        }
        from = to;
    }
    draft.has_lm = has_lm;
    draft.finish(&id, 0, from)
}

/// The keys of an alternative's score and of its probability, and of the old language model's score.
const SCORES: [&str; 2] = ["score", "probability"];
const LM: &str = "lm_score";

/// The score of an alternative, if it has one.
fn score(one: &Value) -> Parsed<Option<f64>> {
    match (number(one, SCORES[0])?, number(one, SCORES[1])?) {
        (Some(score), _) => Ok(Some(score)),
        (None, Some(probability)) if probability >= 0.0 => Ok(Some(probability.ln())),
        (None, Some(probability)) => {
            Err(LatticeFault::Number { name: SCORES[1].to_owned(), found: probability.to_string() })
        }
        (None, None) => Ok(None),
    }
}

fn number(one: &Value, key: &str) -> Parsed<Option<f64>> {
    let fault = |found: &Value| LatticeFault::Number { name: key.to_owned(), found: found.to_string() };
    let value = one.get(key);
    value
        .map(|value| value.as_f64().filter(|value| value.is_finite()).ok_or_else(|| fault(value)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::super::LatticeFormat;
    use super::*;

    fn shown(line: &str) -> std::result::Result<String, String> {
        let mut shown = Vec::new();
        let reader = LatticeReader::new(LatticeFormat::Confusion);
        let each = &mut |lattice: Lattice| {
            let link = |link: &Link| {
                let word = link.word.map_or("-", |word| &lattice.words()[word]);
                format!("{}-{} {word} {:.3} {}", link.from, link.to, link.acoustic, link.lm)
            };
            let links: Vec<String> = lattice.links().iter().map(link).collect();
            shown.push(format!("{}: {}", lattice.id(), links.join("; ")));
            ControlFlow::Continue(())
        };
        reader.read(line.as_bytes(), "list", "list", each).map_err(|error| error.to_string())?;
        Ok(shown.join("\n"))
    }

    #[test]
    fn positions_have_alternatives_with_scores() {
        let line = r#"{"id": 7, "positions": [[{"word": "the", "score": -0.5}, {"word": "", "probability": 0.5}],
            [{"word": "cat", "score": -1, "lm_score": -3}]]}"#;
        let line = line.replace('\n', " ").replace("-0.5}", "-0.5, \"lm_score\": -1}");
        assert_eq!(shown(&line).unwrap(), "7: 0-1 the -0.500 -1; 0-1 - -0.693 0; 1-2 cat -1.000 -3");
        let plain = r#"{"id": "u", "positions": [[{"word": "a"}, {"word": "b"}]]}"#;
        assert_eq!(shown(plain).unwrap(), "u: 0-1 a 0.000 0; 0-1 b 0.000 0");
        // Nothing was said.
        assert_eq!(shown(r#"{"id": "u", "positions": []}"#).unwrap(), "u: 0-1 - 0.000 0");
    }

    #[test]
    fn what_is_wrong_is_one_clear_message() {
        for (line, expected) in [
            ("{", "list, line 1: invalid JSON: EOF while parsing an object at line 1 column 1"),
            (r#"{"positions": []}"#, "list, line 1: the network has no `id`"),
            (r#"{"id": "u"}"#, "list, line 1: the network has no `positions`"),
            (r#"{"id": "u", "positions": [[]]}"#, "list, line 1: position 1 has no alternatives"),
            (
                r#"{"id": "u", "positions": [[{"score": -1}]]}"#,
                "list, line 1: an alternative at position 1 has no `word`",
            ),
            (
                r#"{"id": "u", "positions": [[{"word": "a", "score": -1}, {"word": "b"}]]}"#,
                "list, line 1: an alternative at position 1 has no acoustic score, but others have one",
            ),
            (
                r#"{"id": "u", "positions": [[{"word": "a", "score": null}]]}"#,
                "list, line 1: `score` must be a finite number, but is `null`",
            ),
            (
                r#"{"id": "u", "positions": [[{"word": "a", "probability": -0.5}]]}"#,
                "list, line 1: `probability` must be a finite number, but is `-0.5`",
            ),
            (
                r#"{"id": "u", "positions": [[{"word": "a", "probability": 0}]]}"#,
                "list, line 1: no path leads from the first node, `0`, to the last, `1`",
            ),
        ] {
            assert_eq!(shown(line).unwrap_err(), expected, "{line}");
        }
    }
}
