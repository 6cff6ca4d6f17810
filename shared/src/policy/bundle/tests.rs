//! What was not signed, not whole or not decided alike never becomes a bundle; the same packs give the same bytes.

use std::collections::HashMap;

use checkrein_proto::policy::v1 as wire;
use prost::Message;

use super::*;
use crate::key::SigningKey;
use crate::policy::{Pack, fixture, template};

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

fn composition() -> Composition {
    compose(&[&Pack::parse(&fixture::payments()).unwrap()]).unwrap()
}

fn open(composition: &Composition, manifest: &Manifest) -> Result<Bundle, BundleError> {
    let segments: HashMap<_, _> = composition
        .segments
        .iter()
        .map(|s| (s.sha256, s.bytes.clone()))
        .collect();
    Bundle::decode(manifest, |sha256| segments.get(sha256).cloned())
}

fn self_tests(composition: &Composition) -> Vec<wire::SelfTest> {
    let segment = composition
        .segments
        .iter()
        .find(|segment| segment.kind == SegmentKind::SelfTest)
        .unwrap();
    wire::SelfTestSegment::decode(segment.bytes.clone())
        .unwrap()
        .tests
}

#[test]
fn a_signed_bundle_is_what_was_composed() {
    let (key, composition) = (key(), composition());
    let manifest = Manifest::of(&composition, 3, Generation(7));
    let (verified, digest) = Manifest::verify(&manifest.sign(&key), &[key.verifying()]).unwrap();
    assert_eq!(verified, manifest);
    assert_eq!(digest, Sha256::of(&manifest.encode()));
    let bundle = open(&composition, &verified).unwrap();
    assert_eq!((bundle.epoch(), bundle.generation()), (3, Generation(7)));
    assert_eq!(
        bundle.bounds(),
        Bounds {
            full_ms: 20_000,
            light_ms: 600_000
        }
    );
    assert_eq!(bundle.rule_count(), 5);
    let pack = Pack::parse(&fixture::payments()).unwrap();
    assert!(pack.tools().all(|tool| bundle.tool(&tool.id) == Some(tool)));
}

#[test]
fn no_pack_loosens_the_bounds_that_another_relies_on() {
    let bounded = |name: &str, bounds: &str| {
        let settings = format!("namespace = \"org\"\n[bounds]\n{bounds}\n");
        fixture::pack(name, &[("checkrein.toml", &settings)])
    };
    let (loose, silent) = (
        bounded("loose", "full = \"720h\"\nlight = \"720h\""),
        fixture::pack("silent", &[]),
    );
    assert_eq!(fixture::bundle(&[&loose]).bounds(), BOUNDS_DEFAULT);
    assert_eq!(fixture::bundle(&[&loose, &silent]).bounds(), BOUNDS_DEFAULT);
    let tight = bounded("tight", "full = \"5s\"");
    let bounds = fixture::bundle(&[&loose, &silent, &tight]).bounds();
    assert_eq!(
        (bounds.full_ms, bounds.light_ms),
        (5_000, BOUNDS_DEFAULT.light_ms)
    );
}

#[test]
fn the_same_packs_give_the_same_bytes_in_any_order() {
    let packs = [
        Pack::parse(&fixture::payments()).unwrap(),
        Pack::parse(&template("mine", "acme.example")).unwrap(),
    ];
    let [payments, mine] = &packs;
    let forth = compose(&[payments, mine]).unwrap();
    let back = compose(&[mine, payments]).unwrap();
    assert_eq!(forth, back);
    assert_eq!(
        Manifest::of(&forth, 0, Generation(1)).encode(),
        Manifest::of(&back, 0, Generation(1)).encode()
    );
    let again = Pack::parse(&fixture::payments()).unwrap();
    assert_eq!(forth, compose(&[&again, mine]).unwrap());
    assert_ne!(forth.audience, compose(&[payments]).unwrap().audience);
}

#[test]
fn every_self_test_happens_at_a_moment_that_no_clock_chose() {
    let composition = composition();
    for test in self_tests(&composition) {
        let moment = match test.name.as_str() {
            "payments: payments are switched off in staging" => 1_772_355_600_000,
            _ => crate::policy::CASE_NOW_MS_DEFAULT,
        };
        assert_eq!(test.now_unix_ms, moment, "{}", test.name);
    }
}

#[test]
fn a_pack_keeps_its_segments_when_another_changes() {
    let payments = Pack::parse(&fixture::payments()).unwrap();
    let other = |rules: &str| fixture::pack("other", &[("rules.cedar", rules)]);
    let of_payments = |composition: &Composition| -> Vec<_> {
        composition
            .segments
            .iter()
            .filter(|s| s.pack == "payments")
            .map(|s| s.sha256)
            .collect()
    };
    let before = compose(&[
        &payments,
        &other("@id(\"x\") permit (principal, action, resource);"),
    ])
    .unwrap();
    let after = compose(&[
        &payments,
        &other("@id(\"x\") forbid (principal, action, resource);"),
    ])
    .unwrap();
    assert_eq!(of_payments(&before), of_payments(&after));
    assert_ne!(before, after);
}

#[test]
fn any_flipped_byte_of_manifest_signature_or_key_id_is_refused() {
    let key = key();
    let signed = Manifest::of(&composition(), 0, Generation(1)).sign(&key);
    let verify = |signed: &wire::SignedManifest| Manifest::verify(signed, &[key.verifying()]);
    verify(&signed).unwrap();
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for at in 0..signed.manifest.len() {
        let changed = wire::SignedManifest {
            manifest: flip(&signed.manifest, at).into(),
            ..signed.clone()
        };
        assert_eq!(
            verify(&changed).unwrap_err(),
            BundleError::Signature,
            "manifest, byte {at}"
        );
    }
    for at in 0..signed.signature.len() {
        let changed = wire::SignedManifest {
            signature: flip(&signed.signature, at).into(),
            ..signed.clone()
        };
        assert_eq!(
            verify(&changed).unwrap_err().stage(),
            Stage::Verify,
            "signature, byte {at}"
        );
    }
    for at in 0..signed.key_id.len() {
        let key_id = String::from_utf8(flip(signed.key_id.as_bytes(), at)).unwrap();
        let changed = wire::SignedManifest {
            key_id,
            ..signed.clone()
        };
        assert!(
            matches!(verify(&changed), Err(BundleError::UnknownKey(_))),
            "key id, byte {at}"
        );
    }
    assert!(matches!(
        Manifest::verify(&signed, &[self::key().verifying()]),
        Err(BundleError::UnknownKey(_))
    ));
}

#[test]
fn any_flipped_byte_of_a_segment_is_refused() {
    let composition = composition();
    let manifest = Manifest::of(&composition, 0, Generation(1));
    for changed in 0..composition.segments.len() {
        for at in (0..composition.segments[changed].bytes.len()).step_by(3) {
            let fetched = Bundle::decode(&manifest, |sha256| {
                let segment = composition
                    .segments
                    .iter()
                    .position(|segment| segment.sha256 == *sha256)?;
                let mut bytes = composition.segments[segment].bytes.to_vec();
                if segment == changed {
                    bytes[at] ^= 1;
                }
                Some(bytes.into())
            });
            assert!(
                matches!(fetched, Err(BundleError::ChangedSegment(_))),
                "segment {changed}, byte {at}"
            );
        }
    }
}

#[test]
fn a_missing_or_cut_segment_is_refused() {
    let composition = composition();
    let manifest = Manifest::of(&composition, 0, Generation(1));
    let missing = Bundle::decode(&manifest, |_| None).unwrap_err();
    assert!(matches!(missing, BundleError::MissingSegment(_)));
    assert_eq!(missing.stage(), Stage::Verify);
    let mut longer = manifest.clone();
    longer.segments[0].length += 1;
    assert!(matches!(
        open(&composition, &longer),
        Err(BundleError::ChangedSegment(_))
    ));
}

#[test]
fn a_bundle_that_decides_otherwise_than_its_self_test_is_refused() {
    let composition = composition();
    let mut manifest = Manifest::of(&composition, 0, Generation(1));
    manifest.self_test = Sha256::of(b"another");
    let refused = open(&composition, &manifest).unwrap_err();
    assert_eq!(refused.stage(), Stage::SelfTest);

    // The rules of another pack, under the self-test of this one: properly signed, and not what was tested.
    let mut source = fixture::payments();
    let rules = String::from_utf8(source.files["rules.cedar"].clone()).unwrap();
    source.files.insert(
        "rules.cedar".to_owned(),
        rules.replace("\"500.0\"", "\"5.0\"").into_bytes(),
    );
    let other = compose(&[&Pack::parse(&source).unwrap()]).unwrap();
    let mut mixed = other.clone();
    mixed.segments.pop();
    mixed.segments.push(composition.segments.last().unwrap().clone());
    mixed.self_test = composition.self_test;
    let refused = mixed.open().unwrap_err();
    assert_eq!(
        refused,
        BundleError::SelfTest("payments: an account nobody named waits for treasury".to_owned())
    );
    assert!(other.open().is_ok());
}

#[test]
fn a_bundle_without_a_self_test_is_refused() {
    let mut composition = composition();
    composition.segments.pop();
    assert_eq!(composition.open().unwrap_err().stage(), Stage::SelfTest);
}

#[test]
fn a_segment_that_is_no_segment_or_not_of_its_kind_is_refused_when_decoded() {
    let composition = composition();
    for (at, segment) in composition.segments.iter().enumerate() {
        let mut changed = composition.clone();
        let bytes = bytes::Bytes::from_static(b"\xff\xff\xff");
        changed.segments[at] = Segment {
            sha256: Sha256::of(&bytes),
            bytes,
            ..segment.clone()
        };
        assert_eq!(changed.open().unwrap_err().stage(), Stage::Decode, "segment {at}");
    }
    let mut twice = composition.clone();
    twice.segments.push(composition.segments[1].clone());
    assert!(matches!(
        twice.open(),
        Err(BundleError::Twice { kind: "rule", .. })
    ));
    twice = composition.clone();
    twice.segments.push(composition.segments[0].clone());
    assert!(matches!(
        twice.open(),
        Err(BundleError::Twice { kind: "tool", .. })
    ));
}

#[test]
fn another_format_is_refused_by_name() {
    let key = key();
    let mut manifest =
        wire::Manifest::decode(&*Manifest::of(&composition(), 0, Generation(1)).encode()).unwrap();
    manifest.format = 1;
    let bytes = manifest.encode_to_vec();
    let signed = wire::SignedManifest {
        signature: key.sign(&bytes).to_vec().into(),
        manifest: bytes.into(),
        key_id: key.id().0.clone(),
    };
    assert_eq!(
        Manifest::verify(&signed, &[key.verifying()]).unwrap_err(),
        BundleError::Format(1)
    );
}

#[test]
fn no_packs_are_a_bundle_that_denies_everything() {
    let bundle = std::sync::Arc::new(compose(&[]).unwrap().open().unwrap());
    let pack = Pack::parse(&fixture::payments()).unwrap();
    for result in crate::policy::run_cases(&pack, &bundle) {
        assert!(
            result.found.starts_with("deny (unknown_tool)"),
            "{}",
            result.found
        );
    }
    assert_eq!(bundle.bounds(), BOUNDS_DEFAULT);
}

#[test]
fn packs_of_one_name_or_with_one_rule_id_do_not_compose() {
    let payments = Pack::parse(&fixture::payments()).unwrap();
    assert_eq!(
        compose(&[&payments, &payments]),
        Err(ComposeError::SamePack("payments".to_owned()))
    );
    let rule = "@id(\"pay-small\") permit (principal, action, resource);";
    let other = fixture::pack("other", &[("rules.cedar", rule)]);
    let refused = compose(&[&payments, &other]);
    assert!(
        matches!(refused, Err(ComposeError::Bundle(BundleError::Twice { .. }))),
        "{refused:?}"
    );
}

#[test]
fn labels_that_are_out_of_order_doubled_too_many_or_no_words_are_refused_when_decoded() {
    let many: Vec<String> = (100..133).map(|at| format!("l{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (yields, is_read) in [
        (&["a", "b"][..], true),
        (&many[..32], true),
        (&["b", "a"], false),
        (&["a", "a"], false),
        (&["A"], false),
        (&[""], false),
        (&many, false),
    ] {
        let mut changed = composition();
        let mut catalog = wire::CatalogSegment::decode(changed.segments[0].bytes.clone()).unwrap();
        catalog.tools[0].yields = yields.iter().map(ToString::to_string).collect();
        let bytes = bytes::Bytes::from(catalog.encode_to_vec());
        changed.segments[0] = Segment {
            sha256: Sha256::of(&bytes),
            bytes,
            ..changed.segments[0].clone()
        };
        let stage = changed.open().err().map(|error| error.stage());
        // What is read is not what was tested.
        let expected = if is_read { Stage::SelfTest } else { Stage::Decode };
        assert_eq!(stage, Some(expected), "{yields:?}");
    }
}

#[test]
fn every_kind_of_argument_type_comes_back_from_its_bytes() {
    let json = r##"[{"name": "all", "inputSchema": {"additionalProperties": {"type": "string"}, "required": ["b"],
      "$defs": {"D": {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": true}},
      "properties": {
        "b": {"type": "boolean"}, "n": {"type": ["number", "null"]}, "t": {"type": "string", "format": "date"},
        "d": {"type": "string", "format": "duration"}, "i": {"type": "string", "format": "ipv6"}, "z": {"type": "null"},
        "o": {}, "l": {"type": "array", "items": {"$ref": "#/$defs/D"}}, "s": {"type": "string"},
        "c": {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string", "enum": ["p", "q"]}}]}
      }}}]"##;
    let toml = "[all]\neffects = [\"read\", \"publish\"]\nreversibility = \"externally_reversible\"\nsecret = [\"s\"]\n\
                resource = { type = \"Thing\", id = \"s\" }\nyields = [\"untrusted_content\", \"pii\"]\n";
    let pack = fixture::pack("pack", &[("catalog/c.json", json), ("catalog/c.toml", toml)]);
    let all = pack.tools().next().unwrap();
    assert_eq!(all.arguments.members.len(), 10);
    assert_eq!(fixture::bundle(&[&pack]).tool("c/all"), Some(all));
}
