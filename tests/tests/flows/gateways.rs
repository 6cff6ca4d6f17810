//! A real Envoy, with the configuration of `deploy/envoy`, before a service in plain HTTP and the official MCP server of npm: it asks an
//! enforcer over mutual TLS, for agents whom it knows by their certificates. `.ci/setup test` installs it.

mod agent;
mod authzen;
mod bank;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use checkrein_enforcer::{Config, Enforcer, Listening, Surfaces};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, WAIT_MAX, World, free_port, installed, payments_with, read_pack};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use agent::{Agent, Answer};
use bank::Bank;

const AGENT: &str = "spiffe://acme.example/agent/billing";
const CAPPED: &str = r#"@id("capped") @reason("more than 1000 is never paid")
forbid (principal, action == Action::"bank/send_money", resource)
when { context.input.amount.greaterThan(decimal("1000.0")) };"#;
/// What the enforcer's file says of the gateway.
const GATEWAY: &str = r#"
[[gateway]]
address = "127.0.0.1:0"
callers = ["spiffe://acme.example/enforcer/ingress"]

[[gateway.route]]
request = "POST /accounts/{recipient}/payments"
tool = "bank/send_money"
"#;

/// An agent, Envoy, an enforcer, and what is behind.
struct Scene {
    world: World,
    operator: Person,
    task: String,
    enforcer: Enforcer,
    surfaces: Surfaces,
    agent: Agent,
    bank: Bank,
    _envoy: Child,
    _server: Child,
}

impl Scene {
    async fn set() -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        let mut payments = payments_with(CAPPED).unwrap();
        // Its cases name the rules that permit, and the other pack permits too.
        payments.files.retain(|path, _| !path.starts_with("tests/"));
        operator.push(&payments).await.unwrap();
        let everything = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/everything");
        let everything = read_pack("everything", &everything).unwrap();
        let generation = operator.push(&everything).await.unwrap();
        let tools = ["bank/*", "everything/*"];
        let task = operator.start("alice", AGENT, &tools, &[]).await.unwrap();

        let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
        let config = world.enforcer_toml(AGENT, &[world.address(0)]);
        let config = Config::parse(&format!("{config}{GATEWAY}"), &directory).unwrap();
        let enforcer = Enforcer::connect(config.clone()).await.unwrap();
        enforcer
            .wait_until(
                |status| status.connected() && status.decides_by(Generation(generation)),
                WAIT_MAX,
            )
            .await
            .unwrap();
        let surfaces = Surfaces::open(&enforcer, &config).await.unwrap();
        let [Listening::Tcp(asked)] = surfaces.listening() else {
            panic!("{:?}", surfaces.listening())
        };

        let bank = Bank::open().await;
        let port = async || free_port().await.unwrap();
        let (mcp, agents, admin) = (port().await, port().await, port().await);
        let server = mcp_server(mcp);
        let ports = [
            (8443, agents),
            (9901, admin),
            (7600, asked.port()),
            (8080, bank.port),
            (3001, mcp),
        ];
        let envoy = envoy(&world, &ports);
        for port in [mcp, agents] {
            listens(port).await;
        }
        let certificate = world.client_config(Role::Agent, "billing").unwrap();
        let agent = Agent::new(certificate.parent().unwrap(), agents, &task.grant);
        Self {
            task: task.task.unwrap().task_id,
            world,
            operator,
            enforcer,
            surfaces,
            agent,
            bank,
            _envoy: envoy,
            _server: server,
        }
    }

    async fn pays(&self, recipient: &str, amount: u32) -> Answer {
        let path = format!("/accounts/{recipient}/payments");
        let body = json!({ "amount": amount }).to_string();
        self.agent.sends("POST", &path, &[], &body).await
    }
}

/// The file under `deploy`, with its addresses and places changed to ours.
fn envoy(world: &World, ports: &[(u16, u16)]) -> Child {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/envoy/envoy.yaml");
    let mut config = std::fs::read_to_string(file).unwrap();
    let certificate = world.client_config(Role::Enforcer, "ingress").unwrap();
    let place = certificate.parent().unwrap().display().to_string();
    config = config.replace("/etc/envoy", &place);
    for (written, real) in ports {
        let port = |port: &u16| format!("port_value: {port} ");
        assert!(config.contains(&port(written)), "{written}");
        config = config.replace(&port(written), &port(real));
    }
    let file = world.path().join("envoy.yaml");
    std::fs::write(&file, config).unwrap();
    Command::new(installed("bin/envoy").unwrap())
        .args([
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "--log-level",
            "error",
            "--config-path",
        ])
        .arg(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn mcp_server(port: u16) -> Child {
    let script = "peers/mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let script: PathBuf = installed(script).unwrap();
    Command::new(installed("bin/node").unwrap())
        .arg(script)
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Returns when somebody does.
async fn listens(port: u16) {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, connected).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_a_service_gets_what_was_permitted_without_the_grant_and_nothing_else() {
    let scene = Scene::set().await;
    let answer = scene.agent.sends("GET", "/balance", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.header("x-checkrein-decision-id").is_empty());
    let got = scene.bank.got();
    assert!(got[0].starts_with("GET /balance "), "{got:?}");
    assert!(!got[0].to_lowercase().contains("grant") && got[0].contains("x-checkrein-decision-id"));

    let denied = scene.pays("US1", 5_000).await;
    assert_eq!(denied.status, 403, "{denied:?}");
    let told = denied.json();
    assert_eq!(
        (&told["verdict"], &told["rules"]),
        (&json!("deny"), &json!(["capped"]))
    );
    assert_eq!(denied.header("content-type"), "application/json");
    let no_route = scene.agent.sends("GET", "/statements", &[], "").await;
    assert_eq!(
        (no_route.status, &no_route.json()["cause"]),
        (403, &json!("no_route"))
    );
    let twice = scene
        .agent
        .sends("POST", "/accounts/US1/payments?amount=1", &[], r#"{"amount":2}"#)
        .await;
    assert_eq!(
        (twice.status, &twice.json()["cause"]),
        (403, &json!("unreadable"))
    );
    let large = "x".repeat(2 << 20);
    let large = scene
        .agent
        .sends("POST", "/accounts/US1/payments", &[], &large)
        .await;
    assert_eq!(large.status, 413);
    let unnamed = scene
        .agent
        .without_grant()
        .sends("GET", "/balance", &[], "")
        .await;
    assert_eq!(
        (unnamed.status, &unnamed.json()["cause"]),
        (403, &json!("invalid_grant"))
    );
    let spoofed = [
        ("x-envoy-auth-partial-body", "false"),
        ("x-checkrein-decision-id", "mine"),
    ];
    let answer = scene.agent.sends("GET", "/balance", &spoofed, "").await;
    assert_eq!(answer.status, 200);
    let got = scene.bank.got();
    assert_eq!(got.len(), 2, "nothing else came through: {got:?}");
    assert!(!got[1].contains("x-checkrein-decision-id: mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_a_held_request_goes_on_once_after_the_vote_and_never_without_its_enforcer() {
    let scene = Scene::set().await;
    let held = scene.pays("US1", 10).await;
    assert_eq!(
        (held.status, &held.json()["verdict"]),
        (403, &json!("hold")),
        "{held:?}"
    );
    assert_eq!(held.header("retry-after"), "5");
    assert!(!held.header("x-checkrein-hold-id").is_empty());
    let again = scene.pays("US1", 10).await;
    assert_eq!(again.json()["hold_id"], held.json()["hold_id"]);
    assert!(scene.bank.got().is_empty());

    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let paid = scene.pays("US1", 10).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    assert_eq!(scene.bank.got().len(), 1);
    let next = scene.pays("US1", 10).await;
    assert_eq!((next.status, &next.json()["verdict"]), (403, &json!("hold")));
    assert_ne!(
        next.json()["hold_id"],
        held.json()["hold_id"],
        "people are asked again"
    );

    let Scene {
        agent,
        bank,
        surfaces,
        enforcer,
        ..
    } = &scene;
    assert!(!surfaces.listening().is_empty() && enforcer.status().connected());
    let (agent, before) = (agent.clone(), bank.got().len());
    let Scene {
        surfaces,
        bank,
        _envoy,
        ..
    } = scene;
    surfaces.close().await;
    let unasked = agent.sends("GET", "/balance", &[], "").await;
    assert_eq!(unasked.status, 403, "{unasked:?}");
    assert_eq!(bank.got().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_an_mcp_server_gets_permitted_calls_and_its_client_is_told_of_the_others() {
    let scene = Scene::set().await;
    let accept = ("accept", "application/json, text/event-stream");
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "tests", "version": "1" },
        },
    });
    let agent = &scene.agent;
    let answer = agent
        .sends("POST", "/mcp", &[accept], &initialize.to_string())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let session = answer.header("mcp-session-id").to_owned();
    let headers = [accept, ("mcp-session-id", session.as_str())];
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = agent
        .sends("POST", "/mcp", &headers, &initialized.to_string())
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let calls = async |id: u32, name: &str, arguments: Value| {
        let call = json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments },
        });
        agent.sends("POST", "/mcp", &headers, &call.to_string()).await
    };
    let echoed = calls(2, "echo", json!({ "message": "through Envoy" })).await;
    assert_eq!(echoed.status, 200);
    assert!(echoed.body.contains("through Envoy"), "{echoed:?}");
    let denied = calls(3, "get-env", json!({})).await;
    assert_eq!(denied.status, 200);
    let told = denied.json();
    assert_eq!(
        (&told["id"], &told["result"]["isError"]),
        (&json!(3), &json!(true)),
        "{told}"
    );
    let words = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        words.contains("the variables of a process hold secrets"),
        "{words}"
    );
    let unknown = calls(4, "add", json!({})).await.json();
    assert_eq!(
        unknown["result"]["_meta"]["checkrein/decision"]["cause"], "unknown_tool",
        "{unknown}"
    );
    let batch = agent
        .sends("POST", "/mcp", &headers, &json!([initialized]).to_string())
        .await;
    assert_eq!(batch.status, 403);
}
