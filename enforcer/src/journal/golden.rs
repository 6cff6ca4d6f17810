//! A segment that an earlier program wrote still reads, and is still what is written.
//!
//! The bytes were made by another program from the layout of the file.

use checkrein_shared::decision::{Chain, Outcome, OutcomeResult, Record};

use super::frame::{self, Found};
use super::segment::{self, SegmentId};

const SEGMENT: &str = "63686b7265696e310300000000000000000000000000000004095a20d6197c693cb95ad2ee063ad257884403c0d49a6c\
     9da50d08d0d39529f8e84dbb06ec72c0930000009119603b08011a8e010a246465635f30313938633064653030303037\
     3030303830303030303030303030303030303110e7d795ffbc311802220f6e6f2073756368206163636f756e742a2568\
     6f6c645f303139386330646530303030373030303830303030303030303030303030303432257461736b5f3031393863\
     306465303030303730303038303030303030303030303030303032";
const LIVE: SegmentId = SegmentId {
    incarnation: 3,
    first: 0,
};

fn bytes() -> Vec<u8> {
    let digits: Vec<u32> = SEGMENT.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

fn begin() -> Chain {
    Chain::begin("inst_0198c0de00007000800000000000cafe".parse().unwrap(), 3)
}

fn record() -> Record {
    Record::Outcome(Outcome {
        decision: "dec_0198c0de000070008000000000000001".parse().unwrap(),
        completed_ms: 1_700_000_000_999,
        result: OutcomeResult::Failed,
        detail: "no such account".into(),
        hold: Some("hold_0198c0de000070008000000000000004".parse().unwrap()),
        task: Some("task_0198c0de000070008000000000000002".parse().unwrap()),
        spent: checkrein_shared::ledger::Amounts::default(),
    })
}

#[test]
fn an_old_segment_still_reads() {
    let bytes = bytes();
    let mut file = bytes.as_slice();
    assert_eq!(segment::read_head(&mut file, LIVE).unwrap(), Some(begin()));
    let Found::Record(payload, after) = frame::read(&mut file, begin()).unwrap() else {
        panic!("no record")
    };
    assert_eq!(Record::decode(&payload), Ok(record()));
    assert!(matches!(frame::read(&mut file, after).unwrap(), Found::End));
}

#[test]
fn a_segment_is_written_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    segment::create(place.path(), LIVE, begin()).unwrap();
    let mut written = std::fs::read(place.path().join(LIVE.file_name())).unwrap();
    let payload = record().encode();
    written.extend(frame::encode(&payload, &begin().extend(&payload)).unwrap());
    assert_eq!(written, bytes());
}
