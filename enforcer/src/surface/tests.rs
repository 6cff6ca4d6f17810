//! Who calls is known from the connection; whoever is not known is not let in.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;

use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{
    AuthorizeRequest, CompleteRequest, OutcomeResult, Verdict, WatchRequest,
};
use checkrein_shared::Clock;
use checkrein_shared::decision::Record;
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId;
use hyper_util::rt::TokioIo;
use rcgen::KeyUsagePurpose;
use tempfile::TempDir;
use tokio::process::Command;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity, Uri};

use super::*;
use crate::fixture::{AGENT, Bench, Ca};

const EDGE: &str = "spiffe://acme.example/enforcer/edge";

type Client = GateServiceClient<Channel>;

/// Tells a process of another user where to call, and with what.
const SOCKET: &str = "CHECKREIN_TEST_SOCKET";
const GRANT: &str = "CHECKREIN_TEST_GRANT";

pub(super) fn empty() -> Surfaces {
    Surfaces {
        stop: CancellationToken::new(),
        servers: JoinSet::new(),
        listening: Vec::new(),
    }
}

async fn connect(path: PathBuf) -> Client {
    over(UnixStream::connect(path).await.unwrap()).await
}

async fn over(stream: UnixStream) -> Client {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let once = stream.take().ok_or(io::ErrorKind::NotConnected);
        async move { once.map_err(io::Error::from) }
    });
    let channel = Endpoint::from_static("http://gate")
        .connect_with_connector(connector)
        .await
        .unwrap();
    GateServiceClient::new(channel)
}

async fn socket(bench: &Bench, uid: Option<u32>) -> (TempDir, Surfaces, Client) {
    let place = tempfile::tempdir().unwrap();
    let socket = UnixSocket {
        path: place.path().join("gate.sock"),
        agent: AGENT.parse().unwrap(),
        uid,
    };
    let mut surfaces = empty();
    surfaces.serve_unix(bench.gate.clone(), &socket).await.unwrap();
    let client = connect(socket.path).await;
    (place, surfaces, client)
}

fn look(bench: &Bench) -> AuthorizeRequest {
    AuthorizeRequest {
        grant: bench.grant(),
        tool: "bank/look".into(),
        arguments: "{}".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn whoever_connects_to_a_socket_is_its_agent_and_nothing_is_asserted() {
    let bench = Bench::new();
    let (place, surfaces, mut client) = socket(&bench, None).await;
    let answer = client.authorize(look(&bench)).await.unwrap().into_inner();
    assert_eq!(answer.verdict(), Verdict::Permit);
    let said = CompleteRequest {
        decision_id: answer.decision_id.clone(),
        result: OutcomeResult::Done.into(),
        detail: String::new(),
        ..CompleteRequest::default()
    };
    client.complete(said.clone()).await.unwrap();
    assert_eq!(
        client.complete(said).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let Record::Decision(decision) = bench.records().remove(0) else {
        panic!("no decision")
    };
    assert_eq!(
        (decision.id.to_string(), decision.agent_asserted),
        (answer.decision_id, false)
    );
    surfaces.close().await;
    assert!(!place.path().join("gate.sock").exists());
}

fn end(bench: &Bench, task: TaskId) {
    let now_ms = bench.clock.wall_ms();
    let entry = Revocation {
        what: Revoked::Task(task),
        expires_ms: now_ms + 1_000_000,
        cause: "ended".into(),
    };
    bench.snapshots.install(|next| {
        let sequence = next.revocations.sequence + 1;
        next.revocations = Arc::new(next.revocations.extended(sequence, [entry], now_ms));
    });
}

#[tokio::test]
async fn an_agent_is_told_which_of_its_calls_should_stop_until_none_is_under_way() {
    let bench = Bench::new();
    let (_place, surfaces, mut client) = socket(&bench, None).await;
    let other_task = TaskId::new(&bench.clock);
    let of_other = AuthorizeRequest {
        grant: bench.grant_of(AGENT, other_task),
        ..look(&bench)
    };
    let stopping = client.authorize(look(&bench)).await.unwrap().into_inner();
    let going_on = client.authorize(of_other).await.unwrap().into_inner();
    let watch = WatchRequest {
        decision_ids: vec![stopping.decision_id.clone(), going_on.decision_id.clone()],
    };
    let mut told = client.watch(watch.clone()).await.unwrap().into_inner();
    end(&bench, bench.task);
    let first = told.message().await.unwrap().unwrap();
    assert_eq!(
        (first.decision_id, &*first.cause),
        (stopping.decision_id, "task_ended")
    );
    let said = CompleteRequest {
        decision_id: going_on.decision_id,
        result: OutcomeResult::Done.into(),
        detail: String::new(),
        ..CompleteRequest::default()
    };
    client.complete(said).await.unwrap();
    assert_eq!(
        told.message().await.unwrap(),
        None,
        "each once, and the other has ended"
    );
    // Another agent's calls are not told of, though one of them should stop.
    let stranger = bench.gate_of("spiffe://acme.example/agent/other");
    let ids = watch.decision_ids.iter().map(|id| id.parse().unwrap());
    assert_eq!(stranger.watch(ids).unwrap().next().await, None);
    for ids in [
        vec![],
        vec!["x".to_owned()],
        vec![watch.decision_ids[0].clone(); 257],
    ] {
        let refused = client.watch(WatchRequest { decision_ids: ids }).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
    surfaces.close().await;
}

#[tokio::test]
async fn another_users_process_is_refused() {
    let bench = Bench::new();
    let (_place, _surfaces, mut client) = socket(&bench, Some(4_242)).await;
    let refused = client.authorize(look(&bench)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(bench.records().is_empty());
}

/// What a process of this user is answered on a socket.
async fn answered_as(uid: u32, program: &Path, socket: &Path, grant: &str) -> String {
    let child = Command::new(program)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "surface::tests::one_call_from_here",
        ])
        .env(SOCKET, socket)
        .env(GRANT, grant)
        .uid(uid)
        .gid(uid)
        .output();
    let output = child.await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "the other end of the test below, which runs it as another user"]
async fn one_call_from_here() {
    let (Ok(socket), Ok(grant)) = (std::env::var(SOCKET), std::env::var(GRANT)) else {
        return;
    };
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => return println!("answered: {:?}", error.kind()),
    };
    let request = AuthorizeRequest {
        grant,
        tool: "bank/look".into(),
        arguments: "{}".into(),
        ..Default::default()
    };
    match over(stream).await.authorize(request).await {
        Ok(answer) => println!("answered: {:?}", answer.into_inner().verdict()),
        Err(status) => println!("answered: {:?}", status.code()),
    }
}

#[tokio::test]
async fn a_socket_for_another_user_is_that_users_and_nobody_elses() {
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let (theirs, others) = (4_242, 4_243);
    let bench = Bench::new();
    let (place, _surfaces, mut ours) = socket(&bench, Some(theirs)).await;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // They may not enter the directory that this program lies in.
    let program = place.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let (path, grant) = (place.path().join("gate.sock"), bench.grant());
    let answered = answered_as(theirs, &program, &path, &grant).await;
    assert!(answered.contains("answered: Permit"), "{answered}");
    let answered = answered_as(others, &program, &path, &grant).await;
    assert!(answered.contains("answered: PermissionDenied"), "{answered}");
    let refused = ours.authorize(look(&bench)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(bench.records().len(), 1);
}

#[tokio::test]
async fn what_is_no_call_is_an_error_and_a_deny_is_an_answer() {
    let bench = Bench::new();
    let (_place, _surfaces, mut client) = socket(&bench, None).await;
    let long = AuthorizeRequest {
        call_id: "x".repeat(257),
        ..look(&bench)
    };
    assert_eq!(
        client.authorize(long).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let no_json = AuthorizeRequest {
        arguments: "{".into(),
        ..look(&bench)
    };
    let answer = client.authorize(no_json).await.unwrap().into_inner();
    assert_eq!(
        (answer.verdict(), answer.cause.as_str()),
        (Verdict::Deny, "invalid_arguments")
    );
    let unsaid = CompleteRequest {
        decision_id: answer.decision_id,
        ..Default::default()
    };
    assert_eq!(
        client.complete(unsaid).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_socket_is_taken_over_from_the_dead_only() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("gate.sock");
    let living = listen_unix(&path, None).await.unwrap();
    assert!(matches!(
        listen_unix(&path, None).await,
        Err(SurfaceError::InUse(_))
    ));
    drop(living);
    drop(listen_unix(&path, None).await.unwrap());
    fs::remove_file(&path).unwrap();
    drop(StdUnixListener::bind(&path).unwrap());
    let taken = listen_unix(&path, None).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(taken);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"precious").unwrap();
    assert!(matches!(
        listen_unix(&path, None).await,
        Err(SurfaceError::NotASocket(_))
    ));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

/// A port with mutual TLS, and how to reach it as whoever has this identity.
struct Port {
    surfaces: Surfaces,
    authority: Ca,
    place: TempDir,
    identity: Source,
}

impl Port {
    async fn open(bench: &Bench) -> Self {
        let authority = Ca::new();
        let place = tempfile::tempdir().unwrap();
        let identity = authority.source(&place, EDGE);
        let mut surfaces = empty();
        let tcp = Tcp {
            address: "127.0.0.1:0".parse().unwrap(),
        };
        surfaces
            .serve_tcp(bench.gate.clone(), identity.clone(), &tcp)
            .await
            .unwrap();
        Self {
            surfaces,
            authority,
            place,
            identity,
        }
    }

    async fn connect(&self, identity: Option<Identity>) -> Result<Client, Code> {
        let Listening::Tcp(address) = &self.surfaces.listening()[0] else {
            panic!("no port")
        };
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(self.authority.pem())
            .domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .unwrap()
            .tls_config(tls)
            .unwrap();
        let channel = endpoint.connect().await.map_err(|_| Code::Unavailable)?;
        Ok(GateServiceClient::new(channel))
    }

    async fn ask(&self, identity: Option<Identity>, request: AuthorizeRequest) -> Result<Verdict, Code> {
        let answer = self.connect(identity).await?.authorize(request).await;
        Ok(answer.map_err(|status| status.code())?.into_inner().verdict())
    }
}

#[tokio::test]
async fn over_tcp_an_agent_is_who_its_certificate_says() {
    let bench = Bench::new();
    let port = Port::open(&bench).await;
    let asked = |id: &str| port.ask(Some(port.authority.issue(id)), look(&bench));
    assert_eq!(asked(AGENT).await, Ok(Verdict::Permit));
    assert_eq!(
        asked("spiffe://acme.example/agent/other").await,
        Ok(Verdict::Deny),
        "another agent's grant"
    );
    for role in ["operator/olga", "approver/bob", "enforcer/edge"] {
        assert_eq!(
            asked(&format!("spiffe://acme.example/{role}")).await,
            Err(Code::PermissionDenied),
            "{role}"
        );
    }
}

#[tokio::test]
async fn over_tcp_nobody_without_a_certificate_of_the_ca_is_heard() {
    let bench = Bench::new();
    let port = Port::open(&bench).await;
    assert!(port.ask(None, look(&bench)).await.is_err());
    let stranger = Ca::new().issue(AGENT);
    assert!(port.ask(Some(stranger), look(&bench)).await.is_err());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn a_rotation_ends_no_connection_and_the_next_caller_is_verified_by_the_new_ca() {
    let bench = Bench::new();
    let mut port = Port::open(&bench).await;
    let old = port.authority.issue(AGENT);
    let mut connected = port.connect(Some(old.clone())).await.unwrap();
    connected.authorize(look(&bench)).await.unwrap();
    port.authority = Ca::new();
    port.authority.config(&port.place, EDGE, "https://127.0.0.1:1");
    port.identity.look().await;
    connected.authorize(look(&bench)).await.unwrap();
    assert!(port.ask(Some(old), look(&bench)).await.is_err());
    let new = port.authority.issue(AGENT);
    assert_eq!(port.ask(Some(new), look(&bench)).await, Ok(Verdict::Permit));
}

#[tokio::test]
async fn over_tcp_a_key_that_may_sign_certificates_or_no_handshake_is_nobodys() {
    let bench = Bench::new();
    let port = Port::open(&bench).await;
    for usages in [
        vec![],
        vec![KeyUsagePurpose::KeyAgreement],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign],
    ] {
        let (certificate, key) = port.authority.certify_for(AGENT, usages.clone());
        let asked = port
            .ask(Some(Identity::from_pem(certificate, key)), look(&bench))
            .await;
        assert_eq!(asked, Err(Code::Unauthenticated), "{usages:?}");
    }
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn what_comes_in_on_a_port_is_answered_at_once() {
    let (listener, address) = listen_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    let mut incoming = std::pin::pin!(at_once(listener));
    let stream = incoming.next().await.unwrap().unwrap();
    assert!(stream.nodelay().unwrap());
}
