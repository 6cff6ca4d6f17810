//! A key set is the root's, never older than the one in use, and never another of the same version.

use super::*;

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

fn set(version: u64, bundle: &SigningKey) -> KeySet {
    KeySet {
        version,
        bundle: vec![bundle.verifying()],
        grant: vec![key().verifying()],
        ca: Sha256::of(b"ca"),
    }
}

#[test]
fn a_key_set_comes_back_as_the_root_signed_it() {
    let root = key();
    let set = set(3, &key());
    let read = KeySet::verify(&set.sign(&root), &root.verifying(), HeldKeySet::default());
    assert_eq!(read, Ok(set));
}

#[test]
fn a_key_set_that_the_root_did_not_sign_is_refused() {
    let root = key();
    let held = HeldKeySet::default();
    let mut signed = set(3, &key()).sign(&root);
    assert_eq!(
        KeySet::verify(&signed, &key().verifying(), held),
        Err(Untrusted::Signature)
    );
    let mut changed = signed.key_set.to_vec();
    changed[1] ^= 1;
    signed.key_set = changed.into();
    assert_eq!(
        KeySet::verify(&signed, &root.verifying(), held),
        Err(Untrusted::Signature)
    );
    let nonsense = wire::SignedKeySet {
        signature: root.sign(b"\xff").to_vec().into(),
        key_set: bytes::Bytes::from_static(b"\xff"),
    };
    assert_eq!(
        KeySet::verify(&nonsense, &root.verifying(), held),
        Err(Untrusted::Undecodable)
    );
}

#[test]
fn a_key_set_never_goes_back_and_a_version_means_one_set() {
    let root = key();
    let in_use = set(2, &key());
    let signed = in_use.sign(&root);
    let held = HeldKeySet::of(2, &signed);
    let verify = |set: &KeySet, held| KeySet::verify(&set.sign(&root), &root.verifying(), held).map(|_| ());
    assert_eq!(verify(&in_use, held), Ok(()));
    assert_eq!(verify(&set(3, &key()), held), Ok(()));
    assert_eq!(
        verify(&set(1, &key()), held),
        Err(Untrusted::Rollback { offered: 1, held: 2 })
    );
    let other = set(2, &key());
    assert_eq!(verify(&other, held), Err(Untrusted::Forked { version: 2 }));
    let only_version = HeldKeySet { sha256: None, ..held };
    assert_eq!(verify(&other, only_version), Ok(()), "nobody can tell");
}

#[test]
fn a_signature_is_one_key_s_on_one_message() {
    let (ours, theirs) = (key(), key());
    let signature = ours.sign(b"message");
    assert_eq!(ours.verifying().verify(b"message", &signature), Ok(()));
    for (key, message, signature) in [
        (&theirs, b"message".as_slice(), &signature[..]),
        (&ours, b"Message", &signature[..]),
        (&ours, b"message", &signature[..63]),
        (&ours, b"message", b""),
    ] {
        assert_eq!(
            key.verifying().verify(message, signature),
            Err(Untrusted::Signature)
        );
    }
}

#[test]
fn a_key_is_named_by_its_public_half_and_never_printed() {
    let pkcs8 = SigningKey::generate().unwrap();
    let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
    let again = VerifyingKey::try_from(key.verifying().as_bytes().as_slice()).unwrap();
    assert_eq!(again, key.verifying());
    assert_eq!(again.id(), key.id());
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id().0));
    assert_eq!(
        SigningKey::from_pkcs8(&pkcs8[1..]).unwrap_err(),
        InvalidKey::Private
    );
    assert_eq!(
        VerifyingKey::try_from([0; 31].as_slice()),
        Err(InvalidKey::Public(31))
    );
}

#[test]
fn a_key_without_its_public_half_is_read_where_other_tools_make_keys_and_nowhere_else() {
    // The example of RFC 8410, section 10.3.
    let stored = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp-K06_nwoy_HU--CXqI9EdVhC";
    let public = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
    let pkcs8 = URL_SAFE_NO_PAD.decode(stored).unwrap();
    let foreign = SigningKey::from_foreign_pkcs8(&pkcs8).unwrap();
    assert_eq!(foreign.verifying().to_base64(), public);
    assert_eq!(SigningKey::from_pkcs8(&pkcs8).unwrap_err(), InvalidKey::Private);
    let mut own = SigningKey::generate().unwrap();
    assert!(SigningKey::from_foreign_pkcs8(&own).is_ok());
    *own.last_mut().unwrap() ^= 1;
    assert_eq!(
        SigningKey::from_foreign_pkcs8(&own).unwrap_err(),
        InvalidKey::Private,
        "a public half that is there must be the right one"
    );
}
