//! A secret key in a file: PEM, PKCS#8, as `openssl genpkey -algorithm ed25519` writes it.

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

/// Why a key file cannot be used. Names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot use the key file {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{} is no ed25519 key in PKCS#8 PEM: remove it for a new one, or write one with \
         `openssl genpkey -algorithm ed25519`",
        path.display()
    )]
    NotAKey { path: PathBuf },
    /// Who can read the key can be this node.
    #[error("others may read the key file {0}: chmod 600 {0}", path.display())]
    Readable { path: PathBuf },
}

impl Identity {
    /// Reads the key at `path`; when there is none, makes one and keeps it there, readable by
    /// nobody else. Two processes that start at once end with the same key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load_or_generate(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        match Self::generate().save(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            }
            saved => saved?,
        }
        Self::load(path)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let in_file = |source| KeyError::File { path: path.to_owned(), source };
        let not_a_key = || KeyError::NotAKey { path: path.to_owned() };
        if is_readable_by_others(&fs::metadata(path).map_err(in_file)?) {
            return Err(KeyError::Readable { path: path.to_owned() });
        }
        let text = fs::read(path).map_err(in_file)?;
        let pem = pem::parse(text).map_err(|_| not_a_key())?;
        if pem.tag() != "PRIVATE KEY" {
            return Err(not_a_key());
        }
        let secret = pem.contents().strip_prefix(&PKCS8).ok_or_else(not_a_key)?;
        secret.try_into().map(Self::from_secret).map_err(|_| not_a_key())
    }

    /// Writes the key to `path`, where nothing may be yet. It is there whole or not at all.
    ///
    /// # Errors
    /// [`KeyError::File`], with [`io::ErrorKind::AlreadyExists`] when something is there.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let in_file = |source| KeyError::File { path: path.to_owned(), source };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(in_file)?;
        let draft = folder.join(format!(".key.{:016x}", rand::random::<u64>()));
        let kept = self.write_new(&draft).and_then(|()| fs::hard_link(&draft, path));
        let removed = fs::remove_file(&draft);
        kept.and(removed).map_err(in_file)
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let pem = pem::Pem::new("PRIVATE KEY", self.to_pkcs8());
        file.write_all(pem::encode(&pem).as_bytes())?;
        file.sync_all()
    }

    /// The secret key in DER.
    pub fn to_pkcs8(&self) -> [u8; 48] {
        let mut der = [0; 48];
        let bytes = PKCS8.iter().chain(self.key.as_bytes());
        der.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        der
    }
}

#[cfg(unix)]
fn is_readable_by_others(file: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &fs::Metadata) -> bool {
    false
}
