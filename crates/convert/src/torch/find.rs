//! Finds the state dicts and models in a pickle.

use std::collections::VecDeque;

use super::{Archive, MAX_NAME, tensors_of};
use crate::pickle::{Id, Node};
use crate::tensor::Named;
use crate::{Fault, Parsed};

/// Tensors that can be those of a model.
#[derive(Debug, Default)]
pub(crate) struct Candidate<'a> {
    /// Them and their names.
    pub(crate) tensors: Vec<Named<'a>>,
    /// The modes of recurrent layers, such as `RNN_TANH`; state dicts do not have them.
    pub(crate) modes: Vec<String>,
}

/// The maximum number of modules of a model.
const MAX_MODULES: usize = 1 << 14;

/// The maximum number of attributes of a module.
const MAX_ATTRIBUTES: usize = 1 << 12;

/// The maximum number of tensors, in all of a file.
const MAX_TENSORS: usize = 1 << 16;

/// The state dicts and models of a file, those nearest to its top first.
pub(crate) fn candidates<'a>(archive: &Archive<'a>) -> Parsed<Vec<Candidate<'a>>> {
    let pickle = &archive.pickle;
    let (mut found, mut count) = (vec![], 0);
    let mut seen = vec![false; pickle.len()];
    let mut queue = VecDeque::from([pickle.root()]);
    while let Some(id) = queue.pop_front() {
        if std::mem::replace(&mut seen[id as usize], true) {
            continue;
        }
        let mut candidate = Candidate::default();
        if module_state(archive, id).is_some() {
            candidate = model(archive, id)?;
        } else {
            tensors_of(archive, id, "", &mut candidate.tensors)?;
            match pickle.node(id) {
                Node::Tuple(items) | Node::List(items) => queue.extend(items),
                Node::Dict(pairs) => queue.extend(pairs.iter().map(|(_, value)| value)),
                Node::Call(call) => {
                    queue.extend(&call.items);
                    queue.extend(call.pairs.iter().map(|(_, value)| value));
                    queue.extend(call.state);
                }
                _ => {}
            }
        }
        count += candidate.tensors.len();
        if count > MAX_TENSORS {
            return Err(Fault::TooManyValues { most: MAX_TENSORS });
        }
        if !candidate.tensors.is_empty() {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// The dictionary of attributes of an object, if the object is a module.
fn module_state(archive: &Archive<'_>, id: Id) -> Option<Id> {
    let Node::Call(call) = archive.pickle.node(id) else { return None };
    let state = call.state?;
    // An object with slots has a pair of dictionaries.
    let state = archive.tuple(state).and_then(|both| both.first().copied()).unwrap_or(state);
    archive.pairs(state).filter(|pairs| pairs.len() <= MAX_ATTRIBUTES)?;
    let has = |key| archive.get(state, key).is_some();
    (has("_parameters") && has("_modules")).then_some(state)
}

/// The tensors of a model, with the names of its state dict.
fn model<'a>(archive: &Archive<'a>, id: Id) -> Parsed<Candidate<'a>> {
    let mut candidate = Candidate::default();
    let mut stack = vec![(id, String::new())];
    let mut visited = 0;
    while let Some((id, prefix)) = stack.pop() {
        let Some(state) = module_state(archive, id) else { continue };
        visited += 1;
        // Modules can contain each other in a damaged file.
        if visited > MAX_MODULES || candidate.tensors.len() > MAX_TENSORS {
            return Err(Fault::TooManyValues { most: MAX_MODULES });
        }
        for kind in ["_parameters", "_buffers"] {
            if let Some(dict) = archive.get(state, kind) {
                tensors_of(archive, dict, &prefix, &mut candidate.tensors)?;
            }
        }
        let mode = ["mode", "nonlinearity"].into_iter().find_map(|key| archive.get(state, key));
        candidate.modes.extend(mode.and_then(|mode| archive.text(mode)).map(str::to_owned));
        let modules = archive.get(state, "_modules").and_then(|modules| archive.pairs(modules));
        for &(key, module) in modules.unwrap_or_default().iter().rev() {
            if let Some(key) = archive.text(key).filter(|key| prefix.len() + key.len() <= MAX_NAME) {
                stack.push((module, format!("{prefix}{key}.")));
            }
        }
    }
    Ok(candidate)
}
