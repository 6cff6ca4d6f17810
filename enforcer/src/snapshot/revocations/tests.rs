//! What is revoked stops wherever it stands in a chain, and is forgotten when nothing it stops can be believed.

use checkrein_shared::ManualClock;
use checkrein_shared::decision::Cause;
use checkrein_shared::grant::{Limits, Scope};
use checkrein_shared::key::SigningKey;

use super::*;
use crate::fixture::{AGENT, NOW_MS};

const HELPER: &str = "spiffe://acme.example/agent/helper";

fn revocation(what: Revoked, expires_ms: u64) -> Revocation {
    Revocation {
        what,
        expires_ms,
        cause: "revoked".into(),
    }
}

fn knows(what: Revoked) -> Revocations {
    Revocations::default().extended(1, [revocation(what, NOW_MS + 1_000)], NOW_MS)
}

/// A grant of epoch 2, issued now, whose holder has this key.
fn grant(task: TaskId, agent: &str, key: &SigningKey) -> Grant {
    Grant {
        id: GrantId::new(&ManualClock::at(NOW_MS)),
        task,
        epoch: 2,
        agent: agent.parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse(["bank/*".to_owned()]).unwrap(),
        limits: Limits::default(),
        data: None,
        named: Vec::new(),
        intent: String::new(),
        environment: "production".into(),
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 1_000,
        holder: Some(key.verifying()),
        link: None,
    }
}

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

#[test]
fn each_kind_stops_what_it_names_anywhere_in_a_chain_and_nothing_else() {
    let clock = ManualClock::at(NOW_MS);
    let (task, keys) = (TaskId::new(&clock), [key(), key()]);
    let root = grant(task, AGENT, &keys[0]);
    let child = grant(task, HELPER, &keys[1]);
    let chain = [&root, &child];
    let agent = |id: &str, until_ms| Revoked::Agent {
        agent: id.parse().unwrap(),
        until_ms,
    };
    let of_grant = |grant: &Grant| Revoked::Grant {
        task,
        grant: grant.id,
    };
    let stop = [
        (Revoked::Task(task), Cause::TaskEnded),
        (Revoked::Before { task, epoch: 3 }, Cause::TaskAmended),
        (of_grant(&root), Cause::GrantRevoked),
        (of_grant(&child), Cause::GrantRevoked),
        (agent(AGENT, NOW_MS), Cause::GrantRevoked),
        (agent(HELPER, NOW_MS), Cause::GrantRevoked),
        (
            Revoked::Key(keys[0].verifying().thumbprint()),
            Cause::GrantRevoked,
        ),
        (
            Revoked::Key(keys[1].verifying().thumbprint()),
            Cause::GrantRevoked,
        ),
    ];
    for (what, cause) in stop {
        let stopped = knows(what.clone()).stops(chain);
        assert_eq!(stopped.map(|stopped| stopped.cause), Some(cause), "{what:?}");
        assert!(chain.iter().any(|grant| what.stops(grant)), "{what:?}");
    }
    let other = TaskId::new(&clock);
    let stray = GrantId::new(&clock);
    let pass = [
        Revoked::Task(other),
        Revoked::Before { task, epoch: 2 },
        Revoked::Before {
            task: other,
            epoch: 9,
        },
        Revoked::Grant { task, grant: stray },
        Revoked::Grant {
            task: other,
            grant: root.id,
        },
        agent(AGENT, NOW_MS - 1),
        agent("spiffe://acme.example/agent/other", NOW_MS),
        Revoked::Key(key().verifying().thumbprint()),
    ];
    for what in pass {
        assert_eq!(knows(what.clone()).stops(chain), None, "{what:?}");
        assert!(!chain.iter().any(|grant| what.stops(grant)), "{what:?}");
    }
}

#[test]
fn a_grant_without_a_key_is_not_stopped_by_any_key() {
    let grant = Grant {
        holder: None,
        ..grant(TaskId::new(&ManualClock::at(NOW_MS)), AGENT, &key())
    };
    assert_eq!(
        knows(Revoked::Key(key().verifying().thumbprint())).stops([&grant]),
        None
    );
}

#[test]
fn an_older_epoch_or_moment_that_comes_again_takes_nothing_back() {
    let task = TaskId::new(&ManualClock::at(NOW_MS));
    let grant = grant(task, AGENT, &key());
    let before = |epoch| revocation(Revoked::Before { task, epoch }, NOW_MS + 1);
    let twice = Revocations::default().extended(2, [before(3), before(1)], NOW_MS);
    assert!(twice.stops([&grant]).is_some());
    let agent = |until_ms| {
        let agent = AGENT.parse().unwrap();
        revocation(Revoked::Agent { agent, until_ms }, NOW_MS + 1)
    };
    let twice = Revocations::default().extended(2, [agent(NOW_MS), agent(1)], NOW_MS);
    assert!(twice.stops([&grant]).is_some());
}

#[test]
fn every_kind_is_kept_until_no_grant_can_outlive_it() {
    let task = TaskId::new(&ManualClock::at(0));
    let kinds = [
        Revoked::Task(task),
        Revoked::Before { task, epoch: 1 },
        Revoked::Grant {
            task,
            grant: GrantId::new(&ManualClock::at(0)),
        },
        Revoked::Agent {
            agent: AGENT.parse().unwrap(),
            until_ms: 1,
        },
        Revoked::Key(Sha256::of(b"a key")),
    ];
    for what in kinds {
        let first = Revocations::default().extended(2, [revocation(what, 100)], 50);
        assert_eq!((first.sequence, first.entries().len()), (2, 1));
        let kept = first.extended(1, [], 99 + REMEMBERED_MS);
        assert_eq!(
            (kept.sequence, kept.entries().len()),
            (2, 1),
            "a sequence never falls"
        );
        assert!(kept.extended(3, [], 100 + REMEMBERED_MS).entries().is_empty());
    }
}
