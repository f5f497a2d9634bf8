//! The digest of a model: SHA-256 over everything that decides how likely it finds a text. Nodes audit
//! each other only with equal digests.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use sha2::{Digest as _, Sha256};
use shoal_proto::hex;

use super::{LoadError, files::Files, tensors::Quant};

/// A digest in progress: a thread reads the weight files while the weights are packed. Dropping the value
/// ends the thread.
#[derive(Debug)]
pub struct Digest {
    files: Files,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sha256, LoadError>>>,
}

/// Bytes of one read.
const PIECE: usize = 1 << 18;

impl Digest {
    /// Starts with the weight files.
    ///
    /// # Errors
    /// When there are none, or the thread cannot start.
    pub fn begin(files: &Files) -> Result<Self, LoadError> {
        let names = files.weights()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (thread_files, thread_stop) = (files.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("digest".to_owned())
            .spawn(move || hash_weights(&thread_files, names, &thread_stop))
            .map_err(LoadError::Thread)?;
        Ok(Self { files: files.clone(), stop, thread: Some(thread) })
    }

    /// Waits for the weights and adds everything else that decides how likely a text is: the files that
    /// turn a conversation into tokens, `ends` (the tokens that end an answer), the rounding of the
    /// weights, and the adapters merged into them (their folders). In hex.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn finish(
        mut self,
        ends: &[u32],
        quant: Quant,
        adapters: &[Files],
    ) -> Result<String, LoadError> {
        let result = self.thread.take().map(JoinHandle::join);
        let Some(Ok(digest)) = result else {
            return Err(LoadError::Thread(io::Error::other("the digest's thread ended early")));
        };
        let mut digest = digest?;
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            // A file that is absent adds nothing.
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
        Ok(hex(&digest.finalize()))
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The result is of no use any more.
            let _ = thread.join();
        }
    }
}

fn hash_weights(files: &Files, names: Vec<String>, stop: &AtomicBool) -> Result<Sha256, LoadError> {
    let mut digest = Sha256::new();
    for name in names {
        add(&mut digest, &mut *files.reader(&name)?, stop)
            .map_err(|source| LoadError::Folder { path: files.place().into(), source })?;
    }
    Ok(digest)
}

/// Reads to the end. It does not use the memory map, because mapped pages count as memory in use.
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

    fn digest_of(files: &Files, ends: &[u32], quant: Quant) -> String {
        Digest::begin(files).unwrap().finish(ends, quant, &[]).unwrap()
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
        let mut bytes: Vec<u8> =
            names.iter().flat_map(|name| fs::read(folder.path().join(name)).unwrap()).collect();
        bytes.extend([16, 0, 0, 0]);
        assert_eq!(digest_of(&files, &[16], Quant::AsIs), hex(&Sha256::digest(&bytes)));
        assert_ne!(digest_of(&files, &[17], Quant::AsIs), hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn weights_that_are_rounded_are_others() {
        let folder = tiny(64, Kept::F32);
        let files = Files::folder(folder.path()).unwrap();
        let digests = [Quant::AsIs, Quant::None, Quant::Q8, Quant::Q4]
            .map(|quant| digest_of(&files, &[], quant));
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest));
        }
    }

    #[test]
    fn a_gguf_file_is_all_of_its_bytes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf/tiny.gguf");
        let files = Files::gguf_file(&path).unwrap();
        assert_eq!(
            digest_of(&files, &[], Quant::AsIs),
            hex(&Sha256::digest(fs::read(&path).unwrap()))
        );
    }

    #[test]
    fn a_digest_that_nobody_waits_for_ends() {
        let folder = tiny(64, Kept::F32);
        drop(Digest::begin(&Files::folder(folder.path()).unwrap()).unwrap());
    }
}
