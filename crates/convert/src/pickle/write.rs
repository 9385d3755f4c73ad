//! Writes the pickle of a state dict, protocol 2, as `torch.save` does.

/// Writes values in the order of a pickle's opcodes.
#[derive(Debug)]
pub(crate) struct PickleWriter {
    bytes: Vec<u8>,
}

impl PickleWriter {
    /// Starts an `OrderedDict`, which [`finish`](Self::finish) closes.
    pub(crate) fn state_dict() -> PickleWriter {
        PickleWriter { bytes: b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec() }
    }

    /// Adds a tensor of 32-bit numbers, row-major, in the storage `key` with `len` elements.
    pub(crate) fn tensor(&mut self, name: &str, key: &str, len: usize, shape: &[usize]) {
        self.text(name);
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes.extend(b"ctorch\nFloatStorage\n");
        self.text(key);
        self.text("cpu");
        self.int(len);
        self.bytes.extend(b"tQK\x00");
        self.tuple(shape.iter().copied());
        let stride = |axis: usize| shape[axis + 1..].iter().product();
        self.tuple((0..shape.len()).map(stride));
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }

    /// The bytes of the pickle.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(b"u.");
        self.bytes
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        self.bytes.extend(b"\x8a\x08");
        self.bytes.extend((value as u64).to_le_bytes());
    }

    fn tuple(&mut self, values: impl Iterator<Item = usize>) {
        self.bytes.push(b'(');
        values.for_each(|value| self.int(value));
        self.bytes.push(b't');
    }
}
