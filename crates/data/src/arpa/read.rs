//! Reads ARPA files.

use std::io::{BufRead, Read};

use indexmap::IndexSet;

use super::{Arpa, Level, UNKNOWN};
use crate::{DataError, Result};

/// What KenLM's binary files begin with.
const KENLM_BINARY: &[u8] = b"mmap lm http://kheafield.com/code";

/// The longest line that is read in one piece, so that a file without line ends does not fill the memory.
const MOST_BYTES: u64 = 1 << 20;

/// Why a line of an ARPA file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArpaFault {
    /// The file has no header.
    #[error("this is not an ARPA file: it has no line `\\data\\`")]
    NoHeader,
    /// The file is a binary file of KenLM.
    #[error("this is a binary file of KenLM: only ARPA files, which are text, can be read")]
    KenlmBinary,
    /// A line of the header is invalid.
    #[error("expected `ngram {order}=` and a count, found `{found}`")]
    Count {
        /// The order whose count was expected.
        order: usize,
        /// The line.
        found: String,
    },
    /// A section does not begin or end where it should.
    #[error("expected {expected}, found `{found}`")]
    Section {
        /// What should be here.
        expected: String,
        /// The line.
        found: String,
    },
    /// A line has the wrong number of fields.
    #[error("expected a log-probability, {order} words and at most one backoff, found {found} fields")]
    Fields {
        /// The order of the section.
        order: usize,
        /// The number of fields found.
        found: usize,
    },
    /// A number is invalid.
    #[error("the {what} `{found}` is not a finite number")]
    Number {
        /// The kind of number.
        what: &'static str,
        /// The text found in its place.
        found: String,
    },
    /// A log-probability is above 0.
    #[error("the log-probability {found} is above 0: no probability is above 1")]
    AboveOne {
        /// The number.
        found: String,
    },
    /// An n-gram of the highest order has a backoff, although it is no context.
    #[error("n-grams of the highest order cannot have a backoff, but found `{found}`")]
    Backoff {
        /// The backoff.
        found: String,
    },
    /// A word of an n-gram is not among the unigrams.
    #[error("the word `{word}` is not among the 1-grams")]
    Word {
        /// The word.
        word: String,
    },
    /// The context of an n-gram is not listed.
    #[error("the context `{context}` is not among the {}-grams", context.split(' ').count())]
    Context {
        /// The n-gram without its last word.
        context: String,
    },
    /// An n-gram is listed twice.
    #[error("a {order}-gram of this section is listed twice: `{ngram}`")]
    Twice {
        /// The order.
        order: usize,
        /// The n-gram.
        ngram: String,
    },
    /// The header promises more or fewer n-grams.
    #[error("found {found} {order}-grams, but the header promises {promised}")]
    CountDiffers {
        /// The order.
        order: usize,
        /// The number of n-grams in the section.
        found: u64,
        /// The number in the header.
        promised: u64,
    },
    /// There are more n-grams than ids.
    #[error("{promised} {order}-grams are more than the {} that can be read", u32::MAX)]
    TooMany {
        /// The order.
        order: usize,
        /// The number in the header.
        promised: u64,
    },
    /// The file ends too early.
    #[error("the file ends here, before the line `\\end\\`")]
    Ended,
}

type Parsed<T> = std::result::Result<T, ArpaFault>;

/// An n-gram of the section that is being read.
struct Row {
    /// The position of its context in the level below.
    context: u32,
    word: u32,
    log10_prob: f32,
    backoff: f32,
}

impl Arpa {
    /// Reads an ARPA file; `origin` is its name in errors. Lines before `\data\` are skipped.
    ///
    /// # Errors
    /// [`DataError::Read`] if it cannot be read, [`DataError::InvalidUtf8`] if it is not UTF-8,
    /// [`DataError::Arpa`] if it is not a valid ARPA file.
    pub fn read(reader: impl BufRead, origin: &str) -> Result<Arpa> {
        let mut lines = Lines { reader, origin, line: 0, bytes: 0, buffer: Vec::new() };
        let counts = lines.header()?;
        let mut arpa = Arpa {
            words: IndexSet::default(),
            levels: Vec::with_capacity(counts.len()),
            unknown: 0,
            lists_unknown: true,
        };
        for (order, &promised) in (1..).zip(&counts) {
            let is_highest = order == counts.len();
            let mut rows = Vec::new();
            let found = lines.section(order, is_highest, |words, log10_prob, backoff| {
                let (context, word) = if order == 1 { arpa.new_word(words[0])? } else { arpa.place(words)? };
                rows.push(Row { context, word, log10_prob, backoff });
                Ok(())
            })?;
            if found != promised {
                return Err(lines.fault(ArpaFault::CountDiffers { order, found, promised }));
            }
            arpa.add_level(rows, is_highest).map_err(|fault| lines.fault(fault))?;
        }
        lines.end()?;
        Ok(arpa)
    }

    /// Adds a word of a unigram.
    fn new_word(&mut self, word: &str) -> Parsed<(u32, u32)> {
        let (id, is_new) = self.words.insert_full(word.into());
        if is_new { Ok((0, id as u32)) } else { Err(ArpaFault::Twice { order: 1, ngram: word.to_owned() }) }
    }

    /// Where an n-gram belongs: the position of its context, and its last word.
    fn place(&self, words: &[&str]) -> Parsed<(u32, u32)> {
        let id = |word: &&str| self.id(word).ok_or_else(|| ArpaFault::Word { word: (*word).to_owned() });
        let mut ids = [0; Lines::<&[u8]>::MOST_WORDS];
        for (place, word) in ids.iter_mut().zip(words) {
            *place = id(word)?;
        }
        let last = words.len() - 1;
        let context =
            self.find(&ids[..last]).ok_or_else(|| ArpaFault::Context { context: words[..last].join(" ") })?;
        Ok((context as u32, ids[last]))
    }

    fn add_level(&mut self, mut rows: Vec<Row>, is_highest: bool) -> Parsed<()> {
        if self.levels.is_empty() {
            self.add_unigrams(&rows, is_highest);
            return Ok(());
        }
        let key = |row: &Row| (row.context, row.word);
        if !rows.is_sorted_by_key(key) {
            rows.sort_unstable_by_key(key);
        }
        if let Some(pair) = rows.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            let ngram = self.spelled(self.levels.len() - 1, pair[0].context, pair[0].word);
            return Err(ArpaFault::Twice { order: self.levels.len() + 1, ngram });
        }
        if let Some(below) = self.levels.last_mut() {
            below.children = vec![0; below.log10_probs.len() + 1];
            for row in &rows {
                below.children[row.context as usize + 1] += 1;
            }
            let mut sum = 0;
            for count in &mut below.children {
                sum += *count;
                *count = sum;
            }
        }
        self.levels.push(Level {
            words: rows.iter().map(|row| row.word).collect(),
            log10_probs: rows.iter().map(|row| row.log10_prob).collect(),
            backoffs: if is_highest { Vec::new() } else { rows.iter().map(|row| row.backoff).collect() },
            children: Vec::new(),
        });
        Ok(())
    }

    fn add_unigrams(&mut self, rows: &[Row], is_highest: bool) {
        let mut log10_probs: Vec<f32> = rows.iter().map(|row| row.log10_prob).collect();
        let mut backoffs: Vec<f32> = rows.iter().map(|row| row.backoff).collect();
        let listed = UNKNOWN.iter().find_map(|word| self.id(word));
        self.lists_unknown = listed.is_some();
        self.unknown = listed.unwrap_or_else(|| {
            // An id that no word has.
            log10_probs.push(Arpa::MISSING_UNKNOWN);
            backoffs.push(0.0);
            rows.len() as u32
        });
        if is_highest {
            backoffs.clear();
        }
        self.levels.push(Level { words: Vec::new(), log10_probs, backoffs, children: Vec::new() });
    }

    /// The words of an n-gram whose context is at this position of this level.
    fn spelled(&self, level: usize, context: u32, word: u32) -> String {
        let mut ids = vec![word];
        let mut node = context;
        for level in (0..=level).rev() {
            if level == 0 {
                ids.push(node);
                break;
            }
            ids.push(self.levels[level].words[node as usize]);
            // The context whose children include the node.
            node = self.levels[level - 1].children.partition_point(|&from| from <= node) as u32 - 1;
        }
        let words = ids.iter().rev().map(|&id| self.words.get_index(id as usize).map_or("", |word| &**word));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The lines of an ARPA file.
struct Lines<'a, R> {
    reader: R,
    origin: &'a str,
    /// The number of the last line.
    line: u64,
    /// The bytes before the last line.
    bytes: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<'_, R> {
    /// The highest order that can be read.
    const MOST_WORDS: usize = 32;

    fn fault(&self, fault: ArpaFault) -> DataError {
        DataError::Arpa { origin: self.origin.to_owned(), line: self.line, fault }
    }

    /// Reads a line into the buffer, without whitespace at its ends; whether there is one.
    fn read(&mut self) -> Result<bool> {
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        let read = (&mut self.reader).take(MOST_BYTES).read_until(b'\n', &mut self.buffer);
        read.map_err(|source| DataError::Read { origin: self.origin.to_owned(), source })?;
        self.line += u64::from(!self.buffer.is_empty());
        Ok(!self.buffer.is_empty())
    }

    /// The last line.
    fn text(&self) -> Result<&str> {
        let text = std::str::from_utf8(&self.buffer).map_err(|error| DataError::InvalidUtf8 {
            origin: self.origin.to_owned(),
            line: self.line,
            byte: self.bytes + error.valid_up_to() as u64,
        })?;
        Ok(text.trim_start_matches('\u{feff}').trim_matches(SPACES))
    }

    /// The next line that is not blank.
    fn next(&mut self) -> Result<&str> {
        loop {
            if !self.read()? {
                return Err(self.fault(ArpaFault::Ended));
            }
            if !self.text()?.is_empty() {
                return self.text();
            }
        }
    }

    /// Reads up to the first section, and returns the promised counts.
    fn header(&mut self) -> Result<Vec<u64>> {
        loop {
            if !self.read()? {
                return Err(self.fault(ArpaFault::NoHeader));
            }
            if self.line == 1 && self.buffer.starts_with(KENLM_BINARY) {
                return Err(self.fault(ArpaFault::KenlmBinary));
            }
            // Binary files are recognized by their lack of the header, not by their encoding.
            let line = self.buffer.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.buffer);
            if line.trim_ascii() == b"\\data\\" {
                break;
            }
        }
        let mut counts = Vec::new();
        loop {
            let order = counts.len() + 1;
            let text = self.next()?;
            if text == "\\1-grams:" && order > 1 {
                return Ok(counts);
            }
            let count = text.strip_prefix("ngram").and_then(|rest| rest.split_once('='));
            let count = count.and_then(|(found, count)| {
                (found.trim().parse() == Ok(order)).then(|| count.trim().parse().ok()).flatten()
            });
            match count {
                Some(promised) if promised >= u64::from(u32::MAX) => {
                    return Err(self.fault(ArpaFault::TooMany { order, promised }));
                }
                Some(count) if order <= Self::MOST_WORDS => counts.push(count),
                _ => {
                    let found = text.to_owned();
                    return Err(self.fault(ArpaFault::Count { order, found }));
                }
            }
        }
    }

    /// Reads the n-grams of an order up to the next section, whose first line is read too; the number of n-grams.
    /// The first line of the section has been read.
    fn section(
        &mut self,
        order: usize,
        is_highest: bool,
        mut visit: impl FnMut(&[&str], f32, f32) -> Parsed<()>,
    ) -> Result<u64> {
        let expected = format!("\\{order}-grams:");
        if self.text()? != expected {
            let fault =
                ArpaFault::Section { expected: format!("`{expected}`"), found: self.text()?.to_owned() };
            return Err(self.fault(fault));
        }
        let mut found = 0;
        loop {
            let text = self.next()?;
            if text.starts_with('\\') && text.split(SPACES).count() == 1 {
                return Ok(found);
            }
            let parsed = parse(text, order, is_highest, &mut visit);
            parsed.map_err(|fault| self.fault(fault))?;
            found += 1;
        }
    }

    /// Checks that the last line is the end.
    fn end(&self) -> Result<()> {
        match self.text()? {
            "\\end\\" => Ok(()),
            found => {
                let (expected, found) = ("`\\end\\`".to_owned(), found.to_owned());
                Err(self.fault(ArpaFault::Section { expected, found }))
            }
        }
    }
}

/// What separates fields. Other whitespace can be part of a word.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn parse(
    line: &str,
    order: usize,
    is_highest: bool,
    visit: &mut impl FnMut(&[&str], f32, f32) -> Parsed<()>,
) -> Parsed<()> {
    let mut fields = [""; Lines::<&[u8]>::MOST_WORDS + 2];
    let mut count = 0;
    for field in line.split(SPACES).filter(|field| !field.is_empty()) {
        if let Some(place) = fields.get_mut(count) {
            *place = field;
        }
        count += 1;
    }
    if count != order + 1 && count != order + 2 {
        return Err(ArpaFault::Fields { order, found: count });
    }
    let log10_prob = number("log-probability", fields[0])?;
    if log10_prob > 0.0 {
        return Err(ArpaFault::AboveOne { found: fields[0].to_owned() });
    }
    let backoff = if count == order + 2 { number("backoff", fields[order + 1])? } else { 0.0 };
    if is_highest && backoff != 0.0 {
        return Err(ArpaFault::Backoff { found: fields[order + 1].to_owned() });
    }
    visit(&fields[1..=order], log10_prob, backoff)
}

/// A number; toolkits write the logarithm of 0 as `-inf` or as a large negative number.
fn number(what: &'static str, text: &str) -> Parsed<f32> {
    let invalid = || ArpaFault::Number { what, found: text.to_owned() };
    let number: f32 = text.parse().map_err(|_| invalid())?;
    match number {
        f32::NEG_INFINITY => Ok(Arpa::MISSING_UNKNOWN),
        number if number.is_finite() => Ok(number),
        _ => Err(invalid()),
    }
}
