//! The allocator: dlmalloc, behind a lock of std's and with memory that lies in the program itself to begin with.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;
use nix::libc;

/// What the heap begins with: enough for commands that make no process. It lies beside the variables, in pages that are written anyway.
const FIRST: usize = 4 << 10;
/// What is mapped at once when that is used up.
const MAPPED: usize = 64 << 10;
/// dlmalloc's mark of memory that it must neither give back nor join with other.
const NOT_MAPPED: u32 = 1;

/// dlmalloc's own lock are calls of libc, which cost more than the allocation between them.
pub(crate) struct Allocator(Mutex<Dlmalloc<Memory>>);

impl Allocator {
    pub(crate) const fn new() -> Self {
        let mut heap = Dlmalloc::new_with_allocator(Memory { begun: Cell::new(false) });
        // What is asked for is then a multiple of the first piece, which is given for no more than it holds.
        assert!(heap.set_granularity(FIRST));
        Self(Mutex::new(heap))
    }

    fn heap(&self) -> MutexGuard<'_, Dlmalloc<Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: the heap keeps this trait's contract for one caller at a time, and the lock sees to that. Neither allocates itself.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout has a size, and an alignment that is a power of two.
        unsafe { self.heap().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller has the block of this heap, by this layout.
        unsafe { self.heap().free(block, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as of `alloc`.
        unsafe { self.heap().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as of `dealloc`, and the new size is not zero.
        unsafe { self.heap().realloc(block, layout.size(), layout.align(), size) }
    }
}

#[repr(align(16))]
struct First(UnsafeCell<[u8; FIRST]>);

// SAFETY: it is given away once, by the only `Memory` that there is.
unsafe impl Sync for First {}

static BEGINNING: First = First(UnsafeCell::new([0; FIRST]));

/// Where the heap has its memory from.
struct Memory {
    begun: Cell<bool>,
}

// SAFETY: what is given is nobody else's, zeroed, of the size that is told, and stays until it is given back.
unsafe impl dlmalloc::Allocator for Memory {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= FIRST && !self.begun.replace(true) {
            return (BEGINNING.0.get().cast(), FIRST, NOT_MAPPED);
        }
        let Some(size) = size.checked_next_multiple_of(MAPPED) else { return (ptr::null_mut(), 0, 0) };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping at an address of the kernel's choice changes no other.
        let block = unsafe {
            libc::mmap(ptr::null_mut(), size, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        match block {
            libc::MAP_FAILED => (ptr::null_mut(), 0, 0),
            block => (block.cast(), size, 0),
        }
    }

    fn remap(&self, block: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: the heap gives a block that it has of `alloc`, and uses no other address of it after this.
        match unsafe { libc::mremap(block.cast(), old, new, flags) } {
            libc::MAP_FAILED => ptr::null_mut(),
            block => block.cast(),
        }
    }

    fn free_part(&self, block: *mut u8, old: usize, new: usize) -> bool {
        !self.remap(block, old, new, false).is_null()
    }

    fn free(&self, block: *mut u8, size: usize) -> bool {
        // SAFETY: the heap has the block of `alloc`, and uses it no more.
        unsafe { libc::munmap(block.cast(), size) == 0 }
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

#[cfg(test)]
mod tests {
    use dlmalloc::Allocator as _;

    use super::*;

    #[test]
    fn the_beginning_is_given_once_and_for_no_more_than_it_holds() {
        let memory = Memory { begun: Cell::new(false) };
        let (large, size, flags) = memory.alloc(FIRST + 1);
        assert_eq!((size, flags), (MAPPED, 0));
        assert!(memory.free(large, size));
        assert_eq!(memory.alloc(FIRST), (BEGINNING.0.get().cast(), FIRST, NOT_MAPPED));
        let (second, size, flags) = memory.alloc(FIRST);
        assert_eq!((size, flags), (MAPPED, 0));
        assert!(memory.free_part(second, size, FIRST) && memory.free(second, FIRST));
        assert!(memory.alloc(usize::MAX).0.is_null());
    }
}
