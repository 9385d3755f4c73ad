//! Named tensors in a safetensors file, with a checksum over all its contents.
//!
//! | metadata | what |
//! |---|---|
//! | `sha256` | checksum of all other metadata and all tensors, see [`TensorFile::verify`] |
//! | … | any other metadata |
//!
//! Numbers are stored with 32 bits, as bf16 (the upper half of the 32 bits, rounded to the nearest, ties to even), or as
//! bytes: `I8`, where another tensor, `NAME.scales`, has a 32-bit scale for each row ([`int8`]). They are read as 32-bit
//! numbers.
//!
//! Promises: the same content gives the same bytes; nothing larger than the file is allocated, even if the
//! header is forged; of an open file, only the header and a piece of a tensor are in memory, or nothing if it is mapped.
//! Not here: what the tensors mean (the model file, a checkpoint), replacing a file atomically (the caller).

#[cfg(not(feature = "sha2"))]
use hmac_sha256::Hash as Sha256;
#[cfg(feature = "sha2")]
use sha2::{Digest, Sha256};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rondo_kernels::{Buffer, Device, MappedFile, SliceMut, int8};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use crate::{NnError, Result};

mod write;

pub use write::{RowWidth, Tensor, Values, write_tensors};

const CHECKSUM_KEY: &str = "sha256";

/// How many elements are converted to or from bytes at a time.
const NUMBERS_AT_ONCE: usize = 16_384;

/// What is appended to the name of a tensor of bytes to name that of its scales.
const SCALES_SUFFIX: &str = ".scales";

/// A bf16 number with 32 bits.
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A file of tensors whose header has been parsed and checked against the file's length.
#[derive(Debug)]
pub struct TensorFile<'a> {
    path: PathBuf,
    content: Content<'a>,
    /// The bytes before the tensors.
    start: usize,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
    checksum: Option<String>,
}

/// What is in a file.
#[derive(Debug)]
enum Content<'a> {
    Bytes(Cow<'a, [u8]>),
    File(File),
    Mapped(MappedFile),
}

impl Content<'_> {
    /// The whole content, if it is in the address space.
    fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Content::Bytes(bytes) => Some(bytes),
            Content::Mapped(file) => Some(file.bytes()),
            Content::File(_) => None,
        }
    }
}

impl TensorFile<'static> {
    /// Opens a file, and reads its header. The tensors are read when they are asked for.
    ///
    /// # Errors
    /// [`NnError::Io`] if it cannot be read, [`NnError::Format`] if it is not a valid safetensors file.
    pub fn open(path: &Path) -> Result<TensorFile<'static>> {
        let io_error = |source| NnError::Io { action: "read", path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io_error)?;
        let about = file.metadata().map_err(io_error)?;
        if !about.is_file() {
            // A pipe is read once.
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(io_error)?;
            let header = header_of(&bytes, bytes.len() as u64);
            return TensorFile::new(Content::Bytes(bytes.into()), header, path);
        }
        let mut header = Vec::new();
        (&mut file).take(HEADER_LEN).read_to_end(&mut header).map_err(io_error)?;
        let claim = header.as_slice().try_into().map_or(0, u64::from_le_bytes);
        if claim <= about.len() {
            (&mut file).take(claim).read_to_end(&mut header).map_err(io_error)?;
        }
        let header = header_of(&header, about.len());
        TensorFile::new(Content::File(file), header, path)
    }

    /// [`open`](TensorFile::open), but a regular file is mapped: see [`MappedFile`] for the condition.
    ///
    /// # Errors
    /// As [`open`](TensorFile::open), also if it cannot be mapped.
    pub fn map(path: &Path) -> Result<TensorFile<'static>> {
        let io_error = |action| move |source| NnError::Io { action, path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error("read"))?;
        let about = file.metadata().map_err(io_error("read"))?;
        if !about.is_file() || about.len() == 0 {
            return TensorFile::open(path);
        }
        let file = MappedFile::new(&file).map_err(io_error("map"))?;
        let header = header_of(file.bytes(), file.bytes().len() as u64);
        TensorFile::new(Content::Mapped(file), header, path)
    }
}

impl<'a> TensorFile<'a> {
    /// Parses the bytes of a file; `path` is used in error messages.
    ///
    /// # Errors
    /// [`NnError::Format`] if it is not a valid safetensors file.
    pub fn from_bytes(bytes: &'a [u8], path: &Path) -> Result<TensorFile<'a>> {
        TensorFile::new(Content::Bytes(bytes.into()), header_of(bytes, bytes.len() as u64), path)
    }

    fn new(
        content: Content<'a>,
        header: std::result::Result<(usize, Metadata), SafeTensorError>,
        path: &Path,
    ) -> Result<TensorFile<'a>> {
        let (start, header) = header.map_err(|source| NnError::Format { path: path.to_owned(), source })?;
        let tensors = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        let mut metadata: BTreeMap<_, _> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let checksum = metadata.remove(CHECKSUM_KEY);
        Ok(TensorFile { path: path.to_owned(), content, start, tensors, metadata, checksum })
    }

    /// The metadata of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
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
    /// [`NnError::Damaged`] if it does not match, [`NnError::Io`] if the file cannot be read.
    pub fn verify(&self) -> Result<()> {
        let Some(expected) = &self.checksum else { return Ok(()) };
        let mut checksum = Checksum::of(&self.metadata);
        for (name, tensor) in &self.tensors {
            checksum.tensor(name, tensor.dtype, &tensor.shape, bytes_len(tensor));
            self.for_each_piece(tensor, |bytes| {
                checksum.bytes(bytes);
                Ok(())
            })?;
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
        let tensor = self.tensor(name)?;
        let is_of_numbers = matches!(tensor.dtype, Dtype::F32 | Dtype::BF16 | Dtype::I8);
        self.check(name, if is_of_numbers { tensor.dtype } else { Dtype::F32 }, shape)?;
        let scales = match (tensor.dtype, shape) {
            (Dtype::I8, [rows, ..]) => {
                let name = format!("{name}{SCALES_SUFFIX}");
                self.check(&name, Dtype::F32, &[*rows])?;
                Numbers { file: self, tensor: self.tensor(&name)?, scales: vec![] }.to_vec()?
            }
            // The scale of the only element has no row to belong to.
            (Dtype::I8, []) => return Err(NnError::MissingTensor { name: format!("{name}{SCALES_SUFFIX}") }),
            _ => vec![],
        };
        Ok(Numbers { file: self, tensor, scales })
    }

    /// Whether the elements of a tensor are stored as bytes, with a scale for each row.
    pub fn is_int8(&self, name: &str) -> bool {
        self.tensors.get(name).is_some_and(|tensor| tensor.dtype == Dtype::I8)
    }

    /// Whether a tensor has the scales of another one.
    pub fn is_of_scales(&self, name: &str) -> bool {
        name.strip_suffix(SCALES_SUFFIX).is_some_and(|of| self.is_int8(of))
    }

    /// The shape and the elements of a tensor of numbers of any shape; `None` if there is none of this name.
    pub fn any_numbers(&self, name: &str) -> Option<(Vec<usize>, Numbers<'_>)> {
        let shape = self.tensor(name).ok()?.shape.clone();
        let numbers = self.numbers(name, &shape).ok()?;
        Some((shape, numbers))
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// [`NnError::MissingTensor`], [`NnError::Type`], [`NnError::Io`] if the file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        let tensor = self.tensor(name)?;
        self.check(name, Dtype::U8, &tensor.shape)?;
        if let Some(bytes) = self.content.in_memory() {
            let (start, end) = tensor.data_offsets;
            return Ok(bytes[self.start + start..self.start + end].into());
        }
        let mut bytes = Vec::with_capacity(bytes_len(tensor));
        self.for_each_piece(tensor, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes.into())
    }

    /// Checks a tensor's type and shape.
    fn check(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<()> {
        let tensor = self.tensor(name)?;
        if tensor.dtype != dtype {
            let (found, expected) = (format!("{:?}", tensor.dtype), format!("{dtype:?}"));
            return Err(NnError::Type { name: name.to_owned(), found, expected });
        }
        if tensor.shape != shape {
            let (found, expected) = (tensor.shape.clone(), shape.to_vec());
            return Err(NnError::Shape { name: name.to_owned(), found, expected });
        }
        Ok(())
    }

    fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| NnError::MissingTensor { name: name.to_owned() })
    }

    /// Passes the bytes of a tensor to `take`, in pieces that do not divide numbers.
    fn for_each_piece(&self, tensor: &TensorInfo, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (start, end) = tensor.data_offsets;
        if let Some(bytes) = self.content.in_memory() {
            return bytes[self.start + start..self.start + end].chunks(PIECE_BYTES).try_for_each(take);
        }
        let Content::File(file) = &self.content else { unreachable!("all others are in memory") };
        let mut file = file;
        let io_error = |source| NnError::Io { action: "read", path: self.path.clone(), source };
        file.seek(SeekFrom::Start((self.start + start) as u64)).map_err(io_error)?;
        let mut piece = vec![0; PIECE_BYTES.min(end - start)];
        let mut left = end - start;
        while left > 0 {
            let len = left.min(PIECE_BYTES);
            file.read_exact(&mut piece[..len]).map_err(io_error)?;
            take(&piece[..len])?;
            left -= len;
        }
        Ok(())
    }
}

/// The length of a header is in this many bytes before it.
const HEADER_LEN: u64 = 8;

/// How many bytes are read at a time.
const PIECE_BYTES: usize = NUMBERS_AT_ONCE * size_of::<f32>();

fn bytes_len(tensor: &TensorInfo) -> usize {
    tensor.data_offsets.1 - tensor.data_offsets.0
}

/// The header in the first bytes of a file of this length, and the number of bytes before the tensors. There may be fewer
/// bytes than the header claims to have.
fn header_of(bytes: &[u8], file_len: u64) -> std::result::Result<(usize, Metadata), SafeTensorError> {
    let (len, header) = match SafeTensors::read_metadata(bytes) {
        Ok(header) => header,
        // The header is as it should be, but the tensors are not among the bytes.
        Err(SafeTensorError::MetadataIncompleteBuffer) => {
            let (len, rest) = bytes.split_at(HEADER_LEN as usize);
            let len = len.try_into().map_or(0, u64::from_le_bytes) as usize;
            let header = serde_json::from_slice(&rest[..len]);
            (len, header.map_err(SafeTensorError::InvalidHeaderDeserialization)?)
        }
        Err(error) => return Err(error),
    };
    let start = HEADER_LEN as usize + len;
    if start as u64 + header.data_len() as u64 != file_len {
        return Err(SafeTensorError::MetadataIncompleteBuffer);
    }
    Ok((start, header))
}

/// The elements of a tensor in a file.
#[derive(Debug)]
pub struct Numbers<'f> {
    file: &'f TensorFile<'f>,
    tensor: &'f TensorInfo,
    /// The scale of each row, if the elements are bytes.
    scales: Vec<f32>,
}

impl Numbers<'_> {
    /// The number of elements.
    fn len(&self) -> usize {
        bytes_len(self.tensor) * 8 / self.tensor.dtype.bitsize()
    }

    /// Passes the elements to `take` in pieces.
    fn for_each_piece(&self, mut take: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let mut numbers = Vec::new();
        let (width, mut before) = (self.len().checked_div(self.scales.len()).unwrap_or(1), 0);
        self.file.for_each_piece(self.tensor, |bytes| {
            numbers.clear();
            match self.tensor.dtype {
                Dtype::BF16 => {
                    let (halves, _) = bytes.as_chunks();
                    numbers.extend(halves.iter().map(|&bytes| from_bf16(u16::from_le_bytes(bytes))));
                }
                Dtype::I8 => {
                    let number = |(index, byte): (usize, &u8)| {
                        int8::dequantized(byte.cast_signed(), self.scales[(before + index) / width])
                    };
                    numbers.extend(bytes.iter().enumerate().map(number));
                    before += bytes.len();
                }
                _ => {
                    let (words, _) = bytes.as_chunks();
                    numbers.extend(words.iter().map(|&bytes| f32::from_le_bytes(bytes)));
                }
            }
            take(&numbers)
        })
    }

    /// The elements on the host.
    ///
    /// # Errors
    /// [`NnError::Io`] if the file cannot be read.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each_piece(|numbers| {
            all.extend_from_slice(numbers);
            Ok(())
        })?;
        Ok(all)
    }

    /// A buffer on `device` with these elements: those of a mapped file where they are, if that is possible, otherwise a
    /// copy.
    ///
    /// # Errors
    /// As [`copy_to`](Numbers::copy_to).
    pub fn to_buffer(&self, device: &Device) -> Result<Buffer> {
        if let Content::Mapped(file) = &self.file.content
            && self.tensor.dtype == Dtype::F32
        {
            let (start, end) = self.tensor.data_offsets;
            if let Some(buffer) = Buffer::mapped(device, file, self.file.start + start..self.file.start + end)
            {
                return Ok(buffer);
            }
        }
        let mut buffer = Buffer::zeros(device, self.len());
        self.copy_to(buffer.slice_mut())?;
        Ok(buffer)
    }

    /// Copies them to a device.
    ///
    /// # Panics
    /// If the lengths of `to` and the tensor differ.
    /// # Errors
    /// [`NnError::Device`] if they cannot be written there, [`NnError::Io`] if the file cannot be read.
    pub fn copy_to(&self, mut to: SliceMut<'_>) -> Result<()> {
        assert_eq!(self.len(), to.len(), "elements of a tensor and of the target");
        let mut start = 0;
        self.for_each_piece(|numbers| {
            to.reborrow().range(start..start + numbers.len()).write_from(numbers)?;
            start += numbers.len();
            Ok(())
        })
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

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
