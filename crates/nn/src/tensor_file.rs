//! Named tensors in a safetensors file, with a checksum over all its contents.
//!
//! | metadata | what |
//! |---|---|
//! | `sha256` | checksum of all other metadata and all tensors, see [`TensorFile::verify`] |
//! | … | any other metadata |
//!
//! Promises: the same content gives the same bytes; nothing larger than the file is allocated, even if the
//! header is forged. Not here: what the tensors mean (the model file, a checkpoint), replacing a file
//! atomically (the caller).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rondo_kernels::SliceMut;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{NnError, Result};

const CHECKSUM_KEY: &str = "sha256";

/// How many elements are converted to or from bytes at a time.
const NUMBERS_AT_ONCE: usize = 16_384;

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Its name, unique in the file.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Values<'a>,
}

/// The elements of a tensor.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    /// 32-bit floating-point numbers, `F32`.
    Numbers(Cow<'a, [f32]>),
    /// Bytes, `U8`.
    Bytes(Cow<'a, [u8]>),
}

impl Values<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Values::Numbers(_) => Dtype::F32,
            Values::Bytes(_) => Dtype::U8,
        }
    }

    fn bytes_len(&self) -> usize {
        match self {
            Values::Numbers(numbers) => size_of_val(&**numbers),
            Values::Bytes(bytes) => bytes.len(),
        }
    }

    /// Passes the bytes to `take` in pieces, floats in little-endian order.
    fn for_each_piece(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Values::Bytes(bytes) => take(bytes),
            Values::Numbers(numbers) => {
                let mut bytes = Vec::new();
                for numbers in numbers.chunks(NUMBERS_AT_ONCE) {
                    bytes.clear();
                    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
                    take(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// Writes tensors and metadata: the header's length in 8 bytes, the header as JSON, the data.
///
/// The `safetensors` crate has its own writer, but it needs all data at once as bytes and does not fix the
/// order of the metadata. This one needs almost no memory and writes the same file each time.
///
/// # Errors
/// An I/O error of the writer.
pub fn write_tensors(
    tensors: &[Tensor<'_>],
    metadata: &BTreeMap<String, String>,
    to: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    /// The header is padded with spaces to a multiple of this, so that the data after it is aligned.
    const ALIGNMENT: usize = 8;

    let mut metadata = metadata.clone();
    metadata.insert(CHECKSUM_KEY.to_owned(), checksum_of(tensors, &metadata)?);
    let mut header = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.values.bytes_len();
        let dtype = tensor.values.dtype();
        let entry = json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(&tensor.name, entry);
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    tensors.iter().try_for_each(|tensor| tensor.values.for_each_piece(|bytes| to.write_all(bytes)))
}

/// A file of tensors whose header has been parsed and checked against the file's length.
#[derive(Debug)]
pub struct TensorFile<'a> {
    path: PathBuf,
    tensors: SafeTensors<'a>,
    metadata: BTreeMap<String, String>,
    checksum: Option<String>,
}

impl<'a> TensorFile<'a> {
    /// Parses the bytes of a file; `path` is used in error messages.
    ///
    /// # Errors
    /// [`NnError::Format`] if it is not a valid safetensors file.
    pub fn from_bytes(bytes: &'a [u8], path: &Path) -> Result<TensorFile<'a>> {
        let format = |source| NnError::Format { path: path.to_owned(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
        let mut metadata: BTreeMap<_, _> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let checksum = metadata.remove(CHECKSUM_KEY);
        Ok(TensorFile { path: path.to_owned(), tensors, metadata, checksum })
    }

    /// The metadata of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of all tensors, in no particular order.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }

    /// Whether the file contains a checksum. Files of version 0.1 and earlier, and of other programs, do not.
    pub fn has_checksum(&self) -> bool {
        self.checksum.is_some()
    }

    /// Verifies the checksum, if the file has one.
    ///
    /// It is the SHA-256, in 64 hexadecimal digits, of each metadata entry and then each tensor, both in the
    /// order of their names: key and value, or name, type, shape and bytes, each preceded by its length;
    /// lengths and sizes are 64 bits wide, little-endian.
    ///
    /// # Errors
    /// [`NnError::Damaged`] if it does not match.
    pub fn verify(&self) -> Result<()> {
        let Some(expected) = &self.checksum else { return Ok(()) };
        let mut checksum = Checksum::of(&self.metadata);
        let mut names = self.tensors.names();
        names.sort_unstable();
        for name in names {
            let tensor = self.tensor(name)?;
            checksum.tensor(name, tensor.dtype(), tensor.shape(), tensor.data().len());
            checksum.0.update(tensor.data());
        }
        let found = checksum.finish();
        if found == *expected {
            Ok(())
        } else {
            Err(NnError::Damaged { path: self.path.clone(), found, expected: expected.clone() })
        }
    }

    /// The elements of a tensor of this shape.
    ///
    /// # Errors
    /// [`NnError::MissingTensor`], [`NnError::Type`], [`NnError::Shape`].
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Numbers<'_>> {
        self.check(name, Dtype::F32, shape)?;
        Ok(Numbers(self.tensor(name)?))
    }

    /// The shape and the elements of a tensor of 32-bit numbers of any shape; `None` if there is none of this name.
    pub fn any_numbers(&self, name: &str) -> Option<(Vec<usize>, Numbers<'_>)> {
        let tensor = self.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
        Some((tensor.shape().to_vec(), Numbers(tensor)))
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// [`NnError::MissingTensor`], [`NnError::Type`].
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let tensor = self.tensor(name)?;
        self.check(name, Dtype::U8, tensor.shape())?;
        Ok(self.tensor(name)?.data())
    }

    /// Checks a tensor's type and shape.
    fn check(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<()> {
        let tensor = self.tensor(name)?;
        if tensor.dtype() != dtype {
            let (found, expected) = (format!("{:?}", tensor.dtype()), format!("{dtype:?}"));
            return Err(NnError::Type { name: name.to_owned(), found, expected });
        }
        if tensor.shape() != shape {
            let (found, expected) = (tensor.shape().to_vec(), shape.to_vec());
            return Err(NnError::Shape { name: name.to_owned(), found, expected });
        }
        Ok(())
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'a>> {
        self.tensors.tensor(name).map_err(|_| NnError::MissingTensor { name: name.to_owned() })
    }
}

/// The elements of a tensor in a file.
#[derive(Debug)]
pub struct Numbers<'a>(TensorView<'a>);

impl Numbers<'_> {
    /// The elements on the host.
    pub fn to_vec(&self) -> Vec<f32> {
        let (numbers, _) = self.0.data().as_chunks();
        numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// Copies them to a device.
    ///
    /// # Panics
    /// If the lengths of `to` and the tensor differ.
    /// # Errors
    /// [`NnError::Device`] if they cannot be written there.
    pub fn copy_to(&self, mut to: SliceMut<'_>) -> Result<()> {
        let (numbers, rest) = self.0.data().as_chunks();
        assert_eq!((numbers.len(), rest.len()), (to.len(), 0), "elements of a tensor and of the target");
        let mut piece = Vec::with_capacity(NUMBERS_AT_ONCE.min(numbers.len()));
        for (index, numbers) in numbers.chunks(NUMBERS_AT_ONCE).enumerate() {
            piece.clear();
            piece.extend(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            let start = index * NUMBERS_AT_ONCE;
            to.reborrow().range(start..start + piece.len()).write_from(&piece)?;
        }
        Ok(())
    }
}

/// A checksum in progress; see [`TensorFile::verify`].
struct Checksum(Sha256);

impl Checksum {
    fn of(metadata: &BTreeMap<String, String>) -> Checksum {
        let mut checksum = Checksum(Sha256::new());
        checksum.size(metadata.len());
        for (key, value) in metadata {
            checksum.text(key);
            checksum.text(value);
        }
        checksum
    }

    fn size(&mut self, size: usize) {
        self.0.update((size as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.size(text.len());
        self.0.update(text);
    }

    /// Everything about a tensor except its bytes.
    fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: usize) {
        self.text(name);
        self.text(&format!("{dtype:?}"));
        self.size(shape.len());
        shape.iter().for_each(|&size| self.size(size));
        self.size(bytes);
    }

    fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn checksum_of(tensors: &[Tensor<'_>], metadata: &BTreeMap<String, String>) -> io::Result<String> {
    let mut metadata = metadata.clone();
    metadata.remove(CHECKSUM_KEY);
    let mut checksum = Checksum::of(&metadata);
    let mut by_name: Vec<&Tensor<'_>> = tensors.iter().collect();
    by_name.sort_unstable_by_key(|tensor| &tensor.name);
    for Tensor { name, shape, values } in by_name {
        checksum.tensor(name, values.dtype(), shape, values.bytes_len());
        values.for_each_piece(|bytes| {
            checksum.0.update(bytes);
            Ok(())
        })?;
    }
    Ok(checksum.finish())
}

#[cfg(test)]
mod tests {
    use rondo_kernels::{Buffer, Device};

    use super::*;

    fn written() -> Vec<u8> {
        let tensors = [
            Tensor {
                name: "b".to_owned(),
                shape: vec![2, 2],
                values: Values::Numbers(vec![1.0, -2.0, 0.5, 4.0].into()),
            },
            Tensor { name: "a".to_owned(), shape: vec![3], values: Values::Bytes(b"abc".into()) },
        ];
        let metadata = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        let mut bytes = Vec::new();
        write_tensors(&tensors, &metadata, &mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<TensorFile<'_>> {
        let file = TensorFile::from_bytes(bytes, Path::new("file"))?;
        file.verify()?;
        Ok(file)
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let file = read(&bytes).unwrap();
        assert!(file.has_checksum());
        assert_eq!(file.metadata().iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>(), [("key", "value")]);
        let mut numbers: Buffer = Buffer::zeros(&Device::cpu(1).unwrap(), 4);
        file.numbers("b", &[2, 2]).unwrap().copy_to(numbers.slice_mut()).unwrap();
        assert_eq!(*numbers.read().unwrap(), [1.0, -2.0, 0.5, 4.0]);
        let (shape, numbers) = file.any_numbers("b").unwrap();
        assert_eq!((shape, numbers.to_vec()), (vec![2, 2], vec![1.0, -2.0, 0.5, 4.0]));
        assert!(file.any_numbers("a").is_none() && file.any_numbers("c").is_none());
        assert_eq!(file.bytes("a").unwrap(), b"abc");
        assert!(matches!(file.bytes("b"), Err(NnError::Type { .. })));
        assert!(matches!(file.numbers("b", &[4]), Err(NnError::Shape { .. })));
        assert!(matches!(file.numbers("c", &[4]), Err(NnError::MissingTensor { .. })));
    }

    #[test]
    fn no_wrong_bit_goes_unnoticed() {
        let bytes = written();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // If the checksum's own name is damaged, the file reads as one without a checksum, which callers
            // that need one reject.
            match read(&damaged) {
                Err(_) => {}
                Ok(file) => assert!(!file.has_checksum(), "bit {bit}"),
            }
        }
    }

    #[test]
    fn no_shorter_file_is_taken_for_a_whole_one() {
        let bytes = written();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len}");
        }
    }
}
