//! Tensors of a safetensors file of another program.

use safetensors::{Dtype as Stored, SafeTensors};

use crate::tensor::{Dtype, Named, View};
use crate::{Fault, Parsed};

/// Whether bytes begin like a safetensors file: the length of a header, and JSON.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// The tensors of a file, in alphabetical order.
pub(crate) fn tensors(bytes: &[u8]) -> Parsed<Vec<Named<'_>>> {
    let file = SafeTensors::deserialize(bytes);
    let file = file.map_err(|error| Fault::Safetensors { reason: error.to_string() })?;
    let mut tensors: Vec<Named<'_>> = Vec::new();
    for (name, tensor) in file.iter() {
        let dtype = match tensor.dtype() {
            Stored::F32 => Dtype::F32,
            Stored::F64 => Dtype::F64,
            Stored::F16 => Dtype::F16,
            Stored::BF16 => Dtype::Bf16,
            other => Dtype::Other(format!("{other:?}").to_lowercase()),
        };
        tensors.push((name.to_owned(), View::whole(tensor.data(), dtype, tensor.shape().to_vec())));
    }
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(tensors)
}
