//! Device memory: owned buffers, borrowed slices, and a pool that reuses buffers.
//!
//! Promises: outside this crate, host memory is accessed only by explicit reads and writes that can fail, so
//! a buffer can be in the memory of another processor. This is a single file because buffers, slices and the pool share
//! private fields, and nothing else may access them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

#[cfg(feature = "gpu")]
use crate::gpu::{GpuMemory, View};
use crate::memory::{CACHE_LINE, MappedFile, Memory};
use crate::{Device, DeviceError, check_len};

/// The element types of buffers.
pub trait Element: Copy + Default + Send + Sync + 'static + private::Sealed {}
impl Element for f32 {}
impl Element for u32 {}

mod private {
    #[cfg(not(feature = "gpu"))]
    pub trait Sealed {}
    #[cfg(feature = "gpu")]
    pub trait Sealed: bytemuck::Pod {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// `len` elements of device memory, initialized to zero and aligned to a cache line, or part of a [`MappedFile`].
pub struct Buffer<T: Element = f32> {
    memory: Place,
    len: usize,
    element: std::marker::PhantomData<T>,
}

/// Where a buffer is.
enum Place {
    Host(Memory),
    #[cfg(feature = "gpu")]
    Gpu(GpuMemory),
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
    #[cfg(feature = "gpu")]
    Gpu {
        memory: &'a GpuMemory,
        offset: usize,
        len: usize,
    },
}

/// Elements of a buffer, borrowed for writing.
///
/// Operations take it directly. The host writes values through [`write_from`](SliceMut::write_from).
pub struct SliceMut<'a, T: Element = f32>(ElementsMut<'a, T>);

/// Where mutably borrowed elements are stored.
enum ElementsMut<'a, T> {
    Cpu(&'a mut [T]),
    /// No other code has access to these elements while they are borrowed.
    #[cfg(feature = "gpu")]
    Gpu {
        memory: &'a GpuMemory,
        offset: usize,
        len: usize,
    },
}

impl<T: Element> Buffer<T> {
    /// A buffer of `len` zeros on `device`.
    pub fn zeros(device: &Device, len: usize) -> Self {
        let memory = match device {
            Device::Cpu(_) => Place::Host(Memory::zeroed(len * size_of::<T>())),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Place::Gpu(GpuMemory::zeroed(gpu, len)),
        };
        Buffer { memory, len, element: std::marker::PhantomData }
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
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => return None,
        }
        assert!(bytes.len().is_multiple_of(size_of::<T>()), "{} bytes are not whole elements", bytes.len());
        let len = bytes.len() / size_of::<T>();
        let memory = Memory::mapped(file, bytes);
        let is_usable = memory.pointer().cast::<T>().is_aligned() && cfg!(target_endian = "little");
        is_usable.then_some(Buffer { memory: Place::Host(memory), len, element: std::marker::PhantomData })
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
        match &self.memory {
            Place::Host(memory) => Slice(Elements::Cpu(host(memory, self.len))),
            #[cfg(feature = "gpu")]
            Place::Gpu(memory) => Slice(Elements::Gpu { memory, offset: 0, len: self.len }),
        }
    }

    /// The elements of `range`, for reading.
    pub fn range(&self, range: Range<usize>) -> Slice<'_, T> {
        self.slice().range(range)
    }

    /// The whole buffer, for writing.
    pub fn slice_mut(&mut self) -> SliceMut<'_, T> {
        match &mut self.memory {
            Place::Host(memory) => SliceMut(ElementsMut::Cpu(host_mut(memory, self.len))),
            #[cfg(feature = "gpu")]
            Place::Gpu(memory) => SliceMut(ElementsMut::Gpu { memory, offset: 0, len: self.len }),
        }
    }

    /// The elements of `range`, for writing.
    pub fn range_mut(&mut self, range: Range<usize>) -> SliceMut<'_, T> {
        self.slice_mut().range(range)
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
        match &mut self.memory {
            Place::Host(memory) => host_mut::<T>(memory, self.len).copy_within(from, to),
            #[cfg(feature = "gpu")]
            Place::Gpu(memory) => {
                assert!(
                    from.start <= from.end && from.end <= self.len && to + from.len() <= self.len,
                    "range"
                );
                memory.copy_within(from.start, to, from.len());
            }
        }
    }

    fn capacity(&self) -> usize {
        match &self.memory {
            Place::Host(memory) => memory.bytes() / size_of::<T>(),
            #[cfg(feature = "gpu")]
            Place::Gpu(memory) => memory.capacity(),
        }
    }
}

fn host<T: Element>(memory: &Memory, len: usize) -> &[T] {
    // SAFETY: the memory has at least `len` elements of `T`, aligned and initialized; every bit pattern is a valid
    // `f32` or `u32` (the trait is sealed).
    unsafe { std::slice::from_raw_parts(memory.pointer().cast(), len) }
}

fn host_mut<T: Element>(memory: &mut Memory, len: usize) -> &mut [T] {
    if memory.is_read_only() {
        // All of it: a pool may have made the buffer shorter than its memory.
        let written = Memory::zeroed(memory.bytes());
        // SAFETY: the new memory is at least as large as the old one, and another one.
        unsafe { written.pointer().copy_from_nonoverlapping(memory.pointer(), memory.bytes()) };
        *memory = written;
    }
    // SAFETY: as in `host`, and `&mut` makes the borrow exclusive.
    unsafe { std::slice::from_raw_parts_mut(memory.pointer().cast(), len) }
}

impl<T: Element + std::fmt::Debug> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.memory {
            Place::Host(memory) => f.debug_tuple("Buffer").field(&host::<T>(memory, self.len)).finish(),
            #[cfg(feature = "gpu")]
            Place::Gpu(_) => f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive(),
        }
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
        match self.0 {
            Elements::Cpu(values) => Ok(Cow::Borrowed(values)),
            #[cfg(feature = "gpu")]
            Elements::Gpu { memory, offset, len } => {
                let mut values = vec![T::default(); len];
                memory.read(offset, bytemuck::cast_slice_mut(&mut values))?;
                Ok(Cow::Owned(values))
            }
        }
    }

    /// Copies the values to `to`, in host memory.
    ///
    /// # Panics
    /// If the lengths differ.
    /// # Errors
    /// As [`Slice::read`].
    pub fn read_into(self, to: &mut [T]) -> Result<(), DeviceError> {
        check_len("values to read", self.len(), to.len());
        match self.0 {
            Elements::Cpu(values) => to.copy_from_slice(values),
            #[cfg(feature = "gpu")]
            Elements::Gpu { memory, offset, .. } => memory.read(offset, bytemuck::cast_slice_mut(to))?,
        }
        Ok(())
    }

    /// The subslice `range`.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn range(self, range: Range<usize>) -> Slice<'a, T> {
        match self.0 {
            Elements::Cpu(values) => Slice(Elements::Cpu(&values[range])),
            #[cfg(feature = "gpu")]
            Elements::Gpu { memory, offset, len } => {
                let (offset, len) = part(offset, len, range);
                Slice(Elements::Gpu { memory, offset, len })
            }
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self.0 {
            Elements::Cpu(values) => values.len(),
            #[cfg(feature = "gpu")]
            Elements::Gpu { len, .. } => len,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in host memory.
    pub(crate) fn host(self) -> &'a [T] {
        match self.0 {
            Elements::Cpu(values) => values,
            #[cfg(feature = "gpu")]
            Elements::Gpu { .. } => panic!("the values are on another device"),
        }
    }

    /// The values in the memory of a GPU, to be bound.
    #[cfg(feature = "gpu")]
    pub(crate) fn gpu(self) -> View<'a> {
        match self.0 {
            Elements::Cpu(_) => panic!("the values are on another device"),
            Elements::Gpu { memory, offset, .. } => memory.view(offset),
        }
    }
}

/// The offset and length of a range of elements.
#[cfg(feature = "gpu")]
#[track_caller]
fn part(offset: usize, len: usize, Range { start, end }: Range<usize>) -> (usize, usize) {
    assert!(start <= end && end <= len, "range {start}..{end} is out of bounds for {len} elements");
    (offset + start, end - start)
}

impl<'a, T: Element> SliceMut<'a, T> {
    /// The same elements, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> SliceMut<'_, T> {
        match &mut self.0 {
            ElementsMut::Cpu(values) => SliceMut(ElementsMut::Cpu(values)),
            #[cfg(feature = "gpu")]
            &mut ElementsMut::Gpu { memory, offset, len } => {
                SliceMut(ElementsMut::Gpu { memory, offset, len })
            }
        }
    }

    /// The subslice `range`.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn range(self, range: Range<usize>) -> SliceMut<'a, T> {
        match self.0 {
            ElementsMut::Cpu(values) => SliceMut(ElementsMut::Cpu(&mut values[range])),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { memory, offset, len } => {
                let (offset, len) = part(offset, len, range);
                SliceMut(ElementsMut::Gpu { memory, offset, len })
            }
        }
    }

    /// Overwrites the elements with those of `from`, on the same device.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from(self, from: Slice<'_, T>) {
        check_len("a copy", self.len(), from.len());
        match self.0 {
            ElementsMut::Cpu(values) => values.copy_from_slice(from.host()),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { memory, offset, len } => memory.copy_from(offset, from.gpu(), len),
        }
    }

    /// Overwrites the elements with host values.
    ///
    /// # Panics
    /// If the lengths differ.
    /// # Errors
    /// [`DeviceError`] if the device has failed. A CPU does not fail.
    pub fn write_from(self, values: &[T]) -> Result<(), DeviceError> {
        check_len("values to write", values.len(), self.len());
        match self.0 {
            ElementsMut::Cpu(to) => to.copy_from_slice(values),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { memory, offset, .. } => memory.write(offset, bytemuck::cast_slice(values))?,
        }
        Ok(())
    }

    /// Lets `change` change the values on the host: where they are if the device uses host memory, otherwise in a copy that
    /// is written back.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has failed. A CPU does not fail.
    pub fn update(self, change: impl FnOnce(&mut [T])) -> Result<(), DeviceError> {
        match self.0 {
            ElementsMut::Cpu(values) => change(values),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { memory, offset, len } => {
                let mut values = vec![T::default(); len];
                memory.read(offset, bytemuck::cast_slice_mut(&mut values))?;
                change(&mut values);
                memory.write(offset, bytemuck::cast_slice(&values))?;
            }
        }
        Ok(())
    }

    /// Overwrites every element with `value`.
    pub fn fill(self, value: T) {
        match self.0 {
            ElementsMut::Cpu(values) => values.fill(value),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { memory, offset, len } => memory.fill(offset, len, bytemuck::cast(value)),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            ElementsMut::Cpu(values) => values.len(),
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { len, .. } => *len,
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
            #[cfg(feature = "gpu")]
            ElementsMut::Gpu { .. } => panic!("the values are on another device"),
        }
    }

    /// The values in the memory of a GPU, to be bound.
    #[cfg(feature = "gpu")]
    pub(crate) fn gpu(self) -> View<'a> {
        match self.0 {
            ElementsMut::Cpu(_) => panic!("the values are on another device"),
            ElementsMut::Gpu { memory, offset, .. } => memory.view(offset),
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
