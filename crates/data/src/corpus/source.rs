//! The source of a text.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::PathBuf,
    rc::Rc,
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
        self.open_counted(field, &Rc::default())
    }

    /// The same; the number of bytes read from the file, which can be compressed, is added to `read_bytes`.
    pub(crate) fn open_counted(
        &self,
        field: Option<&str>,
        read_bytes: &Rc<Cell<u64>>,
    ) -> Result<Box<dyn BufRead + '_>> {
        match self {
            Self::File(path) => {
                let file =
                    Counted { file: File::open(path).map_err(self.failed())?, bytes: Rc::clone(read_bytes) };
                readable(BufReader::with_capacity(1 << 16, file), &self.origin(), field)
            }
            Self::Memory { text, .. } => {
                read_bytes.update(|bytes| bytes + text.len() as u64);
                Ok(Box::new(text.as_bytes()))
            }
        }
    }

    /// The size of the file or text in bytes.
    pub(crate) fn size(&self) -> Result<u64> {
        match self {
            Self::File(path) => Ok(fs::metadata(path).map_err(self.failed())?.len()),
            Self::Memory { text, .. } => Ok(text.len() as u64),
        }
    }

    /// The error of a file that cannot be opened.
    pub(crate) fn failed(&self) -> impl Fn(io::Error) -> DataError + '_ {
        move |source| match self {
            Self::File(path) if source.kind() == ErrorKind::NotFound => {
                DataError::Missing { path: path.clone() }
            }
            _ => DataError::Read { origin: self.origin(), source },
        }
    }
}

/// A file, and how much of it has been read.
struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.update(|bytes| bytes + read as u64);
        Ok(read)
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
/// [`DataError::Compressed`] for a format of compression that is not supported; without the feature `corpora`,
/// [`DataError::NoDecompression`] and [`DataError::NoTables`]; [`DataError::NoField`] and
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
