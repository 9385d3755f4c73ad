//! Where a text is.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::PathBuf,
};

use crate::{DataError, Result};

/// A text that can be read, more than once if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSource {
    /// A file.
    File(PathBuf),
    /// A text in memory, such as a generated one.
    Memory {
        /// What reports and errors call it.
        name: String,
        /// The text.
        text: String,
    },
}

impl TextSource {
    /// What reports and errors call the text: the path of a file.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } => name.clone(),
        }
    }

    /// The text from its beginning.
    ///
    /// # Errors
    /// [`DataError::Missing`] if there is no such file, [`DataError::Read`] if it cannot be opened.
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
