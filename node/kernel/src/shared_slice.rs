//! One slice that several threads write at once, each thread its own part.
#![expect(unsafe_code, reason = "the borrow checker cannot see that columns do not overlap")]

use std::{marker::PhantomData, ops::Range};

/// A mutable slice that can be passed to several threads.
#[derive(Clone, Copy)]
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]`, which may be sent where T may; a caller that takes parts of it
// in several threads promises in `part` that they do not overlap.
unsafe impl<T: Send> Send for SharedSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements of this range, which must lie inside the slice. Otherwise a debug build panics and a
    /// release build returns no elements: a panic here makes the innermost loops longer.
    ///
    /// # Safety
    /// No other part that is alive overlaps this one.
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        let inside = range.start <= range.end && range.end <= self.len;
        debug_assert!(inside, "{range:?} of a slice of {}", self.len);
        if !inside {
            return &mut [];
        }
        // SAFETY: the range lies inside the slice that `new` borrowed for 'a, and no other part
        // that is alive overlaps it, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
