//! `Bundle::decode` and `Manifest::verify`: a segment of any bytes, under the digest and length that are its own.

use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::key::SigningKey;
use checkrein_shared::policy::{Bundle, Manifest, Pack, compose, template};
use proptest::prop_assert;

use super::hostile;

#[test]
fn a_segment_of_any_bytes_is_decoded_or_refused() {
    let pack = Pack::parse(&template("mail", "acme.example")).unwrap();
    let composition = compose(&[&pack]).unwrap();
    let manifest = Manifest::of(&composition, 1, Generation::default());
    let corpus: Vec<_> = composition.segments.iter().map(|it| it.bytes.to_vec()).collect();
    for (at, changed) in composition.segments.iter().enumerate() {
        hostile::run_one_in(100, &corpus, |input| {
            let mut manifest = manifest.clone();
            manifest.segments[at].sha256 = Sha256::of(input);
            manifest.segments[at].length = input.len() as u64;
            let others = |sha256: &Sha256| composition.segments.iter().find(|it| it.sha256 == *sha256);
            let decoded = Bundle::decode(&manifest, |sha256| {
                if *sha256 == manifest.segments[at].sha256 {
                    Some(input.to_vec().into())
                } else {
                    others(sha256).map(|it| it.bytes.clone())
                }
            });
            prop_assert!(decoded.is_ok() || input != &changed.bytes[..]);
            Ok(())
        });
    }
}

#[test]
fn a_manifest_of_any_bytes_is_read_or_refused_and_is_written_as_it_was_read() {
    let pack = Pack::parse(&template("mail", "acme.example")).unwrap();
    let manifest = Manifest::of(&compose(&[&pack]).unwrap(), 1, Generation::default());
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let keys = [key.verifying()];
    hostile::run_one_in(10, &[manifest.encode()], |input| {
        let mut signed = manifest.sign(&key);
        signed.manifest = input.to_vec().into();
        prop_assert!(input == manifest.encode() || Manifest::verify(&signed, &keys).is_err());
        // Even one who holds the key must not break a reader.
        signed.signature = key.sign(input).to_vec().into();
        if let Ok((manifest, _)) = Manifest::verify(&signed, &keys) {
            let again = Manifest::verify(&manifest.sign(&key), &keys);
            prop_assert!(again.is_ok_and(|(again, _)| again == manifest));
        }
        Ok(())
    });
}
