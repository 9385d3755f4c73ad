//! The texts of a filter: lines, documents or records, each with the bytes that are passed on.
//!
//! ```text
//! line         a line with its ending
//! document     lines up to and including the first blank one; blank lines after it go where it goes
//! record       a line of JSON; the text is a field of it
//! ```
//!
//! Promises: the pieces of all shards are the file, byte for byte and in order; a document does not cross files.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use rondo_data::TextCodec;
use rondo_infer::FilterUnit;
use serde_json::{Map, Value};

use super::{FilterArgs, Shard};
use crate::console::Console;
use crate::error::CliError;
use crate::input::{Input, check_text};
use crate::lines::LineBatches;

/// A part of a file.
pub(super) enum Piece {
    /// A text to judge, and the bytes it is made of.
    Text { text: Vec<u8>, bytes: Vec<u8> },
    /// Blank lines after a document, which go where it goes.
    Blank(Vec<u8>),
}

impl Piece {
    /// The text to judge, if it is one.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Piece::Text { text, .. } => Some(text),
            Piece::Blank(_) => None,
        }
    }
}

/// The texts of a file.
pub(super) struct Texts<'a> {
    batches: LineBatches<'a>,
    args: &'a FilterArgs,
    unit: FilterUnit,
    shard: Shard,
    /// The texts that were read, those of files before and of other shards included.
    count: u64,
    /// Whether texts can be any bytes.
    takes_bytes: bool,
    origin: String,
    /// The line that was read last, from 1.
    line: u64,
    /// The document that is being read, if it is part of the shard, and whether it has text so far.
    open: Vec<u8>,
    has_text: bool,
    /// Whether the document before it is part of the shard; `None` if there is none.
    before: Option<bool>,
    at_end: bool,
}

impl<'a> Texts<'a> {
    /// Opens a file, after this number of texts in others, and prints notes on what looks unintended in it.
    pub(super) fn open(
        input: &'a Input,
        args: &'a FilterArgs,
        (shard, count): (Shard, u64),
        codec: &TextCodec,
        console: Console,
    ) -> Result<Texts<'a>> {
        let noted_for = Some(codec).filter(|_| args.text_field.is_none());
        let takes_bytes = codec.is_lossy() || (codec.is_of_bytes() && args.text_field.is_none());
        Ok(Texts {
            batches: LineBatches::open(input, None, noted_for, console)?,
            args,
            unit: args.unit(),
            shard,
            count,
            takes_bytes,
            origin: input.origin(),
            line: 0,
            open: Vec::new(),
            has_text: false,
            before: None,
            at_end: false,
        })
    }

    /// The texts that were read, those of files before and of other shards included.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether answers are waited for before more lines come.
    pub(super) fn is_interactive(&self) -> bool {
        self.batches.is_interactive()
    }

    /// The next pieces of the shard; none at the end, or if `stop` becomes true before. A faulty line comes after the pieces before it.
    pub(super) fn next_unless(&mut self, stop: &AtomicBool) -> Result<(Vec<Piece>, Option<anyhow::Error>)> {
        let mut pieces = Vec::new();
        while pieces.is_empty() && !self.at_end {
            let lines = self.batches.next_unless(stop)?;
            self.at_end = lines.is_empty();
            for line in lines {
                self.line += 1;
                if let Err(fault) = self.take(line, &mut pieces) {
                    return Ok((pieces, Some(fault)));
                }
            }
        }
        // A document that was interrupted is not one.
        let is_open = self.has_text || !self.open.is_empty();
        if self.at_end && is_open && !stop.load(Ordering::Relaxed) {
            pieces.extend(self.close());
        }
        Ok((pieces, None))
    }

    /// Takes a line, and adds the pieces that it completes.
    fn take(&mut self, line: Vec<u8>, pieces: &mut Vec<Piece>) -> Result<()> {
        let is_own = self.shard.has(self.count + 1);
        if self.args.text_field.is_some() || self.unit == FilterUnit::Line {
            self.count += 1;
            if is_own {
                check_text(&line, self.takes_bytes, &self.origin, self.line)?;
                let text = match &self.args.text_field {
                    Some(field) => self.field_of(&line, field)?,
                    None => without_mark(&line, self.line == 1).to_vec(),
                };
                pieces.push(Piece::Text { text, bytes: line });
            }
            return Ok(());
        }
        let is_blank = line.trim_ascii().is_empty();
        if let (true, false, Some(before)) = (is_blank, self.has_text, self.before) {
            pieces.extend(before.then_some(Piece::Blank(line)));
            return Ok(());
        }
        self.has_text |= !is_blank;
        if is_own {
            check_text(&line, self.takes_bytes, &self.origin, self.line)?;
            self.open.extend(line);
        }
        if is_blank && self.has_text {
            pieces.extend(self.close());
        }
        Ok(())
    }

    /// The document that was read, if it is part of the shard.
    fn close(&mut self) -> Option<Piece> {
        self.count += 1;
        self.has_text = false;
        let is_first = self.before.is_none();
        let is_own = self.shard.has(self.count);
        self.before = Some(is_own);
        let bytes = std::mem::take(&mut self.open);
        is_own.then(|| Piece::Text { text: without_mark(&bytes, is_first).to_vec(), bytes })
    }

    /// The text in a field of the object in a line.
    fn field_of(&self, line: &[u8], field: &str) -> Result<Vec<u8>> {
        let refused =
            |reason: String| CliError::FilterRecord { origin: self.origin.clone(), line: self.line, reason };
        let json = String::from_utf8_lossy(line);
        let json = json.strip_prefix('\u{feff}').unwrap_or(&json);
        if json.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        let object: Map<String, Value> = serde_json::from_str(json)
            .map_err(|_| refused("is not a JSON object, and `--text-field` is for JSON Lines".to_owned()))?;
        let added = [("--add-score", &self.args.add_score), ("--add-bucket", &self.args.add_bucket)];
        for (flag, name) in added {
            if let Some(name) = name.as_ref().filter(|name| object.contains_key(*name)) {
                return Err(refused(format!("already has a field `{name}`, which `{flag}` would add")).into());
            }
        }
        match object.get(field) {
            Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
            Some(Value::Null) => Ok(Vec::new()),
            Some(_) => Err(refused(format!("has a field `{field}` that is not text")).into()),
            None => Err(refused(format!("has no field `{field}`")).into()),
        }
    }
}

/// A text without the byte-order mark at the beginning of a file.
fn without_mark(text: &[u8], is_first: bool) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first).unwrap_or(text)
}
