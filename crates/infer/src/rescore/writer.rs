//! Writes lists of hypotheses in their format, best first.

use std::io::{self, Write};

use serde_json::{Map, Number, Value};

use super::fields::first_word;
use super::{Format, List, Scored, Weights, espnet, ranking};

/// The name of the model's score where a format names its scores.
const NAME: &str = "Rondo";

/// Writes lists of hypotheses in a format, each by decreasing combined score.
///
/// | format | what changes in a line |
/// |---|---|
/// | `tsv` | the score is the combined score; of several, all stay, and the model's log-probability is a further column |
/// | `mikolov`, `kaldi` | nothing |
/// | `srilm` | the language model's score is the model's, to base 10 |
/// | `moses` | the model's log-probability is a further feature, the total is the combined score |
/// | `espnet`, `jsonl` | `score` is the combined score, `lm_log_prob` the model's; `other_score` is the former `score` |
///
/// If only the best are wanted, those of Kaldi and SRILM are `id words …`, because their lines have no ids of their own.
#[derive(Debug)]
pub struct ListWriter {
    format: Format,
    best: bool,
    begun: bool,
}

impl ListWriter {
    /// A writer of whole lists, or of the best hypothesis of each.
    #[must_use]
    pub fn new(format: Format, best: bool) -> ListWriter {
        ListWriter { format, best, begun: false }
    }

    /// Writes a list.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn list(&mut self, list: &List, weights: &Weights, out: &mut dyn Write) -> io::Result<()> {
        let count = if self.best { 1 } else { list.hypotheses.len() };
        let order = ranking(&list.hypotheses, weights);
        let chosen = order.into_iter().take(count).map(|place| &list.hypotheses[place]);
        if self.format == Format::Espnet {
            let before = if self.begun { ",\n" } else { "{\"utts\": {\n" };
            self.begun = true;
            let mut utterance: Map<String, Value> = serde_json::from_str(&list.source).unwrap_or_default();
            let output = chosen.map(|one| Value::Object(object(one, weights))).collect();
            utterance.insert(espnet::OUTPUT.to_owned(), output);
            return write!(out, "{before}{}: {}", Value::from(list.id.as_str()), Value::Object(utterance));
        }
        for one in chosen {
            self.hypothesis(&list.id, one, weights, out)?;
        }
        Ok(())
    }

    /// Writes what ends the output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.format, self.begun) {
            (Format::Espnet, true) => out.write_all(b"\n}}\n"),
            (Format::Espnet, false) => out.write_all(b"{\"utts\": {}}\n"),
            _ => Ok(()),
        }
    }

    fn hypothesis(&self, id: &str, one: &Scored, weights: &Weights, out: &mut dyn Write) -> io::Result<()> {
        let Scored { text, scores, lm_log_prob, source } = one;
        match self.format {
            Format::Tsv if scores.len() <= 1 => writeln!(out, "{id}\t{:.4}\t{text}", one.combined(weights)),
            Format::Tsv => {
                // The scores are printed as they were read.
                let columns: Vec<&str> = source.splitn(scores.len() + 2, '\t').collect();
                let before = columns.len().saturating_sub(1);
                writeln!(out, "{}\t{lm_log_prob:.4}\t{text}", columns[..before].join("\t"))
            }
            Format::Kaldi | Format::Srilm if self.best => writeln!(out, "{id} {text}"),
            Format::Mikolov | Format::Kaldi | Format::Espnet => writeln!(out, "{source}"),
            Format::Srilm => {
                let (acoustic, rest) = first_word(source);
                let (_, rest) = first_word(rest);
                writeln!(out, "{acoustic} {:.4} {rest}", lm_log_prob / std::f64::consts::LN_10)
            }
            Format::Moses => {
                let mut fields: Vec<String> =
                    source.split("|||").map(|field| field.trim().to_owned()).collect();
                fields[2] = format!("{} {NAME}= {lm_log_prob:.4}", fields[2]).trim_start().to_owned();
                fields[3] = format!("{:.4}", one.combined(weights));
                writeln!(out, "{}", fields.join(" ||| "))
            }
            Format::Jsonl => writeln!(out, "{}", Value::Object(object(one, weights))),
        }
    }
}

/// A hypothesis that was read as an object, with its new scores.
fn object(one: &Scored, weights: &Weights) -> Map<String, Value> {
    // It was read from JSON, except that NaN and infinities are not JSON.
    let source = super::fields::without_nan(&one.source);
    let mut object: Map<String, Value> = serde_json::from_str(&source).unwrap_or_default();
    let number = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
    if let Some(other) = object.insert("score".to_owned(), number(one.combined(weights))) {
        object.insert("other_score".to_owned(), other);
    }
    object.insert("lm_log_prob".to_owned(), number(one.lm_log_prob));
    object
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::ListReader;
    use super::*;

    /// Reads a list, gives its hypotheses the log-probabilities −1, −2, … and writes it.
    #[track_caller]
    fn check(text: &str, weights: &Weights, best: bool, expected: &str) {
        let mut reader = ListReader::new(None, false);
        let mut lists = Vec::new();
        let each = &mut |_: &ListReader, list| {
            lists.push(list);
            ControlFlow::Continue(())
        };
        reader.read(text.as_bytes(), "list", "file", each).unwrap();
        let (mut writer, mut out) = (ListWriter::new(reader.format().unwrap(), best), Vec::new());
        for list in &mut lists {
            for (one, n) in list.hypotheses.iter_mut().zip(1..) {
                one.lm_log_prob = -f64::from(n);
            }
            writer.list(list, weights, &mut out).unwrap();
        }
        writer.finish(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn weights(lm: f64, scores: &[f64]) -> Weights {
        Weights { lm, word_bonus: 0.0, scores: scores.to_vec() }
    }

    #[test]
    fn lists_are_written_as_they_were_read_best_first() {
        let one = weights(1.0, &[]);
        check(
            "u\t-5\ta\nu\t-1\tb c\nv\t0\t\n",
            &one,
            false,
            "u\t-3.0000\tb c\nu\t-6.0000\ta\nv\t-1.0000\t\n",
        );
        check("u\t-5\ta\nu\t-1\tb c\n", &one, true, "u\t-3.0000\tb c\n");
        let two = weights(1.0, &[1.0, 0.5]);
        check(
            "u\t-5\t1e1\ta\tb\nu\t-inf\t0\tb\nu\t-2\t7\t\n",
            &two,
            false,
            "u\t-5\t1e1\t-1.0000\ta\tb\nu\t-2\t7\t-3.0000\t\nu\t-inf\t0\t-2.0000\tb\n",
        );
        let minus = weights(-1.0, &[]);
        check("1 a\n1  b c\n2 d\n", &minus, false, "1  b c\n1 a\n2 d\n");
        check("u-1 a\nu-2 b  c\n", &minus, false, "u-2 b  c\nu-1 a\n");
        check("u-1 a\nu-2 b  c\n", &minus, true, "u b  c\n");
        let lm = 2.0 / std::f64::consts::LN_10;
        check(
            "-1 -2 1 a\n-1 -2 3 <s> b </s>\n",
            &minus,
            false,
            &format!("-1 -{lm:.4} 3 <s> b </s>\n-1 -0.4343 1 a\n"),
        );
        check("-1 -2 1 a\n-1 -2 3 <s> b </s>\n", &minus, true, "file b\n");
        check(
            "0 ||| a ||| LM= -7 ||| -5 ||| 0-0\n0 ||| b ||| ||| -2\n",
            &weights(1.0, &[1.0, 0.0]),
            false,
            "0 ||| b ||| Rondo= -2.0000 ||| -4.0000\n0 ||| a ||| LM= -7 Rondo= -1.0000 ||| -6.0000 ||| 0-0\n",
        );
    }

    #[test]
    fn objects_keep_their_keys() {
        let text =
            "{\"id\":1,\"score\":-5,\"text\":\"a\\tb\",\"x\":[]}\n{\"id\":1,\"score\":NaN,\"text\":\"\"}\n";
        let mut out = Vec::new();
        let mut reader = ListReader::new(None, false);
        let mut list = None;
        let each = &mut |_: &ListReader, found| {
            list = Some(found);
            ControlFlow::Break(())
        };
        reader.read(text.as_bytes(), "list", "file", each).unwrap();
        ListWriter::new(Format::Jsonl, false).list(&list.unwrap(), &weights(0.0, &[]), &mut out).unwrap();
        let lines: Vec<Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = serde_json::json!({
            "id": 1, "score": -5.0, "other_score": -5, "lm_log_prob": 0.0, "text": "a\tb", "x": [],
        });
        assert_eq!(lines[0], expected);
        assert_eq!((&lines[1]["score"], &lines[1]["other_score"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_document_stays_one() {
        let text = r#"{"utts": {"u": {"x": 1, "output": [{"rec_text": "a", "score": -9}, {"rec_text": "b", "score": -1, "y": 2}]}}}"#;
        for (best, count) in [(false, 2), (true, 1)] {
            let mut reader = ListReader::new(None, false);
            let (mut writer, mut out) = (ListWriter::new(Format::Espnet, best), Vec::new());
            let each = &mut |_: &ListReader, list: List| {
                writer.list(&list, &weights(1.0, &[]), &mut out).unwrap();
                ControlFlow::Continue(())
            };
            reader.read(text.as_bytes(), "list", "file", each).unwrap();
            writer.finish(&mut out).unwrap();
            let written: Value = serde_json::from_slice(&out).unwrap();
            let utterance = &written["utts"]["u"];
            assert_eq!((&utterance["x"], utterance["output"].as_array().unwrap().len()), (&1.into(), count));
            let first = &utterance["output"][0];
            assert_eq!(
                (&first["rec_text"], &first["other_score"], &first["y"]),
                (&"b".into(), &(-1).into(), &2.into())
            );
        }
        let mut out = Vec::new();
        ListWriter::new(Format::Espnet, false).finish(&mut out).unwrap();
        assert!(serde_json::from_slice::<Value>(&out).is_ok());
    }
}
