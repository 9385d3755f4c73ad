//! States after each row of a table, as a file of NumPy arrays.
//!
//! ```text
//! rows, as they come ─▶ a temporary file ─▶ at the end, column by column: item [N], region [N], hidden/0 [N, H], …
//! ```
//!
//! Promises: memory does not grow with the number of rows; the file is complete or not there. An `.npz` file is a ZIP
//! archive of `.npy` files; their header is written here, since libraries for it bring a parser for the headers that they
//! read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rondo_runs::write_atomically;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The bytes of the numbers of item and region, before the state.
const NUMBERS: usize = 16;

/// Collects states, to be written to a file.
pub(super) struct StatesFile {
    path: PathBuf,
    parts: Vec<(String, usize)>,
    rows: BufWriter<File>,
    count: usize,
}

impl StatesFile {
    /// States with these parts, for the file at `path`.
    pub(super) fn new(path: &Path, parts: Vec<(String, usize)>) -> io::Result<StatesFile> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let rows = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(StatesFile { path: path.to_owned(), parts, rows, count: 0 })
    }

    /// Adds the state after a region of an item; NaN if there is none, because no token of the region was read.
    pub(super) fn push(&mut self, item: u64, region: u64, state: &[f32]) -> io::Result<()> {
        self.count += 1;
        self.rows.write_all(&item.to_le_bytes())?;
        self.rows.write_all(&region.to_le_bytes())?;
        let width = self.parts.iter().map(|(_, width)| width).sum::<usize>();
        let values = state.iter().copied().chain(std::iter::repeat(f32::NAN)).take(width);
        values.into_iter().try_for_each(|value| self.rows.write_all(&value.to_le_bytes()))
    }

    /// Writes the file.
    pub(super) fn finish(self) -> Result<()> {
        let StatesFile { path, parts, rows, count } = self;
        let mut rows = rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        let width = 4 * parts.iter().map(|(_, width)| width).sum::<usize>();
        Ok(write_atomically(&path, |to| {
            let mut archive = ZipWriter::new_stream(to);
            // Sizes are not known before: allow for more than four gigabytes.
            let options =
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
            let mut offset = 0;
            let arrays = [("item".to_owned(), 1, "<i8", 8), ("region".to_owned(), 1, "<i8", 8)];
            let states = parts.iter().map(|(name, width)| (name.replace('/', "_"), *width, "<f4", 4 * width));
            for (index, (name, columns, kind, bytes)) in arrays.into_iter().chain(states).enumerate() {
                let shape = if index < 2 { format!("({count},)") } else { format!("({count}, {columns})") };
                archive.start_file(format!("{name}.npy"), options)?;
                archive.write_all(&header(kind, &shape))?;
                rows.rewind()?;
                copy_columns(
                    &mut BufReader::with_capacity(1 << 16, &rows),
                    &mut archive,
                    count,
                    (offset, bytes),
                    NUMBERS + width,
                )?;
                offset += bytes;
            }
            archive.finish()?;
            Ok(())
        })?)
    }
}

/// Copies these bytes of each row.
fn copy_columns(
    rows: &mut impl Read,
    to: &mut impl Write,
    count: usize,
    (offset, bytes): (usize, usize),
    row_bytes: usize,
) -> io::Result<()> {
    let mut row = vec![0; row_bytes];
    for _ in 0..count {
        rows.read_exact(&mut row)?;
        to.write_all(&row[offset..offset + bytes])?;
    }
    Ok(())
}

/// The header of a `.npy` file, version 1.0.
///
/// *Source*: the NEP 1 of NumPy, *A simple file format for NumPy arrays*.
fn header(kind: &str, shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic string, version and length take ten bytes; data begin at a multiple of 64.
    let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', len - text.len() - 1));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((len as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_stored_column_by_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states.npz");
        let mut states =
            StatesFile::new(&path, vec![("hidden/0".to_owned(), 2), ("cell/0".to_owned(), 1)]).unwrap();
        states.push(1, 1, &[1.0, 2.0, 3.0]).unwrap();
        states.push(1, 2, &[4.0, 5.0, 6.0]).unwrap();
        states.push(2, 1, &[]).unwrap();
        states.finish().unwrap();
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut data = |name: &str| {
            let mut bytes = vec![];
            archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.iter().position(|&byte| byte == b'\n').unwrap() % 64, 63);
            let text = String::from_utf8_lossy(&bytes[10..]).lines().next().unwrap().trim_end().to_owned();
            (text, bytes.split_off(bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1))
        };
        let floats =
            |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (header, bytes) = data("hidden_0.npy");
        assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }");
        assert_eq!(bytes, floats(&[1.0, 2.0, 4.0, 5.0, f32::NAN, f32::NAN]));
        assert_eq!(data("cell_0.npy").1, floats(&[3.0, 6.0, f32::NAN]));
        let (header, bytes) = data("item.npy");
        assert_eq!(header, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(bytes, [1_u64, 1, 2].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
