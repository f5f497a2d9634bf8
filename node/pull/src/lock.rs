//! A lock file: one pull of a model at a time, across processes.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::Duration,
};

use super::PullError;

/// A lock that is held until it is dropped. The system releases it when the process dies. The file
/// stays: if it were removed, a third process could lock a new file of the same name.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// The pause between tries: people do not notice a quarter of a second.
const LOOK: Duration = Duration::from_millis(250);

impl Lock {
    /// Waits for the lock of `subject`, at most `limit`, and says so on stderr if `shows`.
    pub(super) async fn take(
        path: &Path,
        subject: &str,
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
        let mut wait = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => {
                    return Err(PullError::Disk { path: path.to_owned(), source });
                }
                Err(TryLockError::WouldBlock) if wait >= limit => {
                    return Err(PullError::Locked {
                        subject: subject.to_owned(),
                        lock: path.to_owned(),
                        seconds: limit.as_secs(),
                    });
                }
                Err(TryLockError::WouldBlock) if shows && wait.is_zero() => {
                    eprintln!("{subject}: waiting for another pull");
                }
                Err(TryLockError::WouldBlock) => {}
            }
            let pause = LOOK.min(limit - wait);
            tokio::time::sleep(pause).await;
            wait += pause;
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
        let start = format!("m: another pull has held {} for 60 s", path.display());
        assert!(error.starts_with(&start), "{error}");
        let second = Lock::take(&path, "m", (minute, false));
        let release = async { drop(first) };
        let (second, ()) = tokio::join!(second, release);
        second.unwrap();
    }
}
