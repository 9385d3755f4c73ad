//! Device memory: owned buffers, borrowed slices, and a pool that reuses buffers.
//!
//! Promises: outside this crate, host memory is accessed only by explicit reads and writes that can fail, so
//! a buffer can be in the memory of another processor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::memory::{CACHE_LINE, MappedFile, Memory};
use crate::{Device, DeviceError, check_len};

/// The element types of buffers.
pub trait Element: Copy + Default + Send + Sync + 'static + private::Sealed {}
impl Element for f32 {}
impl Element for u32 {}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// `len` elements of device memory, initialized to zero and aligned to a cache line, or part of a [`MappedFile`].
pub struct Buffer<T: Element = f32> {
    memory: Memory,
    len: usize,
    element: std::marker::PhantomData<T>,
}

/// Elements of a buffer, borrowed for reading.
///
/// Operations take it directly. The host accesses the values through [`read`](Slice::read) and
/// [`read_into`](Slice::read_into).
pub struct Slice<'a, T: Element = f32>(Elements<'a, T>);

/// Where borrowed elements are stored.
#[derive(Clone, Copy)]
enum Elements<'a, T> {
    Cpu(&'a [T]),
}

/// Elements of a buffer, borrowed for writing.
///
/// Operations take it directly. The host writes values through [`write_from`](SliceMut::write_from).
pub struct SliceMut<'a, T: Element = f32>(ElementsMut<'a, T>);

/// Where mutably borrowed elements are stored.
enum ElementsMut<'a, T> {
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
    ///
    /// # Errors
    /// As [`SliceMut::write_from`].
    pub fn from_slice(device: &Device, values: &[T]) -> Result<Self, DeviceError> {
        let mut buffer = Buffer::zeros(device, values.len());
        buffer.write_from(values)?;
        Ok(buffer)
    }

    /// The elements in these bytes of a file, if `device` can use them where they are: its memory is the host's, and they
    /// are aligned to `T`, little-endian like the host's numbers. When the buffer is written for the first time, it is
    /// copied.
    ///
    /// # Panics
    /// If they are not in the file, or not a whole number of elements.
    pub fn mapped(device: &Device, file: &MappedFile, bytes: Range<usize>) -> Option<Self> {
        match device {
            Device::Cpu(_) => {}
        }
        assert!(bytes.len().is_multiple_of(size_of::<T>()), "{} bytes are not whole elements", bytes.len());
        let len = bytes.len() / size_of::<T>();
        let memory = Memory::mapped(file, bytes);
        let is_usable = memory.pointer().cast::<T>().is_aligned() && cfg!(target_endian = "little");
        is_usable.then_some(Buffer { memory, len, element: std::marker::PhantomData })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole buffer, for reading.
    pub fn slice(&self) -> Slice<'_, T> {
        Slice(Elements::Cpu(self.host()))
    }

    /// The elements of `range`, for reading.
    pub fn range(&self, range: Range<usize>) -> Slice<'_, T> {
        Slice(Elements::Cpu(&self.host()[range]))
    }

    /// The whole buffer, for writing.
    pub fn slice_mut(&mut self) -> SliceMut<'_, T> {
        SliceMut(ElementsMut::Cpu(self.host_mut()))
    }

    /// The elements of `range`, for writing.
    pub fn range_mut(&mut self, range: Range<usize>) -> SliceMut<'_, T> {
        SliceMut(ElementsMut::Cpu(&mut self.host_mut()[range]))
    }

    /// All values, on the host: see [`Slice::read`].
    ///
    /// # Errors
    /// As [`Slice::read`].
    pub fn read(&self) -> Result<Cow<'_, [T]>, DeviceError> {
        self.slice().read()
    }

    /// Overwrites all values with host values.
    ///
    /// # Panics
    /// If the lengths differ.
    /// # Errors
    /// As [`SliceMut::write_from`].
    pub fn write_from(&mut self, values: &[T]) -> Result<(), DeviceError> {
        self.slice_mut().write_from(values)
    }

    /// Copies the elements of `from` to the positions starting at `to`; the two ranges may overlap.
    ///
    /// # Panics
    /// If either range is out of bounds.
    pub fn copy_within(&mut self, from: Range<usize>, to: usize) {
        self.host_mut().copy_within(from, to);
    }

    fn host(&self) -> &[T] {
        // SAFETY: the memory has at least `len` elements of `T`, aligned and initialized; every bit pattern is a valid
        // `f32` or `u32` (the trait is sealed).
        unsafe { std::slice::from_raw_parts(self.memory.pointer().cast(), self.len) }
    }

    fn host_mut(&mut self) -> &mut [T] {
        if self.memory.is_read_only() {
            // All of it: a pool may have made the buffer shorter than its memory.
            let memory = Memory::zeroed(self.memory.bytes());
            // SAFETY: the new memory is at least as large as the old one, and another one.
            unsafe { memory.pointer().copy_from_nonoverlapping(self.memory.pointer(), self.memory.bytes()) };
            self.memory = memory;
        }
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

impl<T: Element> Clone for Slice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Element> Copy for Slice<'_, T> {}

impl<'a, T: Element> Slice<'a, T> {
    /// The values, on the host: borrowed if the device uses host memory, otherwise copied.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has failed, now or in an earlier operation. A CPU does not fail.
    pub fn read(self) -> Result<Cow<'a, [T]>, DeviceError> {
        Ok(Cow::Borrowed(self.host()))
    }

    /// Copies the values to `to`, in host memory.
    ///
    /// # Panics
    /// If the lengths differ.
    /// # Errors
    /// As [`Slice::read`].
    pub fn read_into(self, to: &mut [T]) -> Result<(), DeviceError> {
        check_len("values to read", self.len(), to.len());
        to.copy_from_slice(self.host());
        Ok(())
    }

    /// The subslice `range`.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn range(self, range: Range<usize>) -> Slice<'a, T> {
        Slice(Elements::Cpu(&self.host()[range]))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.host().len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in host memory.
    pub(crate) fn host(self) -> &'a [T] {
        match self.0 {
            Elements::Cpu(values) => values,
        }
    }
}

impl<'a, T: Element> SliceMut<'a, T> {
    /// The same elements, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> SliceMut<'_, T> {
        match &mut self.0 {
            ElementsMut::Cpu(values) => SliceMut(ElementsMut::Cpu(values)),
        }
    }

    /// The subslice `range`.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn range(self, range: Range<usize>) -> SliceMut<'a, T> {
        SliceMut(ElementsMut::Cpu(&mut self.host()[range]))
    }

    /// Overwrites the elements with those of `from`, on the same device.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from(self, from: Slice<'_, T>) {
        check_len("a copy", self.len(), from.len());
        self.host().copy_from_slice(from.host());
    }

    /// Overwrites the elements with host values.
    ///
    /// # Panics
    /// If the lengths differ.
    /// # Errors
    /// [`DeviceError`] if the device has failed. A CPU does not fail.
    pub fn write_from(self, values: &[T]) -> Result<(), DeviceError> {
        check_len("values to write", values.len(), self.len());
        self.host().copy_from_slice(values);
        Ok(())
    }

    /// Overwrites every element with `value`.
    pub fn fill(self, value: T) {
        self.host().fill(value);
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            ElementsMut::Cpu(values) => values.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in host memory.
    pub(crate) fn host(self) -> &'a mut [T] {
        match self.0 {
            ElementsMut::Cpu(values) => values,
        }
    }
}

/// Lends buffers and takes them back, so that a repeated computation allocates only the first time.
///
/// ```
/// use rondo_kernels::{Buffer, BufferPool, Device};
/// let mut pool = BufferPool::new(&Device::cpu(1)?);
/// let first: Buffer = pool.take(100);
/// let address = first.read()?.as_ptr();
/// pool.give(first);
/// assert_eq!(pool.take(100).read()?.as_ptr(), address);
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

    /// A buffer of `len` elements, **contents unspecified**: write it before reading it.
    ///
    /// Reuses the smallest free buffer that is large enough, no matter how much larger, so the shorter last
    /// batch of an epoch finds the buffers of the full ones.
    pub fn take(&mut self, len: usize) -> Buffer<T> {
        self.take_up_to(len, len)
    }

    /// A buffer of `len` elements with room for `most`, contents unspecified as with [`take`](BufferPool::take). Where
    /// lengths change from batch to batch, equal room lets each batch find the buffers of the last one.
    ///
    /// # Panics
    /// If `len` is above `most`.
    pub fn take_up_to(&mut self, len: usize, most: usize) -> Buffer<T> {
        assert!(len <= most, "{len} elements do not fit in room for {most}");
        let lines = (most * size_of::<T>()).div_ceil(CACHE_LINE).max(1);
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

    /// Returns a buffer to the pool for reuse.
    pub fn give(&mut self, buffer: Buffer<T>) {
        self.free.entry(buffer.capacity()).or_default().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool may lend less of a mapped buffer than there is in the file: what is written is a copy of all of it.
    #[test]
    fn a_mapped_buffer_is_copied_when_it_is_written() {
        let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/src/buffer.rs")).unwrap();
        let file = MappedFile::new(&file).unwrap();
        let device = Device::cpu(1).unwrap();
        let mapped = || Buffer::<u32>::mapped(&device, &file, 0..4_096).unwrap();
        let before = mapped().read().unwrap().into_owned();
        let mut pool = BufferPool::new(&device);
        pool.give(mapped());
        let mut taken = pool.take(16);
        taken.write_from(&[7; 16]).unwrap();
        assert_eq!(*taken.read().unwrap(), [7; 16]);
        assert_eq!(*mapped().read().unwrap(), before);
        assert!(Buffer::<u32>::mapped(&device, &file, 1..5).is_none());
    }
}
