//! Buffers of a GPU, and moving values within and between them.

use super::Gpu;
use super::kernel::{Kernel, View, groups};
use crate::DeviceError;

const SOURCE: &str = include_str!("memory.wgsl");

const FILL: Kernel = Kernel { name: "fill", source: SOURCE, entry: "fill", inputs: 0, outputs: 1 };

/// Elements that each workgroup fills.
const GROUP: usize = 256;

/// A buffer of a GPU; elements have four bytes.
#[derive(Debug)]
pub(crate) struct GpuMemory {
    gpu: Gpu,
    buffer: wgpu::Buffer,
    id: u64,
    capacity: usize,
}

impl GpuMemory {
    /// A buffer of zeros.
    pub(crate) fn zeroed(gpu: &Gpu, capacity: usize) -> Self {
        let (buffer, id) = gpu.allocate(4 * capacity);
        GpuMemory { gpu: gpu.clone(), buffer, id, capacity }
    }

    /// The number of elements.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The elements from `offset` on.
    pub(crate) fn view(&self, offset: usize) -> View<'_> {
        View { buffer: &self.buffer, id: self.id, offset }
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        self.gpu.upload(&self.buffer, 4 * offset as u64, bytes);
        self.gpu.check()
    }

    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), DeviceError> {
        self.gpu.read(&self.buffer, 4 * offset as u64, to)
    }

    /// Sets `len` elements to the same four bytes.
    pub(crate) fn fill(&self, offset: usize, len: usize, word: u32) {
        if len > 0 {
            self.gpu.run(&FILL, &[self.view(offset)], &[len as u32, word], groups(len.div_ceil(GROUP)));
        }
    }

    /// Copies elements from another buffer.
    pub(crate) fn copy_from(&self, offset: usize, from: View<'_>, len: usize) {
        self.gpu.copy(
            (from.buffer, 4 * from.offset as u64),
            (&self.buffer, 4 * offset as u64),
            4 * len as u64,
        );
    }

    /// Copies elements within the buffer; the ranges may overlap.
    pub(crate) fn copy_within(&self, from: usize, to: usize, len: usize) {
        let between = GpuMemory::zeroed(&self.gpu, len);
        between.copy_from(0, self.view(from), len);
        self.copy_from(to, between.view(0), len);
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        self.gpu.forget(self.id);
    }
}
