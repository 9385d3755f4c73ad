//! The formats of lists of hypotheses.

/// A format of lists of hypotheses.
///
/// | format | a line |
/// |---|---|
/// | `tsv` | `id ⇥ score ⇥ … ⇥ text` |
/// | `mikolov` | `id words …` |
/// | `kaldi` | `utt-N words …`; costs in files of their own |
/// | `srilm` | `acoustic-score lm-score word-count words …`, log₁₀; the id is the file's name |
/// | `moses` | `id \|\|\| words \|\|\| name= numbers … \|\|\| total` |
/// | `espnet` | one JSON document: `utts` → id → `output` → objects with `rec_text` and `score` |
/// | `jsonl` | an object with `id`, `text` and one or several scores |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Columns separated by tabs.
    Tsv,
    /// Mikolov's RNNLM toolkit.
    Mikolov,
    /// Kaldi.
    Kaldi,
    /// SRILM's own format of n-best lists.
    Srilm,
    /// Moses.
    Moses,
    /// ESPnet.
    Espnet,
    /// One JSON object per line.
    Jsonl,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 7] = [
        Format::Tsv,
        Format::Mikolov,
        Format::Kaldi,
        Format::Srilm,
        Format::Moses,
        Format::Espnet,
        Format::Jsonl,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Tsv => "tsv",
            Format::Mikolov => "mikolov",
            Format::Kaldi => "kaldi",
            Format::Srilm => "srilm",
            Format::Moses => "moses",
            Format::Espnet => "espnet",
            Format::Jsonl => "jsonl",
        }
    }

    /// The format of a list that begins with this line; `None` where several are possible.
    #[must_use]
    pub fn detect(line: &str) -> Option<Format> {
        let is_number = |word: &str| word.trim().parse::<f64>().is_ok();
        let columns: Vec<&str> = line.split('\t').collect();
        // Any text can follow the columns, such as `|||`.
        if columns.len() > 2 && is_number(columns[1]) && !line.starts_with('{') {
            return Some(Format::Tsv);
        }
        let line = line.trim();
        if line.starts_with('{') {
            // A document that is written in several lines is no list of objects.
            let object: Option<serde_json::Value> =
                serde_json::from_str(&super::fields::without_nan(line)).ok();
            let Some(object) = object else {
                let is_cut = line == "{" || (line.contains("\"utts\"") && !line.ends_with('}'));
                return Some(if is_cut { Format::Espnet } else { Format::Jsonl });
            };
            return Some(if object["utts"].is_object() { Format::Espnet } else { Format::Jsonl });
        }
        if line.contains("|||") {
            return Some(Format::Moses);
        }
        if line.contains('\t') {
            return Some(Format::Tsv);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, rest) = words.split_first()?;
        if let ([lm, count, words @ ..], true) = (rest, is_number(first))
            && is_number(lm)
            && let Ok(count) = count.parse::<usize>()
        {
            // The markers of a line's start and end are not counted.
            let markers = words.iter().filter(|word| ["<s>", "</s>"].contains(word)).count();
            return (count == words.len() || count + markers == words.len()).then_some(Format::Srilm);
        }
        if rest.first().is_some_and(|second| is_number(second)) {
            return None;
        }
        if first.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Format::Mikolov);
        }
        super::fields::kaldi_id(first).map(|_| Format::Kaldi)
    }

    /// Whether scores can have negative weights: Moses has features that count, others have log-probabilities.
    #[must_use]
    pub fn has_features(self) -> bool {
        self == Format::Moses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_recognized_where_only_one_is_possible() {
        for (line, expected) in [
            ("u1\t-1.5\ta text", Some(Format::Tsv)),
            ("u1\t-1.5\t", Some(Format::Tsv)),
            ("u1\t-1.5\ta ||| b", Some(Format::Tsv)),
            ("1\ttext", Some(Format::Tsv)),
            ("1 a text", Some(Format::Mikolov)),
            ("17", Some(Format::Mikolov)),
            ("utt1-1 a text", Some(Format::Kaldi)),
            ("spk-a_utt-12", Some(Format::Kaldi)),
            ("-120.5 -7 3 a b c", Some(Format::Srilm)),
            ("-120.5 -7 3 <s> a b c </s>", Some(Format::Srilm)),
            ("-120.5 -7 0", Some(Format::Srilm)),
            ("0 ||| a b ||| LM= -1 ||| -2", Some(Format::Moses)),
            (r#"{"id": "u1", "score": -1, "text": "a"}"#, Some(Format::Jsonl)),
            (r#"{"id": "u1", "score": -Infinity, "text": "a"}"#, Some(Format::Jsonl)),
            (r#"{"utts": {"u1": {"output": []}}}"#, Some(Format::Espnet)),
            ("{", Some(Format::Espnet)),
            (r#"{"utts": {"#, Some(Format::Espnet)),
            // An id and a score, or a text that begins with a number?
            ("1 -2.5 a text", None),
            ("u1 -2.5 a text", None),
            ("-120.5 -7 4 a b c", None),
            ("a text", None),
            ("well-known words", None),
            ("", None),
        ] {
            assert_eq!(Format::detect(line), expected, "{line}");
        }
        assert_eq!(Format::ALL.map(Format::name).join(" "), "tsv mikolov kaldi srilm moses espnet jsonl");
    }
}
