//! What was appended is there after any end of the process; what is damaged is cut, named and never fatal.

mod fuzz;

use std::time::Duration;

use checkrein_shared::decision::{Outcome, OutcomeResult};
use checkrein_shared::id::DecisionId;
use checkrein_shared::{Clock, ManualClock};
use proptest::prelude::*;

use super::*;

const ROOMY: u64 = 64 << 20;

fn instance() -> InstanceId {
    "inst_0198c0de00007000800000000000cafe".parse().unwrap()
}

fn record(detail_bytes: usize) -> Record {
    let clock = ManualClock::at(1_700_000_000_000);
    Record::Outcome(Outcome {
        decision: DecisionId::new(&clock),
        completed_ms: clock.wall_ms(),
        result: OutcomeResult::Done,
        detail: "x".repeat(detail_bytes),
        hold: None,
        task: None,
        spent: checkrein_shared::ledger::Amounts::default(),
    })
}

impl Journal {
    /// The file that grows is on a disk that is full from now on: `/dev/full` refuses every write and every sync. Gives the
    /// real one.
    pub(crate) fn break_disk(&self) -> Arc<fs::File> {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        std::mem::replace(&mut self.shared.writer.lock().unwrap().file, Arc::new(full))
    }

    /// The disk is as it was.
    pub(crate) fn mend_disk(&self, file: Arc<fs::File>) {
        self.shared.writer.lock().unwrap().file = file;
    }

    /// The next sync fails, and no write does.
    pub(crate) fn break_next_sync(&self) {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        self.shared.writer.lock().unwrap().unsynced.push(Arc::new(full));
    }
}

/// Opens it as the next run does, and looks at all that was left, as draining does.
fn reopen(directory: &Path, incarnation: u64) -> Journal {
    let journal = Journal::open(directory, instance(), incarnation, ROOMY).unwrap();
    for left in journal.incarnations() {
        journal.examine(left).unwrap();
    }
    journal
}

/// Every record of an incarnation as the uploader would see it, with the chain at the end.
fn read_back(journal: &Journal, incarnation: u64) -> (Vec<Vec<u8>>, Chain) {
    let end = journal.end_of(incarnation);
    let mut cursor = journal.cursor(incarnation, 0).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = cursor.next_batch(end, 7, 4 << 10).unwrap() {
        records.extend(batch.records.iter().map(|record| record.to_vec()));
    }
    (records, cursor.chain())
}

fn chain_of(records: &[Vec<u8>]) -> Chain {
    records
        .iter()
        .fold(Chain::begin(instance(), 1), |chain, record| chain.extend(record))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    found
}

#[test]
fn what_was_appended_reads_back_in_one_chain_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    let records: Vec<Record> = (0..20).map(record).collect();
    for (at, record) in records.iter().enumerate() {
        assert_eq!(journal.append(record).unwrap(), at as u64);
    }
    drop(journal);
    let journal = reopen(place.path(), 2);
    let (read, chain) = read_back(&journal, 1);
    assert_eq!(read, records.iter().map(Record::encode).collect::<Vec<_>>());
    assert_eq!(chain, chain_of(&read));
    assert_eq!(journal.incarnations(), [1, 2]);
    assert_eq!(
        journal.append(&record(1)).unwrap(),
        0,
        "each incarnation counts from 0"
    );
}

#[test]
fn a_file_cut_at_any_byte_heals_to_a_prefix() {
    let written = tempfile::tempdir().unwrap();
    let journal = Journal::open(written.path(), instance(), 1, ROOMY).unwrap();
    let all: Vec<Vec<u8>> = (0..4)
        .map(record)
        .map(|record| (journal.append(&record).unwrap(), record.encode()).1)
        .collect();
    drop(journal);
    let segment = files(written.path(), "journal").remove(0);
    let bytes = fs::read(&segment).unwrap();
    for cut in 0..=bytes.len() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(segment.file_name().unwrap()), &bytes[..cut]).unwrap();
        let journal = reopen(place.path(), 2);
        let kept = if journal.incarnations().contains(&1) {
            read_back(&journal, 1).0
        } else {
            Vec::new()
        };
        assert_eq!(kept, all[..kept.len()], "cut at {cut}");
        assert!(
            kept.len() == all.len() || cut < bytes.len(),
            "a whole file keeps everything"
        );
        journal.append(&record(3)).unwrap();
        assert!(
            files(place.path(), "corrupt").is_empty(),
            "a torn tail is no damage"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damage_anywhere_keeps_what_stands_before_it_and_is_set_aside(
        at in 0_usize..2_000, flip in 1_u8..=255, count in 2_usize..12,
    ) {
        let place = tempfile::tempdir().unwrap();
        let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
        let all: Vec<Vec<u8>> =
            (0..count).map(|n| record(n * 10)).map(|record| (journal.append(&record).unwrap(), record.encode()).1).collect();
        drop(journal);
        let segment = files(place.path(), "journal").remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        fs::write(&segment, &bytes).unwrap();
        let journal = reopen(place.path(), 2);
        let kept = if journal.incarnations().contains(&1) { read_back(&journal, 1).0 } else { Vec::new() };
        prop_assert!(kept.len() < all.len());
        prop_assert_eq!(&kept[..], &all[..kept.len()]);
        prop_assert_eq!(journal.append(&record(3)).unwrap(), 0);
    }
}

#[test]
fn zeros_a_file_system_left_behind_are_a_torn_tail() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    journal.append(&record(1)).unwrap();
    drop(journal);
    let segment = files(place.path(), "journal").remove(0);
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, [whole.clone(), vec![0; 5_000]].concat()).unwrap();
    let journal = reopen(place.path(), 2);
    assert_eq!(journal.end_of(1), 1);
    assert_eq!(fs::read(&segment).unwrap(), whole);
}

#[test]
fn a_segment_of_another_instance_is_set_aside() {
    let written = tempfile::tempdir().unwrap();
    let other = InstanceId::new(&ManualClock::at(1));
    let journal = Journal::open(written.path(), other, 1, ROOMY).unwrap();
    journal.append(&record(1)).unwrap();
    drop(journal);
    let segment = files(written.path(), "journal").remove(0);
    for (instance, kept) in [(other, vec![1, 2]), (instance(), vec![2])] {
        let place = tempfile::tempdir().unwrap();
        fs::copy(&segment, place.path().join(segment.file_name().unwrap())).unwrap();
        let journal = Journal::open(place.path(), instance, 2, ROOMY).unwrap();
        journal.examine(1).unwrap();
        assert_eq!(journal.incarnations(), kept);
        assert_eq!(files(place.path(), "corrupt").len(), 2 - kept.len());
    }
}

#[test]
fn a_full_journal_refuses_decisions_first_and_outcomes_last() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, 1 << 20).unwrap();
    let mut written = 0;
    let error = loop {
        match journal.append(&record(4_000)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(journal.bytes() <= 1 << 20);
    };
    assert!(matches!(error, JournalError::Full { .. }) && written > 200);
    assert!(!journal.has_room(0), "a decision was refused before that");
}

#[test]
fn acked_segments_go_and_the_rest_still_reads() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, 1 << 20).unwrap();
    while files(place.path(), "journal").len() < 4 {
        journal.append(&record(4_000)).unwrap();
    }
    let (all, end) = read_back(&journal, 1);
    let before = journal.bytes();
    let middle = end.next_sequence / 2;
    journal.acked(1, middle).unwrap();
    assert!(journal.bytes() < before && files(place.path(), "journal").len() < 4);
    let mut cursor = journal.cursor(1, middle).unwrap();
    assert_eq!(cursor.chain(), chain_of(&all[..usize::try_from(middle).unwrap()]));
    while cursor
        .next_batch(end.next_sequence, 512, 1 << 20)
        .unwrap()
        .is_some()
    {}
    assert_eq!(cursor.chain(), end);
    assert!(matches!(
        journal.cursor(1, 0),
        Err(CursorError::Deleted { wanted: 0, .. })
    ));
    assert!(matches!(
        journal.cursor(1, end.next_sequence + 1),
        Err(CursorError::Beyond(_))
    ));
    journal.acked(1, end.next_sequence).unwrap();
    assert_eq!(
        files(place.path(), "journal").len(),
        1,
        "the one that grows stays"
    );
}

#[test]
fn an_old_incarnation_goes_once_it_is_wholly_acked() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    journal.append(&record(1)).unwrap();
    drop(journal);
    let journal = reopen(place.path(), 2);
    journal.acked(1, 0).unwrap();
    assert_eq!(journal.incarnations(), [1, 2], "not acked yet");
    journal.acked(1, 1).unwrap();
    assert_eq!(journal.incarnations(), [2]);
}

#[test]
fn a_batch_keeps_to_its_bounds_unless_one_record_is_longer() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    for bytes in [10, 10, 5_000, 10, 10] {
        journal.append(&record(bytes)).unwrap();
    }
    let mut cursor = journal.cursor(1, 0).unwrap();
    let mut sizes = Vec::new();
    while let Some(batch) = cursor.next_batch(5, 2, 1_000).unwrap() {
        assert_eq!(
            batch.before.next_sequence + batch.records.len() as u64,
            batch.after.next_sequence
        );
        sizes.push(batch.records.len());
    }
    assert_eq!(sizes, [2, 1, 2]);
}

#[tokio::test]
async fn a_sync_resolves_for_everyone_whose_record_is_on_stable_storage() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, 1 << 20).unwrap();
    let mut last = 0;
    while files(place.path(), "journal").len() < 3 {
        last = journal.append(&record(4_000)).unwrap();
    }
    let (first, all) = tokio::join!(journal.sync(0), journal.sync(last));
    first.unwrap();
    all.unwrap();
    assert!(journal.progress().borrow().synced > last);
}

#[tokio::test]
async fn after_a_failure_nothing_is_taken_until_the_journal_is_opened_anew() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    let sequence = journal.append(&record(1)).unwrap();
    journal.sync(sequence).await.unwrap();
    let unsynced = journal.append(&record(1)).unwrap();
    journal.shared.fail();
    assert!(matches!(journal.append(&record(1)), Err(JournalError::Failed)));
    let waited = tokio::time::timeout(Duration::from_secs(5), journal.sync(unsynced))
        .await
        .unwrap();
    // It may have been made durable just before; then that is true, and said.
    assert!(waited.is_ok() == (journal.progress().borrow().synced > unsynced));
    drop(journal);
    let journal = reopen(place.path(), 2);
    assert_eq!(journal.end_of(1), 2);
    journal.append(&record(1)).unwrap();
}

#[test]
fn a_segment_that_is_gone_already_counts_as_removed() {
    let place = tempfile::tempdir().unwrap();
    for incarnation in [1, 2] {
        let journal = Journal::open(place.path(), instance(), incarnation, ROOMY).unwrap();
        journal.append(&record(1)).unwrap();
    }
    let journal = reopen(place.path(), 3);
    for segment in &files(place.path(), "journal")[..2] {
        fs::remove_file(segment).unwrap();
    }
    journal.acked(1, 1).unwrap();
    journal.set_aside(2).unwrap();
    assert_eq!(journal.incarnations(), [3]);
    assert_eq!(journal.bytes(), segment::HEAD_BYTES as u64);
}

#[test]
fn a_closed_journal_deletes_nothing_from_under_its_successor() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    journal.append(&record(1)).unwrap();
    drop(journal);
    let closed = reopen(place.path(), 2);
    closed.close();
    assert!(matches!(closed.acked(1, 1), Err(JournalError::Closed)));
    assert!(matches!(closed.set_aside(1), Err(JournalError::Closed)));
    assert_eq!(reopen(place.path(), 3).end_of(1), 1);
}

#[test]
fn opening_reads_nothing_of_what_was_left_and_draining_reads_all() {
    let place = tempfile::tempdir().unwrap();
    let journal = Journal::open(place.path(), instance(), 1, ROOMY).unwrap();
    for _ in 0..3 {
        journal.append(&record(100)).unwrap();
    }
    drop(journal);
    let segment = files(place.path(), "journal").remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[segment::HEAD_BYTES + 50] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let journal = Journal::open(place.path(), instance(), 2, ROOMY).unwrap();
    assert_eq!(fs::read(&segment).unwrap(), bytes, "damaged, and not looked at");
    assert_eq!(journal.incarnations(), [1, 2]);
    journal.examine(1).unwrap();
    assert_eq!(journal.incarnations(), [2], "its first record was damaged");
    assert_eq!(fs::read(&files(place.path(), "corrupt")[0]).unwrap(), bytes);
}

#[test]
fn runs_that_record_nothing_leave_no_files() {
    let place = tempfile::tempdir().unwrap();
    for incarnation in 1..=5 {
        drop(Journal::open(place.path(), instance(), incarnation, ROOMY).unwrap());
    }
    assert_eq!(files(place.path(), "journal").len(), 1);
}
