//! A secret key in a file: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use super::Identity;

/// PKCS#8 of an ed25519 key (RFC 8410, version 1) is these sixteen bytes and the secret key.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The PEM label of a PKCS#8 key.
const PEM_LABEL: &str = "PRIVATE KEY";

/// Why a key file cannot be used. The text names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The file holds something else than a key.
    #[error(
        "{} is no ed25519 key in PKCS#8 PEM: remove it for a new one, or write one with \
         `openssl genpkey -algorithm ed25519`",
        path.display()
    )]
    NotAKey { path: PathBuf },
    /// Other users of the system can read the key, and with the key they could pose as this node.
    #[error("others may read the key file {0}: chmod 600 {0}", path.display())]
    Readable { path: PathBuf },
}

impl KeyError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    fn is_file(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == kind)
    }
}

impl Identity {
    /// Reads the key at `path`. If there is no file, generates a key and saves it there, readable
    /// by its owner only. Two processes that start at the same time get the same key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load_or_generate(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(error) if error.is_file(io::ErrorKind::NotFound) => {}
            result => return result,
        }
        match Self::generate().save(path) {
            Err(error) if error.is_file(io::ErrorKind::AlreadyExists) => {}
            result => result?,
        }
        Self::load(path)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let metadata = fs::metadata(path).map_err(|source| KeyError::file(path, source))?;
        if is_readable_by_others(&metadata) {
            return Err(KeyError::Readable { path: path.to_owned() });
        }
        let text = fs::read(path).map_err(|source| KeyError::file(path, source))?;
        secret_from_pem(&text)
            .map(Self::from_secret)
            .ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
    }

    /// Writes the key to `path`, where no file may exist. The file appears complete or not at
    /// all.
    ///
    /// # Errors
    /// [`KeyError::File`], with [`io::ErrorKind::AlreadyExists`] if `path` exists.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        self.write_and_link(path).map_err(|source| KeyError::file(path, source))
    }

    fn write_and_link(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!(".key.{:016x}", rand::random::<u64>()));
        let link = self.write_new(&draft).and_then(|()| fs::hard_link(&draft, path));
        let removal = fs::remove_file(&draft);
        link.and(removal)
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let pem = pem::Pem::new(PEM_LABEL, self.to_pkcs8());
        file.write_all(pem::encode(&pem).as_bytes())?;
        file.sync_all()
    }

    /// The secret key as PKCS#8 in DER.
    pub fn to_pkcs8(&self) -> [u8; 48] {
        let mut der = [0; 48];
        let bytes = PKCS8.iter().chain(self.key.as_bytes());
        der.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        der
    }
}

fn secret_from_pem(text: &[u8]) -> Option<[u8; 32]> {
    let pem = pem::parse(text).ok()?;
    if pem.tag() != PEM_LABEL {
        return None;
    }
    pem.contents().strip_prefix(&PKCS8)?.try_into().ok()
}

#[cfg(unix)]
fn is_readable_by_others(file: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &fs::Metadata) -> bool {
    false
}
