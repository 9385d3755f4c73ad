//! Kaldi's text archives of lattices and of compact lattices.
//!
//! ```text
//! utt1                                   the key
//! 0 1 7 12 3.5,120.25                    from, to, phone, word, costs of the graph and of the acoustics
//! 0 1 12 3.5,120.25,2_2_3                or, if compact: from, to, word, costs, alignment
//! 1 0.5,0                                a final node, with its costs
//!                                        a blank line ends the lattice
//! ```
//!
//! A cost is a negative log-probability, so scores change their sign. Words are numbers of the table `words.txt`, or
//! the words themselves. The first node is that of the first line.

use std::collections::HashMap;
use std::io::BufRead;
use std::ops::ControlFlow;

use rondo_data::TextLines;

use super::reader::{LatticeReader, Lines, number};
use super::{Draft, Lattice, LatticeFault, Link};
use crate::{InferError, Result};

type Parsed<T> = std::result::Result<T, LatticeFault>;

/// Kaldi's table of words and their numbers, `words.txt`.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    words: HashMap<u32, String>,
    numbers: HashMap<String, u32>,
}

impl SymbolTable {
    /// Reads a table, with a word and its number in each line.
    ///
    /// # Errors
    /// [`InferError::Data`] if it cannot be read; [`InferError::LatticeLine`] for a malformed line.
    pub fn read(reader: impl BufRead, origin: &str) -> Result<SymbolTable> {
        let mut table = SymbolTable::default();
        for (line, number) in TextLines::new(reader, origin, false).zip(1..) {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            let parsed = match fields[..] {
                [word, number] => number.parse().ok().map(|number: u32| (word, number)),
                _ => None,
            };
            let Some((word, id)) = parsed else {
                let fault = LatticeFault::SymbolLine { found: line };
                return Err(InferError::LatticeLine { origin: origin.to_owned(), line: number, fault });
            };
            table.words.insert(id, word.to_owned());
            table.numbers.insert(word.to_owned(), id);
        }
        Ok(table)
    }

    /// The number of a word.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }
}

/// Reads the lattices of an archive.
pub(super) fn read<R: BufRead>(
    reader: &LatticeReader,
    lines: &mut Lines<'_, R>,
    each: &mut dyn FnMut(Lattice) -> ControlFlow<()>,
) -> Result<()> {
    let mut open: Option<(String, Graph)> = None;
    loop {
        let line = lines.next()?;
        let text = line.as_deref().map(str::trim).unwrap_or_default();
        match (&mut open, text.is_empty()) {
            (Some(_), true) => {
                if let Some((key, graph)) = open.take() {
                    let lattice = graph.finish(&key).map_err(|fault| lines.fault_of(&key, fault))?;
                    if each(lattice).is_break() {
                        return Ok(());
                    }
                }
            }
            (Some((_, graph)), false) => graph.line(reader, text).map_err(|fault| lines.fault(fault))?,
            (None, true) => {}
            (None, false) => {
                if text.contains(char::is_whitespace) {
                    return Err(lines.fault(LatticeFault::KaldiKey { found: text.to_owned() }));
                }
                open = Some((text.to_owned(), Graph::default()));
            }
        }
        if line.is_none() {
            return Ok(());
        }
    }
}

/// A lattice that is being read.
#[derive(Default)]
struct Graph {
    draft: Draft,
    nodes: HashMap<String, usize>,
    /// The final nodes, with their scores and alignment.
    finals: Vec<(usize, Link)>,
}

impl Graph {
    fn line(&mut self, reader: &LatticeReader, text: &str) -> Parsed<()> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let wrong = || LatticeFault::KaldiLine { found: text.to_owned() };
        if fields.len() > 5 || fields.iter().take(2).any(|field| field.is_empty()) {
            return Err(wrong());
        }
        let from = self.node(fields[0]);
        if let [_] | [_, _] = fields[..] {
            self.finals.push((from, costs(fields.get(1).copied())?));
            return Ok(());
        }
        let to = self.node(fields[1]);
        // `from to phone word [costs]`, or, if compact, `from to word [costs]`.
        let (phone, word, weight) = match fields[2..] {
            [word] => (None, word, None),
            [word, costs] if costs.contains(',') => (None, word, Some(costs)),
            [phone, word] => (Some(phone), word, None),
            [phone, word, costs] => (Some(phone), word, Some(costs)),
            _ => return Err(wrong()),
        };
        self.draft.has_phones |= phone.is_some();
        let word = self.word(reader, word)?;
        let link = costs(weight)?;
        let detail = phone.map_or(link.detail.clone(), Into::into);
        self.draft.links.push(Link { from, to, word, detail, ..link });
        Ok(())
    }

    fn node(&mut self, name: &str) -> usize {
        if let Some(&place) = self.nodes.get(name) {
            return place;
        }
        let place = self.draft.node(name.to_owned(), None);
        self.nodes.insert(name.to_owned(), place);
        place
    }

    fn word(&mut self, reader: &LatticeReader, word: &str) -> Parsed<Option<usize>> {
        // Without a table, 0 is no word, and any other number is one that is not known.
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let word = match (reader.symbols(), is_number) {
            (_, true) if word == "0" => return Ok(None),
            (Some(table), true) => {
                let found = word.parse().ok().and_then(|number: u32| table.words.get(&number));
                found.ok_or_else(|| LatticeFault::UnknownNumber { found: word.to_owned() })?
            }
            (None, true) => return Err(LatticeFault::NoWords { found: word.to_owned() }),
            (_, false) => word,
        };
        Ok((!reader.is_filler(word)).then(|| self.draft.word(word)))
    }

    fn finish(mut self, id: &str) -> Parsed<Lattice> {
        if self.nodes.is_empty() {
            return Err(LatticeFault::Missing { what: "the lattice".to_owned(), name: "link" });
        }
        if self.finals.is_empty() {
            return Err(LatticeFault::Missing { what: "the lattice".to_owned(), name: "final node" });
        }
        let end = self.draft.node("the end".to_owned(), None);
        for (from, link) in self.finals {
            self.draft.links.push(Link { from, to: end, ..link });
        }
        self.draft.has_lm = true;
        self.draft.finish(id, 0, end)
    }
}

/// A link with the scores and the alignment of `graph,acoustic` or `graph,acoustic,alignment`; 0 where costs are left out.
fn costs(costs: Option<&str>) -> Parsed<Link> {
    let mut fields = costs.unwrap_or_default().splitn(3, ',');
    let mut score = |name: &str| match fields.next() {
        None | Some("") => Ok(0.0),
        // Kaldi writes an infinite cost for what is impossible.
        Some("inf" | "Infinity") => Ok(f64::NEG_INFINITY),
        Some(cost) => number(name, cost)
            .ok()
            .filter(|cost| cost.is_finite())
            .map(|cost| 0.0 - cost)
            .ok_or_else(|| LatticeFault::Number { name: name.to_owned(), found: cost.to_owned() }),
    };
    let (lm, acoustic) = (score("graph cost")?, score("acoustic cost")?);
    Ok(Link { from: 0, to: 0, word: None, acoustic, lm, detail: fields.next().unwrap_or_default().into() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::LatticeFormat;
    use super::*;

    fn lattices(text: &str, words: Option<&'static str>) -> std::result::Result<String, String> {
        let mut reader = LatticeReader::new(LatticeFormat::Kaldi);
        if let Some(words) = words {
            let table =
                SymbolTable::read(words.as_bytes(), "words.txt").map_err(|error| error.to_string())?;
            reader = reader.with_symbols(Arc::new(table));
        }
        let mut shown = Vec::new();
        let each = &mut |lattice: Lattice| {
            let link = |link: &Link| {
                let word = link.word.map_or("-", |word| &lattice.words()[word]);
                format!("{}-{} {word} {} {} {}", link.from, link.to, link.acoustic, link.lm, link.detail)
            };
            let links: Vec<String> = lattice.links().iter().map(link).collect();
            shown.push(format!("{}: {}", lattice.id(), links.join("; ")));
            ControlFlow::Continue(())
        };
        reader.read(text.as_bytes(), "lat", "lat", each).map_err(|error| error.to_string())?;
        Ok(shown.join("\n"))
    }

    const WORDS: &str = "<eps> 0\nthe 1\ncat 2\nSIL 3\n#0 4\n";

    #[test]
    fn lattices_and_compact_lattices_are_read() {
        let compact =
            "utt1 \n0 1 1 3.5,120.25,2_2_3\n1 2 3 0,1,4\n1 2 2 0.5,1\n2 0.25,0,\n\nutt2\n0\t1\tthe\n1\n\n";
        let expected = "utt1: 0-1 the -120.25 -3.5 2_2_3; 1-2 - -1 0 4; 1-2 cat -1 -0.5 ; 2-3 - 0 -0.25 \n\
            utt2: 0-1 the 0 0 ; 1-2 - 0 0 ";
        assert_eq!(lattices(compact, Some(WORDS)).unwrap(), expected);
        let lattice = "utt1\n0 1 7 1 3.5,120.25\n1 2 8 0 0,-4\n2 2.5,0\n";
        let expected = "utt1: 0-1 the -120.25 -3.5 7; 1-2 - 4 0 8; 2-3 - 0 -2.5 ";
        assert_eq!(lattices(lattice, Some(WORDS)).unwrap(), expected);
        // Two final nodes, the words themselves, and a path that is impossible.
        let finals = "u\n0 1 a 1,2,\n0 2 b 3,4,\n0 2 c inf,4,\n1 5,0,7\n2\n";
        let expected = "u: 0-1 b -4 -3 ; 0-2 a -2 -1 ; 1-3 - 0 0 ; 2-3 - 0 -5 7";
        assert_eq!(lattices(finals, None).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_one_clear_message() {
        for (text, expected) in [
            ("u\n0 1 9 1,2,\n1\n", "lat, line 2: the table of words has no number 9"),
            ("u\n0 1 the 1,nan,\n1\n", "lat, line 2: `acoustic cost` must be a finite number, but is `nan`"),
            ("a b\n", "lat, line 1: expected the key of a lattice, found `a b`"),
            ("u\n0 1 the 1,2,\n", "`lat`, lattice `u`: the lattice has no `final node`"),
            ("u\n", "`lat`, lattice `u`: the lattice has no `link`"),
            (
                "u\n0 1 the 1,2,\n1 0 the 1,2,\n1\n",
                "`lat`, lattice `u`: the links form a cycle through the node `0`: a lattice has none",
            ),
            (
                "u\n0 1 the 1,2,\n2\n",
                "`lat`, lattice `u`: no path leads from the first node, `0`, to the last, `the end`",
            ),
            (
                "u\n0 1 2 3 4 5\n",
                "lat, line 2: expected a link (`from to word costs`, or `from to phone word costs`) or a final node \
                 (`node costs`), found `0 1 2 3 4 5`",
            ),
        ] {
            assert_eq!(lattices(text, Some(WORDS)).unwrap_err(), expected, "{text}");
        }
        let error = lattices("u\n0 1 9 1,2,\n1\n", None).unwrap_err();
        assert_eq!(error, "lat, line 2: the word `9` is a number: this needs the table `words.txt`");
        let error = lattices("", Some("the\n")).unwrap_err();
        assert_eq!(error, "words.txt, line 1: expected a word and its number, found `the`");
    }
}
