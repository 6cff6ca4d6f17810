//! What is weighed belongs together, and what is shown of a call gives nothing away.

use std::sync::Mutex;

use checkrein_shared::{Generation, ManualClock};

use super::*;
use crate::fixture::{AGENT, Bench, FROZEN, Offer, roster};
use crate::freshness::Freshness;
use crate::gate::Caller;

/// A clock on which something happens when it is next read.
struct Alarm {
    clock: ManualClock,
    ring: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Clock for Alarm {
    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    fn boot_ms(&self) -> u64 {
        let ring = self.ring.lock().unwrap().take();
        if let Some(ring) = ring {
            ring();
        }
        self.clock.boot_ms()
    }
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alarm")
    }
}

fn caller() -> Caller {
    Caller {
        agent: AGENT.parse().unwrap(),
        asserted: true,
    }
}

#[tokio::test]
async fn an_old_snapshot_is_never_judged_with_the_age_of_a_newer_one() {
    let bench = Bench::new();
    let alarm = Arc::new(Alarm {
        clock: bench.clock.clone(),
        ring: Mutex::default(),
    });
    let freshness = Arc::new(Freshness::new(Arc::clone(&alarm) as _, None));
    assert!(freshness.confirm(freshness.ask(), 0));
    let core = bench.core_with(freshness);
    let case = Case::new(caller(), bench.pay(10), &bench.clock).unwrap();
    // Newer policy comes, and is confirmed, between the two things that are read.
    let snapshots = Arc::clone(&bench.snapshots);
    let newer = bench.decode(&Offer::of(FROZEN, 1, 2, &bench.keys.bundle));
    *alarm.ring.lock().unwrap() = Some(Box::new(move || {
        snapshots.install(|next| next.policy = Some(newer));
    }));
    let weighed = core.weigh(&case);
    assert_eq!(weighed.running.generation, Generation(2));
    assert_eq!(weighed.verdict, Verdict::Deny);
}

#[test]
fn neither_a_request_nor_a_case_shows_its_grant_or_its_arguments() {
    let request = Request::new("bearer-token", "bank/note", br#"{"pin":"hunter2"}"#).call_id("call-1");
    let shown = format!("{request:?}");
    let case = Case::new(caller(), request, &ManualClock::at(1)).unwrap();
    for shown in [shown, format!("{case:?}")] {
        assert!(shown.contains("bank/note") && shown.contains("call-1"), "{shown}");
        assert!(
            !shown.contains("bearer-token") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_agent_of_whose_teams_nothing_has_come_is_denied_and_one_that_is_in_none_is_not() {
    let bench = Bench::new();
    let core = bench.core_with(Arc::clone(&bench.freshness));
    let case = Case::new(caller(), bench.pay(10), &bench.clock).unwrap();
    assert_eq!(core.weigh(&case).verdict, Verdict::Permit);
    bench.snapshots.install(|next| next.roster = Arc::default());
    let weighed = core.weigh(&case);
    assert_eq!(
        (weighed.verdict, weighed.cause),
        (Verdict::Deny, Cause::UnknownAgent)
    );
    assert!(
        weighed.reason.contains("teams") && weighed.reason.contains("next session"),
        "{}",
        weighed.reason
    );
}

#[tokio::test]
async fn who_is_put_into_a_team_that_a_rule_forbids_is_denied_from_the_next_call_on() {
    let bench = Bench::new();
    let forbids = r#"@id("all") permit (principal, action, resource);
        @id("out") forbid (principal in Team::"contractors", action, resource);"#;
    bench.install(&Offer::of(forbids, 1, 2, &bench.keys.bundle));
    bench.confirm_fresh();
    let core = bench.core_with(Arc::clone(&bench.freshness));
    let case = Case::new(caller(), bench.pay(10), &bench.clock).unwrap();
    assert_eq!(core.weigh(&case).verdict, Verdict::Permit);
    let member = Arc::new(roster(2, &["contractors"]));
    bench.snapshots.install(|next| next.roster = member);
    let weighed = core.weigh(&case);
    assert_eq!(
        (weighed.verdict, weighed.cause, &*weighed.rules),
        (Verdict::Deny, Cause::Forbidden, &["out".to_owned()][..])
    );
}
