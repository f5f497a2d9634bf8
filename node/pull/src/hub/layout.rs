//! The cache's layout, which is Python's: `models--org--name/{blobs,refs,snapshots}`. A blob is
//! named by its ETag; a snapshot is a folder of links to blobs; a ref names the newest snapshot.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::PullError;

/// The branch that models are pulled from.
const MAIN: &str = "main";

/// The folder of one repository.
#[derive(Debug)]
pub(super) struct Layout {
    repo: PathBuf,
    locks: PathBuf,
}

impl Layout {
    pub(super) fn new(cache: &Path, repo: &str) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { repo: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.repo.join("blobs").join(etag)
    }

    /// The partial file of a blob, under Python's name for it.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.repo.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The lock file of a blob. Python locks the same file.
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

    pub(super) fn create_blobs(&self) -> Result<(), PullError> {
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

    /// Makes a snapshot the newest. Called last, when the snapshot is complete.
    pub(super) fn point(&self, commit: &str) -> Result<(), PullError> {
        let refs = self.repo.join("refs");
        let result = fs::create_dir_all(&refs).and_then(|()| {
            let fresh = refs.join(format!(".{MAIN}.{}", std::process::id()));
            fs::write(&fresh, commit)?;
            fs::rename(&fresh, refs.join(MAIN))
        });
        result.map_err(PullError::disk(&refs))
    }
}

/// Whether a relative path stays inside the folder that it is joined to.
pub(super) fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 512
        && !name.contains(['\\', '\0'])
        && !name.ends_with('/')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether the text is a commit, which becomes the name of a folder.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether the text is an ETag, which becomes the name of a file.
pub(super) fn is_etag(text: &str) -> bool {
    (8..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
