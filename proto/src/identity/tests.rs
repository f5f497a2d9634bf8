use proptest::prelude::*;

use super::*;

fn node() -> Identity {
    Identity::from_secret([1; 32])
}

fn gateway() -> NodeId {
    Identity::from_secret([2; 32]).id()
}

#[test]
fn a_proof_convinces_the_gateway_that_set_the_challenge() {
    let challenge = Challenge::generate();
    let proof = node().prove(gateway(), &challenge);
    assert_eq!(proof.verify(node().id(), gateway(), &challenge), Ok(()));
}

#[test]
fn a_proof_is_of_no_use_anywhere_else() {
    let challenge = Challenge::generate();
    let proof = node().prove(gateway(), &challenge);
    let stranger = Identity::from_secret([3; 32]).id();
    assert_eq!(proof.verify(stranger, gateway(), &challenge), Err(InvalidProof), "another node");
    assert_eq!(
        proof.verify(node().id(), stranger, &challenge),
        Err(InvalidProof),
        "another gateway"
    );
    let second = Challenge::generate();
    assert_eq!(
        proof.verify(node().id(), gateway(), &second),
        Err(InvalidProof),
        "another challenge"
    );
}

#[test]
fn no_two_challenges_are_the_same() {
    assert_ne!(Challenge::generate(), Challenge::generate());
    assert_eq!(Challenge::generate().nonce.len(), 32);
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    // Under RFC 8032's loose rules, the neutral element as a key accepts any signature like this.
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut signature = weak.to_vec();
    signature.extend([0; 32]);
    let challenge = Challenge::generate();
    let forgery = Proof { signature };
    assert_eq!(forgery.verify(NodeId(weak), gateway(), &challenge), Err(InvalidProof));
}

proptest! {
    #[test]
    fn any_bytes_for_a_proof_are_refused_and_never_panic(
        signature: Vec<u8>,
        id: [u8; 32],
        nonce: Vec<u8>,
    ) {
        let verdict = Proof { signature }.verify(NodeId(id), gateway(), &Challenge { nonce });
        prop_assert_eq!(verdict, Err(InvalidProof));
    }

    #[test]
    fn a_node_id_reads_back_as_it_is_written(id: [u8; 32]) {
        prop_assert_eq!(NodeId(id).to_string().parse(), Ok(NodeId(id)));
    }

    #[test]
    fn any_text_for_a_node_id_never_panics(text: String) {
        let _ = text.parse::<NodeId>();
    }
}

#[test]
fn a_node_id_takes_hex_digits_and_nothing_like_them() {
    let text = format!("+1{}", "0".repeat(62));
    assert_eq!(text.parse::<NodeId>(), Err(InvalidNodeId(text.clone())));
}

#[test]
fn a_key_is_made_once_and_then_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/node.pem");
    let first = Identity::load_or_generate(&path).unwrap();
    assert_eq!(Identity::load_or_generate(&path).unwrap().id(), first.id());
    assert_eq!(Identity::load(&path).unwrap().id(), first.id());
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "no draft is left over");
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.pem");
    node().save(&path).unwrap();
    assert!(matches!(Identity::generate().save(&path), Err(KeyError::File { .. })));
    assert_eq!(Identity::load(&path).unwrap().id(), node().id());
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.pem");
    node().save(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Identity::load_or_generate(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_key_made_by_openssl_is_read() {
    // The output of `openssl genpkey -algorithm ed25519` for a seed of 32 times 01.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
        -----END PRIVATE KEY-----\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.pem");
    node().save(&path).unwrap();
    std::fs::write(&path, pem).unwrap();
    assert_eq!(Identity::load(&path).unwrap().id(), node().id());
}

#[test]
fn a_file_that_is_no_key_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.pem");
    node().save(&path).unwrap();
    for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(
            matches!(Identity::load_or_generate(&path), Err(KeyError::NotAKey { .. })),
            "{text}"
        );
    }
}
