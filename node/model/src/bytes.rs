//! The bytes of one weight file: memory-mapped, or part of the program. No other module maps files.

use std::{fs::File, io, ops::Range, path::Path, sync::Arc};

use memmap2::Mmap;

/// Shared bytes, which are never copied.
#[derive(Clone)]
pub(crate) enum Bytes {
    Map(Arc<Mmap>),
    Program(&'static [u8]),
    #[cfg(test)]
    Memory(Arc<[u8]>),
}

impl Bytes {
    /// The largest page size in use, which is a multiple of every smaller one.
    pub(crate) const PAGE: usize = 1 << 16;

    /// Maps a file. Only the pages that are read take memory, until [`Self::forget`].
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        #[expect(unsafe_code, reason = "a mapped file is how weights are read without a copy")]
        // SAFETY: the map is private and only read. Every use goes through a checked slice and reads plain
        // numbers, for which every bit pattern is valid, so a file that is overwritten meanwhile gives
        // other numbers. Text is checked when it is copied. A file that is truncated meanwhile ends the
        // process (SIGBUS), as in every program that maps its model: no memory outside of the map is
        // touched. Weights are copied while they are packed, so this can happen only while a model
        // loads.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::Map(Arc::new(map)))
    }

    /// Frees the memory of pages that were read; the next read reads the file again. Affects whole pages
    /// within `range` only. Elsewhere than on Unix, the system alone decides.
    pub(crate) fn forget(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Self::Map(map) = self {
            let start = range.start.next_multiple_of(Self::PAGE);
            let end = range.end.min(map.len()) / Self::PAGE * Self::PAGE;
            if start < end {
                #[expect(unsafe_code, reason = "the advice that drops pages is marked unsafe")]
                // SAFETY: dropping pages of a private map loses the writes to them. Nothing writes to
                // this one, so its pages are read from the file again.
                let result = unsafe {
                    map.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        start,
                        end - start,
                    )
                };
                if let Err(error) = result {
                    tracing::debug!(%error, "pages of the weights stay in memory");
                }
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Program(bytes) => bytes,
            #[cfg(test)]
            Self::Memory(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
