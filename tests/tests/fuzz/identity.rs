//! `SpiffeId`, `JoinToken` and certificates: what says who somebody is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{JoinToken, SpiffeId, Svid};
use proptest::{prop_assert, prop_assert_eq};
use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, SanType};

use super::hostile;

const BILLING: &str = "spiffe://acme.example/agent/billing";

#[test]
fn a_spiffe_id_that_is_read_is_plain_and_stays_as_it_is() {
    hostile::run(&hostile::lines(include_str!("corpus/spiffe_id.txt")), |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(());
        };
        if let Ok(id) = text.parse::<SpiffeId>() {
            prop_assert_eq!(id.as_str(), text);
            let rest = text.strip_prefix("spiffe://");
            prop_assert!(
                rest.is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
            );
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_".contains(&byte);
            prop_assert!(text.bytes().all(is_plain));
        }
        Ok(())
    });
}

#[test]
fn a_join_token_that_is_read_is_the_one_that_was_written() {
    let token = JoinToken {
        id: BILLING.parse().unwrap(),
        control_plane: vec!["https://checkrein.acme.example:8443".into()],
        ca: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into(),
        root_key: [7; 32],
        secret: [9; 32],
    };
    let written = token.to_string();
    hostile::run(&[written.clone().into_bytes()], |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(());
        };
        // Nothing that a slip of the hand makes of a token is another token.
        prop_assert_eq!(text.parse::<JoinToken>().is_ok(), text == written);
        Ok(())
    });
    let (prefix, encoded) = written.split_once('.').unwrap();
    let body = URL_SAFE_NO_PAD.decode(encoded).unwrap();
    let body = body.split_last_chunk::<8>().unwrap().0.to_vec();
    hostile::run(&[body], |input| {
        // What somebody wrote on purpose, with its digest.
        let digest = &Sha256::of(input).0[..8];
        let encoded = URL_SAFE_NO_PAD.encode([input, digest].concat());
        if let Ok(token) = format!("{prefix}.{encoded}").parse::<JoinToken>() {
            prop_assert!(!token.control_plane.is_empty());
            prop_assert_eq!(token.to_string().parse::<JoinToken>(), Ok(token));
        }
        Ok(())
    });
}

#[test]
fn a_certificate_of_any_bytes_is_read_or_refused() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(BILLING.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    assert_eq!(Svid::read(&der).unwrap().id.as_str(), BILLING);
    hostile::run(&[der], |input| {
        if let Ok(svid) = Svid::read(input) {
            prop_assert_eq!(SpiffeId::from_verified_certificate(input), Ok(svid.id));
        }
        Ok(())
    });
}
