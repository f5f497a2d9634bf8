//! Pulls from a small hub and a small package index on this machine.

mod server;
mod hub;
mod wheels;

use std::{path::Path, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use sha2::{Digest, Sha256};
use shoal_proto::Secret;

use self::server::{Manners, Page, Server};
use super::*;

/// Settings that know this machine only.
fn settings(home: &Path, server: &Server) -> Settings {
    Settings {
        models: home.join("models"),
        hub: Hub {
            endpoint: server.url.clone(),
            cache: home.join("hub"),
            token: Secret::default(),
            offline: false,
        },
        indexes: vec![server.url.join("simple/").unwrap()],
        certificates: None,
        patience: Patience {
            tries: 3,
            pause: Duration::from_millis(1),
            // Not a promise about speed: only that a test that hangs ends.
            silence: Duration::from_secs(20),
            lock: Duration::from_secs(20),
        },
        shows: false,
    }
}

fn sha256(bytes: &[u8]) -> String {
    shoal_proto::hex(&Sha256::digest(bytes))
}

/// Bytes that do not pack well and are no two alike.
pub(super) fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let bytes = (0..count).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        state.to_be_bytes()[0]
    });
    bytes.collect()
}

/// One member of a zip: its path, its bytes, and whether a descriptor behind it holds its length.
pub(super) struct Member<'a>(pub(super) &'a str, pub(super) &'a [u8], pub(super) Kind);

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Packed,
    /// As written by a program that does not know the length beforehand.
    Streamed,
    Stored,
}

/// A zip file of these members, with a directory that nobody reads.
pub(super) fn zip(members: &[Member<'_>]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = Vec::new();
    for Member(path, bytes, kind) in members {
        let packed = match kind {
            Kind::Stored => bytes.to_vec(),
            Kind::Packed | Kind::Streamed => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        };
        let (method, flags) =
            (u16::from(*kind != Kind::Stored) * 8, u16::from(*kind == Kind::Streamed) * 8);
        let lengths = match kind {
            Kind::Streamed => [0, 0],
            _ => [packed.len() as u32, bytes.len() as u32],
        };
        zip.extend(0x0403_4b50_u32.to_le_bytes());
        for field in [20, flags, method, 0, 0] {
            zip.extend(field.to_le_bytes());
        }
        zip.extend(0_u32.to_le_bytes());
        zip.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        zip.extend((path.len() as u16).to_le_bytes());
        zip.extend(0_u16.to_le_bytes());
        zip.extend(path.as_bytes());
        zip.extend(&packed);
        if *kind == Kind::Streamed {
            for field in [0x0807_4b50, 0, packed.len() as u32, bytes.len() as u32] {
                zip.extend(field.to_le_bytes());
            }
        }
    }
    zip.extend(0x0201_4b50_u32.to_le_bytes());
    zip.extend([0; 60]);
    zip
}

#[tokio::test]
async fn a_model_is_looked_for_in_the_program_then_on_disk_then_in_the_catalogue_then_on_the_hub() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let settings = settings(home.path(), &server);
    let model = resolve("bundled:shoal-sum", &settings).await.unwrap();
    assert_eq!(model.place, Place::Bundled("shoal-sum".to_owned()));

    let folder = home.path().join("my-model");
    std::fs::create_dir(&folder).unwrap();
    let model = resolve(folder.to_str().unwrap(), &settings).await.unwrap();
    assert_eq!((model.name.as_str(), model.place), ("my-model", Place::Folder(folder)));
    let file = home.path().join("tiny.Q8_0.gguf");
    std::fs::write(&file, "GGUF").unwrap();
    let model = resolve(file.to_str().unwrap(), &settings).await.unwrap();
    assert_eq!((model.name.as_str(), model.place), ("tiny.Q8_0", Place::Gguf(file)));

    let error = resolve("smollm2-135m", &settings).await.unwrap_err().to_string();
    let message = "smollm2-135m is not downloaded yet: run `shoal-node pull smollm2-135m`";
    assert_eq!(error, message);
    let entry = catalogue::find("smollm2-135m").unwrap();
    let path = settings.models.join("smollm2-135m").join(entry.file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(entry.bytes).unwrap();
    let model = resolve("smollm2-135m", &settings).await.unwrap();
    assert_eq!((model.name.as_str(), model.place), ("smollm2-135m", Place::Gguf(path)));
    assert!(table(&settings).lines().next().unwrap().contains("  here "), "{}", table(&settings));
    assert!(server.requests("").is_empty(), "the hub is asked last");

    let error = resolve("org/name", &settings).await.unwrap_err().to_string();
    assert!(error.starts_with("no model org/name at 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn what_is_no_model_is_named_with_the_way_out() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let settings = settings(home.path(), &server);
    let text = home.path().join("notes.txt");
    std::fs::write(&text, "x").unwrap();
    let text = text.to_str().unwrap();
    for (model, start) in [
        (
            "llama",
            "no model llama: neither bundled:NAME nor a folder nor a .gguf file, nor in the catalogue (smollm2",
        ),
        ("./nowhere/model", "./nowhere/model: no such file or folder"),
        ("/nowhere/x.gguf", "/nowhere/x.gguf: no such file or folder"),
        (text, "notes.txt is neither a folder nor a .gguf file"),
    ] {
        let error = resolve(model, &settings).await.unwrap_err().to_string();
        assert!(error.contains(start), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = pull("bundled:shoal-sum", &settings).await.unwrap_err().to_string();
    assert_eq!(error, "bundled:shoal-sum is part of the program: there is nothing to download");
    assert!(server.requests("").is_empty());
}
