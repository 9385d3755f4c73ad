//! `.params` files of MXNet: lists of arrays with names.
//!
//! ```text
//! u64 0x112 · u64 0 · u64 count · arrays · u64 count · names
//! array   u32 magic · i32 storage type · u32 axes · i64 sizes · i32 device · i32 device id · i32 type · data
//! name    u64 length · bytes
//! ```
//!
//! Promises: nothing is allocated that is larger than the file. Not here: sparse arrays, files of MXNet before 1.0,
//! whose arrays have no magic number.

use crate::bytes::Reader;
use crate::tensor::{Dtype, Named, View};
use crate::{Fault, Parsed};

const LIST: u64 = 0x112;
const ARRAY: u32 = 0xF993_FAC9;
/// The same with shapes that can be unknown or empty.
const ARRAY_OF_NUMPY: u32 = 0xF993_FACA;
/// The storage type of an array that is stored element by element.
const DENSE: u32 = 0;
/// The maximum number of axes.
const MAX_AXES: u32 = 32;

/// Whether bytes begin like a `.params` file.
pub(crate) fn is_params(bytes: &[u8]) -> bool {
    bytes.starts_with(&LIST.to_le_bytes())
}

/// The arrays of a file, in its order. Arrays without names are numbered.
pub(crate) fn arrays(bytes: &[u8]) -> Parsed<Vec<Named<'_>>> {
    let mut reader = Reader::new(bytes, 16, "its arrays");
    let count = reader.u64()?;
    let mut views = Vec::new();
    for index in 0..count {
        views.push(array(&mut reader, index as usize)?);
    }
    let names = reader.u64()?;
    if names != 0 && names != count {
        return Err(Fault::NotValid { what: "the number of its names" });
    }
    let mut named = Vec::new();
    for (index, view) in views.into_iter().enumerate() {
        let name = if names == 0 {
            index.to_string()
        } else {
            let len = reader.u64()?;
            String::from_utf8_lossy(reader.take(len)?).into_owned()
        };
        named.push((name, view));
    }
    Ok(named)
}

fn array<'a>(reader: &mut Reader<'a>, index: usize) -> Parsed<View<'a>> {
    let invalid = Fault::NotValid { what: "an array" };
    if ![ARRAY, ARRAY_OF_NUMPY].contains(&reader.u32()?) {
        return Err(invalid);
    }
    if reader.u32()? != DENSE {
        return Err(Fault::Sparse { index });
    }
    let axes = reader.u32()?;
    if axes > MAX_AXES {
        return Err(invalid);
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        shape.push(usize::try_from(reader.u64()?).map_err(|_| invalid.clone())?);
    }
    reader.take(8)?;
    let (dtype, width) = match reader.u32()? {
        0 => (Dtype::F32, 4),
        1 => (Dtype::F64, 8),
        2 => (Dtype::F16, 2),
        3 => (Dtype::Other("u8".to_owned()), 1),
        4 => (Dtype::Other("i32".to_owned()), 4),
        5 => (Dtype::Other("i8".to_owned()), 1),
        6 => (Dtype::Other("i64".to_owned()), 8),
        7 => (Dtype::Other("bool".to_owned()), 1),
        12 => (Dtype::Bf16, 2),
        _ => return Err(invalid),
    };
    let mut view = View::whole(&[], dtype, shape);
    let count = view.count().ok_or(invalid)?;
    view.storage = reader.take((count as u64).saturating_mul(width))?;
    Ok(view)
}
