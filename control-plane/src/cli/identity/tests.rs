//! Keys stay private, and nothing is overwritten by accident.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{
    CLIENT_FILE, Credentials, IdentityError, KEY_FILE, RootKey, generate_request, refuse_existing,
    write_identity,
};
use crate::cli::client::ClientConfig;

fn credentials(key: &str) -> Credentials {
    Credentials {
        certificate: "certificate".into(),
        key: key.into(),
        ca: "ca".into(),
    }
}

#[test]
fn a_key_file_is_its_owners_alone_even_when_it_replaces_a_public_one() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(KEY_FILE), "old").unwrap();
    write_identity(home.path(), &credentials("new"), (CLIENT_FILE, ""), true).unwrap();
    let key = home.path().join(KEY_FILE);
    assert_eq!(fs::read_to_string(&key).unwrap(), "new");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn nothing_is_overwritten_unless_that_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("bob");
    write_identity(&out, &credentials("first"), (CLIENT_FILE, ""), false).unwrap();
    let refused = write_identity(&out, &credentials("second"), (CLIENT_FILE, ""), false);
    assert!(matches!(refused, Err(IdentityError::Exists(_))));
    assert!(refuse_existing(&out, CLIENT_FILE, true).is_ok());
    assert_eq!(fs::read_to_string(out.join(KEY_FILE)).unwrap(), "first");
}

#[test]
fn a_request_carries_no_private_key_and_debug_shows_none() {
    let made = generate_request("bob").unwrap();
    assert!(made.request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    assert!(made.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{made:?}").contains("PRIVATE"));
    assert!(!format!("{:?}", credentials("hidden")).contains("hidden"));
}

#[test]
fn a_root_key_has_64_digits_and_comes_back_the_same() {
    let key = RootKey([0xa7; 32]);
    assert_eq!(key.to_string().parse(), Ok(key));
    for wrong in ["", "a7", &"g".repeat(64), &"é".repeat(32)] {
        assert!(wrong.parse::<RootKey>().is_err(), "{wrong}");
    }
}

#[test]
fn a_config_written_is_the_config_read_with_paths_beside_it() {
    let home = tempfile::tempdir().unwrap();
    let config = ClientConfig::beside(vec!["https://127.0.0.1:7443".into()], RootKey([1; 32]));
    let text = config.encode().unwrap();
    write_identity(home.path(), &credentials("key"), (CLIENT_FILE, &text), false).unwrap();
    let read = ClientConfig::load(&home.path().join(CLIENT_FILE), None).unwrap();
    assert_eq!(read.key, Some(home.path().join(KEY_FILE)));
    assert_eq!(
        (read.control_plane, read.root_key),
        (config.control_plane, config.root_key)
    );
}

#[test]
fn a_client_is_a_certificate_or_a_token_and_never_both_or_neither() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(CLIENT_FILE);
    let load = |credentials: &str, token: Option<&Path>| {
        let root = "0".repeat(64);
        let rest =
            format!("control_plane = [\"https://localhost:1\"]\nca = \"ca.pem\"\nroot_key = \"{root}\"\n");
        fs::write(&path, rest + credentials).unwrap();
        ClientConfig::load(&path, token)
    };
    let certificate = "certificate = \"certificate.pem\"\nkey = \"key.pem\"\n";
    let token = "token_file = \"token\"\n";
    assert_eq!(load(certificate, None).unwrap().token_file, None);
    let by_token = load(token, None).unwrap();
    assert_eq!(by_token.token_file, Some(home.path().join("token")));
    for refused in [
        "",
        "certificate = \"certificate.pem\"\n",
        &format!("{certificate}{token}"),
    ] {
        assert!(load(refused, None).is_err(), "{refused}");
    }
    let over = load(certificate, Some(Path::new("/run/token"))).unwrap();
    assert_eq!((over.certificate, over.key), (None, None));
    assert_eq!(over.token_file, Some("/run/token".into()));
}
