//! Files of PyTorch: tensors by name, from the records of a pickle.
//!
//! ```text
//! state dict          {"rnn.weight_ih_l0": tensor, …}, possibly inside of other values
//! model               an object whose state has _parameters and _modules: the names are those of its state dict
//! model, optimizer    a list or dictionary of such values
//! ```
//!
//! Promises: what is found first is first in the result; cycles end. Not here: which tensors are which (`names`).

use std::cell::RefCell;
use std::collections::HashMap;

use crate::pickle::{Call, Id, Node, Pickle};
use crate::tensor::{Dtype, Named, View};
use crate::zip::Zip;
use crate::{Fault, Parsed};

mod find;

pub(crate) use find::{Candidate, candidates};

/// The name of the pickle, after the name of the archive.
const PICKLE: &str = "/data.pkl";
/// The files of compiled models.
const CONSTANTS: &str = "/constants.pkl";

/// The maximum length of the name of a tensor: a longer text can be the key of many tensors in a small file.
const MAX_NAME: usize = 1000;
/// The maximum number of axes of a tensor, for the same reason.
const MAX_AXES: usize = 32;

/// A file of PyTorch, whose pickle has been read.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    zip: Zip<'a>,
    pickle: Pickle,
    /// The folder in the archive that all its members are in.
    folder: String,
    /// The storages that were read.
    storages: RefCell<HashMap<String, &'a [u8]>>,
}

impl<'a> Archive<'a> {
    /// Reads the pickle of a file.
    pub(crate) fn read(bytes: &'a [u8]) -> Parsed<Archive<'a>> {
        let zip = Zip::read(bytes)?;
        let folder = zip.names().find_map(|name| name.strip_suffix(PICKLE)).map(str::to_owned);
        let folder = folder.ok_or_else(|| Fault::NoMember { name: PICKLE[1..].to_owned() })?;
        let pickle = zip.member(&format!("{folder}{PICKLE}"))?.unwrap_or_default();
        if zip.member(&format!("{folder}/byteorder"))? == Some(b"big") {
            return Err(Fault::BigEndian);
        }
        let pickle = Pickle::read(pickle)?;
        Ok(Archive { zip, pickle, folder, storages: RefCell::default() })
    }

    /// Whether it is a compiled model.
    pub(crate) fn is_script(&self) -> bool {
        let constants = format!("{}{CONSTANTS}", self.folder);
        self.zip.names().any(|name| name == constants)
    }

    /// Whether a dictionary or an object in it says that this option is on.
    pub(crate) fn has_option(&self, option: &str) -> bool {
        (0..self.pickle.len() as Id).any(|id| {
            let Node::Dict(pairs) = self.pickle.node(id) else { return false };
            pairs.iter().any(|&(key, value)| {
                self.text(key) == Some(option) && matches!(self.pickle.node(value), Node::Bool(true))
            })
        })
    }

    fn text(&self, id: Id) -> Option<&str> {
        match self.pickle.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn size(&self, id: Id) -> Option<u64> {
        match self.pickle.node(id) {
            Node::Int(value) => (*value).try_into().ok(),
            _ => None,
        }
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.pickle.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The name of a class or function.
    fn global(&self, id: Id) -> Option<&str> {
        match self.pickle.node(id) {
            Node::Global(global) => Some(&global.1),
            _ => None,
        }
    }

    /// The keys and values of a dictionary or an `OrderedDict`.
    fn pairs(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.pickle.node(id) {
            Node::Dict(pairs) => Some(pairs),
            Node::Call(call) if self.global(call.callable) == Some("OrderedDict") => Some(&call.pairs),
            _ => None,
        }
    }

    /// The value of a key of a dictionary: the last, if it is set twice.
    fn get(&self, dict: Id, key: &str) -> Option<Id> {
        let mut pairs = self.pairs(dict)?.iter().rev();
        pairs.find(|(found, _)| self.text(*found) == Some(key)).map(|&(_, value)| value)
    }

    /// The tensor that a call rebuilds: `None` if it makes something else.
    fn tensor(&self, id: Id, name: &str) -> Parsed<Option<View<'a>>> {
        // A parameter wraps a tensor, and a subclass of tensors wraps a function and its arguments.
        const DEPTH: usize = 4;
        let Node::Call(call) = self.pickle.node(id) else { return Ok(None) };
        let Call { mut callable, mut arguments, .. } = **call;
        for _ in 0..DEPTH {
            let (Some(function), Some(given)) = (self.global(callable), self.tuple(arguments)) else {
                return Ok(None);
            };
            match (function, given) {
                ("_rebuild_tensor_v2" | "_rebuild_tensor", [storage, offset, shape, strides, ..]) => {
                    return self.view(name, [*storage, *offset, *shape, *strides]).map(Some);
                }
                ("_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..]) => {
                    let Node::Call(call) = self.pickle.node(*tensor) else { return Ok(None) };
                    (callable, arguments) = (call.callable, call.arguments);
                }
                ("_rebuild_from_type_v2", [function, _, inner, ..]) => {
                    (callable, arguments) = (*function, *inner);
                }
                // A sparse or quantized tensor, which matters only if the model needs it.
                (other, _) if other.starts_with("_rebuild_") => {
                    let dtype = other.trim_start_matches("_rebuild_").to_owned();
                    return Ok(Some(View::whole(&[], Dtype::Other(dtype), vec![])));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The bytes of a storage. Its checksum is compared once, however many tensors share it.
    fn storage(&self, member: String) -> Parsed<&'a [u8]> {
        if let Some(storage) = self.storages.borrow().get(&member) {
            return Ok(storage);
        }
        let storage = self.zip.member(&member)?.ok_or(Fault::NoMember { name: member.clone() })?;
        self.storages.borrow_mut().insert(member, storage);
        Ok(storage)
    }

    /// A view, from a storage, an offset, a shape and strides.
    fn view(&self, name: &str, [storage, offset, shape, strides]: [Id; 4]) -> Parsed<View<'a>> {
        let invalid = || Fault::NotValid { what: "a tensor in its pickle" };
        let sizes = |id| -> Option<Vec<u64>> {
            let sizes = self.tuple(id).filter(|sizes| sizes.len() <= MAX_AXES)?;
            sizes.iter().map(|&id| self.size(id)).collect()
        };
        let Node::Persistent(reference) = self.pickle.node(storage) else { return Err(invalid()) };
        let Some([_, class, key, ..]) = self.tuple(*reference) else { return Err(invalid()) };
        let (class, key) = (self.global(*class), self.text(*key).ok_or_else(invalid)?);
        let member = format!("{}/data/{key}", self.folder);
        let storage = self.storage(member)?;
        let (offset, strides) = (self.size(offset).ok_or_else(invalid)?, sizes(strides).ok_or_else(invalid)?);
        let shape = sizes(shape).ok_or_else(invalid)?.into_iter().map(usize::try_from);
        let shape: Vec<usize> =
            shape.collect::<Result<_, _>>().map_err(|_| Fault::Outside { name: name.to_owned() })?;
        Ok(View { storage, dtype: dtype(class.unwrap_or("unknown")), offset, shape, strides })
    }
}

/// The element type of a class of storages.
fn dtype(class: &str) -> Dtype {
    match class {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        other => Dtype::Other(other.trim_end_matches("Storage").to_lowercase()),
    }
}

/// The tensors of a dictionary, by name.
fn tensors_of<'a>(archive: &Archive<'a>, dict: Id, prefix: &str, into: &mut Vec<Named<'a>>) -> Parsed<()> {
    for &(key, value) in archive.pairs(dict).unwrap_or_default() {
        let is_name = |key: &&str| prefix.len() + key.len() <= MAX_NAME;
        let Some(key) = archive.text(key).filter(is_name) else { continue };
        let name = format!("{prefix}{key}");
        if let Some(view) = archive.tensor(value, &name)? {
            into.push((name, view));
        }
    }
    Ok(())
}
