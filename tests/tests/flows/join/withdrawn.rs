//! Invitations that are listed and taken back: what is withdrawn opens nothing, what was taken stays taken, and no secret is shown.

use checkrein_enforcer::{JoinError, join};
use checkrein_proto::fleet::v1::{
    Invitation, InvitationState, InviteRequest, ListInvitationsRequest, WithdrawInvitationRequest,
};
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, World, fresh_key};
use prost::Message;
use tonic::{Code, Status};

use super::{FleetServiceClient, ListRequest, MINUTE_MS, Sha256, asking, invite, left, token};

const EDGE: &str = "spiffe://acme.example/enforcer/edge";

async fn withdraw(person: &Person, id: &str) -> Result<Invitation, Status> {
    let request = WithdrawInvitationRequest {
        spiffe_id: id.to_owned(),
        idempotency_key: fresh_key(),
    };
    let withdrawn = person.fleet().withdraw_invitation(request).await?;
    Ok(withdrawn.into_inner().invitation.unwrap())
}

async fn list(person: &Person, page_size: u32) -> Vec<Invitation> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListInvitationsRequest {
            page_size,
            page_token,
        };
        let page = person
            .fleet()
            .list_invitations(request)
            .await
            .unwrap()
            .into_inner();
        assert!(page_size == 0 || page.invitations.len() <= page_size as usize);
        found.extend(page.invitations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_invited_is_listed_with_what_became_of_it_and_never_with_a_secret() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for (name, secret) in [("taken", 1), ("late", 2), ("back", 3), ("edge", 4)] {
        let invited = invite(name, [secret; 32], MINUTE_MS);
        operator.fleet().invite(invited).await.unwrap();
    }
    operator.fleet().join(asking([1; 32])).await.unwrap();
    let expire = "UPDATE invitation SET expires_at = clock_timestamp() WHERE name = 'late'";
    world.sql().await.unwrap().execute(expire, &[]).await.unwrap();
    withdraw(&operator, "spiffe://acme.example/enforcer/back")
        .await
        .unwrap();

    let approver = world.approver("bob").await.unwrap();
    for page_size in [0, 1, 3] {
        let listed = list(&approver, page_size).await;
        let shown: Vec<_> = listed
            .iter()
            .map(|invitation| {
                (
                    invitation.spiffe_id.rsplit('/').next().unwrap(),
                    invitation.state(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("edge", InvitationState::Open),
                ("back", InvitationState::Withdrawn),
                ("late", InvitationState::Expired),
                ("taken", InvitationState::Taken),
            ]
        );
        for (invitation, secret) in listed.iter().zip([4_u8, 3, 2, 1]) {
            assert_eq!(invitation.invited_by, "spiffe://acme.example/operator/olga");
            assert_eq!(invitation.labels, ["team=payments"]);
            assert!(invitation.expires_unix_ms > 0);
            let bytes = invitation.encode_to_vec();
            let digest = Sha256::of(&[secret; 32]);
            for hidden in [&[secret; 32][..], &digest.0] {
                assert!(
                    !bytes.windows(32).any(|window| window == hidden),
                    "{invitation:?}"
                );
            }
        }
    }
    let odd = ListInvitationsRequest {
        page_token: "edge".to_owned(),
        ..ListInvitationsRequest::default()
    };
    let refused = operator.fleet().list_invitations(odd).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_token_is_refused_and_says_so_and_withdrawing_again_answers_the_same() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    // Two tokens for one name: both are dead.
    for secret in [1, 2] {
        let invited = invite("edge", [secret; 32], MINUTE_MS);
        operator.fleet().invite(invited).await.unwrap();
    }
    let first = withdraw(&operator, EDGE).await.unwrap();
    assert_eq!(first.state(), InvitationState::Withdrawn);
    assert_eq!(first.withdrawn_by, "spiffe://acme.example/operator/olga");
    assert_eq!(withdraw(&operator, EDGE).await.unwrap(), first);
    for secret in [1, 2] {
        let home = world.path().join("refused");
        let refused = join(&token(&world, [secret; 32]), &home).await.unwrap_err();
        assert!(
            matches!(&refused, JoinError::Refused(why) if why.contains("was withdrawn")),
            "{refused}"
        );
        assert_eq!(left(world.path(), "refused"), [""; 0]);
    }
    let listed = operator.fleet().list(ListRequest::default()).await.unwrap();
    assert!(listed.into_inner().enforcers.is_empty());
    // Another invitation is another place.
    let invited = invite("edge", [3; 32], MINUTE_MS);
    operator.fleet().invite(invited).await.unwrap();
    operator.fleet().join(asking([3; 32])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_joined_is_not_withdrawn_and_neither_is_who_was_never_invited() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let invited = invite("edge", [1; 32], MINUTE_MS);
    operator.fleet().invite(invited).await.unwrap();
    operator.fleet().join(asking([1; 32])).await.unwrap();
    let joined = withdraw(&operator, EDGE).await.unwrap_err();
    assert_eq!(joined.code(), Code::FailedPrecondition, "{joined:?}");
    assert!(joined.message().contains("fleet remove"), "{joined:?}");
    for id in [
        "spiffe://acme.example/enforcer/nobody",
        "spiffe://acme.example/agent/edge",
        "spiffe://other.example/enforcer/edge",
        "spiffe://acme.example/visitor/edge",
    ] {
        let nobody = withdraw(&operator, id).await.unwrap_err();
        assert_eq!(nobody.code(), Code::NotFound, "{id}: {nobody:?}");
    }
    let approver = world.approver("bob").await.unwrap();
    let refused = withdraw(&approver, EDGE).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_join_and_a_withdrawal_at_once_exactly_one_wins() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    // An enforcer's place is taken with its register entry, anybody else's alone.
    for (round, role) in (0..16_u8).zip([Role::Enforcer, Role::Agent].into_iter().cycle()) {
        let name = format!("edge-{round}");
        let secret = [100 + round; 32];
        let mut invited = invite(&name, secret, MINUTE_MS);
        if role == Role::Agent {
            invited = InviteRequest {
                role: role.to_string(),
                labels: Vec::new(),
                agents: Vec::new(),
                ..invited
            };
        }
        operator.fleet().invite(invited).await.unwrap();
        let request = asking(secret);
        let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
        let id = format!("spiffe://acme.example/{role}/{name}");
        let (joined, withdrawn) = tokio::join!(nobody.join(request), withdraw(&operator, &id));
        let state = list(&operator, 1).await[0].state();
        match (joined, withdrawn) {
            (Ok(_), Err(late)) => {
                assert_eq!(late.code(), Code::FailedPrecondition, "{late:?}");
                assert_eq!(state, InvitationState::Taken);
            }
            (Err(late), Ok(_)) => {
                assert!(late.message().contains("was withdrawn"), "{late:?}");
                assert_eq!(state, InvitationState::Withdrawn);
            }
            both => panic!("{both:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_waits_for_a_withdrawal_is_refused_and_a_withdrawal_that_waits_for_a_join_too() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for (secret, change) in [
        (1, "SET withdrawn_by = 'x', withdrawn_at = clock_timestamp()"),
        (2, "SET key_sha256 = '\\x00', joined_at = clock_timestamp()"),
    ] {
        let name = format!("edge-{secret}");
        let invited = invite(&name, [secret; 32], MINUTE_MS);
        operator.fleet().invite(invited).await.unwrap();
        let mut sql = world.sql().await.unwrap();
        let first = sql.transaction().await.unwrap();
        let update = format!("UPDATE invitation {change} WHERE name = '{name}'");
        first.execute(&update, &[]).await.unwrap();
        let person = operator.clone();
        let second = tokio::spawn(async move {
            if secret == 1 {
                let joined = person.fleet().join(asking([secret; 32])).await;
                joined.map(|_| ()).unwrap_err()
            } else {
                let id = format!("spiffe://acme.example/enforcer/{name}");
                withdraw(&person, &id).await.map(|_| ()).unwrap_err()
            }
        });
        waits_for_a_row(&world).await;
        first.commit().await.unwrap();
        let refused = second.await.unwrap();
        let why = ["was withdrawn", "has joined"][usize::from(secret) - 1];
        assert!(refused.message().contains(why), "{refused:?}");
    }
}

/// Returns once somebody waits for a row that somebody else has changed.
async fn waits_for_a_row(world: &World) {
    let sql = world.sql().await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let looking = async {
        while sql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(checkrein_tests::WAIT_MAX, looking)
        .await
        .unwrap();
}
