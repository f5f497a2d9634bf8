//! One pull of a model at a time, also among processes.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::Duration,
};

use super::PullError;

/// Held until dropped. The system lets go of it when the process dies, however it dies; the file
/// itself stays, since removing it would let a third one lock another file of the same name.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// How often the lock is tried: people do not notice a quarter of a second.
const LOOK: Duration = Duration::from_millis(250);

impl Lock {
    /// Waits for `what` at most as long as `limit`; says so when it must and `shows`.
    pub(super) async fn take(
        path: &Path,
        what: &str,
        (limit, shows): (Duration, bool),
    ) -> Result<Self, PullError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(PullError::disk(folder))?;
        }
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(PullError::disk(path))?;
        let mut elapsed = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => {
                    return Err(PullError::Disk { path: path.to_owned(), source });
                }
                Err(TryLockError::WouldBlock) if elapsed >= limit => {
                    return Err(PullError::Locked {
                        what: what.to_owned(),
                        lock: path.to_owned(),
                        seconds: limit.as_secs(),
                    });
                }
                Err(TryLockError::WouldBlock) if shows && elapsed.is_zero() => {
                    eprintln!("{what}: another pull is at it, waiting");
                }
                Err(TryLockError::WouldBlock) => {}
            }
            let pause = LOOK.min(limit - elapsed);
            tokio::time::sleep(pause).await;
            elapsed += pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_waited_for_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/model.lock");
        let minute = Duration::from_secs(60);
        let first = Lock::take(&path, "m", (minute, false)).await.unwrap();
        let error = Lock::take(&path, "m", (minute, false)).await.unwrap_err().to_string();
        let expected = format!("m: another pull has held {} for 60 s", path.display());
        assert!(error.starts_with(&expected), "{error}");
        let second = Lock::take(&path, "m", (minute, false));
        let release = async { drop(first) };
        let (second, ()) = tokio::join!(second, release);
        second.unwrap();
    }
}
