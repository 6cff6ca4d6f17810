//! An enforcer that gateways ask over mutual TLS, under rules for a bank and for an MCP server, and a task of its agent.

use std::path::Path;

use checkrein_enforcer::{Config, Enforcer, Listening, Surfaces};
use checkrein_proto::hold::v1::{Hold, ShowRequest};
use checkrein_shared::id::Generation;
use checkrein_tests::{Person, WAIT_MAX, World, payments_with, read_pack};

pub(super) const AGENT: &str = "spiffe://acme.example/agent/billing";
const CAPPED: &str = r#"@id("capped") @reason("more than 1000 is never paid")
forbid (principal, action == Action::"bank/send_money", resource)
when { context.input.amount.greaterThan(decimal("1000.0")) };"#;
const SUMS: &str = r#"
@id("sums") @hold("owners") @reason("somebody looks at every sum")
forbid (principal, action == Action::"everything/get-sum", resource);
"#;
const OWNERS: &str = "\n[groups]\nowners = [\"spiffe://acme.example/approver/bob\"]\n";
/// What the enforcer's file says of the gateway.
const GATEWAY: &str = r#"
[[gateway]]
address = "127.0.0.1:0"
callers = ["spiffe://acme.example/enforcer/ingress"]
"#;
const ROUTE: &str = r#"
[[gateway.route]]
request = "POST /accounts/{recipient}/payments"
tool = "bank/send_money"
"#;

/// The enforcer, and who stands around it.
pub(super) struct Edge {
    pub(super) world: World,
    pub(super) operator: Person,
    pub(super) task: String,
    pub(super) grant: String,
    /// Where it is asked.
    pub(super) port: u16,
    pub(super) enforcer: Enforcer,
    surfaces: Surfaces,
}

impl Edge {
    pub(super) async fn open() -> Self {
        Self::saying("").await
    }

    /// Its file says more of the gateway.
    pub(super) async fn saying(more: &str) -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        let generation = push(&operator).await;
        let tools = ["bank/*", "everything/*"];
        let task = operator.start("alice", AGENT, &tools, &[]).await.unwrap();
        let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
        let config = world.enforcer_toml(AGENT, &[world.address(0)]);
        let config = format!("{config}{GATEWAY}{more}{ROUTE}");
        let config = Config::parse(&config, &directory).unwrap();
        let enforcer = Enforcer::connect(config.clone()).await.unwrap();
        enforcer
            .wait_until(
                |status| status.connected() && status.decides_by(generation),
                WAIT_MAX,
            )
            .await
            .unwrap();
        let surfaces = Surfaces::open(&enforcer, &config).await.unwrap();
        let [Listening::Tcp(asked)] = surfaces.listening() else {
            panic!("{:?}", surfaces.listening())
        };
        Self {
            port: asked.port(),
            task: task.task.unwrap().task_id,
            grant: task.grant,
            world,
            operator,
            enforcer,
            surfaces,
        }
    }

    /// What people are asked under this id.
    pub(super) async fn hold(&self, hold_id: &str) -> Hold {
        let hold_id = hold_id.to_owned();
        let shown = self.operator.holds().show(ShowRequest { hold_id }).await;
        shown.unwrap().into_inner().hold.unwrap()
    }

    /// Nobody can ask it any more.
    pub(super) async fn goes_away(self) -> World {
        assert!(self.enforcer.status().connected(), "nothing else is missing");
        self.surfaces.close().await;
        self.world
    }
}

async fn push(operator: &Person) -> Generation {
    let mut payments = payments_with(CAPPED).unwrap();
    // Its cases name the rules that permit, and the other pack permits too.
    payments.files.retain(|path, _| !path.starts_with("tests/"));
    operator.push(&payments).await.unwrap();
    let everything = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/everything");
    let mut everything = read_pack("everything", &everything).unwrap();
    for (file, more) in [("rules.cedar", SUMS), ("checkrein.toml", OWNERS)] {
        let file = everything.files.get_mut(file).unwrap();
        file.extend_from_slice(more.as_bytes());
    }
    Generation(operator.push(&everything).await.unwrap())
}
