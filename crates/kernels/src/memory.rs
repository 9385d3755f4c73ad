//! Host memory for buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of a cache line. Memory is aligned to cache lines and consists of whole ones, so that vector loads
/// at a row's start do not straddle two.
pub(crate) const CACHE_LINE: usize = 64;
/// Bytes of a huge page on most systems. Memory of at least this size is aligned to one.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of host memory, all of them initialized.
pub(crate) struct Memory {
    pointer: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its bytes, and exposes only their address.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// At least `bytes` zeros.
    ///
    /// # Panics
    /// If the size exceeds the address space.
    pub(crate) fn zeroed(bytes: usize) -> Memory {
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        let bytes = bytes.max(1).next_multiple_of(CACHE_LINE);
        let Ok(layout) = Layout::from_size_align(bytes, align) else {
            panic!("cannot allocate {bytes} bytes of memory")
        };
        if align == CACHE_LINE {
            // SAFETY: the layout is not empty.
            return Memory { pointer: allocated(unsafe { alloc_zeroed(layout) }, layout), layout };
        }
        // SAFETY: the layout is not empty.
        let pointer = allocated(unsafe { std::alloc::alloc(layout) }, layout);
        prefer_huge_pages(pointer, bytes);
        // SAFETY: as many bytes have just been allocated.
        unsafe { pointer.write_bytes(0, bytes) };
        Memory { pointer, layout }
    }

    /// The address of the first byte.
    pub(crate) fn pointer(&self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    /// The size in bytes: whole cache lines.
    pub(crate) fn bytes(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and nothing can access it any more.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

fn allocated(pointer: *mut u8, layout: Layout) -> NonNull<u8> {
    NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Asks the system for huge pages before the memory is touched. Otherwise the passes of a decoder over its
/// vocabulary, a few elements from each of many rows, would need more pages at a time than the TLB holds.
#[cfg(target_os = "linux")]
fn prefer_huge_pages(pointer: NonNull<u8>, bytes: usize) {
    // SAFETY: the range has been allocated, begins with a page, and its contents are not affected by the
    // advice. If the system does not take the advice, nothing changes.
    unsafe { libc::madvise(pointer.as_ptr().cast(), bytes / HUGE_PAGE * HUGE_PAGE, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages(_: NonNull<u8>, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zero_aligned_and_large_enough() {
        for bytes in [0, 1, 64, 65, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let memory = Memory::zeroed(bytes);
            assert!(memory.bytes() >= bytes && memory.bytes().is_multiple_of(CACHE_LINE));
            let align = if bytes < HUGE_PAGE { CACHE_LINE } else { HUGE_PAGE };
            assert!(memory.pointer().addr().is_multiple_of(align));
            // SAFETY: the memory has as many bytes.
            let content = unsafe { std::slice::from_raw_parts(memory.pointer(), memory.bytes()) };
            assert!(content.iter().all(|&byte| byte == 0));
        }
    }
}
