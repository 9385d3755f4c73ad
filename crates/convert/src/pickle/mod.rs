//! Reads a pickle as data: every call that it asks for is kept as a record, and none is made.
//!
//! ```text
//! opcodes ─▶ a stack of ids ─▶ nodes, which refer to each other by id, also in cycles
//! ```
//!
//! Promises: a node takes at least one byte of the pickle, and there are at most [`MAX_NODES`]; nothing recurses. Not
//! here: what the records mean (`torch`), protocols 0 and 1 beyond what PyTorch writes.
//! *Source*: the comments of Python's `pickletools`.

use std::collections::HashMap;

use crate::bytes::Reader;
use crate::{Fault, Parsed};

mod write;

pub(crate) use write::PickleWriter;

/// The maximum number of values in a pickle: PyTorch's files have a few hundred, those with a dictionary of words more.
const MAX_NODES: usize = 1 << 22;

/// The maximum length of the name of a class or function, with its module.
const MAX_GLOBAL: usize = 1000;

/// The index of a node.
pub(crate) type Id = u32;

/// A value.
#[derive(Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    /// An integer; one of more than 64 bits is [`Other`](Node::Other).
    Int(i64),
    Text(Box<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values, in order.
    Dict(Vec<(Id, Id)>),
    /// A class or function, by module and name.
    Global(Box<(String, String)>),
    /// A reference to data outside the pickle: for PyTorch, a storage.
    Persistent(Id),
    Call(Box<Call>),
    /// Floating-point numbers, bytes, sets: nothing that models need.
    Other,
}

/// A call that a pickle asks for, and what is done with its result.
#[derive(Debug)]
pub(crate) struct Call {
    /// The class or function.
    pub(crate) callable: Id,
    /// The tuple of arguments.
    pub(crate) arguments: Id,
    /// What the object's `__setstate__` or `__dict__` receives.
    pub(crate) state: Option<Id>,
    /// The items appended to it.
    pub(crate) items: Vec<Id>,
    /// The items set in it, such as those of an `OrderedDict`.
    pub(crate) pairs: Vec<(Id, Id)>,
}

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle up to its end; what follows is ignored.
    pub(crate) fn read(bytes: &[u8]) -> Parsed<Pickle> {
        let reader = Reader::new(bytes, 0, "its pickle");
        let mut machine =
            Machine { reader, nodes: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
        loop {
            if let Some(root) = machine.step()? {
                return Ok(Pickle { nodes: machine.nodes, root });
            }
        }
    }

    /// The value of the whole pickle.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A value.
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }
}

struct Machine<'a> {
    reader: Reader<'a>,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// The heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Executes an opcode; at the end, returns the result.
    fn step(&mut self) -> Parsed<Option<Id>> {
        let at = self.reader.position();
        let opcode = self.reader.u8()?;
        match opcode {
            0x80 => drop(self.reader.u8()?),
            0x95 => drop(self.reader.u64()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'J' => {
                let value = i32::from_le_bytes(self.reader.array()?);
                self.push(Node::Int(value.into()))?;
            }
            b'K' => {
                let value = self.reader.u8()?;
                self.push(Node::Int(value.into()))?;
            }
            b'M' => {
                let value = self.reader.u16()?;
                self.push(Node::Int(value.into()))?;
            }
            0x8a => {
                let len = self.reader.u8()?;
                self.long(len.into())?;
            }
            0x8b => {
                let len = self.reader.u32()?;
                self.long(len.into())?;
            }
            b'G' => {
                self.reader.u64()?;
                self.push(Node::Other)?;
            }
            b'X' | b'T' => {
                let len = self.reader.u32()?;
                self.text(len.into())?;
            }
            0x8c | b'U' => {
                let len = self.reader.u8()?;
                self.text(len.into())?;
            }
            0x8d => {
                let len = self.reader.u64()?;
                self.text(len)?;
            }
            b'B' => {
                let len = self.reader.u32()?;
                self.bytes(len.into())?;
            }
            b'C' => {
                let len = self.reader.u8()?;
                self.bytes(len.into())?;
            }
            0x8e | 0x96 => {
                let len = self.reader.u64()?;
                self.bytes(len)?;
            }
            b')' => self.push(Node::Tuple(vec![]))?,
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))?;
            }
            b']' => self.push(Node::List(vec![]))?,
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Node::Dict(vec![]))?,
            b'd' => {
                let pairs = pairs(&self.pop_mark()?);
                self.push(Node::Dict(pairs))?;
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.set(pairs(&pair))?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(pairs(&items))?;
            }
            0x8f => self.push(Node::Other)?,
            0x90 => drop(self.pop_mark()?),
            0x91 => {
                self.pop_mark()?;
                self.push(Node::Other)?;
            }
            b'c' => {
                let [module, name] = [self.reader.line()?, self.reader.line()?]
                    .map(|text| String::from_utf8_lossy(text).into_owned());
                self.push(Node::Global(Box::new((module, name))))?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let global = match [self.node(names[0]), self.node(names[1])] {
                    // A long text could be copied many times.
                    [Node::Text(module), Node::Text(name)] if module.len() + name.len() <= MAX_GLOBAL => {
                        (module.to_string(), name.to_string())
                    }
                    _ => return Err(Fault::Pickle { at }),
                };
                self.push(Node::Global(Box::new(global)))?;
            }
            b'R' | 0x81 => {
                let parts = self.pop_many(2)?;
                self.call(parts[0], parts[1])?;
            }
            0x92 => {
                let parts = self.pop_many(3)?;
                self.call(parts[0], parts[1])?;
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                if let Node::Call(call) = self.node_mut(object) {
                    call.state = Some(state);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            b'q' => {
                let key = self.reader.u8()?;
                self.memoize(key.into())?;
            }
            b'r' => {
                let key = self.reader.u32()?;
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let key = self.reader.u8()?;
                self.recall(key.into(), at)?;
            }
            b'j' => {
                let key = self.reader.u32()?;
                self.recall(key, at)?;
            }
            _ => return Err(Fault::Opcode { opcode, at }),
        }
        Ok(None)
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    fn push(&mut self, node: Node) -> Parsed<()> {
        if self.nodes.len() == MAX_NODES {
            return Err(Fault::TooManyValues { most: MAX_NODES });
        }
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
        Ok(())
    }

    /// The height of the stack that the open mark protects.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Parsed<Id> {
        let is_above = self.stack.len() > self.floor();
        let top = self.stack.last().copied().filter(|_| is_above);
        top.ok_or_else(|| Fault::Pickle { at: self.reader.position() })
    }

    fn pop(&mut self) -> Parsed<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Parsed<Vec<Id>> {
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor());
        let start = start.ok_or_else(|| Fault::Pickle { at: self.reader.position() })?;
        Ok(self.stack.split_off(start))
    }

    fn pop_mark(&mut self) -> Parsed<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| Fault::Pickle { at: self.reader.position() })?;
        Ok(self.stack.split_off(mark))
    }

    fn long(&mut self, len: u64) -> Parsed<()> {
        let bytes = self.reader.take(len)?;
        let sign = bytes.last().map_or(0, |&last| if last & 0x80 == 0 { 0 } else { 0xff });
        let mut wide = [sign; size_of::<i64>()];
        if bytes.len() > wide.len() {
            return self.push(Node::Other);
        }
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, len: u64) -> Parsed<()> {
        let text = String::from_utf8_lossy(self.reader.take(len)?).into_owned();
        self.push(Node::Text(text.into()))
    }

    fn bytes(&mut self, len: u64) -> Parsed<()> {
        self.reader.take(len)?;
        self.push(Node::Other)
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Parsed<()> {
        let call = Call { callable, arguments, state: None, items: vec![], pairs: vec![] };
        self.push(Node::Call(Box::new(call)))
    }

    /// Appends to the list on top of the stack.
    fn append(&mut self, new: Vec<Id>) -> Parsed<()> {
        let list = self.top()?;
        match self.node_mut(list) {
            Node::List(items) => items.extend(new),
            Node::Call(call) => call.items.extend(new),
            _ => return Err(Fault::Pickle { at: self.reader.position() }),
        }
        Ok(())
    }

    /// Sets items of the dictionary on top of the stack.
    fn set(&mut self, new: Vec<(Id, Id)>) -> Parsed<()> {
        let dict = self.top()?;
        match self.node_mut(dict) {
            Node::Dict(pairs) => pairs.extend(new),
            Node::Call(call) => call.pairs.extend(new),
            _ => return Err(Fault::Pickle { at: self.reader.position() }),
        }
        Ok(())
    }

    fn memoize(&mut self, key: u32) -> Parsed<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32, at: usize) -> Parsed<()> {
        let id = *self.memo.get(&key).ok_or(Fault::Pickle { at })?;
        self.stack.push(id);
        Ok(())
    }
}

/// Keys and values that alternate; a key without a value is left out.
fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
