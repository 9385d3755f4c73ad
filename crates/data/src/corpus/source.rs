//! The source of a text.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::PathBuf,
};

use crate::{DataError, Result};

/// A text that can be read, several times if necessary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSource {
    /// A file.
    File(PathBuf),
    /// A text in memory, for example a generated text.
    Memory {
        /// The name in reports and errors.
        name: String,
        /// The text.
        text: String,
    },
}

impl TextSource {
    /// The name in reports and errors; for a file, its path.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } => name.clone(),
        }
    }

    /// Opens the text at its start.
    ///
    /// # Errors
    /// [`DataError::Missing`] if the file does not exist, [`DataError::Read`] if it cannot be opened.
    pub fn open(&self) -> Result<Box<dyn BufRead + '_>> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(BufReader::with_capacity(1 << 16, file))),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err(DataError::Missing { path: path.clone() })
                }
                Err(source) => Err(DataError::Read { origin: self.origin(), source }),
            },
            Self::Memory { text, .. } => Ok(Box::new(text.as_bytes())),
        }
    }
}
