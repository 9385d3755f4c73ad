//! Memory on a device: owned buffers, borrowed slices, and the pool that lends buffers out again.

use std::collections::BTreeMap;

use crate::Device;
use crate::memory::{CACHE_LINE, Memory};

/// What a buffer can hold.
pub trait Element: Copy + Default + Send + Sync + 'static + private::Sealed {}
impl Element for f32 {}
impl Element for u32 {}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// `len` elements of device memory, zeroed when made and aligned to a cache line.
pub struct Buffer<T: Element = f32> {
    memory: Memory,
    len: usize,
    element: std::marker::PhantomData<T>,
}

/// Elements of a buffer, borrowed for reading.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Slice<'a, T: Element = f32> {
    /// Memory of the host.
    Cpu(&'a [T]),
}

/// Elements of a buffer, borrowed for writing.
#[non_exhaustive]
pub enum SliceMut<'a, T: Element = f32> {
    /// Memory of the host.
    Cpu(&'a mut [T]),
}

impl<T: Element> Buffer<T> {
    /// A buffer of `len` zeros on `device`.
    pub fn zeros(device: &Device, len: usize) -> Self {
        match device {
            Device::Cpu(_) => Buffer {
                memory: Memory::zeroed(len * size_of::<T>()),
                len,
                element: std::marker::PhantomData,
            },
        }
    }

    /// A buffer on `device` with these values.
    pub fn from_slice(device: &Device, values: &[T]) -> Self {
        let mut buffer = Buffer::zeros(device, values.len());
        buffer.host_mut().copy_from_slice(values);
        buffer
    }

    /// How many elements it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole buffer, for reading.
    pub fn slice(&self) -> Slice<'_, T> {
        Slice::Cpu(self.host())
    }

    /// The elements of `range`, for reading.
    pub fn range(&self, range: std::ops::Range<usize>) -> Slice<'_, T> {
        Slice::Cpu(&self.host()[range])
    }

    /// The whole buffer, for writing.
    pub fn slice_mut(&mut self) -> SliceMut<'_, T> {
        SliceMut::Cpu(self.host_mut())
    }

    /// The elements of `range`, for writing.
    pub fn range_mut(&mut self, range: std::ops::Range<usize>) -> SliceMut<'_, T> {
        SliceMut::Cpu(&mut self.host_mut()[range])
    }

    /// The values in host memory.
    pub fn host(&self) -> &[T] {
        // SAFETY: the memory has at least `len` elements of `T`, aligned to 64 bytes and initialised; every bit
        // pattern is a valid `f32` or `u32` (the trait is sealed).
        unsafe { std::slice::from_raw_parts(self.memory.pointer().cast(), self.len) }
    }

    /// The values in host memory, to be changed.
    pub fn host_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `host`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.pointer().cast(), self.len) }
    }

    fn capacity(&self) -> usize {
        self.memory.bytes() / size_of::<T>()
    }
}

impl<T: Element + std::fmt::Debug> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Buffer").field(&self.host()).finish()
    }
}

impl<'a, T: Element> Slice<'a, T> {
    /// The values in host memory.
    pub fn host(self) -> &'a [T] {
        match self {
            Slice::Cpu(values) => values,
        }
    }

    /// How many elements it spans.
    pub fn len(&self) -> usize {
        match self {
            Slice::Cpu(values) => values.len(),
        }
    }

    /// Whether it spans none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Element> SliceMut<'a, T> {
    /// The same elements, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> SliceMut<'_, T> {
        match self {
            SliceMut::Cpu(values) => SliceMut::Cpu(values),
        }
    }

    /// Overwrites the elements with those of `from`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from(self, from: Slice<'_, T>) {
        assert_eq!(self.len(), from.len(), "length of a copy");
        match (self, from) {
            (SliceMut::Cpu(to), Slice::Cpu(from)) => to.copy_from_slice(from),
        }
    }

    /// Overwrites every element with `value`.
    pub fn fill(self, value: T) {
        match self {
            SliceMut::Cpu(to) => to.fill(value),
        }
    }

    /// The values in host memory.
    pub fn host(self) -> &'a mut [T] {
        match self {
            SliceMut::Cpu(values) => values,
        }
    }

    /// How many elements it spans.
    pub fn len(&self) -> usize {
        match self {
            SliceMut::Cpu(values) => values.len(),
        }
    }

    /// Whether it spans none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lends out buffers and takes them back, so that a repeated computation allocates only the first time.
///
/// ```
/// use rondo_kernels::{Buffer, BufferPool, Device};
/// let mut pool = BufferPool::new(&Device::cpu(1)?);
/// let first: Buffer = pool.take(100);
/// let address = first.host().as_ptr();
/// pool.give(first);
/// assert_eq!(pool.take(100).host().as_ptr(), address);
/// # Ok::<(), rondo_kernels::DeviceError>(())
/// ```
#[derive(Debug)]
pub struct BufferPool<T: Element = f32> {
    device: Device,
    free: BTreeMap<usize, Vec<Buffer<T>>>,
}

impl<T: Element> BufferPool<T> {
    /// An empty pool of memory on `device`.
    pub fn new(device: &Device) -> Self {
        BufferPool { device: device.clone(), free: BTreeMap::new() }
    }

    /// A buffer of `len` elements, **contents unspecified**: whoever takes it writes it before reading it.
    ///
    /// Reuses the smallest free buffer that is large enough, however large, so that the shorter last chunk of an epoch
    /// finds the buffers of the full ones.
    pub fn take(&mut self, len: usize) -> Buffer<T> {
        let lines = (len * size_of::<T>()).div_ceil(CACHE_LINE).max(1);
        let capacity = lines * CACHE_LINE / size_of::<T>();
        for (_, buffers) in self.free.range_mut(capacity..) {
            if let Some(mut buffer) = buffers.pop() {
                buffer.len = len;
                return buffer;
            }
        }
        let mut buffer = Buffer::zeros(&self.device, capacity);
        buffer.len = len;
        buffer
    }

    /// Takes a buffer back, to be lent again.
    pub fn give(&mut self, buffer: Buffer<T>) {
        self.free.entry(buffer.capacity()).or_default().push(buffer);
    }
}
