//! Memory for weights in huge pages, and the return of freed memory to the system.
//!
//! Weights are read from end to end for every token. With pages of 4 KiB the processor looks up a
//! page for every 64 cache lines.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "advice to the system"))]

use crate::simd::Line;

/// `len` lines of zeros, in huge pages if the system has them.
pub(crate) fn lines(len: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(len);
    // The advice comes before the first write: a page that is already mapped stays small.
    #[cfg(target_os = "linux")]
    advise_huge_pages(lines.spare_capacity_mut());
    lines.resize(len, Line([0; 64]));
    lines
}

/// Returns freed memory to the system. A vocabulary is built from a million small allocations, and
/// the free memory between those that remain would count as the program's for good. It does nothing
/// without glibc, the only allocator that is known to keep so much.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number and touches only freed memory; glibc locks its heap meanwhile.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Asks for huge pages. If the system declines, nothing changes.
#[cfg(target_os = "linux")]
fn advise_huge_pages<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let start = memory.as_mut_ptr().cast::<u8>();
    let offset = start.align_offset(PAGE);
    let len = size_of_val(memory).saturating_sub(offset) / PAGE * PAGE;
    if len > 0 {
        // SAFETY: the range lies inside `memory`, which is borrowed mutably; the advice changes
        // neither the contents nor the permissions.
        unsafe { libc::madvise(start.wrapping_add(offset).cast(), len, libc::MADV_HUGEPAGE) };
    }
}
