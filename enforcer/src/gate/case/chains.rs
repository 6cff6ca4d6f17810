//! What was passed on is weighed as what it is: less than its parent's, its own agent's alone, and over with its task.

use checkrein_shared::decision::Record;
use checkrein_shared::grant::{Limits, Narrowing, OwnGrant, Revocation, Revoked, Scope};
use checkrein_shared::key::SigningKey;

use super::*;
use crate::fixture::{AGENT, Bench, Offer, roster_of};
use crate::snapshot::Revocations;

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
        next.roster = Arc::new(roster_of(2, &[AGENT, CHILD]));
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
async fn whatever_stops_a_grant_stops_what_was_narrowed_from_it() {
    let (bench, grant, holder) = passing_on(ALL);
    let own = OwnGrant::read(&grant).unwrap();
    let child = own.pass_on(to_child(), &holder, &bench.clock).unwrap();
    let root = own.chain().root();
    let (task, expires_ms) = (bench.task, bench.clock.wall_ms() + 1_000);
    let revoked = [
        (Revoked::Task(task), "ended", Cause::TaskEnded),
        (Revoked::Before { task, epoch: 1 }, "amended", Cause::TaskAmended),
        (
            Revoked::Grant { task, grant: root.id },
            "revoked",
            Cause::GrantRevoked,
        ),
        (
            Revoked::Agent {
                agent: root.agent.clone(),
                until_ms: root.issued_ms,
            },
            "removed",
            Cause::GrantRevoked,
        ),
        (
            Revoked::Key(holder.verifying().thumbprint()),
            "revoked",
            Cause::GrantRevoked,
        ),
    ];
    for (what, word, cause) in revoked {
        let entry = Revocation {
            what: what.clone(),
            expires_ms,
            cause: word.into(),
        };
        let known = Arc::new(Revocations::default().extended(1, [entry], 0));
        bench.snapshots.install(|next| next.revocations = known);
        let look = Request::new(&*child, "bank/look", b"{}");
        let answer = bench.gate_of(CHILD).authorize(look).await.unwrap();
        assert_eq!(answer.decided().cause, cause, "{what:?}: {answer:?}");
    }
}
