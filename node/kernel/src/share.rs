//! One slice, written by several threads at once, each its own part.
#![expect(unsafe_code, reason = "the borrow checker cannot see that columns do not overlap")]

use std::{marker::PhantomData, ops::Range};

/// A mutable slice that can be handed to several threads.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]`, which may be sent where T may; who takes parts of it in
// several threads promises in `part` that they do not overlap.
unsafe impl<T: Send> Send for Share<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Share<'_, T> {}

impl<'a, T> Share<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements of this range; empty where the slice does not have them all.
    ///
    /// # Safety
    /// No other part that is alive overlaps this one.
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        if range.start > range.end || range.end > self.len {
            return &mut [];
        }
        // SAFETY: the range lies inside of the slice that `new` borrowed for 'a, and nobody else
        // holds any of it, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
