//! `GateService`: agents beside the enforcer, known by their connection.

use checkrein_enforcer::{Listening, Surfaces};
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{AuthorizeRequest, CompleteRequest, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{WAIT_MAX, World, payments};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

const AGENT: &str = "spiffe://acme.example/agent/billing";

async fn connect(path: std::path::PathBuf) -> GateServiceClient<Channel> {
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://gate")
        .connect_with_connector(connector)
        .await
        .unwrap();
    GateServiceClient::new(channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_its_own_socket_is_that_agent_and_no_other() {
    let world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[world.address(0)])
        .await
        .unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let mut config = world
        .enforcer_config(&directory, AGENT, &[world.address(0)])
        .unwrap();
    let socket = |name: &str, agent: &str| checkrein_enforcer::UnixSocket {
        path: directory.join(name),
        agent: agent.parse().unwrap(),
        uid: None,
    };
    config.unix = vec![
        socket("own.sock", AGENT),
        socket("other.sock", "spiffe://acme.example/agent/other"),
    ];
    let surfaces = Surfaces::open(&enforcer, &config).await.unwrap();
    assert!(
        surfaces
            .listening()
            .iter()
            .all(|listening| matches!(listening, Listening::Unix(_)))
    );
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let request = AuthorizeRequest {
        grant: task.grant.clone(),
        tool: "bank/get_balance".to_owned(),
        arguments: "{}".into(),
        ..AuthorizeRequest::default()
    };

    let mut own = connect(directory.join("own.sock")).await;
    let answer = own.authorize(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
    let done = CompleteRequest {
        decision_id: answer.decision_id,
        result: OutcomeResult::Done.into(),
        ..Default::default()
    };
    own.complete(done.clone()).await.unwrap();
    assert!(own.complete(done).await.is_err(), "an outcome is reported once");

    let mut other = connect(directory.join("other.sock")).await;
    let answer = other.authorize(request).await.unwrap().into_inner();
    assert_eq!(
        (answer.verdict(), answer.cause.as_str()),
        (Verdict::Deny, "wrong_agent")
    );
    surfaces.close().await;
}
