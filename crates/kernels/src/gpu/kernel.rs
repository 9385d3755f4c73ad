//! Kernels: WGSL programs, and what they are called with.

use crate::Store;

/// A program for the GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// The operation that it belongs to, for errors.
    pub(crate) name: &'static str,
    /// WGSL, without the prelude.
    pub(crate) source: &'static str,
    /// The entry point.
    pub(crate) entry: &'static str,
    /// The number of buffers that are only read: bindings 1, 2, …
    pub(crate) inputs: usize,
    /// The number of buffers that are written: the bindings after them.
    pub(crate) outputs: usize,
}

/// Part of a buffer, to be bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(super) buffer: &'a wgpu::Buffer,
    /// The number of the buffer.
    pub(super) id: u64,
    /// The first element.
    pub(super) offset: usize,
}

impl View<'_> {
    /// The part from a later element on.
    pub(crate) fn after(self, elements: usize) -> Self {
        View { offset: self.offset + elements, ..self }
    }
}

/// The most numbers that a kernel can be called with, offsets included.
pub(super) const MAX_WORDS: usize = 64;

/// The most workgroups along one dimension.
const MAX_GROUPS: usize = 65_535;

/// The grid of at least `count` workgroups, in two dimensions if one does not suffice; see `flat` in the prelude.
pub(crate) fn groups(count: usize) -> [u32; 3] {
    if count <= MAX_GROUPS {
        return [count.max(1) as u32, 1, 1];
    }
    let rows = count.div_ceil(MAX_GROUPS);
    [count.div_ceil(rows) as u32, rows as u32, 1]
}

/// Whether a result is added, as a number for a kernel.
pub(crate) fn is_add(store: Store) -> u32 {
    u32::from(store == Store::Add)
}
