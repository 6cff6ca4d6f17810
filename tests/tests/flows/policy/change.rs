//! What changed between two revisions, and which rules do anything.

use checkrein_proto::policy::v1::{DiffRequest, FileChange, LineChange, UsageRequest};
use tonic::Code;

use super::*;

const AT_NIGHT: &str = r#"@id("at-night") forbid (principal, action in Action::"spend", resource) when { context.environment == "night" };"#;

fn between(from_revision: u64, to_revision: u64) -> DiffRequest {
    DiffRequest {
        pack: "payments".to_owned(),
        from_revision,
        to_revision,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_by_file_with_who_pushed_it() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    world.push(&payments().unwrap()).await.unwrap();
    world.push(&payments_with(AT_NIGHT).unwrap()).await.unwrap();
    let change = operator
        .policies()
        .diff(between(0, 0))
        .await
        .unwrap()
        .into_inner();
    let (from, to) = (change.from.unwrap(), change.to.unwrap());
    assert_eq!((from.revision, to.revision), (1, 2));
    assert_eq!(to.pushed_by, "spiffe://acme.example/operator/olga");
    let [file] = &change.files[..] else {
        panic!("{:?}", change.files)
    };
    assert_eq!(
        (file.path.as_str(), file.change()),
        ("rules.cedar", FileChange::Changed)
    );
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
    let added: Vec<&str> = lines
        .filter(|line| line.change() == LineChange::Added)
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(added, ["", AT_NIGHT]);
    let back = operator
        .policies()
        .diff(between(2, 1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((back.files[0].added, back.files[0].removed), (0, 2));
    let first = operator
        .policies()
        .diff(between(0, 1))
        .await
        .unwrap()
        .into_inner();
    assert!(first.from.is_none() && first.files.iter().all(|file| file.change() == FileChange::Added));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_is_not_there_is_named() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let no_pack = operator.policies().diff(between(0, 0)).await.unwrap_err();
    assert_eq!(no_pack.code(), Code::NotFound);
    world.push(&payments().unwrap()).await.unwrap();
    for (from, to) in [(7, 1), (1, 7)] {
        let refused = operator.policies().diff(between(from, to)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert!(refused.message().contains("no revision 7"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_a_pack_are_told_with_their_use_and_those_that_never_decided_too() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    for _ in 0..3 {
        let look = Request::new(&task.grant, "bank/get_balance", b"{}");
        let answer = enforcer.gate().authorize(look).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Permit);
    }
    enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();
    let request = UsageRequest {
        pack: "payments".to_owned(),
        // Until the next hour too: this one may end while this runs.
        until_unix_ms: 4_102_444_800_000,
        since_unix_ms: 1,
    };
    let usage = operator.policies().usage(request).await.unwrap().into_inner();
    let counted: Vec<_> = usage
        .rules
        .iter()
        .map(|of| (of.rule.as_str(), of.permits))
        .collect();
    assert_eq!(
        counted,
        [
            ("look", 3),
            ("close", 0),
            ("close-by-two", 0),
            ("note", 0),
            ("pay-small", 0),
            ("pay-unnamed", 0),
            ("prod-only", 0)
        ]
    );
    assert_eq!(
        (usage.rules[0].file.as_str(), usage.rules[0].line),
        ("rules.cedar", 1)
    );
    assert!(usage.counted_since_unix_ms > 0 && usage.rules[0].last_hour_unix_ms > 0);
}
