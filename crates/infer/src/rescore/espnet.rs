//! ESPnet's JSON: one document for all utterances, read utterance by utterance.
//!
//! ```text
//! {"utts": {"id": {"output": [{"rec_text": "▁the▁cat<eos>", "score": -1.5, …}, …], …}, …}}
//! ```

use std::fmt;
use std::io::BufRead;
use std::ops::ControlFlow;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::list::LineFault;
use super::{List, Scored};
use crate::{InferError, Result};

/// The key of the hypotheses of an utterance.
pub(super) const OUTPUT: &str = "output";
/// Ends each text of ESPnet.
const END: &str = "<eos>";
/// Separates words of pieces, and words of characters.
const PIECE_SPACE: char = '\u{2581}';
const SPACE: &str = "<space>";

type Each<'a> = dyn FnMut(List) -> ControlFlow<()> + 'a;

/// Reads a document and calls `each` with the hypotheses of every utterance that has some, until it breaks.
pub(super) fn read(reader: impl BufRead, origin: &str, each: &mut Each<'_>) -> Result<()> {
    let mut stopped = false;
    let mut each = |list| {
        stopped = each(list).is_break();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut document = serde_json::Deserializer::from_reader(reader);
    let read = document.deserialize_map(Document { each: &mut each }).and_then(|()| document.end());
    match read {
        Err(_) if stopped => Ok(()),
        Err(error) => {
            let fault = LineFault::Json { reason: error.to_string() };
            Err(InferError::ListLine { origin: origin.to_owned(), line: error.line().max(1), fault })
        }
        Ok(()) => Ok(()),
    }
}

/// The whole document: its key `utts` is read, others are skipped.
struct Document<'a, 'b> {
    each: &'a mut Each<'b>,
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object with the key `utts`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<(), M::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "utts" {
                found = true;
                map.next_value_seed(Utterances { each: &mut *self.each })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(M::Error::custom("the key `utts` is missing")) }
    }
}

/// The utterances by id.
struct Utterances<'a, 'b> {
    each: &'a mut Each<'b>,
}

impl<'de> DeserializeSeed<'de> for Utterances<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Utterances<'_, '_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object of utterances")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<(), M::Error> {
        while let Some((id, mut utterance)) = map.next_entry::<String, Map<String, Value>>()? {
            let Some(Value::Array(output)) = utterance.remove(OUTPUT) else {
                return Err(M::Error::custom(format!("`{id}` has no list `{OUTPUT}`")));
            };
            let hypotheses = output.into_iter().map(|one| hypothesis(&id, one));
            let hypotheses =
                hypotheses.collect::<std::result::Result<Vec<_>, _>>().map_err(M::Error::custom)?;
            let list = List { id, hypotheses, source: Value::Object(utterance).to_string() };
            if !list.hypotheses.is_empty() && (self.each)(list).is_break() {
                return Err(M::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

fn hypothesis(id: &str, one: Value) -> std::result::Result<Scored, String> {
    let text = match (&one["rec_text"], &one["rec_token"]) {
        (Value::String(text), _) => without_end(text).replace(PIECE_SPACE, " "),
        (_, Value::String(tokens)) => joined(without_end(tokens)),
        _ => return Err(format!("a hypothesis of `{id}` has neither `rec_text` nor `rec_token`")),
    };
    let score = match &one["score"] {
        // NaN and infinities are not JSON.
        Value::Null => f64::NAN,
        score => score.as_f64().ok_or_else(|| format!("the score `{score}` of `{id}` is not a number"))?,
    };
    let text = text.trim().to_owned();
    Ok(Scored { text, scores: vec![score], lm_log_prob: 0.0, source: one.to_string() })
}

fn without_end(text: &str) -> &str {
    text.trim().strip_suffix(END).unwrap_or(text)
}

/// The text of tokens, which are pieces, characters or words.
fn joined(tokens: &str) -> String {
    let mut words = tokens.split_whitespace();
    if words.clone().any(|word| word == SPACE) {
        return words.map(|word| if word == SPACE { " " } else { word }).collect();
    }
    if words.clone().any(|word| word.starts_with(PIECE_SPACE)) {
        return words.collect::<String>().replace(PIECE_SPACE, " ");
    }
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + " " + word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(text: &str) -> std::result::Result<Vec<List>, String> {
        let mut lists = Vec::new();
        let each = &mut |list| {
            lists.push(list);
            ControlFlow::Continue(())
        };
        read(text.as_bytes(), "data.json", each).map_err(|error| error.to_string())?;
        Ok(lists)
    }

    #[test]
    fn utterances_have_their_hypotheses() {
        let text = r#"{"other": [1], "utts": {
            "u1": {"input": {}, "output": [
                {"rec_text": "the▁cat<eos>", "score": -1.5, "text": "THE CAT"},
                {"rec_token": "t h e <space> h a t <eos>", "score": null}
            ]},
            "u2": {"output": []},
            "u3": {"output": [{"rec_token": "▁the ▁d og", "score": -2}, {"rec_token": "a b", "score": 0}]}
        }}"#;
        let found = lists(text).unwrap();
        let shown: Vec<String> = found
            .iter()
            .flat_map(|list| {
                list.hypotheses.iter().map(move |one| format!("{} {:?} {}", list.id, one.scores, one.text))
            })
            .collect();
        assert_eq!(shown, ["u1 [-1.5] the cat", "u1 [NaN] the hat", "u3 [-2.0] the dog", "u3 [0.0] a b"]);
        assert_eq!(found[0].source, r#"{"input":{}}"#);
        assert!(found[0].hypotheses[0].source.contains(r#""text":"THE CAT""#));
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let check = |text: &str, expected: &str| {
            let error = lists(text).unwrap_err();
            assert!(error.starts_with("data.json, line ") && error.contains(expected), "{error}");
        };
        check("{\n\"utts\": {", "line 2: invalid JSON: EOF");
        check("{}", "the key `utts` is missing");
        check("[]", "expected an object with the key `utts`");
        check(r#"{"utts": {"u1": {}}}"#, "`u1` has no list `output`");
        check(r#"{"utts": {"u1": {"output": [{}]}}}"#, "`u1` has neither `rec_text` nor `rec_token`");
        check(r#"{"utts": {"u1": {"output": [{"rec_text": "", "score": "x"}]}}}"#, "is not a number");
    }
}
