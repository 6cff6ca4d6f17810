//! Less than a task is revoked, or more, and every enforcer hears of it.

use checkrein_enforcer::Request;
use checkrein_proto::task::v1::{RevokeRequest, RevokeResponse, ShowRequest, State};
use checkrein_shared::decision::Verdict;
use checkrein_shared::grant::holder_thumbprint;
use checkrein_shared::id::Generation;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, payments};
use tonic::{Code, Status};

use super::AGENT;

const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const PASSED_ON: &str = "grant_0193f1c2a4b87d3e9f00a1b2c3d4e5f6";

async fn revoke(operator: &Person, request: RevokeRequest) -> Result<RevokeResponse, Status> {
    let request = RevokeRequest {
        reason: "leaked".to_owned(),
        idempotency_key: fresh_key(),
        ..request
    };
    Ok(operator.tasks().revoke(request).await?.into_inner())
}

fn of_grant(task_id: &str, grant_id: &str) -> RevokeRequest {
    RevokeRequest {
        task_id: task_id.to_owned(),
        grant_id: grant_id.to_owned(),
        ..RevokeRequest::default()
    }
}

fn of_key(key: &str) -> RevokeRequest {
    RevokeRequest {
        key: key.to_owned(),
        ..RevokeRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_and_a_key_are_revoked_everywhere_and_the_task_goes_on() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    let operator = world.operator().await.unwrap();
    let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let task_id = started.task.unwrap().task_id;

    let one = of_grant(&task_id, PASSED_ON);
    let task = revoke(&operator, one.clone()).await.unwrap().task.unwrap();
    assert_eq!(task.state(), State::Live);
    revoke(&operator, one).await.unwrap();
    assert_eq!(revoke(&operator, of_key(KEY)).await.unwrap().task, None);
    // Said twice, the grant has one entry.
    let hears = enforcer.wait_until(|status| status.revocation_sequence == 2, WAIT_MAX);
    hears.await.unwrap();
    let look = Request::new(&started.grant, "bank/get_balance", b"{}");
    let answer = enforcer.gate().authorize(look).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit, "no other grant stops");

    let read =
        "SELECT kind, key_sha256, revoked_by, reason, expires_at > clock_timestamp() + interval '23 hours'
        FROM revocation ORDER BY sequence";
    let rows = world.sql().await.unwrap().query(read, &[]).await.unwrap();
    let kinds: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(kinds, ["grant", "key"]);
    let thumbprint = holder_thumbprint(KEY).unwrap();
    assert_eq!(rows[1].get::<_, &[u8]>(1), thumbprint.0);
    let key: (&str, &str, bool) = (rows[1].get(2), rows[1].get(3), rows[1].get(4));
    assert_eq!(key, ("spiffe://acme.example/operator/olga", "leaked", true));
    let urn = format!(
        "urn:ietf:params:oauth:jwk-thumbprint:sha-256:{}",
        thumbprint.to_base64()
    );
    assert_eq!(holder_thumbprint(&urn), Some(thumbprint));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_nothing_or_too_much_is_not_revoked() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let task = started.task.unwrap();
    let cases = [
        (of_grant(&task.task_id, &task.grant_id), Code::InvalidArgument),
        (of_grant(&task.task_id, "grant"), Code::InvalidArgument),
        (of_grant("", PASSED_ON), Code::InvalidArgument),
        (
            of_grant("task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6", PASSED_ON),
            Code::NotFound,
        ),
        (of_key("not a key"), Code::InvalidArgument),
        (
            RevokeRequest {
                key: KEY.to_owned(),
                ..of_grant(&task.task_id, "")
            },
            Code::InvalidArgument,
        ),
    ];
    for (request, code) in cases {
        let refused = revoke(&operator, request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{request:?}: {refused:?}");
    }
    let task_id = task.task_id;
    let shown = operator.tasks().show(ShowRequest { task_id }).await.unwrap();
    assert_eq!(shown.into_inner().task.unwrap().state(), State::Live);
}
