//! What was kept decides after a restart; what is damaged does not, and nothing old comes back.

use checkrein_proto::fleet::v1::Stage;
use checkrein_shared::ManualClock;
use checkrein_shared::grant::Revoked;
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::Untrusted;
use tempfile::TempDir;

use super::*;
use crate::fixture::{AGENT, Keys, NOW_MS, Offer, roster};

struct Kept {
    place: TempDir,
    keys: Keys,
}

impl Kept {
    fn new() -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            keys: Keys::fresh(),
        }
    }

    fn open(&self) -> LastKnownGood {
        LastKnownGood::open(self.place.path()).unwrap()
    }

    fn keep(&self, offer: &Offer) -> Result<(), policy::Refused> {
        let mut kept = self.open();
        kept.keep_standing(&self.standing()).unwrap();
        let root = self.keys.root.verifying();
        let verified = policy::verify(&offer.signed, &self.keys.set(1), &root, kept.high_water())?;
        kept.keep_policy(&offer.signed, &verified, &offer.segments)
            .unwrap();
        Ok(())
    }

    fn standing(&self) -> Standing {
        Standing {
            enforcer: "edge".into(),
            agents: BTreeSet::from([AGENT.parse().unwrap()]),
            roster: Arc::new(roster(2, &["billing"])),
            key_set: self.keys.signed_set(1),
            key_set_version: 1,
        }
    }

    fn restore(&self) -> Snapshot {
        self.open().restore(&self.keys.root.verifying()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let task = TaskId::new(&ManualClock::at(NOW_MS));
    let entry = |what| Revocation {
        what,
        expires_ms: NOW_MS + 1,
        cause: "ended".into(),
    };
    let agent = AGENT.parse().unwrap();
    let every_kind = [
        Revoked::Task(task),
        Revoked::Before { task, epoch: 7 },
        Revoked::Grant {
            task,
            grant: GrantId::new(&ManualClock::at(NOW_MS)),
        },
        Revoked::Agent { agent, until_ms: 9 },
        Revoked::Key(Sha256::of(b"a key")),
    ];
    let revocations = Revocations::default().extended(3, every_kind.map(entry), NOW_MS);
    kept.open().keep_revocations(&revocations).unwrap();
    kept.open().keep_revocations(&Revocations::default()).unwrap();
    let restored = kept.restore();
    assert_eq!(restored.running().generation, Generation(7));
    assert_eq!(
        *restored.revocations, revocations,
        "an older state does not replace a newer one"
    );
    assert!(restored.agents.contains(&AGENT.parse().unwrap()) && restored.masking.is_none());
    assert_eq!(*restored.roster, roster(2, &["billing"]));
    assert_eq!(kept.open().enforcer().as_deref(), Some("edge"));
}

#[test]
fn a_kept_revocation_that_means_nothing_here_leaves_no_policy_and_is_asked_for_again() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let mut open = kept.open();
    open.rewrite_good(|good| {
        good.revocation_sequence = 3;
        good.revocations = vec![wire::Revocation {
            cause: "of a later version".into(),
            ..wire::Revocation::default()
        }];
    })
    .unwrap();
    let restored = kept.restore();
    assert!(restored.policy.is_none());
    assert_eq!(restored.running().revocation_sequence, 0);
}

#[test]
fn any_damaged_byte_of_the_kept_policy_leaves_no_policy_and_no_way_back() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let whole = fs::read(kept.file(GOOD)).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(kept.file(GOOD), &damaged).unwrap();
        assert!(kept.restore().policy.is_none(), "byte {at}");
    }
    for cut in [0, 1, 31, 32, 33, whole.len() - 1] {
        fs::write(kept.file(GOOD), &whole[..cut]).unwrap();
        assert!(kept.restore().policy.is_none(), "cut at {cut}");
    }
    assert_eq!(kept.open().high_water().generation, Generation(7));
    assert_eq!(
        kept.keep(&kept.keys.offer(6)).unwrap_err().stage,
        Stage::RollbackRefused
    );
    kept.keep(&kept.keys.offer(7)).unwrap();
    assert!(kept.restore().policy.is_some(), "the same one may come again");
}

#[test]
fn a_damaged_segment_leaves_no_policy() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    for entry in fs::read_dir(kept.file(SEGMENTS)).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
        assert!(kept.restore().policy.is_none(), "{}", path.display());
        fs::write(&path, whole).unwrap();
    }
    assert!(kept.restore().policy.is_some());
}

#[test]
fn a_half_written_file_beside_the_good_one_changes_nothing() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    fs::write(kept.file(".last-known-good.new"), b"torn").unwrap();
    fs::write(kept.file("segments/.x.new"), b"torn").unwrap();
    assert_eq!(kept.restore().running().generation, Generation(7));
    kept.keep(&kept.keys.offer(8)).unwrap();
    assert!(
        !kept.file("segments/.x.new").exists(),
        "what no manifest names is swept away"
    );
}

#[test]
fn a_crash_between_policy_and_mark_is_made_good_on_open() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let old_mark = fs::read(kept.file(MARK)).unwrap();
    kept.keep(&kept.keys.offer(8)).unwrap();
    fs::write(kept.file(MARK), old_mark).unwrap();
    assert_eq!(kept.restore().running().generation, Generation(8));
    assert_eq!(kept.open().high_water().generation, Generation(8));
}

#[test]
fn without_its_high_water_mark_nothing_starts() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let refused = || {
        let error = LastKnownGood::open(kept.place.path()).unwrap_err();
        assert!(matches!(error, LastKnownGoodError::HighWater(_)));
    };
    fs::write(kept.file(MARK), b"damaged").unwrap();
    refused();
    fs::remove_file(kept.file(MARK)).unwrap();
    refused();
    fs::remove_file(kept.file(GOOD)).unwrap();
    refused();
}

#[test]
fn only_the_root_raises_the_epoch_and_nobody_lowers_anything() {
    let kept = Kept::new();
    let keys = &kept.keys;
    kept.keep(&keys.offer(7)).unwrap();
    let refused = |offer: &Offer| kept.keep(offer).unwrap_err().stage;
    assert_eq!(refused(&keys.offer(6)), Stage::RollbackRefused);
    let other_rules = Offer::of(crate::fixture::FROZEN, 1, 7, &keys.bundle);
    assert_eq!(
        refused(&other_rules),
        Stage::RollbackRefused,
        "the same number with another content"
    );
    let raised = |by| Offer::of(crate::fixture::FROZEN, 2, 1, by);
    assert_eq!(refused(&raised(&keys.bundle)), Stage::RollbackRefused);
    let stranger = Keys::fresh();
    assert_eq!(refused(&raised(&stranger.bundle)), Stage::Verify);
    kept.keep(&raised(&keys.root)).unwrap();
    assert_eq!(
        refused(&keys.offer(9)),
        Stage::RollbackRefused,
        "the old epoch is over"
    );
}

#[test]
fn keys_that_another_root_signed_verify_nothing() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let restored = kept.open().restore(&Keys::fresh().root.verifying()).unwrap();
    assert!(restored.keys.is_none() && restored.policy.is_none());
}

#[test]
fn the_time_of_a_confirmation_is_remembered() {
    let kept = Kept::new();
    assert_eq!(kept.open().remembered(), None);
    let remembered = Remembered {
        confirmed_wall_ms: NOW_MS,
        age_ms: 5,
    };
    kept.open().keep_confirmation(remembered).unwrap();
    assert_eq!(kept.open().remembered(), Some(remembered));
    fs::write(kept.file(CONFIRMED), b"damaged").unwrap();
    assert_eq!(kept.open().remembered(), None);
}

#[test]
fn another_key_set_of_the_version_in_use_is_refused_after_a_restart_too() {
    let kept = Kept::new();
    kept.open().keep_standing(&kept.standing()).unwrap();
    let held = kept.open().held_key_set();
    let root = kept.keys.root.verifying();
    let other = KeySet {
        bundle: Vec::new(),
        ..kept.keys.set(1)
    };
    let verify = |set: &KeySet| KeySet::verify(&set.sign(&kept.keys.root), &root, held);
    assert_eq!(verify(&other), Err(Untrusted::Forked { version: 1 }));
    assert!(verify(&kept.keys.set(1)).is_ok() && verify(&kept.keys.set(2)).is_ok());
}

#[test]
fn what_was_kept_without_a_roster_or_with_one_that_means_nothing_knows_the_teams_of_nobody() {
    let kept = Kept::new();
    kept.keep(&kept.keys.offer(7)).unwrap();
    let agent = AGENT.parse().unwrap();
    assert!(kept.restore().roster.knows(&agent));
    let mut roster: wire::Roster = (&roster(3, &[])).into();
    roster.agents[0].teams = vec!["not\na team".into()];
    for broken in [None, Some(roster)] {
        kept.open().rewrite_good(|good| good.roster = broken).unwrap();
        let restored = kept.restore();
        assert!(restored.policy.is_some() && !restored.roster.knows(&agent));
    }
}

#[test]
fn an_older_roster_does_not_replace_a_newer_one() {
    let kept = Kept::new();
    kept.open().keep_roster(&roster(3, &["sales"])).unwrap();
    kept.open().keep_roster(&roster(2, &["billing"])).unwrap();
    assert_eq!(kept.open().roster(), roster(3, &["sales"]));
    kept.open().keep_roster(&roster(4, &[])).unwrap();
    assert_eq!(kept.open().roster(), roster(4, &[]));
}
