//! A joiner needs no push: whoever the register puts into a team is judged by that team's rules at once, and after a restart too.

use checkrein_enforcer::{Enforcer, Request};
use checkrein_proto::fleet::v1::{AddAgentRequest, Agent};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, payments};
use tonic::{Code, Status};

/// Nobody has heard of it: no pack names it.
const NEWCOMER: &str = "spiffe://acme.example/agent/newcomer";
const RULES: &[u8] = br#"
@id("team-reads") permit (principal in Team::"billing", action in Action::"read", resource);
@id("no-contractors") @reason("contractors read no accounts")
forbid (principal, action == Action::"bank/get_balance", resource) when { principal in Team::"contractors" };
"#;

fn pack() -> PackSource {
    let mut pack = payments().unwrap();
    pack.files.insert("rules.cedar".to_owned(), RULES.to_vec());
    pack.files.retain(|path, _| !path.starts_with("tests/"));
    pack
}

async fn add(operator: &Person, teams: &[&str]) -> Result<Agent, Status> {
    let request = AddAgentRequest {
        spiffe_id: NEWCOMER.to_owned(),
        owner: "olga".to_owned(),
        idempotency_key: fresh_key(),
        teams: teams.iter().map(ToString::to_string).collect(),
    };
    let added = operator.fleet().add_agent(request).await?;
    Ok(added.into_inner().agent.unwrap())
}

/// What is said of a read, and under which policy.
async fn asks(enforcer: &Enforcer, grant: &str) -> (Verdict, Cause, Generation) {
    let request = Request::new(grant, "bank/get_balance", b"{}");
    let answer = enforcer.gate().authorize(request).await.unwrap();
    let decided = answer.decided();
    (answer.verdict(), decided.cause, decided.generation)
}

async fn knows(enforcer: &Enforcer, roster_revision: u64) {
    enforcer
        .wait_until(
            |status| status.roster_revision == roster_revision && status.connected(),
            WAIT_MAX,
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_into_a_team_may_what_the_team_may_without_a_push_and_until_it_is_taken_out() {
    let mut world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[NEWCOMER]).await.unwrap();
    let address = world.address(0);
    let enforcer = world
        .start_enforcer(&directory, NEWCOMER, &[address])
        .await
        .unwrap();
    let generation = Generation(world.push(&pack()).await.unwrap());
    enforcer
        .wait_until(|status| status.decides_by(generation), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", NEWCOMER, &["bank/*"], &[]).await.unwrap();
    let (denied, permitted, forbidden) = (
        (Verdict::Deny, Cause::NoPermit, generation),
        (Verdict::Permit, Cause::Permitted, generation),
        (Verdict::Deny, Cause::Forbidden, generation),
    );
    assert_eq!(asks(&enforcer, &task.grant).await, denied);

    add(&operator, &["billing"]).await.unwrap();
    knows(&enforcer, 1).await;
    assert_eq!(asks(&enforcer, &task.grant).await, permitted);
    add(&operator, &["billing", "contractors"]).await.unwrap();
    knows(&enforcer, 2).await;
    assert_eq!(asks(&enforcer, &task.grant).await, forbidden);
    add(&operator, &["billing"]).await.unwrap();
    knows(&enforcer, 3).await;
    assert_eq!(asks(&enforcer, &task.grant).await, permitted);

    // Alone, it goes by what it kept. What a welcome says is on disk before the session counts as one.
    world.stop_replica(0).await;
    world.restart_replica(0).await.unwrap();
    enforcer
        .wait_until(
            |status| status.connected() && status.policy_age_ms < 5_000,
            WAIT_MAX,
        )
        .await
        .unwrap();
    world.stop_replica(0).await;
    enforcer.shutdown().await;
    let config = || world.enforcer_config(&directory, NEWCOMER, &[address]).unwrap();
    let alone = Enforcer::connect(config()).await.unwrap();
    assert_eq!(asks(&alone, &task.grant).await, permitted);

    world.restart_replica(0).await.unwrap();
    let operator = world.operator().await.unwrap();
    add(&operator, &[]).await.unwrap();
    knows(&alone, 4).await;
    assert_eq!(asks(&alone, &task.grant).await, denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_hears_at_its_first_word_what_was_said_before_it_came_and_with_a_second_replica_too() {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    let operator = world.operator().await.unwrap();
    add(&operator, &["billing"]).await.unwrap();
    let generation = Generation(world.push(&pack()).await.unwrap());
    let directory = world.register("edge", &[], &[NEWCOMER]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, NEWCOMER, &[world.address(second)])
        .await
        .unwrap();
    knows(&enforcer, 1).await;
    enforcer
        .wait_until(|status| status.decides_by(generation), WAIT_MAX)
        .await
        .unwrap();
    let task = operator.start("alice", NEWCOMER, &["bank/*"], &[]).await.unwrap();
    assert_eq!(asks(&enforcer, &task.grant).await.0, Verdict::Permit);
    add(&operator, &[]).await.unwrap();
    knows(&enforcer, 2).await;
    assert_eq!(asks(&enforcer, &task.grant).await.1, Cause::NoPermit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shows_its_teams_each_once_and_what_is_no_team_is_refused() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let added = add(&operator, &["staff", "billing", "staff"]).await.unwrap();
    assert_eq!(added.teams, ["billing", "staff"]);
    let again = add(&operator, &["night shift"]).await.unwrap();
    assert_eq!(again.teams, ["night shift"]);
    assert_eq!(again.named_by, "spiffe://acme.example/operator/olga");
    assert!(again.named_unix_ms >= added.named_unix_ms && added.named_unix_ms > 0);
    let other = world.person(Role::Operator, "omar", 0).await.unwrap();
    let changed = add(&other, &["night shift"]).await.unwrap();
    assert_eq!(changed.named_by, "spiffe://acme.example/operator/omar");
    assert_eq!(changed.registered_by, "spiffe://acme.example/operator/olga");
    let many: Vec<String> = (0..33).map(|at| format!("team-{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for teams in [&[""][..], &[" billing"], &["a\nb"], &[&"x".repeat(129)], &many] {
        let refused = add(&operator, teams).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{teams:?}: {refused:?}");
    }
    let stands = add(&operator, &many[..32]).await.unwrap();
    assert_eq!(stands.teams.len(), 32);
}
