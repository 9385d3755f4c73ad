//! A tensor in a file: a view of the bytes of a storage.

use half::{bf16, f16};

use crate::{Fault, Parsed};

/// The type of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    F64,
    F16,
    Bf16,
    /// A type that weights cannot have, by name.
    Other(String),
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    pub(crate) storage: &'a [u8],
    pub(crate) dtype: Dtype,
    /// The first element.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<usize>,
    /// The distance of neighbors along each axis, in elements.
    pub(crate) strides: Vec<u64>,
}

/// A tensor and its name.
pub(crate) type Named<'a> = (String, View<'a>);

impl<'a> View<'a> {
    /// A row-major tensor that is all of its storage.
    pub(crate) fn whole(storage: &'a [u8], dtype: Dtype, shape: Vec<usize>) -> View<'a> {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = u64::saturating_mul(strides[axis], shape[axis] as u64);
        }
        View { storage, dtype, offset: 0, shape, strides }
    }

    /// The number of elements; `None` if that is no number of bytes.
    pub(crate) fn count(&self) -> Option<usize> {
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        (count <= isize::MAX as usize / size_of::<f64>()).then_some(count)
    }

    /// Whether it is the same view of the same storage.
    pub(crate) fn is_same(&self, other: &View<'_>) -> bool {
        std::ptr::eq(self.storage.as_ptr(), other.storage.as_ptr())
            && (self.offset, &self.shape, &self.strides) == (other.offset, &other.shape, &other.strides)
    }

    /// Its elements, row-major; there are at most `most`. `name` is used in errors.
    pub(crate) fn to_vec(&self, name: &str, most: usize) -> Parsed<Vec<f32>> {
        match &self.dtype {
            Dtype::F32 => self.read(name, most, f32::from_le_bytes),
            Dtype::F64 => self.read(name, most, |bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F16 => self.read(name, most, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::Bf16 => self.read(name, most, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::Other(dtype) => Err(Fault::ElementType { name: name.to_owned(), dtype: dtype.clone() }),
        }
    }

    fn read<const N: usize>(
        &self,
        name: &str,
        most: usize,
        from: impl Fn([u8; N]) -> f32,
    ) -> Parsed<Vec<f32>> {
        let outside = || Fault::Outside { name: name.to_owned() };
        let count = self.count().filter(|&count| count <= most).ok_or_else(outside)?;
        if count == 0 {
            return Ok(vec![]);
        }
        let (elements, _) = self.storage.as_chunks::<N>();
        let axes = || self.shape.iter().zip(&self.strides);
        let last = axes().try_fold(self.offset, |last, (&size, &stride)| {
            last.checked_add((size as u64 - 1).checked_mul(stride)?)
        });
        if last.is_none_or(|last| last >= elements.len() as u64) || self.shape.len() != self.strides.len() {
            return Err(outside());
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..count {
            values.push(from(elements[at as usize]));
            // The next index, row-major: the last axis first.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                // An axis of one element can have any stride.
                at = at.wrapping_add(self.strides[axis]);
                if index[axis] < self.shape[axis] {
                    break;
                }
                at = at.wrapping_sub(self.strides[axis].wrapping_mul(self.shape[axis] as u64));
                index[axis] = 0;
            }
        }
        Ok(values)
    }
}
