//! The teams of agents come with the welcome and at any time after, and are in force at once.

use super::*;
use crate::fixture::TEAM_ONLY;

fn knows(enforcer: &Enforcer) -> bool {
    let snapshot = enforcer.parts.snapshots.pin();
    snapshot.roster.knows(&AGENT.parse().unwrap())
}

fn revision(enforcer: &Enforcer) -> u64 {
    enforcer.parts.snapshots.running().borrow().roster_revision
}

#[tokio::test]
async fn a_roster_is_in_force_at_once_on_disk_soon_and_a_lower_one_is_refused() {
    let enforcer = Enforcer::new();
    let offer = Offer::of(TEAM_ONLY, 1, 5, &enforcer.keys.bundle);
    let mut wire = enforcer.session(&[&offer]).await;
    wire.beat().await;
    wire.announce(1, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    let seated = |enforcer: &Enforcer| {
        let snapshot = enforcer.parts.snapshots.pin();
        snapshot.policy.as_ref().unwrap().seated.is_some()
    };
    assert!(knows(&enforcer) && !seated(&enforcer));
    wire.beat().await;
    wire.say(Down::Roster((&roster(3, &["billing"])).into())).await;
    // A beat is asked at once: only its answer says that what is in force is the newest.
    wire.beat().await;
    assert_eq!((revision(&enforcer), seated(&enforcer)), (3, true));
    assert_eq!(enforcer.parts.status.read().roster_revision, 3);
    wire.say(Down::Roster((&roster(2, &[])).into())).await;
    wire.announce(2, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    assert_eq!((revision(&enforcer), seated(&enforcer)), (3, true));
    let written = async {
        while enforcer.parts.kept().roster_revision() < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, written).await.expect("it is written");
    let policy = enforcer.place.path().join("policy");
    let mut kept = LastKnownGood::open(&policy).unwrap();
    let restored = kept.restore(&enforcer.keys.root.verifying()).unwrap();
    assert_eq!(*restored.roster, roster(3, &["billing"]));
}

#[tokio::test]
async fn a_welcome_without_a_roster_makes_no_agent_known_and_takes_none_away() {
    let enforcer = Enforcer::new();
    let mut bare = enforcer.welcome();
    bare.roster = None;
    enforcer.begin(bare.clone()).await.unwrap();
    assert!(!knows(&enforcer));
    enforcer.begin(enforcer.welcome()).await.unwrap();
    assert!(knows(&enforcer));
    enforcer.begin(bare).await.unwrap();
    assert!(knows(&enforcer));
}

#[tokio::test]
async fn a_replica_that_is_behind_takes_no_newer_roster_away() {
    let enforcer = Enforcer::new();
    let mut ahead = enforcer.welcome();
    ahead.roster = Some((&roster(4, &["billing"])).into());
    enforcer.begin(ahead).await.unwrap();
    enforcer.begin(enforcer.welcome()).await.unwrap();
    assert_eq!(revision(&enforcer), 4);
    assert_eq!(enforcer.parts.kept().roster_revision(), 4);
}

#[tokio::test]
async fn a_roster_that_is_longer_than_it_may_be_or_names_no_team_ends_the_session() {
    let entry = |teams: Vec<String>| wire::RosterEntry {
        agent: AGENT.into(),
        teams,
    };
    let many = (0..33).map(|at| format!("team-{at}")).collect();
    for agents in [
        vec![entry(many)],
        vec![entry(vec![" ".into()])],
        vec![entry(vec![]); 257],
        vec![wire::RosterEntry {
            agent: "billing".into(),
            teams: vec![],
        }],
    ] {
        let enforcer = Enforcer::new();
        let wire = enforcer.session(&[]).await;
        wire.say(Down::Roster(wire::Roster { revision: 9, agents })).await;
        assert!(matches!(wire.ended().await, SessionError::Message(_)));
        assert_eq!(revision(&enforcer), 1);
    }
}

#[tokio::test]
async fn policy_is_remembered_as_fresh_only_with_the_roster_it_runs_with_on_disk() {
    let enforcer = Enforcer::new();
    let parts = &enforcer.parts;
    let asked = parts.freshness.ask();
    assert!(parts.freshness.confirm(asked, 0));
    let newer = Arc::new(roster(2, &["billing"]));
    parts.snapshots.install(|next| next.roster = Arc::clone(&newer));
    parts.remember_age();
    assert_eq!(parts.kept().remembered(), None);
    parts.kept().keep_roster(&newer).unwrap();
    parts.remember_age();
    assert!(parts.kept().remembered().is_some());
}
