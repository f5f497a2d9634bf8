//! What a model is known by: SHA-256 over all that decides how likely it finds a text. Nodes whose
//! digests differ do not audit each other.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use sha2::{Digest as _, Sha256};

use super::{LoadError, files::Files, tensors::Quant};

/// A digest in the making: a thread of its own reads the files with weights, beside the packing.
/// Dropping it ends the thread.
#[derive(Debug)]
pub struct Digest {
    files: Files,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sha256, LoadError>>>,
}

/// Bytes read at once.
const PIECE: usize = 1 << 18;

impl Digest {
    /// Begins with the files with weights.
    ///
    /// # Errors
    /// When there are none, or no thread can be had.
    pub fn begin(files: &Files) -> Result<Self, LoadError> {
        let names = files.weights()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (read, stopped) = (files.clone(), Arc::clone(&stop));
        let work = move || {
            let mut digest = Sha256::new();
            for name in names {
                add(&mut digest, &mut *read.reader(&name)?, &stopped)
                    .map_err(|source| LoadError::Folder { path: read.place().into(), source })?;
            }
            Ok(digest)
        };
        let thread = thread::Builder::new().name("digest".to_owned()).spawn(work);
        let thread = Some(thread.map_err(LoadError::Thread)?);
        Ok(Self { files: files.clone(), stop, thread })
    }

    /// Waits for the weights and adds the rest: what turns a conversation into tokens decides as
    /// much as the weights how likely a text is, and so do `ends`, the tokens that end an answer,
    /// the rounding of the weights and the adapters merged into them (their folders). In hex.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn finish(
        mut self,
        ends: &[u32],
        quant: Quant,
        adapters: &[Files],
    ) -> Result<String, LoadError> {
        let ended = self.thread.take().map(JoinHandle::join);
        let Some(Ok(digest)) = ended else {
            return Err(LoadError::Thread(io::Error::other("the digest's thread ended early")));
        };
        let mut digest = digest?;
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            digest.update(self.files.read(name)?.unwrap_or_default());
        }
        for end in ends {
            digest.update(end.to_le_bytes());
        }
        if quant != Quant::AsIs {
            digest.update(quant.to_string());
        }
        for adapter in adapters {
            for name in super::lora::FILES {
                digest.update(adapter.need(name)?);
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it found out is of no use any more.
            let _ = thread.join();
        }
    }
}

/// Reads to the end. Not through the map: what is only hashed would count as memory in use.
fn add(digest: &mut Sha256, from: &mut dyn Read, stop: &AtomicBool) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while !stop.load(Ordering::Relaxed) {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => digest.update(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::testing::{Kept, tiny};

    fn of(files: &Files, ends: &[u32], quant: Quant) -> String {
        Digest::begin(files).unwrap().finish(ends, quant, &[]).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_folder_is_its_weights_its_words_and_its_ends() {
        let folder = tiny(64, Kept::Shards);
        let files = Files::folder(folder.path()).unwrap();
        let names = [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ];
        let mut all: Vec<u8> =
            names.iter().flat_map(|name| fs::read(folder.path().join(name)).unwrap()).collect();
        all.extend([16, 0, 0, 0]);
        assert_eq!(of(&files, &[16], Quant::AsIs), hex(&all));
        assert_ne!(of(&files, &[17], Quant::AsIs), hex(&all));
    }

    #[test]
    fn weights_that_are_rounded_are_others() {
        let folder = tiny(64, Kept::F32);
        let files = Files::folder(folder.path()).unwrap();
        let digests =
            [Quant::AsIs, Quant::None, Quant::Q8, Quant::Q4].map(|quant| of(&files, &[], quant));
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest));
        }
    }

    #[test]
    fn a_gguf_file_is_all_of_its_bytes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf/tiny.gguf");
        let files = Files::gguf_file(&path).unwrap();
        assert_eq!(of(&files, &[], Quant::AsIs), hex(&fs::read(&path).unwrap()));
    }

    #[test]
    fn a_digest_that_nobody_waits_for_ends() {
        let folder = tiny(64, Kept::F32);
        drop(Digest::begin(&Files::folder(folder.path()).unwrap()).unwrap());
    }
}
