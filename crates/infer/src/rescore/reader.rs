//! Reads lists of hypotheses one by one, in all formats.
//!
//! ```text
//! lines ─ LineParser ─▶ Entry ─ same id as the line before? ─▶ List ─▶ each(list)
//!                         ▲
//! files of scores ────────┘  in the same order, or in any order by key
//! ```

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;

use rondo_data::TextLines;

use super::fields::{LineParser, first_word, number};
use super::list::{Entry, LineFault};
use super::{Format, List, espnet};
use crate::{InferError, Result};

/// A file with a score for each hypothesis of a list; its numbers are in memory.
///
/// For Kaldi, a line is `utt-N cost`, in any order; lower is better, so the score is the negative cost. For Mikolov's
/// format, a line is the score of the hypothesis in the same line of the list.
#[derive(Clone, Debug)]
pub struct ScoreFile {
    name: String,
    by_key: HashMap<Box<str>, f64>,
    by_line: Vec<f64>,
    used: usize,
}

/// Reads lists of hypotheses one by one.
///
/// ```
/// use std::ops::ControlFlow;
/// use rondo_infer::rescore::ListReader;
///
/// let mut reader = ListReader::new(None, false);
/// let text = "utt1-1 the cat\nutt1-2 the hat\nutt2-1 a dog\n";
/// let mut ids = Vec::new();
/// reader.read(text.as_bytes(), "example", "example", &mut |_, list| {
///     ids.push((list.id, list.hypotheses.len()));
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(ids, [("utt1".to_owned(), 2), ("utt2".to_owned(), 1)]);
/// # Ok::<(), rondo_infer::InferError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListReader {
    format: Option<Format>,
    parser: Option<LineParser>,
    lossy: bool,
    score_files: Vec<ScoreFile>,
    missing_scores: u64,
    hypotheses: u64,
}

impl ScoreFile {
    /// Reads a file of scores with this name; `origin` is the file's name in errors. Blank lines are skipped.
    ///
    /// # Errors
    /// [`InferError::Data`] if the file cannot be read, [`InferError::ListLine`] for a line without a number.
    pub fn read(name: &str, reader: impl BufRead, origin: &str) -> Result<ScoreFile> {
        let (mut by_key, mut by_line) = (HashMap::new(), Vec::new());
        for (text, line) in TextLines::new(reader, origin, false).zip(1..) {
            let text = text?;
            let fault = |fault| InferError::ListLine { origin: origin.to_owned(), line, fault };
            match first_word(&text) {
                ("", _) => {}
                (score, "") => by_line.push(number(score).map_err(fault)?),
                (key, cost) => {
                    by_key.insert(key.into(), -number(cost).map_err(fault)?);
                }
            }
        }
        Ok(ScoreFile { name: name.to_owned(), by_key, by_line, used: 0 })
    }

    /// The score of the next hypothesis, which has this key if the format has keys.
    fn next_score(&mut self, key: Option<&str>) -> Option<f64> {
        let score = match key {
            Some(key) => self.by_key.get(key).copied(),
            None => self.by_line.get(self.used).copied(),
        };
        self.used += usize::from(score.is_some());
        score
    }

    /// The number of lines that no hypothesis has used.
    fn unused(&self) -> usize {
        (self.by_key.len() + self.by_line.len()).saturating_sub(self.used)
    }
}

impl ListReader {
    /// A reader of lists in a format, or in the one that the first line tells. Invalid UTF-8 is an error, or is replaced
    /// by U+FFFD if `lossy`.
    #[must_use]
    pub fn new(format: Option<Format>, lossy: bool) -> ListReader {
        let parser = format.map(LineParser::new);
        ListReader { format, parser, lossy, score_files: Vec::new(), missing_scores: 0, hypotheses: 0 }
    }

    /// Adds files with further scores.
    #[must_use]
    pub fn with_scores(mut self, files: Vec<ScoreFile>) -> ListReader {
        self.score_files = files;
        self
    }

    /// The format; `None` before the first line, if it was not given.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The names of the scores so far, in their order in [`Scored::scores`](super::Scored::scores).
    #[must_use]
    pub fn score_names(&self) -> Vec<String> {
        let files = self.score_files.iter().map(|file| file.name.clone());
        files.chain(self.parser.iter().flat_map(LineParser::names).cloned()).collect()
    }

    /// The number of hypotheses read.
    #[must_use]
    pub fn hypotheses(&self) -> u64 {
        self.hypotheses
    }

    /// The number of hypotheses that are not in a file of scores.
    #[must_use]
    pub fn missing_scores(&self) -> u64 {
        self.missing_scores
    }

    /// The number of lines of the files of scores that no hypothesis has used.
    #[must_use]
    pub fn unused_scores(&self) -> usize {
        self.score_files.iter().map(ScoreFile::unused).sum()
    }

    /// Reads lists and calls `each` with every one, until it breaks: consecutive hypotheses with the same id are a list.
    /// `origin` is the text's name in errors, `file_id` the id of hypotheses in formats that have none. Blank lines are
    /// skipped.
    ///
    /// # Errors
    /// [`InferError::Data`] if a text cannot be read or is not UTF-8, [`InferError::ListLine`] for a malformed line.
    pub fn read(
        &mut self,
        mut reader: impl BufRead,
        origin: &str,
        file_id: &str,
        each: &mut dyn FnMut(&ListReader, List) -> ControlFlow<()>,
    ) -> Result<()> {
        let each = &mut |reader: &mut ListReader, list: List| {
            reader.hypotheses += list.hypotheses.len() as u64;
            each(reader, list)
        };
        if self.format == Some(Format::Espnet) {
            self.check_scores().map_err(|fault| InferError::ListLine {
                origin: origin.to_owned(),
                line: 1,
                fault,
            })?;
            return espnet::read(reader, origin, &mut |list| each(self, list));
        }
        let mut open: Option<List> = None;
        let mut number = 0;
        // What has been read of a document before its format was known.
        let mut begun = String::new();
        for text in TextLines::new(&mut reader, origin, self.lossy) {
            let text = text?;
            number += 1;
            if text.trim().is_empty() {
                begun.push('\n');
                continue;
            }
            let fault = |fault| InferError::ListLine { origin: origin.to_owned(), line: number, fault };
            if self.format.is_none() {
                let format = Format::detect(&text).ok_or_else(|| fault(LineFault::UnknownFormat))?;
                self.format = Some(format);
                self.parser = Some(LineParser::new(format));
                self.check_scores().map_err(fault)?;
                if format == Format::Espnet {
                    begun.push_str(&text);
                    begun.push('\n');
                    break;
                }
            }
            self.check_scores().map_err(fault)?;
            let Some(parser) = &mut self.parser else { break };
            let mut entry = parser.parse(number, &text, file_id).map_err(fault)?;
            self.add_scores(&mut entry);
            match &mut open {
                Some(list) if list.id == entry.id => list.hypotheses.push(entry.into()),
                _ => {
                    let id = entry.id.clone();
                    let list = List { id, hypotheses: vec![entry.into()], ..List::default() };
                    if let Some(list) = open.replace(list)
                        && each(self, list).is_break()
                    {
                        return Ok(());
                    }
                }
            }
        }
        if self.format == Some(Format::Espnet) {
            let reader = Read::chain(begun.as_bytes(), reader);
            return espnet::read(reader, origin, &mut |list| each(self, list));
        }
        if let Some(list) = open {
            let _ = each(self, list);
        }
        Ok(())
    }

    /// Refuses files of scores for formats that have scores themselves.
    fn check_scores(&self) -> std::result::Result<(), LineFault> {
        match self.format {
            Some(Format::Kaldi | Format::Mikolov) | None => Ok(()),
            Some(_) if self.score_files.is_empty() => Ok(()),
            Some(format) => Err(LineFault::OwnScores { format: format.name() }),
        }
    }

    /// Adds the scores of the files.
    fn add_scores(&mut self, entry: &mut Entry) {
        let key = (self.format == Some(Format::Kaldi)).then(|| first_word(&entry.source).0);
        for file in &mut self.score_files {
            let score = file.next_score(key);
            self.missing_scores += u64::from(score.is_none());
            entry.scores.push(score.unwrap_or(f64::NAN));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lists(reader: &mut ListReader, text: &str) -> std::result::Result<Vec<List>, String> {
        let mut lists = Vec::new();
        let each = &mut |_: &ListReader, list| {
            lists.push(list);
            ControlFlow::Continue(())
        };
        reader.read(text.as_bytes(), "list", "file", each).map_err(|error| error.to_string())?;
        Ok(lists)
    }

    fn shown(lists: &[List]) -> String {
        let shown = |list: &List| {
            let all = list.hypotheses.iter().map(|one| format!("{:?} {}", one.scores, one.text));
            format!("{}: {}", list.id, all.collect::<Vec<_>>().join(", "))
        };
        lists.iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    fn score_file(name: &str, text: &'static str) -> ScoreFile {
        ScoreFile::read(name, text.as_bytes(), name).unwrap()
    }

    #[test]
    fn lists_end_where_the_id_changes() {
        let mut reader = ListReader::new(None, false);
        let text = "\nu1\t-1\ta\nu1\t-2\tb\n\nu2\t-3\tc\nu1\t-4\td\n";
        let found = lists(&mut reader, text).unwrap();
        assert_eq!(shown(&found), "u1: [-1.0] a, [-2.0] b; u2: [-3.0] c; u1: [-4.0] d");
        assert_eq!((reader.format(), reader.hypotheses()), (Some(Format::Tsv), 4));
        assert_eq!(reader.score_names(), ["score"]);
        let mut first = None;
        let each = &mut |_: &ListReader, list: List| {
            first = Some(list.id);
            ControlFlow::Break(())
        };
        reader.read(text.as_bytes(), "list", "file", each).unwrap();
        assert_eq!(first.as_deref(), Some("u1"));
    }

    #[test]
    fn costs_of_kaldi_are_found_by_key() {
        let ac = "u1-1 10\nu1-2 12.5\nu2-1 3\nu9-1 5\n";
        // In another order, and one is missing.
        let lm = "u2-1 7\n\nu1-1 1\n";
        let files = vec![score_file("ac", ac), score_file("lm", lm)];
        let mut reader = ListReader::new(None, false).with_scores(files);
        let found = lists(&mut reader, "u1-1 the cat\nu1-2 the hat\nu2-1\n").unwrap();
        assert_eq!(shown(&found), "u1: [-10.0, -1.0] the cat, [-12.5, NaN] the hat; u2: [-3.0, -7.0] ");
        assert_eq!(reader.score_names(), ["ac", "lm"]);
        assert_eq!((reader.missing_scores(), reader.unused_scores()), (1, 1));

        let error = ScoreFile::read("ac", &b"u1-1 1\nu1-2 x\n"[..], "ac").unwrap_err().to_string();
        assert_eq!(error, "ac, line 2: the score `x` is not a number");
        // A file for another format has no score for any hypothesis.
        let mut reader = ListReader::new(None, false).with_scores(vec![score_file("ac", "1\n2\n")]);
        lists(&mut reader, "u1-1 a\n").unwrap();
        assert_eq!((reader.missing_scores(), reader.unused_scores()), (1, 2));
    }

    #[test]
    fn other_scores_are_found_by_line() {
        let files = vec![score_file("ac", "-1\n-inf\n-3\n-4\n")];
        let mut reader = ListReader::new(None, false).with_scores(files);
        let found = lists(&mut reader, "1 the cat\n1 the hat\n2 a\n").unwrap();
        assert_eq!(shown(&found), "1: [-1.0] the cat, [-inf] the hat; 2: [-3.0] a");
        assert_eq!((reader.missing_scores(), reader.unused_scores()), (0, 1));
    }

    #[test]
    fn the_id_of_srilm_is_the_files() {
        let mut reader = ListReader::new(None, false);
        let found = lists(&mut reader, "-1 -2 1 a\n-1 -2 2 b c\n").unwrap();
        assert_eq!((found.len(), found[0].id.as_str(), found[0].hypotheses.len()), (1, "file", 2));
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let error = |format, text| lists(&mut ListReader::new(format, false), text).unwrap_err();
        assert_eq!(
            error(Some(Format::Kaldi), "u1-1 a\n\nu1 b"),
            "list, line 3: expected a key such as `utt-1`, found `u1`"
        );
        let files = vec![score_file("ac", "u1 1\n")];
        let own = lists(&mut ListReader::new(None, false).with_scores(files), "u1\t-1\ta").unwrap_err();
        assert!(own.starts_with("list, line 1: a list in the format `tsv` has its own scores"), "{own}");
        assert!(error(None, "\nu1 -1 a").starts_with("list, line 2: expected a hypothesis"));
    }

    proptest! {
        #[test]
        fn hostile_texts_never_panic(
            bytes in prop::collection::vec(
                prop::sample::select(b"a1-.e \t\n{}[]\":,|=<>\0\xFF\xC3\xA9\\".to_vec()), 0..60
            ),
            format in prop::sample::select(Format::ALL.to_vec()),
            is_known: bool,
            lossy: bool,
        ) {
            let file = ScoreFile::read("s", bytes.as_slice(), "s").ok();
            for files in [Vec::new(), file.into_iter().collect()] {
                let mut reader = ListReader::new(is_known.then_some(format), lossy).with_scores(files);
                let mut hypotheses = 0;
                let each = &mut |_: &ListReader, list: List| {
                    assert!(!list.hypotheses.is_empty());
                    hypotheses += list.hypotheses.len() as u64;
                    ControlFlow::Continue(())
                };
                let read = reader.read(bytes.as_slice(), "list", "file", each);
                prop_assert!(read.is_err() || hypotheses == reader.hypotheses());
            }
        }
    }
}
