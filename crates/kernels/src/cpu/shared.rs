//! A mutable slice that several threads write at once, each its own part.

use std::marker::PhantomData;

/// A `&mut [T]` that can be handed to all threads of a parallel region.
///
/// The borrow checker cannot see that threads write disjoint parts; the kernels guarantee it at each use.
pub(crate) struct SharedMut<'a, T> {
    pointer: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a SharedMut only hands out references through unsafe functions whose callers promise that no two
// threads touch the same elements; moving the pointer itself between threads is harmless for `T: Send`.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    /// Shares `values` for the duration of the borrow.
    pub(crate) fn new(values: &'a mut [T]) -> Self {
        SharedMut { pointer: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// While the returned slice is alive, no other code may access these elements.
    /// # Panics
    /// If the range is out of bounds.
    #[allow(clippy::mut_from_ref)] // The purpose of the type: the caller guarantees disjointness.
    pub(crate) unsafe fn range(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} elements", self.len);
        // SAFETY: the range is within the borrowed slice; exclusive access is guaranteed by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.len()) }
    }

    /// The address of element `index`, which may be one past the end.
    ///
    /// # Panics
    /// If the index is beyond the end.
    pub(crate) fn at(&self, index: usize) -> *mut T {
        assert!(index <= self.len, "element {index} of {}", self.len);
        // SAFETY: the offset stays within the borrowed slice, or one past its end.
        unsafe { self.pointer.add(index) }
    }
}
