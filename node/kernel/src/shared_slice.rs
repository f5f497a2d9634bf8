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

    /// The elements of this range. Panics when the range is not inside the slice, as indexing does.
    ///
    /// # Safety
    /// No other part that is alive overlaps this one.
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a part outside of its slice");
        // SAFETY: the range lies inside the slice that `new` borrowed for 'a, and no other part
        // that is alive overlaps it, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
