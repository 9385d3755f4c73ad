//! A tokenizer as users name it: one of the kinds, or a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::TokenizerKind;
use crate::or_nearest;

/// How texts are split into tokens.
///
/// ```
/// use rondo_data::{TokenizerChoice, TokenizerKind};
///
/// let chars: TokenizerChoice = "chars".parse()?;
/// assert_eq!(chars.kind(), TokenizerKind::from_name("chars"));
/// assert_eq!("bpe/tokenizer.json".parse(), Ok(TokenizerChoice::File("bpe/tokenizer.json".into())));
/// assert!("char".parse::<TokenizerChoice>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// In one of the ways that have a name.
    Kind(TokenizerKind),
    /// By the tokenizer in this file, which comes with its vocabulary; a path with a folder or an extension.
    File(PathBuf),
}

impl TokenizerChoice {
    /// The kind, if it is not a file.
    #[must_use]
    pub fn kind(&self) -> Option<TokenizerKind> {
        match self {
            TokenizerChoice::Kind(kind) => Some(*kind),
            TokenizerChoice::File(_) => None,
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            TokenizerChoice::Kind(_) => None,
            TokenizerChoice::File(path) => Some(path),
        }
    }
}

impl FromStr for TokenizerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(kind) = TokenizerKind::from_name(text) {
            return Ok(TokenizerChoice::Kind(kind));
        }
        let path = Path::new(text);
        if path.extension().is_some() || path.components().count() > 1 {
            return Ok(TokenizerChoice::File(path.to_owned()));
        }
        let nearest = or_nearest(text, TokenizerKind::NAMES.iter().copied());
        let names =
            TokenizerKind::NAMES.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Err(format!("expected {names}, or a file such as `tokenizer.json` or `sentencepiece.model`{nearest}"))
    }
}

impl fmt::Display for TokenizerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerChoice::Kind(kind) => kind.fmt(f),
            TokenizerChoice::File(path) => path.display().fmt(f),
        }
    }
}
