//! A node's data directory: its key, which is its name, and the gateways it trusts.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use shoal_proto::{
    NodeId,
    identity::{
        Identity, KeyError,
        pins::{PinError, Pins},
    },
};

/// The directory, locked by this process.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    identity: Identity,
    /// Without the lock, two nodes with one key would replace each other in the swarm for ever.
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("another node runs with {}: give this one a directory of its own with --data", path.display())]
    Taken { path: PathBuf },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{}, {source}", path.display())]
    Pin { path: PathBuf, source: PinError },
}

impl Home {
    /// Opens `path`; creates the directory and the key if they do not exist.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        fs::create_dir_all(path).map_err(file_error(path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HomeError::Taken { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(file_error(&lock_path)(source)),
        }
        let identity = Identity::load_or_generate(&path.join("identity.pem"))?;
        Ok(Self { path: path.to_owned(), identity, _lock: lock })
    }

    /// The node's key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The key that the gateway at `address` had at the first connection.
    pub fn pin_of(&self, address: &str) -> Result<Option<NodeId>, HomeError> {
        let path = self.known_gateways();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(HomeError::File { path, source }),
        };
        let pins: Pins = text.parse().map_err(|source| HomeError::Pin { path, source })?;
        Ok(pins.expected(address))
    }

    /// Stores the key of the gateway at `address`.
    pub fn pin(&self, address: &str, key: NodeId) -> Result<(), HomeError> {
        let path = self.known_gateways();
        let line = format!("{address} {key}\n");
        let append = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        append.map_err(|source| HomeError::File { path, source })
    }

    /// The file with the keys of gateways: one `ADDRESS KEY` a line, to be edited by hand.
    pub fn known_gateways(&self) -> PathBuf {
        self.path.join("known_gateways")
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> HomeError + use<> {
    let path = path.to_owned();
    move |source| HomeError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let id = Home::open(dir.path()).unwrap().identity().id();
        assert_eq!(Home::open(dir.path()).unwrap().identity().id(), id);
    }

    #[test]
    fn two_nodes_cannot_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::open(dir.path()).unwrap();
        assert!(matches!(Home::open(dir.path()), Err(HomeError::Taken { .. })));
        drop(first);
        assert!(Home::open(dir.path()).is_ok());
    }

    #[test]
    fn the_first_key_of_a_gateway_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let (first, second) = (NodeId([1; 32]), NodeId([2; 32]));
        assert_eq!(home.pin_of("a:1").unwrap(), None);
        home.pin("a:1", first).unwrap();
        home.pin("b:1", second).unwrap();
        assert_eq!(home.pin_of("a:1").unwrap(), Some(first));
        assert_eq!(home.pin_of("b:1").unwrap(), Some(second));
    }

    #[test]
    fn a_broken_file_of_pins_trusts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        fs::write(home.known_gateways(), format!("a:1 {}\n\nb:1 abc\n", NodeId([1; 32]))).unwrap();
        assert!(matches!(home.pin_of("b:1"), Err(HomeError::Pin { .. })));
    }
}
