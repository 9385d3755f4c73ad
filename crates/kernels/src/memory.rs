//! Host memory for buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a cache line. Memory is aligned to cache lines and consists of whole ones, so that vector loads
/// at a row's start do not straddle two.
pub(crate) const CACHE_LINE: usize = 64;
/// Bytes of a huge page on most systems. Memory of at least this size is aligned to one.
const HUGE_PAGE: usize = 2 << 20;

/// A file whose contents are part of the address space. The system reads a page of it when it is first used, and all
/// processes that map the file share its pages.
///
/// **The file must not be truncated while it is mapped**: the system ends the process with `SIGBUS` if it uses a page that
/// no longer exists. A file that is replaced by renaming another one is not affected.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<memmap2::Mmap>);

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// An I/O error if it cannot be mapped, for example a pipe.
    pub fn new(file: &File) -> io::Result<MappedFile> {
        // SAFETY: nothing in this process writes through the mapping. Other processes that change the file break the
        // documented condition.
        Ok(MappedFile(Arc::new(unsafe { memmap2::Mmap::map(file) }?)))
    }

    /// The contents of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes of host memory, all of them initialized.
pub(crate) struct Memory {
    pointer: NonNull<u8>,
    bytes: usize,
    owner: Owner,
}

/// What the bytes of a memory are part of.
enum Owner {
    Allocation(Layout),
    /// Only for reading.
    File(#[expect(dead_code, reason = "keeps the mapping")] MappedFile),
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
            return Memory::allocation(allocated(unsafe { alloc_zeroed(layout) }, layout), layout);
        }
        // SAFETY: the layout is not empty.
        let pointer = allocated(unsafe { std::alloc::alloc(layout) }, layout);
        prefer_huge_pages(pointer, bytes);
        // SAFETY: as many bytes have just been allocated.
        unsafe { pointer.write_bytes(0, bytes) };
        Memory::allocation(pointer, layout)
    }

    fn allocation(pointer: NonNull<u8>, layout: Layout) -> Memory {
        Memory { pointer, bytes: layout.size(), owner: Owner::Allocation(layout) }
    }

    /// These bytes of a file. They must not be written, and need not be aligned or whole cache lines.
    ///
    /// # Panics
    /// If they are not in the file.
    pub(crate) fn mapped(file: &MappedFile, range: Range<usize>) -> Memory {
        let bytes = &file.bytes()[range];
        let owner = Owner::File(file.clone());
        Memory { pointer: NonNull::from(bytes).cast(), bytes: bytes.len(), owner }
    }

    /// Whether the bytes must not be written.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.owner, Owner::File(_))
    }

    /// The address of the first byte.
    pub(crate) fn pointer(&self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    /// The size in bytes: whole cache lines, unless it is mapped.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Owner::Allocation(layout) = self.owner {
            // SAFETY: it was allocated with this layout, and nothing can access it any more.
            unsafe { dealloc(self.pointer.as_ptr(), layout) };
        }
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
