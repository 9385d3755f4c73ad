//! The flags for lattices.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use rondo_data::{TextLines, TextSource};
use rondo_infer::lattice::{LatticeFormat, LatticeReader, Settings, SymbolTable};

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;

/// The number of best paths of a lattice, if not given.
const BEST: usize = 100;

/// How lattices are read, searched and written.
#[derive(Args, Debug)]
pub(super) struct LatticeArgs {
    /// Kaldi's table of words and their numbers, words.txt [default: none; the lattices have the words themselves]
    #[arg(long, value_name = "FILE", help_heading = "Lattices")]
    words: Option<PathBuf>,
    /// Further word that stands for silence or noise and is no word of the text, in addition to those such as !NULL, <s>,
    /// <sil>, [NOISE] and ++BREATH++; can be repeated
    #[arg(long, value_name = "WORD", help_heading = "Lattices")]
    filler: Vec<String>,
    /// File with the names of files of lattices, one per line, each after its id and a tab if the id is not the name
    #[arg(long, value_name = "FILE", help_heading = "Lattices")]
    file_list: Option<PathBuf>,
    /// Number of best paths with different words of each lattice, to print and to tune on [default: 100]
    #[arg(long, value_name = "PATHS", help_heading = "Lattices")]
    nbest: Option<usize>,
    /// Beam: paths to a node that are worse than its best by more than this are dropped, in nats of the model (the
    /// difference of the scores divided by the model's weight) [default: 15]
    #[arg(long, value_name = "NATS", help_heading = "Lattices")]
    beam: Option<f64>,
    /// Maximum number of paths to a node that are kept [default: 16]
    #[arg(long, value_name = "PATHS", help_heading = "Lattices")]
    max_paths: Option<usize>,
    /// Number of last words that paths to a node must share to be merged [default: 5]
    #[arg(long, value_name = "WORDS", help_heading = "Lattices")]
    merge_words: Option<usize>,
    /// Exact search, for small lattices: a lattice with too many histories is an error
    #[arg(long, conflicts_with_all = ["beam", "max_paths", "merge_words"], help_heading = "Lattices")]
    exact: bool,
    /// Weight W, from 0 to 1, of the probabilities of the lattice's own language model, interpolated word by word: (1 - W)
    /// times the model's probability plus W times the old one; the old score then has no other weight [default: 0]
    #[arg(long, value_name = "W", help_heading = "Lattices")]
    interpolate: Option<f64>,
    /// Also write the searched lattices, with the model's scores on their links: a folder with a file of SLF for each, or,
    /// for kaldi-lattice, an archive
    #[arg(long, value_name = "PATH", help_heading = "Lattices")]
    pub(super) lattices_out: Option<PathBuf>,
}

impl LatticeArgs {
    /// The first flag that is given, for lists that have no use for it.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--words", self.words.is_some()),
            ("--filler", !self.filler.is_empty()),
            ("--file-list", self.file_list.is_some()),
            ("--nbest", self.nbest.is_some()),
            ("--beam", self.beam.is_some()),
            ("--max-paths", self.max_paths.is_some()),
            ("--merge-words", self.merge_words.is_some()),
            ("--exact", self.exact),
            ("--interpolate", self.interpolate.is_some()),
            ("--lattices-out", self.lattices_out.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The reader of lattices in a format.
    pub(super) fn reader(&self, format: LatticeFormat, lossy: bool) -> Result<LatticeReader> {
        let mut reader = LatticeReader::new(format).lossy(lossy).with_fillers(self.filler.clone());
        if let Some(path) = &self.words {
            let source = TextSource::File(path.clone());
            reader = reader.with_symbols(Arc::new(SymbolTable::read(source.open()?, &source.origin())?));
        }
        Ok(reader)
    }

    /// The files to read, with the id of each where a list gives it.
    pub(super) fn inputs(
        &self,
        files: &[PathBuf],
        lossy: bool,
        console: Console,
    ) -> Result<Vec<(Input, Option<String>)>> {
        let mut inputs = Vec::new();
        if self.file_list.is_none() || !files.is_empty() {
            inputs.extend(Input::all(files).into_iter().map(|input| (input, None)));
        }
        if let Some(path) = &self.file_list {
            let list = &Input::all(std::slice::from_ref(path))[0];
            for line in TextLines::new(list.open(console)?, &list.origin(), lossy) {
                let line = line?;
                let (id, name) = match line.split_once('\t') {
                    Some((id, name)) => (Some(id.trim().to_owned()), name.trim()),
                    None => (None, line.trim()),
                };
                if !name.is_empty() {
                    inputs.push((Input::File(TextSource::File(name.into())), id));
                }
            }
        }
        Ok(inputs)
    }

    /// The settings of a search for the best path, or for several.
    pub(super) fn settings(&self, batch_size: usize) -> Result<Settings> {
        let default = Settings::default();
        let settings = Settings {
            merge: self.merge_words.unwrap_or(default.merge),
            beam: self.beam.unwrap_or(default.beam),
            per_node: self.max_paths.unwrap_or(default.per_node),
            exact: self.exact,
            n: self.nbest.unwrap_or(BEST),
            interpolation: self.interpolate.unwrap_or(0.0),
            batch_size,
            ..default
        };
        let wrong = [
            ("--beam", settings.beam >= 0.0, "at least 0"),
            ("--max-paths", settings.per_node > 0, "at least 1"),
            ("--nbest", settings.n > 0, "at least 1"),
            ("--batch-size", settings.batch_size > 0, "at least 1"),
            ("--interpolate", (0.0..=1.0).contains(&settings.interpolation), "at least 0 and at most 1"),
        ];
        match wrong.into_iter().find(|(_, is_valid, _)| !is_valid) {
            Some((flag, _, expected)) => Err(CliError::FlagValue { flag, expected }.into()),
            None => Ok(settings),
        }
    }
}

/// The names of files for lattices: their ids, without what separates folders; no two are equal.
#[derive(Default)]
pub(super) struct FileNames(HashSet<String>);

impl FileNames {
    /// The name for the next lattice.
    pub(super) fn next(&mut self, id: &str) -> String {
        let safe: String = id.chars().map(|char| if "/\\\0".contains(char) { '_' } else { char }).collect();
        let safe = if safe.chars().all(|char| char == '.') { format!("_{safe}") } else { safe };
        let mut name = format!("{safe}.slf");
        for number in 2.. {
            if self.0.insert(name.clone()) {
                break;
            }
            name = format!("{safe}-{number}.slf");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_their_folder() {
        let mut names = FileNames::default();
        let found = ["u1", "a/b", "..", "u1", "u1", ""].map(|id| names.next(id));
        assert_eq!(found, ["u1.slf", "a_b.slf", "_...slf", "u1-2.slf", "u1-3.slf", "_.slf"]);
    }
}
