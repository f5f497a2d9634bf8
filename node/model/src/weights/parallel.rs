//! Runs work on all cores. One thread packs a whole matrix, so the layers are shared between threads.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Makes the items `0..count` on as many threads as there are cores, and returns them in order. After an
/// error no further item is started.
///
/// # Errors
/// The first error in the order of the items.
pub fn in_parallel<T: Send, E: Send>(
    count: usize,
    make: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let items = Mutex::new(Vec::with_capacity(count));
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let item = make(index);
            has_failed.fetch_or(item.is_err(), Ordering::Relaxed);
            items.lock().unwrap_or_else(PoisonError::into_inner).push((index, item));
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores.min(count) {
            scope.spawn(work);
        }
        work();
    });
    let mut items = items.into_inner().unwrap_or_else(PoisonError::into_inner);
    items.sort_by_key(|(index, _)| *index);
    items.into_iter().map(|(_, item)| item).collect()
}
