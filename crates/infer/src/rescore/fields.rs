//! Parses a line of each format.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Format;
use super::list::{Entry, LineFault};

type Parsed<T> = std::result::Result<T, LineFault>;

/// Parses the lines of a list, and remembers the names of their scores.
#[derive(Clone, Debug)]
pub(super) struct LineParser {
    format: Format,
    names: Vec<String>,
    /// Whether the first line has been parsed, which sets the number of columns.
    begun: bool,
}

impl LineParser {
    pub(super) fn new(format: Format) -> LineParser {
        let names: &[&str] = match format {
            Format::Srilm => &["acoustic", "lm"],
            Format::Espnet => &["score"],
            _ => &[],
        };
        LineParser { format, names: names.iter().map(|&name| name.to_owned()).collect(), begun: false }
    }

    /// The names of the scores in the lines so far.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Parses a line; `file_id` is the id of hypotheses in formats that have none.
    pub(super) fn parse(&mut self, line: usize, text: &str, file_id: &str) -> Parsed<Entry> {
        let entry = match self.format {
            Format::Tsv => self.tsv(text),
            Format::Mikolov => mikolov(text),
            Format::Kaldi => kaldi(text),
            Format::Srilm => srilm(text, file_id),
            Format::Moses => self.moses(text),
            Format::Espnet => Err(LineFault::Document),
            Format::Jsonl => self.jsonl(text),
        }?;
        self.begun = true;
        Ok(Entry { line, ..entry })
    }

    /// `id ⇥ score ⇥ … ⇥ text`: in the first line, the columns that are numbers are scores.
    fn tsv(&mut self, line: &str) -> Parsed<Entry> {
        if !self.begun {
            let columns: Vec<&str> = line.split('\t').collect();
            let between = columns.get(1..columns.len() - 1).unwrap_or_default();
            let count = between.iter().take_while(|column| number(column).is_ok()).count();
            self.names = match count {
                0 | 1 => vec!["score".to_owned()],
                count => (1..=count).map(|n| format!("score{n}")).collect(),
            };
        }
        let count = self.names.len();
        let columns: Vec<&str> = line.splitn(count + 2, '\t').collect();
        let ([id, scores @ .., text], true) = (columns.as_slice(), columns.len() == count + 2) else {
            return Err(LineFault::HypothesisColumns { scores: count });
        };
        let scores = scores.iter().map(|score| number(score)).collect::<Parsed<_>>()?;
        // With one score, the output is made of the fields alone.
        let source = if count > 1 { line.to_owned() } else { String::new() };
        Ok(Entry { id: (*id).to_owned(), scores, text: (*text).to_owned(), source, line: 0 })
    }

    /// `id ||| words ||| name= numbers … ||| total`, and more fields.
    fn moses(&mut self, line: &str) -> Parsed<Entry> {
        let fields: Vec<&str> = line.split("|||").map(str::trim).collect();
        let [id, text, features, total, ..] = fields[..] else {
            return Err(LineFault::MosesFields { found: fields.len() });
        };
        if !self.begun {
            self.names = vec!["total".to_owned()];
        }
        let mut scores = vec![0.0; self.names.len()];
        scores[0] = number(total)?;
        let (mut name, mut values) = (String::new(), Vec::new());
        for field in features.split_whitespace() {
            if let Some(next) = field.strip_suffix(['=', ':']) {
                self.feature(&name, &values, &mut scores);
                (name, values) = (next.to_owned(), Vec::new());
            } else if let Some((sparse, value)) = field.split_once('=') {
                self.feature(sparse, &[number(value)?], &mut scores);
            } else {
                values.push(number(field)?);
            }
        }
        self.feature(&name, &values, &mut scores);
        Ok(Entry { id: id.to_owned(), scores, text: text.to_owned(), source: line.to_owned(), line: 0 })
    }

    /// Adds the values of a feature: one has the feature's name, several have numbers too.
    fn feature(&mut self, name: &str, values: &[f64], scores: &mut Vec<f64>) {
        let name = if name.is_empty() { "feature" } else { name };
        for (value, n) in values.iter().zip(1..) {
            let name = if values.len() == 1 { name.to_owned() } else { format!("{name}.{n}") };
            let place = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
            if scores.len() <= place {
                scores.resize(place + 1, 0.0);
            }
            scores[place] += value;
        }
    }

    /// An object with `id`, `text` and scores: `score`, keys that end in `_score`, and those in `scores`.
    fn jsonl(&mut self, line: &str) -> Parsed<Entry> {
        let object: Map<String, Value> = serde_json::from_str(&without_nan(line))
            .map_err(|error| LineFault::Json { reason: error.to_string() })?;
        // Ids are often numbers.
        let id = match object.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(LineFault::Key { key: "id".to_owned(), kind: "a string" }),
        };
        let text = object.get("text").and_then(Value::as_str);
        let text = text.ok_or(LineFault::Key { key: "text".to_owned(), kind: "a string" })?;
        let scores = json_scores(&object);
        if !self.begun {
            self.names = scores.iter().map(|(name, _)| name.clone()).collect();
            if scores.is_empty() {
                self.names = vec!["score".to_owned()];
            }
        }
        let score = |name: &String| {
            let found = scores.iter().find(|(found, _)| found == name).and_then(|(_, value)| match value {
                // NaN and infinities are not JSON; writers that have them write null.
                Value::Null => Some(f64::NAN),
                value => value.as_f64(),
            });
            found.ok_or_else(|| LineFault::Key { key: name.clone(), kind: "a number" })
        };
        let scores = self.names.iter().map(score).collect::<Parsed<_>>()?;
        Ok(Entry { id, scores, text: text.to_owned(), source: line.to_owned(), line: 0 })
    }
}

/// The scores of an object, with their names.
fn json_scores(object: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut scores: Vec<(String, &Value)> = object
        .iter()
        .filter(|(key, _)| *key == "score" || key.ends_with("_score"))
        .map(|(key, value)| (key.clone(), value))
        .collect();
    match object.get("scores") {
        Some(Value::Object(named)) => scores.extend(named.iter().map(|(name, value)| (name.clone(), value))),
        Some(Value::Array(values)) => {
            scores.extend((1..).zip(values).map(|(n, value)| (format!("score{n}"), value)));
        }
        _ => {}
    }
    // The total, if there is one, comes first.
    scores.sort_by_key(|(name, _)| name != "score");
    scores
}

/// `id words …`
fn mikolov(line: &str) -> Parsed<Entry> {
    let (id, text) = first_word(line);
    Ok(Entry { id: id.to_owned(), text: text.to_owned(), source: line.to_owned(), ..Entry::default() })
}

/// `utt-N words …`
fn kaldi(line: &str) -> Parsed<Entry> {
    let (key, text) = first_word(line);
    let id = kaldi_id(key).ok_or_else(|| LineFault::KaldiKey { found: key.to_owned() })?;
    Ok(Entry { id: id.to_owned(), text: text.to_owned(), source: line.to_owned(), ..Entry::default() })
}

/// `acoustic-score lm-score word-count words …`, with scores to base 10.
fn srilm(line: &str, file_id: &str) -> Parsed<Entry> {
    let (acoustic, rest) = first_word(line);
    let (lm, rest) = first_word(rest);
    let (count, text) = first_word(rest);
    if count.parse::<u64>().is_err() {
        return Err(LineFault::SrilmFields);
    }
    let in_nats = |score| Ok(number(score)? * std::f64::consts::LN_10);
    let scores = vec![in_nats(acoustic)?, in_nats(lm)?];
    let text = text.strip_prefix("<s>").unwrap_or(text);
    let text = text.strip_suffix("</s>").unwrap_or(text).trim();
    let source = line.to_owned();
    Ok(Entry { id: file_id.to_owned(), scores, text: text.to_owned(), source, line: 0 })
}

/// The first word of a line, and the rest.
pub(super) fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace).map_or((line, ""), |(first, rest)| (first, rest.trim_start()))
}

/// The id of a hypothesis of Kaldi: its key without the number.
pub(super) fn kaldi_id(key: &str) -> Option<&str> {
    let (id, number) = key.rsplit_once('-')?;
    (!id.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// A number, which can be NaN or infinite.
pub(super) fn number(text: &str) -> Parsed<f64> {
    text.trim().parse().map_err(|_| LineFault::Score { score: text.to_owned() })
}

/// JSON with `null` for the NaN and infinities that Python writes, which are not JSON.
pub(super) fn without_nan(json: &str) -> Cow<'_, str> {
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Cow::Borrowed(json);
    }
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    let mut is_string = false;
    while let Some(char) = rest.chars().next() {
        let number = ["-Infinity", "Infinity", "NaN"].into_iter().find(|number| rest.starts_with(number));
        if let (Some(number), false) = (number, is_string) {
            out.push_str("null");
            rest = &rest[number.len()..];
            continue;
        }
        let mut len = char.len_utf8();
        if char == '"' {
            is_string = !is_string;
        } else if char == '\\' && is_string {
            len += rest[len..].chars().next().map_or(0, char::len_utf8);
        }
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: Format, lines: &[&str], names: &str, expected: &[(&str, &[f64], &str)]) {
        let mut parser = LineParser::new(format);
        for (line, &(id, scores, text)) in lines.iter().zip(expected) {
            let entry = parser.parse(3, line, "file").unwrap();
            assert_eq!((entry.line, &*entry.id, &*entry.text), (3, id, text), "{line}");
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9 || a.to_bits() == b.to_bits();
            assert!(entry.scores.len() == scores.len(), "{line}: {:?}", entry.scores);
            assert!(entry.scores.iter().zip(scores).all(close), "{line}: {:?}", entry.scores);
        }
        assert_eq!(parser.names().join(" "), names);
    }

    #[test]
    fn columns_have_as_many_scores_as_the_first_line() {
        check(
            Format::Tsv,
            &["u1\t-1.5\ta  b", "u1\t1e3\t"],
            "score",
            &[("u1", &[-1.5], "a  b"), ("u1", &[1000.0], "")],
        );
        let infinity = f64::NEG_INFINITY;
        check(
            Format::Tsv,
            &["u1\t-1\t-2\ta", "u2\t-inf\t3\ta\tb"],
            "score1 score2",
            &[("u1", &[-1.0, -2.0], "a"), ("u2", &[infinity, 3.0], "a\tb")],
        );
        // A text that is a number, and one with a tab.
        check(Format::Tsv, &["u1\t-1\t7"], "score", &[("u1", &[-1.0], "7")]);
        check(Format::Tsv, &["u1\t-1\ta\tb"], "score", &[("u1", &[-1.0], "a\tb")]);
    }

    #[test]
    fn lines_of_other_tools_are_read() {
        check(Format::Mikolov, &["1 the cat", "1"], "", &[("1", &[], "the cat"), ("1", &[], "")]);
        check(Format::Kaldi, &["a-b-12 the  cat", "u-1"], "", &[("a-b", &[], "the  cat"), ("u", &[], "")]);
        let ln10 = std::f64::consts::LN_10;
        check(
            Format::Srilm,
            &["-10 -2.5 2 the cat", "-1 -2 3 <s> the cat sat </s>", "-1 -inf 0"],
            "acoustic lm",
            &[
                ("file", &[-10.0 * ln10, -2.5 * ln10], "the cat"),
                ("file", &[-ln10, -2.0 * ln10], "the cat sat"),
                ("file", &[-ln10, f64::NEG_INFINITY], ""),
            ],
        );
        check(
            Format::Moses,
            &[
                "0 ||| the cat ||| LM= -20 TM= -3 -4 ||| -5.1",
                "0|||a|||LM= -1 sparse=2 ||| -5 ||| 0-0",
                "1 ||| ||| -7 ||| 0",
            ],
            "total LM TM.1 TM.2 sparse feature",
            &[
                ("0", &[-5.1, -20.0, -3.0, -4.0], "the cat"),
                ("0", &[-5.0, -1.0, 0.0, 0.0, 2.0], "a"),
                ("1", &[0.0, 0.0, 0.0, 0.0, 0.0, -7.0], ""),
            ],
        );
    }

    #[test]
    fn objects_have_one_or_several_scores() {
        check(
            Format::Jsonl,
            &[r#"{"id":"u1","score":-1.5,"text":"a  b","more":0}"#, r#"{"id":7,"score":null,"text":""}"#],
            "score",
            &[("u1", &[-1.5], "a  b"), ("7", &[f64::NAN], "")],
        );
        check(
            Format::Jsonl,
            &[r#"{"id":1,"am_score":-1,"lm_score":-Infinity,"score":-3,"text":"NaN \" NaN"}"#],
            "score am_score lm_score",
            &[("1", &[-3.0, -1.0, f64::NAN], "NaN \" NaN")],
        );
        check(
            Format::Jsonl,
            &[r#"{"id":1,"scores":{"x":1,"y":2},"text":""}"#],
            "x y",
            &[("1", &[1.0, 2.0], "")],
        );
        check(
            Format::Jsonl,
            &[r#"{"id":1,"scores":[1,2],"text":""}"#],
            "score1 score2",
            &[("1", &[1.0, 2.0], "")],
        );
    }

    #[test]
    fn other_lines_say_what_is_wrong() {
        let fault = |format, lines: &[&str]| {
            let mut parser = LineParser::new(format);
            let mut last = None;
            for line in lines {
                last = parser.parse(1, line, "file").err();
            }
            last.unwrap().to_string()
        };
        let tabs = "expected three tab-separated columns: id, score, text";
        assert_eq!(fault(Format::Tsv, &["u1 -1.5 a"]), tabs);
        assert_eq!(fault(Format::Tsv, &["u1\ta"]), tabs);
        assert_eq!(fault(Format::Tsv, &["u1\tx\ta"]), "the score `x` is not a number");
        let four = "expected 4 tab-separated columns: id, 2 scores, text";
        assert_eq!(fault(Format::Tsv, &["u1\t1\t2\ta", "u1\t1\ta"]), four);
        assert_eq!(fault(Format::Tsv, &["u1\t1\t2\ta", "u1\t1\ta\tb"]), "the score `a` is not a number");
        assert_eq!(fault(Format::Kaldi, &["utt words"]), "expected a key such as `utt-1`, found `utt`");
        let srilm = "expected an acoustic score, a language model score, the number of words, and the words";
        assert_eq!(fault(Format::Srilm, &["-1 -2 words"]), srilm);
        assert_eq!(fault(Format::Srilm, &["x -2 1 word"]), "the score `x` is not a number");
        let moses = "expected id ||| words ||| features ||| total, found 2 fields";
        assert_eq!(fault(Format::Moses, &["0 ||| words"]), moses);
        assert_eq!(fault(Format::Moses, &["0 ||| a ||| LM= x ||| 1"]), "the score `x` is not a number");
        let json = |line| fault(Format::Jsonl, &[line]);
        assert!(json("{").starts_with("invalid JSON: "));
        assert!(json("7").starts_with("invalid JSON: "));
        assert_eq!(json(r#"{"score":1,"text":"a"}"#), "the key `id` is missing or is not a string");
        assert_eq!(
            json(r#"{"id":"a","score":"1","text":"a"}"#),
            "the key `score` is missing or is not a number"
        );
        assert_eq!(json(r#"{"id":"a","score":1}"#), "the key `text` is missing or is not a string");
        assert_eq!(json(r#"{"id":"a","text":"a"}"#), "the key `score` is missing or is not a number");
    }
}
