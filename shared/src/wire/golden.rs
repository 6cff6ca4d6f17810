//! Bytes that were once written still mean what they meant, and are still what is written: journals, rows and bundles
//! outlive the program that made them.
//!
//! The bytes and the hashes were made by another program from the messages' definitions.

use std::collections::BTreeSet;

use crate::action::{MaskedArguments, Sha256};
use crate::decision::{Cause, Chain, Decision, Mode, Outcome, OutcomeResult, Record, Tier, Verdict};
use crate::id::Generation;
use crate::policy::{Manifest, SegmentKind, SegmentRef};
use checkrein_proto::policy::v1 as policy_wire;
use prost::Message;

const DECISION: &str = "080112fa020a246465635f30313938633064653030303037303030383030303030303030303030303030311080d095ff\
     bc311a237370696666653a2f2f61636d652e6578616d706c652f6167656e742f62696c6c696e6720012a05616c696365\
     32257461736b5f30313938633064653030303037303030383030303030303030303030303030323a266772616e745f30\
     31393863306465303030303730303038303030303030303030303030303033420663616c6c2d314a0f62616e6b2f7365\
     6e645f6d6f6e6579520f7b22616d6f756e74223a31302e307d5a20bd938c688f49b77c7fc537c6b9222e2c97ebddd630\
     76b87f2feaec66fb9c05d060036802720468656c647a1070656f706c65206d757374206c6f6f6b82010b7061792d756e\
     6e616d65648201037a7a7a880101900101980107a001ac02a8010cb20125686f6c645f30313938633064653030303037\
     30303038303030303030303030303030303034ba010a70726f64756374696f6ec2010c706179207468652072656e74";
const OUTCOME: &str = "08011a8e010a246465635f303139386330646530303030373030303830303030303030303030303030303110e7d795ff\
     bc311802220f6e6f2073756368206163636f756e742a25686f6c645f3031393863306465303030303730303038303030\
     30303030303030303030303432257461736b5f3031393863306465303030303730303038303030303030303030303030\
     303032";
const MANIFEST: &str = "10011807220861756469656e63652a30080112087061796d656e74731a2096e3f1c6204f27557f050eaf7d258731d688\
     27d4d1a90118d1ebceaf51fc060020642a31080212087061796d656e74731a20344f080232673a846426c4ff216a233e\
     407028da5a628e595827a85f019226fc20c8012a2c080312036f72671a20a134196a875d5918a084d748b62b894f1961\
     08cf12430ba54c7c54d4968c91ee20ac022a2708041a20e52d9c508c502347344d8c07ad91cbd6068afc75ff6292f062\
     a09ca381c89e712090033220e44f8f9de495363f127326862d8ecad3afe2006c29182dc2756625123b337bb4";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

fn decision() -> Record {
    Record::Decision(Box::new(Decision {
        id: "dec_0198c0de000070008000000000000001".parse().unwrap(),
        decided_ms: 1_700_000_000_000,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        agent_asserted: true,
        delegated_by: Vec::new(),
        ledger: None,
        yields: BTreeSet::new(),
        reversibility: None,
        release: None,
        drawn: None,
        user: "alice".into(),
        task: Some("task_0198c0de000070008000000000000002".parse().unwrap()),
        grant: Some("grant_0198c0de000070008000000000000003".parse().unwrap()),
        call_id: "call-1".into(),
        tool: "bank/send_money".into(),
        arguments: MaskedArguments(r#"{"amount":10.0}"#.into()),
        action: Some(Sha256::of(b"action")),
        tier: Tier::Full,
        verdict: Verdict::Hold,
        cause: Cause::Held,
        reason: "people must look".into(),
        rules: vec!["pay-unnamed".into(), "zzz".into()],
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(7),
        revocation_sequence: 300,
        policy_age_ms: 12,
        hold: Some("hold_0198c0de000070008000000000000004".parse().unwrap()),
        environment: "production".into(),
        intent: "pay the rent".into(),
    }))
}

fn outcome() -> Record {
    Record::Outcome(Outcome {
        decision: "dec_0198c0de000070008000000000000001".parse().unwrap(),
        completed_ms: 1_700_000_000_999,
        result: OutcomeResult::Failed,
        detail: "no such account".into(),
        hold: Some("hold_0198c0de000070008000000000000004".parse().unwrap()),
        task: Some("task_0198c0de000070008000000000000002".parse().unwrap()),
        spent: crate::ledger::Amounts::default(),
    })
}

fn manifest() -> Manifest {
    let segment = |kind, pack: &str, tag: u8| SegmentRef {
        kind,
        pack: pack.to_owned(),
        sha256: Sha256::of_parts(&[pack.as_bytes(), &[tag]]),
        length: 100 * u64::from(tag),
    };
    Manifest {
        epoch: 1,
        generation: Generation(7),
        audience: "audience".into(),
        segments: vec![
            segment(SegmentKind::Catalog, "payments", 1),
            segment(SegmentKind::Rules, "payments", 2),
            segment(SegmentKind::Entities, "org", 3),
            segment(SegmentKind::SelfTest, "", 4),
        ],
        self_test: Sha256::of(b"self-test"),
    }
}

#[test]
fn an_old_record_still_means_what_it_meant() {
    for (old, record) in [(DECISION, decision()), (OUTCOME, outcome())] {
        assert_eq!(Record::decode(&bytes(old)), Ok(record.clone()));
        assert_eq!(record.encode(), bytes(old));
    }
}

#[test]
fn a_chain_over_old_records_still_ends_in_the_hash_it_had() {
    let begin = Chain::begin("inst_0198c0de00007000800000000000cafe".parse().unwrap(), 3);
    assert_eq!(
        begin.hash.to_string(),
        "04095a20d6197c693cb95ad2ee063ad257884403c0d49a6c9da50d08d0d39529"
    );
    let end = begin.extend(&bytes(DECISION)).extend(&bytes(OUTCOME));
    assert_eq!(
        (end.next_sequence, end.hash.to_string().as_str()),
        (
            2,
            "37942b19363d23939b6bdb116d6233e5685e554d52d463c6223c13c9ae4ba7c7"
        )
    );
}

#[test]
fn an_old_manifest_still_means_what_it_meant() {
    let old = policy_wire::Manifest::decode(&*bytes(MANIFEST)).unwrap();
    assert_eq!(Manifest::try_from(old), Ok(manifest()));
    assert_eq!(manifest().encode(), bytes(MANIFEST));
}
