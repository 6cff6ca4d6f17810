//! What is weighed belongs together, and what is shown of a call gives nothing away.

use std::sync::Mutex;

use checkrein_shared::decision::Record;
use checkrein_shared::grant::{Limits, Narrowing, OwnGrant, Scope};
use checkrein_shared::key::SigningKey;
use checkrein_shared::{Generation, ManualClock};

use super::*;
use crate::fixture::{AGENT, Bench, FROZEN, Offer};
use crate::freshness::Freshness;
use crate::gate::Caller;
use crate::snapshot::RevokedTask;

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

const CHILD: &str = "spiffe://acme.example/agent/search";

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

/// A bench whose enforcer speaks for the child as well, a grant that may be passed on, and the key that does.
fn passing_on(rules: &str) -> (Bench, String, SigningKey) {
    let bench = Bench::new();
    bench.install(&Offer::of(rules, 1, 2, &bench.keys.bundle));
    bench.confirm_fresh();
    bench.snapshots.install(|next| {
        let both = [AGENT, CHILD].map(|agent| agent.parse().unwrap());
        next.agents = Arc::new(both.into());
    });
    let holder = key();
    let limits = Limits {
        depth: 2,
        ..Limits::default()
    };
    let grant = bench.grant_held(AGENT, bench.task, limits, Some(&holder));
    (bench, grant, holder)
}

/// Looking only, for another agent.
fn to_child() -> Narrowing {
    Narrowing {
        scope: Some(Scope::parse(["bank/look".into()]).unwrap()),
        holder: Some(key().verifying()),
        ..Narrowing::to(CHILD.parse().unwrap())
    }
}

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

#[tokio::test]
async fn a_child_may_do_what_it_was_given_and_nothing_else_of_its_parents() {
    let (bench, grant, holder) = passing_on(ALL);
    let own = OwnGrant::read(&grant).unwrap();
    let child = own.pass_on(to_child(), &holder, &bench.clock).unwrap();
    let gate = bench.gate_of(CHILD);
    let look = gate
        .authorize(Request::new(&*child, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(look.verdict(), Verdict::Permit, "{look:?}");
    let note = Request::new(&*child, "bank/note", br#"{"text":"hi"}"#);
    let note = gate.authorize(note).await.unwrap();
    assert_eq!(note.decided().cause, Cause::OutOfScope);
    // The parent's own grant is the parent's alone, and the child's the child's.
    let borrowed = gate
        .authorize(Request::new(&*grant, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(borrowed.decided().cause, Cause::WrongAgent);
    let lent = bench
        .gate_of(AGENT)
        .authorize(Request::new(&*child, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(lent.decided().cause, Cause::WrongAgent);
    let Some(Record::Decision(recorded)) = bench.records().into_iter().next() else {
        panic!("no decision")
    };
    assert_eq!(recorded.delegated_by, [AGENT.parse().unwrap()]);
    assert_eq!(recorded.agent.as_str(), CHILD);
}

#[tokio::test]
async fn a_child_that_gives_itself_more_is_believed_nowhere() {
    let (bench, grant, holder) = passing_on(ALL);
    let own = OwnGrant::read(&grant).unwrap();
    let child = own.pass_on(to_child(), &holder, &bench.clock).unwrap();
    let (_, token) = child.split_once('~').unwrap();
    for presented in [
        token.to_owned(),
        format!("{grant}~{grant}"),
        format!("{child}~{token}"),
    ] {
        let gate = bench.gate_of(CHILD);
        let answer = gate
            .authorize(Request::new(presented, "bank/look", b"{}"))
            .await
            .unwrap();
        assert_eq!(answer.decided().cause, Cause::InvalidGrant);
    }
}

#[tokio::test]
async fn rules_see_who_passed_the_grant_on() {
    let rules = r#"@id("all") permit (principal, action, resource);
      @id("not-through-billing") forbid (principal, action, resource)
      when { context.chain.depth > 0 && context.chain.root == Agent::"spiffe://acme.example/agent/billing" &&
             context.chain has parent && context.chain.parent == context.chain.root &&
             context.chain.agents.contains(principal) };"#;
    let (bench, grant, holder) = passing_on(rules);
    let own = OwnGrant::read(&grant).unwrap();
    let child = own.pass_on(to_child(), &holder, &bench.clock).unwrap();
    let direct = bench
        .gate_of(AGENT)
        .authorize(Request::new(&*grant, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(direct.verdict(), Verdict::Permit);
    let through = bench
        .gate_of(CHILD)
        .authorize(Request::new(&*child, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(through.decided().rules, ["not-through-billing"]);
}

#[tokio::test]
async fn a_task_that_ends_ends_what_was_narrowed_from_it() {
    let (bench, grant, holder) = passing_on(ALL);
    let own = OwnGrant::read(&grant).unwrap();
    let child = own.pass_on(to_child(), &holder, &bench.clock).unwrap();
    let (task, expires_ms) = (bench.task, bench.clock.wall_ms() + 1_000);
    bench.snapshots.install(|next| {
        let cause = "ended".into();
        let entry = (task, RevokedTask { expires_ms, cause });
        next.revocations = Arc::new(next.revocations.extended(1, [entry], 0));
    });
    let answer = bench
        .gate_of(CHILD)
        .authorize(Request::new(&*child, "bank/look", b"{}"))
        .await
        .unwrap();
    assert_eq!(answer.decided().cause, Cause::TaskEnded);
}
