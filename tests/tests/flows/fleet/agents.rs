//! The register of agents: everybody who is one is in it, with an owner, and with what could be taken away.

use checkrein_control_plane::cli::identity::generate_request;
use checkrein_enforcer::Request;
use checkrein_proto::fleet::v1::{
    AddAgentRequest, Agent, CertifyRequest, InviteRequest, JoinRequest, ListAgentsRequest, ShowAgentRequest,
};
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Verdict;
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, WAIT_MAX, World, payments};
use tonic::{Code, Status};

const AGENT: &str = "spiffe://acme.example/agent/billing";

fn agent(name: &str) -> String {
    format!("spiffe://acme.example/agent/{name}")
}

async fn add(operator: &Person, id: &str, owner: &str) -> Result<Agent, Status> {
    let request = AddAgentRequest {
        spiffe_id: id.to_owned(),
        owner: owner.to_owned(),
        idempotency_key: "add".to_owned(),
        teams: Vec::new(),
    };
    Ok(operator
        .fleet()
        .add_agent(request)
        .await?
        .into_inner()
        .agent
        .unwrap())
}

async fn show(person: &Person, id: &str) -> Result<Agent, Status> {
    let request = ShowAgentRequest {
        spiffe_id: id.to_owned(),
    };
    Ok(person
        .fleet()
        .show_agent(request)
        .await?
        .into_inner()
        .agent
        .unwrap())
}

fn tools(agent: &Agent) -> Vec<(&str, bool)> {
    let tools = agent.tools.iter();
    tools.map(|allowed| (&*allowed.tool, allowed.used)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shows_who_answers_for_it_when_it_was_seen_and_what_it_never_used() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    add(&operator, AGENT, "team-payments").await.unwrap();
    let scope = ["bank/get_balance", "bank/send_money", "mail/*", "web/*"];
    let task = operator.start("alice", AGENT, &scope, &[]).await.unwrap();
    operator
        .start("bob", AGENT, &["bank/*", "bank/get_balance"], &[])
        .await
        .unwrap();
    let before = show(&operator, AGENT).await.unwrap();
    assert_eq!((before.last_seen_unix_ms, before.live_tasks), (0, 2));

    // `mail/send` is refused, and was asked for all the same; what only looks like a tool of `web` is none of it.
    for tool in ["bank/get_balance", "webs/a", "web0", "mail/send"] {
        let request = Request::new(&task.grant, tool, b"{}");
        let answer = enforcer.gate().authorize(request).await.unwrap();
        let is_permitted = answer.verdict() == Verdict::Permit;
        assert_eq!(is_permitted, tool == "bank/get_balance", "{tool}");
    }
    let approver = world.approver("bob").await.unwrap();
    let shown = tokio::time::timeout(WAIT_MAX, async {
        loop {
            let shown = show(&approver, AGENT).await.unwrap();
            // Each is read by itself: a decision that came in between is in one of them.
            let used = shown.tools.iter().filter(|allowed| allowed.used).count();
            if used == 3 && shown.last_seen_unix_ms > 0 {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(
        tools(&shown),
        [
            ("bank/*", true),
            ("bank/get_balance", true),
            ("bank/send_money", false),
            ("mail/*", true),
            ("web/*", false),
        ]
    );
    assert_eq!(
        (&*shown.owner, shown.enforcers.as_slice()),
        ("team-payments", &["edge".to_owned()][..])
    );
    assert!(shown.registered_by.contains("/operator/"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_listed_whatever_it_is_known_from_and_one_page_follows_another() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    world
        .register("edge", &[], &[&agent("spoken-for"), &agent("added")])
        .await
        .unwrap();
    add(&operator, &agent("added"), "olga").await.unwrap();
    for name in ["started", "added"] {
        operator
            .start("alice", &agent(name), &["bank/*"], &[])
            .await
            .unwrap();
    }
    let certify = CertifyRequest {
        role: Role::Agent.to_string(),
        name: "certified".to_owned(),
        certificate_request: generate_request("certified").unwrap().request,
    };
    operator.fleet().certify(certify).await.unwrap();
    let invite = InviteRequest {
        role: Role::Agent.to_string(),
        name: "joined".to_owned(),
        labels: Vec::new(),
        agents: Vec::new(),
        secret_sha256: Sha256::of(&[1; 32]).0.to_vec().into(),
        life_ms: 60_000,
    };
    operator.fleet().invite(invite).await.unwrap();
    let join = JoinRequest {
        secret: vec![1; 32].into(),
        certificate_request: generate_request("joined").unwrap().request,
    };
    operator.fleet().join(join).await.unwrap();
    operator.remove(&agent("removed")).await.unwrap();
    operator
        .remove("spiffe://acme.example/approver/agent")
        .await
        .unwrap();

    let mut expected = ["added", "certified", "joined", "removed", "spoken-for", "started"].map(agent);
    expected.sort();
    for page_size in [0, 1, 2, 4] {
        let (mut listed, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListAgentsRequest {
                page_size,
                page_token,
            };
            let page = operator.fleet().list_agents(request).await.unwrap().into_inner();
            assert!(page_size == 0 || page.agents.len() <= page_size as usize);
            listed.extend(page.agents);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let ids: Vec<&str> = listed.iter().map(|agent| &*agent.spiffe_id).collect();
        assert_eq!(ids, expected, "in pages of {page_size}");
        let owners: Vec<&str> = listed.iter().map(|agent| &*agent.owner).collect();
        assert_eq!(owners, ["olga", "", "", "", "", ""]);
        let removed: Vec<bool> = listed.iter().map(|agent| agent.removed_unix_ms > 0).collect();
        assert_eq!(removed, [false, false, false, true, false, false]);
    }
    for listed in expected {
        assert_eq!(show(&operator, &listed).await.unwrap().spiffe_id, listed);
    }
    let unknown = show(&operator, &agent("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_changed_by_adding_again_and_a_removed_agent_is_not_added() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let first = add(&operator, AGENT, "olga").await.unwrap();
    let second = add(&operator, AGENT, "team-payments").await.unwrap();
    assert_eq!(second.owner, "team-payments");
    assert_eq!(second.registered_unix_ms, first.registered_unix_ms);

    operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    operator.remove(AGENT).await.unwrap();
    let gone = show(&operator, AGENT).await.unwrap();
    assert_eq!((gone.live_tasks, &*gone.owner), (0, "team-payments"));
    assert!(gone.removed_unix_ms > 0);
    let refused = add(&operator, AGENT, "olga").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    for (id, owner) in [
        ("spiffe://acme.example/enforcer/edge", "olga"),
        ("spiffe://other.example/agent/billing", "olga"),
        ("billing", "olga"),
        ("spiffe://acme.example/agent/fresh", " "),
    ] {
        let refused = add(&operator, id, owner).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{id}: {refused:?}");
    }
    show(&operator, &agent("fresh")).await.unwrap_err();
}
