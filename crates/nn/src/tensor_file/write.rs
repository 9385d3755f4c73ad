//! Tensors to be written, and writing them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use rondo_kernels::int8;
use safetensors::tensor::Dtype;
use serde_json::json;

use super::{CHECKSUM_KEY, Checksum, NUMBERS_AT_ONCE, SCALES_SUFFIX};

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
    /// The same, rounded to bf16, `BF16`.
    Bf16(Cow<'a, [f32]>),
    /// The same, as multiples of the scale of their row, `I8`; see [`Tensor::scales`].
    Int8(Cow<'a, [f32]>, RowWidth),
    /// Bytes, `U8`.
    Bytes(Cow<'a, [u8]>),
}

/// The number of elements of a row, at least 1.
pub type RowWidth = std::num::NonZeroUsize;

impl Tensor<'_> {
    /// The scales of the rows of a tensor of [`Values::Int8`], which must be written with it.
    pub fn scales(&self) -> Option<Tensor<'static>> {
        let Values::Int8(numbers, width) = &self.values else { return None };
        let scales: Vec<f32> = numbers.chunks(width.get()).map(int8::row_scale).collect();
        Some(Tensor {
            name: format!("{}{SCALES_SUFFIX}", self.name),
            shape: vec![scales.len()],
            values: Values::Numbers(scales.into()),
        })
    }
}

impl Values<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Values::Numbers(_) => Dtype::F32,
            Values::Bf16(_) => Dtype::BF16,
            Values::Int8(..) => Dtype::I8,
            Values::Bytes(_) => Dtype::U8,
        }
    }

    fn bytes_len(&self) -> usize {
        match self {
            Values::Numbers(numbers) => size_of_val(&**numbers),
            Values::Bf16(numbers) => size_of_val(&**numbers) / 2,
            Values::Int8(numbers, _) => numbers.len(),
            Values::Bytes(bytes) => bytes.len(),
        }
    }

    /// Passes the bytes to `take` in pieces, floats in little-endian order.
    fn for_each_piece(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Values::Bytes(bytes) => take(bytes),
            Values::Int8(numbers, width) => {
                let mut bytes = Vec::new();
                for row in numbers.chunks(width.get()) {
                    let scale = int8::row_scale(row);
                    bytes.clear();
                    bytes.extend(row.iter().map(|&number| int8::quantized(number, scale).cast_unsigned()));
                    take(&bytes)?;
                }
                Ok(())
            }
            Values::Numbers(numbers) | Values::Bf16(numbers) => {
                let mut bytes = Vec::new();
                for numbers in numbers.chunks(NUMBERS_AT_ONCE) {
                    bytes.clear();
                    match self {
                        Values::Bf16(_) => {
                            bytes.extend(numbers.iter().flat_map(|&number| bf16_of(number).to_le_bytes()));
                        }
                        _ => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
                    }
                    take(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// The bf16 number that is nearest, of two the one with an even last bit.
pub(super) fn bf16_of(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        // Rounding could make an infinity of it.
        return ((bits >> 16) | 0x40) as u16;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
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

fn checksum_of(tensors: &[Tensor<'_>], metadata: &BTreeMap<String, String>) -> io::Result<String> {
    let mut metadata = metadata.clone();
    metadata.remove(CHECKSUM_KEY);
    let mut checksum = Checksum::of(&metadata);
    let mut by_name: Vec<&Tensor<'_>> = tensors.iter().collect();
    by_name.sort_unstable_by_key(|tensor| &tensor.name);
    for Tensor { name, shape, values } in by_name {
        checksum.tensor(name, values.dtype(), shape, values.bytes_len());
        values.for_each_piece(|bytes| {
            checksum.bytes(bytes);
            Ok(())
        })?;
    }
    Ok(checksum.finish())
}
