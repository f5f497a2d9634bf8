//! The cache's layout, which is Python's: `models--org--name/{blobs,refs,snapshots}`. A blob is
//! named by its ETag; a snapshot is a folder of links to blobs; a ref names the newest snapshot.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::PullError;

/// The branch that is meant when none is named.
const MAIN: &str = "main";

/// The folder of one repository.
#[derive(Debug)]
pub(super) struct Layout {
    repo: PathBuf,
    locks: PathBuf,
}

impl Layout {
    pub(super) fn of(cache: &Path, repo: &str) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { repo: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.repo.join("blobs").join(etag)
    }

    /// What has come of a blob so far, under the name that Python gives it.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.repo.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The file that Python locks too while it fetches this blob.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    pub(super) fn folder(&self, commit: &str) -> PathBuf {
        self.repo.join("snapshots").join(commit)
    }

    /// The newest snapshot that was fetched.
    pub(super) fn snapshot(&self) -> Option<PathBuf> {
        let commit = fs::read_to_string(self.repo.join("refs").join(MAIN)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| self.folder(commit)).filter(|folder| folder.is_dir())
    }

    pub(super) fn make_room(&self) -> Result<(), PullError> {
        let blobs = self.repo.join("blobs");
        fs::create_dir_all(&blobs).map_err(PullError::disk(&blobs))
    }

    /// Puts a blob into a snapshot. Links are relative, so that the cache can be moved.
    pub(super) fn link(&self, commit: &str, name: &str, blob: &Path) -> Result<(), PullError> {
        let link = self.folder(commit).join(name);
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder).map_err(PullError::disk(folder))?;
        }
        let up = "../".repeat(2 + name.matches('/').count());
        let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
        if fs::read_link(&link).is_ok_and(|there| there == target) {
            return Ok(());
        }
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::os::unix::fs::symlink(&target, &link),
        }
        .map_err(PullError::disk(&link))
    }

    /// Makes a snapshot the newest: done last, when all of it is there.
    pub(super) fn point(&self, commit: &str) -> Result<(), PullError> {
        let refs = self.repo.join("refs");
        let written = fs::create_dir_all(&refs).and_then(|()| {
            let fresh = refs.join(format!(".{MAIN}.{}", std::process::id()));
            fs::write(&fresh, commit)?;
            fs::rename(&fresh, refs.join(MAIN))
        });
        written.map_err(PullError::disk(&refs))
    }
}

/// A path that stays below where it is joined.
pub(super) fn is_safe(name: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    !name.is_empty()
        && name.len() <= 512
        && !name.contains(['\\', '\0'])
        && !name.ends_with('/')
        && Path::new(name).components().all(plain)
}

/// It becomes the name of a folder.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// It becomes the name of a file.
pub(super) fn is_etag(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (8..=128).contains(&text.len()) && text.bytes().all(good)
}
