//! Reads parameters from files: the tables that NLTK calls `punkt_tab`.

use std::fs;
use std::path::Path;

use super::{Orthography, Punkt};
use crate::{DataError, Result};

impl Punkt {
    /// Reads the tables of a language, such as `punkt_tab/english` of NLTK's data.
    ///
    /// They are `abbrev_types.txt`, `sent_starters.txt`, `collocations.tab` (two words per line) and
    /// `ortho_context.tab` (a word and its [`Orthography`] as a number).
    ///
    /// # Errors
    /// [`DataError::Missing`] or [`DataError::Read`] for a table that cannot be read; [`DataError::PunktTable`]
    /// for an invalid line.
    pub fn read_tables(folder: impl AsRef<Path>) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.as_ref().join(name);
            fs::read_to_string(&path).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => DataError::Missing { path },
                _ => DataError::Read { origin: path.display().to_string(), source },
            })
        };
        let wrong = |name: &str, line: usize| DataError::PunktTable {
            path: folder.as_ref().join(name),
            line: line as u64 + 1,
        };
        let mut punkt = Self::default();
        punkt.abbreviations.extend(read("abbrev_types.txt")?.lines().map(str::to_owned));
        punkt.starters.extend(read("sent_starters.txt")?.lines().map(str::to_owned));
        for (index, line) in read("collocations.tab")?.lines().enumerate() {
            let (first, second) = line.split_once('\t').ok_or_else(|| wrong("collocations.tab", index))?;
            punkt.collocations.insert((first.to_owned(), second.to_owned()));
        }
        for (index, line) in read("ortho_context.tab")?.lines().enumerate() {
            let entry = line.rsplit_once('\t').and_then(|(word, set)| Some((word, set.parse().ok()?)));
            let (word, set) = entry.ok_or_else(|| wrong("ortho_context.tab", index))?;
            punkt.orthography.insert(word.to_owned(), Orthography(set));
        }
        Ok(punkt)
    }
}
