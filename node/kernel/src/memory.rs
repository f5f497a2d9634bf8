//! Memory for weights: they are read from end to end for every token, and with pages of 4 KiB the
//! processor looks up a page for every 64 cache lines. And memory that nobody needs any more.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "advice to the system"))]

use crate::simd::Line;

/// Lines of zeros, in huge pages where the system has them to give.
pub(crate) fn lines(len: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(len);
    // Before it is touched: a page that is there already stays small.
    #[cfg(target_os = "linux")]
    advise(lines.spare_capacity_mut());
    lines.resize(len, Line([0; 64]));
    lines
}

/// Returns to the system what the program has freed. A vocabulary is built of a million small pieces,
/// and what lies free between those that are left would count as the program's for good. Only
/// glibc is known to keep so much.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number and touches nothing but what was freed; glibc locks its heap meanwhile.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Asks for huge pages. Where the system declines, nothing is different.
#[cfg(target_os = "linux")]
fn advise<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let start = memory.as_mut_ptr().cast::<u8>();
    let before = start.align_offset(PAGE);
    let len = size_of_val(memory).saturating_sub(before) / PAGE * PAGE;
    if len > 0 {
        // SAFETY: the range lies inside of `memory`, which is borrowed mutably; the advice changes
        // neither what is in it nor what may be done with it.
        unsafe { libc::madvise(start.wrapping_add(before).cast(), len, libc::MADV_HUGEPAGE) };
    }
}
