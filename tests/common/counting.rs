//! What a test process allocates, counted: `#[path = "common/counting.rs"] pub mod counting;` makes it the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes that are there, and the most that ever were.
pub struct Counting;

/// Bytes that are allocated now.
pub static NOW: AtomicUsize = AtomicUsize::new(0);
/// The most there were since this was last set.
pub static MOST: AtomicUsize = AtomicUsize::new(0);

// Sound: each call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
