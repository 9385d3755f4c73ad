//! The formats of lattices, and reading them one by one.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::sync::Arc;

use rondo_data::TextLines;

use super::{Lattice, LatticeFault, SymbolTable, confusion, kaldi, slf};
use crate::{InferError, Result};

/// Words that stand for no word in the lattices of one tool or another.
const FILLERS: [&str; 18] = [
    "!NULL",
    "!SENT_START",
    "!SENT_END",
    "!ENTER",
    "!EXIT",
    "!SIL",
    "NULL",
    "*DELETE*",
    "<s>",
    "</s>",
    "<eps>",
    "<epsilon>",
    "<sil>",
    "<SIL>",
    "sil",
    "SIL",
    "-pau-",
    "SENT-START",
];

/// A format of lattices.
///
/// | format | a file |
/// |---|---|
/// | `slf` | one lattice, in the standard lattice format of HTK |
/// | `kaldi-lattice` | Kaldi's text archives of lattices or compact lattices |
/// | `confusion` | one confusion network per line, as JSON |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LatticeFormat {
    /// The standard lattice format of HTK, SRILM and PocketSphinx.
    Slf,
    /// Kaldi's text archives.
    Kaldi,
    /// Confusion networks as JSON Lines.
    Confusion,
}

impl LatticeFormat {
    /// All formats.
    pub const ALL: [LatticeFormat; 3] = [LatticeFormat::Slf, LatticeFormat::Kaldi, LatticeFormat::Confusion];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LatticeFormat::Slf => "slf",
            LatticeFormat::Kaldi => "kaldi-lattice",
            LatticeFormat::Confusion => "confusion",
        }
    }
}

/// Reads lattices one by one.
///
/// ```
/// use std::ops::ControlFlow;
/// use rondo_infer::lattice::{LatticeFormat, LatticeReader};
///
/// let reader = LatticeReader::new(LatticeFormat::Confusion);
/// let line = r#"{"id": "u1", "positions": [[{"word": "the", "score": -0.1}, {"word": "", "score": -2.4}]]}"#;
/// reader.read(line.as_bytes(), "example", "example", &mut |lattice| {
///     assert_eq!((lattice.id(), lattice.words(), lattice.paths()), ("u1", &["the".to_owned()][..], 2.0));
///     ControlFlow::Continue(())
/// })?;
/// # Ok::<(), rondo_infer::InferError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LatticeReader {
    format: LatticeFormat,
    lossy: bool,
    fillers: Vec<String>,
    symbols: Option<Arc<SymbolTable>>,
}

impl LatticeReader {
    /// A reader of lattices in a format.
    #[must_use]
    pub fn new(format: LatticeFormat) -> LatticeReader {
        LatticeReader { format, lossy: false, fillers: Vec::new(), symbols: None }
    }

    /// The same; invalid UTF-8 is replaced by U+FFFD if `lossy`, otherwise it is an error.
    #[must_use]
    pub fn lossy(self, lossy: bool) -> LatticeReader {
        LatticeReader { lossy, ..self }
    }

    /// The same, with further words that stand for silence or noise, and are not words of the text.
    #[must_use]
    pub fn with_fillers(self, fillers: Vec<String>) -> LatticeReader {
        LatticeReader { fillers, ..self }
    }

    /// The same, with a table of the words that Kaldi writes as numbers.
    #[must_use]
    pub fn with_symbols(self, symbols: Arc<SymbolTable>) -> LatticeReader {
        LatticeReader { symbols: Some(symbols), ..self }
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> LatticeFormat {
        self.format
    }

    /// The table of words, if there is one.
    #[must_use]
    pub fn symbols(&self) -> Option<&SymbolTable> {
        self.symbols.as_deref()
    }

    /// Reads lattices and calls `each` with every one, until it breaks. `origin` is the text's name in errors, `file_id`
    /// the id of a lattice in a format that has none.
    ///
    /// # Errors
    /// [`InferError::Data`] if the text cannot be read or is not UTF-8; [`InferError::LatticeLine`] for a malformed
    /// line, [`InferError::Lattice`] for a graph that is no lattice.
    pub fn read(
        &self,
        reader: impl BufRead,
        origin: &str,
        file_id: &str,
        each: &mut dyn FnMut(Lattice) -> ControlFlow<()>,
    ) -> Result<()> {
        let each = &mut |lattice| each(Lattice { origin: origin.to_owned(), ..lattice });
        let mut lines = Lines { lines: TextLines::new(reader, origin, self.lossy), number: 0, origin };
        match self.format {
            LatticeFormat::Slf => slf::read(self, &mut lines, file_id).map(|lattice| {
                let _ = each(lattice);
            }),
            LatticeFormat::Kaldi => kaldi::read(self, &mut lines, each),
            LatticeFormat::Confusion => confusion::read(self, &mut lines, each),
        }
    }

    /// Whether a word stands for no word: silence, noise, the start or end of a sentence, a symbol of a graph.
    pub(super) fn is_filler(&self, word: &str) -> bool {
        let inside = |open: &str, close: &str| {
            word.len() > open.len() + close.len() && word.starts_with(open) && word.ends_with(close)
        };
        let is_disambiguation = word
            .strip_prefix('#')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
        word.is_empty()
            || FILLERS.contains(&word)
            || inside("[", "]")
            || inside("++", "++")
            || is_disambiguation
            || self.fillers.iter().any(|filler| filler == word)
    }
}

/// The lines of a file, numbered.
pub(super) struct Lines<'a, R> {
    lines: TextLines<R>,
    number: usize,
    origin: &'a str,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        self.number += 1;
        Ok(self.lines.next().transpose()?)
    }

    /// An error in the line read last.
    pub(super) fn fault(&self, fault: LatticeFault) -> InferError {
        InferError::LatticeLine { origin: self.origin.to_owned(), line: self.number, fault }
    }

    /// An error in a lattice as a whole.
    pub(super) fn fault_of(&self, id: &str, fault: LatticeFault) -> InferError {
        InferError::Lattice { origin: self.origin.to_owned(), id: id.to_owned(), fault }
    }
}

/// A number that is not NaN or positive infinity, which no score can be.
pub(super) fn number(name: &str, text: &str) -> std::result::Result<f64, LatticeFault> {
    let value = text.parse().ok().filter(|value: &f64| *value < f64::INFINITY);
    value.ok_or_else(|| LatticeFault::Number { name: name.to_owned(), found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_noise_and_symbols_of_graphs_are_no_words() {
        let reader = LatticeReader::new(LatticeFormat::Slf).with_fillers(vec!["uh".to_owned()]);
        for filler in ["!NULL", "<s>", "[NOISE]", "++BREATH++", "#0", "uh", ""] {
            assert!(reader.is_filler(filler), "{filler}");
        }
        for word in ["the", "<unk>", "[", "++", "#", "#a", "!"] {
            assert!(!reader.is_filler(word), "{word}");
        }
    }
}
