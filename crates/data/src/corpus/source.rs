//! The source of a text.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::PathBuf,
};

use crate::compressed::decompressed;
use crate::records::field_lines;
use crate::{DataError, Result};

/// A text that can be read, several times if necessary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSource {
    /// A file, which can be compressed.
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

    /// Opens the text at its start. A file compressed with gzip or Zstandard is decompressed, regardless of its name.
    ///
    /// # Errors
    /// [`DataError::Missing`] if the file does not exist, [`DataError::Read`] if it cannot be opened,
    /// [`DataError::Compressed`] if it is compressed in another format.
    pub fn open(&self) -> Result<Box<dyn BufRead + '_>> {
        self.open_field(None)
    }

    /// Opens the text at its start; with `field`, the text is this field of the records of a JSON Lines or CSV file,
    /// one line per record. Texts in memory have no records.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`readable`].
    pub fn open_field(&self, field: Option<&str>) -> Result<Box<dyn BufRead + '_>> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => readable(BufReader::with_capacity(1 << 16, file), &self.origin(), field),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err(DataError::Missing { path: path.clone() })
                }
                Err(source) => Err(DataError::Read { origin: self.origin(), source }),
            },
            Self::Memory { text, .. } => Ok(Box::new(text.as_bytes())),
        }
    }
}

/// The text of a file or of stdin: decompressed if it is compressed, and with `field`, this field of the records of a
/// JSON Lines or CSV file, one line per record. `origin` is its name in errors.
///
/// ```
/// use rondo_data::{read_text, readable};
///
/// let records = "{\"id\": 1, \"text\": \"the cat\"}\n{\"id\": 2, \"text\": \"a\\ndog\"}\n";
/// let text = readable(records.as_bytes(), "records", Some("text"))?;
/// assert_eq!(read_text(text, "records", false)?, "the cat\na dog\n");
/// # Ok::<(), rondo_data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError::Compressed`] for a format of compression that is not supported; [`DataError::NoField`] and
/// [`DataError::JsonArray`] for records without the field; [`DataError::Read`] if the start cannot be read.
pub fn readable<'a>(
    reader: impl BufRead + 'a,
    origin: &str,
    field: Option<&str>,
) -> Result<Box<dyn BufRead + 'a>> {
    let reader = decompressed(Box::new(reader), origin)?;
    match field {
        Some(field) => field_lines(reader, origin, field),
        None => Ok(reader),
    }
}
