//! Vocabularies of other tools.
//!
//! | file | ids |
//! |---|---|
//! | one token per line | the lines |
//! | `token id` per line: `words.txt` of Kaldi, `tokens.txt` of icefall | as written |
//! | JSON of GluonNLP | the order of `idx_to_token` |
//! | a corpus, as in `word_language_model` | words in order of first appearance in `train.txt`, `valid.txt`, `test.txt` |
//!
//! Promises: a token never changes its id; tokens that a model does not use are noted. Not here: how texts are split
//! (`data::tokenize`).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rondo_data::{Counter, Tokenizer, Vocab, VocabOptions, VocabOrder};
use serde::Deserialize;

use crate::{ConvertError, Result};

/// Where a vocabulary comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VocabularySource {
    /// A list of tokens, in any of the formats.
    List(PathBuf),
    /// The folder of a corpus.
    Corpus(PathBuf),
}

/// A vocabulary, and what its source says in addition.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// The tokens.
    pub vocab: Vocab,
    /// The token at the end of lines, if it is known.
    pub line_end: Option<String>,
    /// How texts are split, if it is known.
    pub tokenizer: Option<Tokenizer>,
    /// Where it comes from, for errors.
    pub origin: String,
    /// What is unusual about it.
    pub notes: Vec<String>,
}

/// The names of the unknown token, those that are more common first.
const UNKNOWN: [&str; 5] = ["<unk>", "<UNK>", "<Unknown>", "[UNK]", "<oov>"];
/// The names of the token at the end of lines.
const LINE_ENDS: [&str; 5] = ["<eos>", "</s>", "<sos/eos>", "<s>", "[EOS]"];

impl Vocabulary {
    /// Reads a vocabulary for a model with this many tokens.
    ///
    /// # Errors
    /// [`ConvertError::Data`] if a text cannot be read; otherwise as [`parse`](Self::parse).
    pub fn read(source: &VocabularySource, tokens: usize) -> Result<Vocabulary> {
        match source {
            VocabularySource::List(path) => {
                let origin = path.display().to_string();
                let text = std::fs::read(path);
                let text = text.map_err(|source| rondo_data::read_error(&origin, source))?;
                Vocabulary::parse(&origin, &String::from_utf8_lossy(&text), tokens)
            }
            VocabularySource::Corpus(folder) => Vocabulary::of_corpus(folder),
        }
    }

    /// Parses a list of tokens; `origin` is its name in errors. `tokens` is the number of the model's tokens:
    /// disambiguation symbols (`#0`) after them are left out.
    ///
    /// # Errors
    /// An error that names the line, the id or the token that is wrong.
    pub fn parse(origin: &str, text: &str, tokens: usize) -> Result<Vocabulary> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start().starts_with('{') {
            return of_gluon(origin, text);
        }
        let lines: Vec<&str> = text.lines().collect();
        let lines = &lines[..lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1)];
        let (mut list, mut notes) = match with_ids(lines) {
            Some(pairs) => (by_id(origin, pairs)?, vec![]),
            None => (one_per_line(origin, lines)?, vec![]),
        };
        if list.len() > tokens && list[tokens..].iter().all(|token| is_disambiguation(token)) {
            notes.push(format!("left out {} disambiguation symbols after the tokens", list.len() - tokens));
            list.truncate(tokens);
        }
        let (unknown, line_end) = (first_of(&UNKNOWN, &list), first_of(&LINE_ENDS, &list));
        let vocab = Vocab::from_tokens(origin, list, unknown.as_deref())?;
        Ok(Vocabulary { vocab, line_end, tokenizer: None, origin: origin.to_owned(), notes })
    }

    /// That of a tokenizer for a model with this many tokens: with the line end that is added to a tokenizer that has
    /// none, or without it.
    pub(crate) fn of_tokenizer(path: &Path, tokens: usize) -> Result<Vocabulary> {
        let tokenizer = Tokenizer::open(path)?;
        let without = tokenizer.with_eos(None);
        let of =
            |tokenizer: &Tokenizer| Ok::<_, ConvertError>(tokenizer.vocab()?.map_or(0, |vocab| vocab.len()));
        let has_none = of(&tokenizer)? != tokens && of(&without)? == tokens;
        let tokenizer = if has_none { without } else { tokenizer };
        let vocab = tokenizer.vocab()?.ok_or(rondo_data::DataError::EmptyVocab)?;
        let (line_end, origin) = (tokenizer.eos().map(str::to_owned), path.display().to_string());
        Ok(Vocabulary { vocab, line_end, tokenizer: Some(tokenizer), origin, notes: vec![] })
    }

    /// The 256 bytes, in order.
    pub(crate) fn bytes() -> Result<Vocabulary> {
        let mut tokens = Vec::new();
        let all: Vec<u8> = (0..=u8::MAX).collect();
        Tokenizer::bytes().for_each_token(all.as_slice(), "all bytes", |token, _| {
            tokens.push(token.to_owned());
            Ok(())
        })?;
        let origin = "all bytes".to_owned();
        let vocab = Vocab::from_tokens(&origin, tokens, None)?;
        Ok(Vocabulary { vocab, line_end: None, tokenizer: None, origin, notes: vec![] })
    }

    /// The words of a corpus in order of first appearance, with `<eos>` after each line.
    fn of_corpus(folder: &Path) -> Result<Vocabulary> {
        let tokenizer = Tokenizer::words();
        let mut counter = Counter::new();
        for name in ["train.txt", "valid.txt", "test.txt"] {
            let path = folder.join(name);
            let origin = path.display().to_string();
            let file = File::open(&path).map_err(|source| rondo_data::read_error(&origin, source))?;
            tokenizer.for_each_token(BufReader::new(file), &origin, |token, _| {
                counter.add(token);
                Ok(())
            })?;
        }
        let unknown = UNKNOWN.into_iter().find(|token| counter.count(token) > 0).map(str::to_owned);
        let options = VocabOptions { order: VocabOrder::FirstAppearance, unknown, ..VocabOptions::default() };
        let vocab = Vocab::from_counter(&counter, &options)?;
        let (line_end, origin) = (tokenizer.eos().map(str::to_owned), folder.display().to_string());
        Ok(Vocabulary { vocab, line_end, tokenizer: Some(tokenizer), origin, notes: vec![] })
    }
}

/// The first of the names that is among the tokens.
fn first_of(names: &[&str], tokens: &[String]) -> Option<String> {
    let found = names.iter().find(|name| tokens.iter().any(|token| token == *name));
    found.map(|&name| name.to_owned())
}

/// Lines of `token id`, if all are.
fn with_ids<'t>(lines: &[&'t str]) -> Option<Vec<(&'t str, u64)>> {
    let pair = |line: &&'t str| {
        let (token, id) = line.trim_end().rsplit_once([' ', '\t'])?;
        let token = token.trim_matches([' ', '\t']);
        (!token.is_empty() && !token.contains(char::is_whitespace)).then_some((token, id.parse().ok()?))
    };
    let pairs: Option<Vec<_>> = lines.iter().map(pair).collect();
    pairs.filter(|pairs| !pairs.is_empty())
}

/// The tokens in the order of their ids, which are 0, 1, ….
fn by_id(origin: &str, mut pairs: Vec<(&str, u64)>) -> Result<Vec<String>> {
    pairs.sort_by_key(|&(_, id)| id);
    for (expected, &(token, id)) in pairs.iter().enumerate() {
        if id != expected as u64 {
            let (last, token) = (pairs.len() - 1, token.to_owned());
            return Err(ConvertError::VocabularyIds { origin: origin.to_owned(), last, token, id });
        }
    }
    Ok(pairs.into_iter().map(|(token, _)| token.to_owned()).collect())
}

fn one_per_line(origin: &str, lines: &[&str]) -> Result<Vec<String>> {
    let line_error = |line, what| ConvertError::VocabularyLine { origin: origin.to_owned(), line, what };
    let token = |(line, token): (usize, &&str)| {
        let is_space = token.chars().all(char::is_whitespace);
        match *token {
            "" => Err(line_error(line + 1, "is empty: a list has one token per line")),
            token if !is_space && token.trim().contains(char::is_whitespace) => {
                Err(line_error(line + 1, "has several words: a list has one token, or `token id`, per line"))
            }
            token if is_space => Ok(token.to_owned()),
            token => Ok(token.trim().to_owned()),
        }
    };
    lines.iter().enumerate().map(token).collect()
}

/// Whether a token is `#` and a number, as in lexicons of Kaldi and icefall.
fn is_disambiguation(token: &str) -> bool {
    let number = token.strip_prefix('#').unwrap_or("");
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// A vocabulary of GluonNLP. Old files have the special tokens at the top, later ones by identifier.
#[derive(Deserialize)]
struct GluonFile {
    idx_to_token: Vec<String>,
    #[serde(default)]
    token_to_idx: BTreeMap<String, usize>,
    unknown_token: Option<String>,
    eos_token: Option<String>,
    #[serde(default)]
    identifiers_to_tokens: BTreeMap<String, Option<String>>,
}

fn of_gluon(origin: &str, json: &str) -> Result<Vocabulary> {
    let syntax = |source| ConvertError::VocabularySyntax { origin: origin.to_owned(), source };
    let file: GluonFile = serde_json::from_str(json).map_err(syntax)?;
    let mut seen = HashMap::new();
    let mut list = Vec::with_capacity(file.idx_to_token.len());
    let mut notes = Vec::new();
    for (id, token) in file.idx_to_token.iter().enumerate() {
        let first = *seen.entry(token.as_str()).or_insert(id);
        let own =
            file.token_to_idx.get(token).copied().filter(|&own| file.idx_to_token.get(own) == Some(token));
        if own.unwrap_or(first) == id {
            list.push(token.clone());
        } else {
            // The row stays, since ids must, but no text has this token.
            let other = format!("{token}#{id}");
            notes.push(format!("the token `{token}` is listed twice; id {id} is named `{other}`"));
            list.push(other);
        }
    }
    let identifiers = &file.identifiers_to_tokens;
    let line_end = file.eos_token.or_else(|| identifiers.get("eos_token").cloned().flatten());
    let unknown = file.unknown_token.or_else(|| identifiers.get("unknown_token").cloned().flatten());
    let line_end = line_end.or_else(|| first_of(&LINE_ENDS, &file.idx_to_token));
    let vocab = Vocab::from_tokens(origin, list, unknown.as_deref())?;
    Ok(Vocabulary { vocab, line_end, tokenizer: None, origin: origin.to_owned(), notes })
}
