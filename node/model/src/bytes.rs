//! The bytes of one file of weights: mapped into memory, or inside the program. The only place of
//! the model that maps.

use std::{fs::File, io, ops::Range, path::Path, sync::Arc};

use memmap2::Mmap;

/// Bytes that are shared, never copied.
#[derive(Clone)]
pub(crate) enum Bytes {
    Mapped(Arc<Mmap>),
    Program(&'static [u8]),
    #[cfg(test)]
    Made(Arc<[u8]>),
}

impl Bytes {
    /// The largest page in use: what is dropped is whole with any smaller one too.
    pub(crate) const PAGE: usize = 1 << 16;

    /// Maps a file. It costs no memory but for the pages that are read, and those until
    /// [`Self::forget`].
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        #[expect(unsafe_code, reason = "a mapped file is how weights are read without a copy")]
        // SAFETY: the map is private and only read. Every use of it goes through a checked slice and
        // reads plain numbers of which every bit pattern is one, so a file that somebody overwrites
        // meanwhile gives other numbers, and text is checked when it is copied out. One that
        // somebody cuts off meanwhile ends the process (SIGBUS), as with every program that maps
        // its model: no memory is touched that is not the map's. Weights are copied while they are
        // packed, so all this can happen only while a model is loading.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::Mapped(Arc::new(map)))
    }

    /// Gives back the memory of pages that were read and are not needed soon; reading them again
    /// reads the file again. Whole pages inside of `range` only. Elsewhere than on Unix the system
    /// decides alone.
    pub(crate) fn forget(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            let start = range.start.next_multiple_of(Self::PAGE);
            let end = range.end.min(map.len()) / Self::PAGE * Self::PAGE;
            if start < end {
                #[expect(unsafe_code, reason = "the advice that drops pages is marked unsafe")]
                // SAFETY: dropping pages of a private map loses what was written to them. This one
                // is never written to, so its pages are read from the file again.
                let advised = unsafe {
                    map.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        start,
                        end - start,
                    )
                };
                if let Err(error) = advised {
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
            Self::Mapped(map) => map,
            Self::Program(bytes) => bytes,
            #[cfg(test)]
            Self::Made(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
