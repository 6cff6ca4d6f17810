//! An enforcer whose identity comes from the SPIFFE Workload API: it lives on what is given, and outlives who gives it.

mod agent;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use checkrein_control_plane::authority::Authority;
use checkrein_enforcer::{Answer, Config, Enforcer, Request, Status};
use checkrein_proto::fleet::v1::ListRequest;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_tests::{TRUST_DOMAIN, WAIT_MAX, World, WorldOptions, payments};
use tokio::time::timeout;
use tonic::transport::Identity;

use agent::{Agent, Ca, Svid};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const EDGE: &str = "spiffe://acme.example/enforcer/edge";
/// How long one who knocks waits for an answer. Much less than anything may take to come true: one answer that is lost on the
/// way is followed by another knock.
const KNOCK_MAX: Duration = Duration::from_secs(5);

/// A world with an agent that gives an enforcer of its register what the world's CA certifies.
struct Machine {
    world: World,
    agent: Agent,
    ca: Ca,
    directory: PathBuf,
}

impl Machine {
    /// Nothing runs yet but the control plane.
    async fn set() -> Self {
        Self::of(World::start().await.unwrap(), |world| {
            Ca::of(&world.path().join("data"))
        })
        .await
    }

    /// An agent of a trust domain with a CA of its own, and files that say so: its bundle for the control plane, and the control
    /// plane's CA for the enforcer.
    async fn apart(bundle: PathBuf, authority: &Path) -> Self {
        let options = WorldOptions {
            client_ca: Some(bundle),
            ..WorldOptions::default()
        };
        let world = World::with(options).await.unwrap();
        let ca = std::fs::read(world.path().join("data/keys/ca.pem")).unwrap();
        let mut machine = Self::of(world, |_| Ca::of(authority)).await;
        std::fs::write(machine.directory.join("ca.pem"), ca).unwrap();
        machine.agent.give(machine.ca.certify(EDGE, 2050));
        machine.agent.start();
        machine
    }

    async fn of(world: World, ca: impl FnOnce(&World) -> Ca) -> Self {
        let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
        for file in ["certificate.pem", "key.pem", "ca.pem"] {
            std::fs::remove_file(directory.join(file)).unwrap();
        }
        Self {
            agent: Agent::at(world.path().join("agent.sock")),
            ca: ca(&world),
            world,
            directory,
        }
    }

    /// The same, and its agent has an SVID that ends with 2050.
    async fn with_agent() -> Self {
        let mut machine = Self::set().await;
        machine.agent.give(machine.ca.certify(EDGE, 2050));
        machine.agent.start();
        machine
    }

    fn config(&self) -> Config {
        Config::parse(&self.config_text(), &self.directory).unwrap()
    }

    fn config_text(&self) -> String {
        let text = self.world.enforcer_toml(AGENT, &[self.world.address(0)]);
        // Only a CA that is there is named.
        let is_there = |name: &str| self.directory.join(name).exists();
        let is_file = |line: &&str| {
            let name = line.split('"').nth(1).unwrap_or_default();
            line.ends_with(".pem\"") && !is_there(name)
        };
        let kept: Vec<&str> = text.lines().filter(|line| !is_file(line)).collect();
        let socket = self.world.path().join("agent.sock");
        let spiffe = format!("[spiffe]\nsocket = \"unix://{}\"\n", socket.display());
        format!("{}\n{spiffe}", kept.join("\n"))
    }

    async fn enforcer(&self) -> Enforcer {
        let enforcer = Enforcer::connect(self.config()).await.unwrap();
        enforcer.wait_until(Status::connected, WAIT_MAX).await.unwrap();
        enforcer
    }

    /// Gives an SVID and waits until it is in use.
    async fn rotate(&self, enforcer: &Enforcer, svid: Svid, year: i32) {
        self.agent.give(svid);
        let in_use = enforcer.wait_until(|status| ends_with(status, year), WAIT_MAX);
        in_use.await.unwrap();
    }

    /// What the control plane says of the stream that the enforcer is on.
    async fn session(&self) -> String {
        let select = "SELECT session_id::text FROM enforcer_instance WHERE session_id IS NOT NULL";
        let row = self.world.sql().await.unwrap().query_one(select, &[]).await;
        row.unwrap().get(0)
    }

    async fn reconnect(&mut self, enforcer: &Enforcer) {
        self.world.stop_replica(0).await;
        let gone = enforcer.wait_until(|status| !status.connected(), WAIT_MAX);
        gone.await.unwrap();
        self.world.restart_replica(0).await.unwrap();
        enforcer.wait_until(Status::connected, WAIT_MAX).await.unwrap();
    }
}

/// Whether the identity in use ends with this year.
fn ends_with(status: &Status, year: i32) -> bool {
    let end = rcgen::date_time_ymd(year, 12, 31).unix_timestamp();
    status.identity_until_ms == u64::try_from(end).unwrap() * 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_decides_on_an_identity_of_the_workload_api_whose_rotation_ends_no_session() {
    let mut machine = Machine::with_agent().await;
    let enforcer = machine.enforcer().await;
    let generation = Generation(machine.world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    assert!(ends_with(&decides.await.unwrap(), 2050));
    let operator = machine.world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let request = Request::new(&task.grant, "bank/get_balance", b"{}");
    let answer = enforcer.gate().authorize(request).await.unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    permit.complete(OutcomeResult::Done, "").await.unwrap();

    let session = machine.session().await;
    // Of this name too, but certified by a CA that the control plane does not believe: no connection could be made with it, so
    // what still comes, comes over the session that there is.
    let elsewhere = machine.world.path().join("elsewhere");
    Authority::open(&elsewhere.join("keys"), TRUST_DOMAIN, &SystemClock).unwrap();
    let unbelieved = Ca::of(&elsewhere).certify(EDGE, 2051);
    machine.rotate(&enforcer, unbelieved, 2051).await;
    let generation = Generation(machine.world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    assert_eq!(machine.session().await, session);
    let believed = machine.ca.certify(EDGE, 2052);
    machine.rotate(&enforcer, believed, 2052).await;
    assert_eq!(machine.session().await, session);
    // Made with the last of the three, which is the only one that is both new and believed.
    machine.reconnect(&enforcer).await;
    assert_ne!(machine.session().await, session);
    enforcer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_agent_an_enforcer_goes_on_and_follows_it_again_when_it_is_back() {
    let mut machine = Machine::with_agent().await;
    let enforcer = machine.enforcer().await;
    machine.agent.stop().await;
    machine.reconnect(&enforcer).await;
    assert!(ends_with(&enforcer.status(), 2050));
    machine.agent.start();
    let next = machine.ca.certify(EDGE, 2051);
    machine.rotate(&enforcer, next, 2051).await;
    machine.reconnect(&enforcer).await;
    enforcer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_waits_for_an_agent_that_starts_later_and_for_an_entry_that_comes_later() {
    let mut machine = Machine::set().await;
    let config = machine.config();
    let starting = tokio::spawn(Enforcer::connect(config));
    // An agent that has nothing for it, as long as nothing is given.
    machine.agent.start();
    machine.agent.refused().await;
    assert!(!starting.is_finished());
    machine.agent.give(machine.ca.certify(EDGE, 2050));
    let enforcer = starting.await.unwrap().unwrap();
    enforcer.wait_until(Status::connected, WAIT_MAX).await.unwrap();
    enforcer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_svid_of_somebody_else_is_refused_and_the_one_in_use_goes_on() {
    let mut machine = Machine::with_agent().await;
    let enforcer = machine.enforcer().await;
    let session = machine.session().await;
    for id in [
        "spiffe://other.example/enforcer/edge",
        "spiffe://acme.example/enforcer/other",
        "spiffe://acme.example/control-plane/edge",
    ] {
        machine.agent.give(machine.ca.certify(id, 2060));
    }
    // The stream keeps its order: when the next of ours is in use, those before it were looked at.
    machine.agent.give(machine.ca.certify(EDGE, 2051));
    let changed = enforcer.wait_until(|status| !ends_with(status, 2050), WAIT_MAX);
    assert!(ends_with(&changed.await.unwrap(), 2051));
    assert_eq!(machine.session().await, session);
    machine.reconnect(&enforcer).await;
    enforcer.shutdown().await;
}

/// A trust domain's own authority, and its bundle.
fn apart(directory: &Path) -> PathBuf {
    Authority::open(&directory.join("keys"), TRUST_DOMAIN, &SystemClock).unwrap();
    directory.join("keys/ca.pem")
}

/// What whom this authority certifies is told.
#[derive(Debug)]
enum Told {
    LetIn,
    Refused(#[expect(dead_code, reason = "a failing test says why")] String),
    Nothing,
}

/// Knocks once, as whom this authority certifies.
async fn knock(world: &World, authority: &Path) -> Told {
    let svid = Ca::of(authority).certify("spiffe://acme.example/operator/olga", 2050);
    let pem = |kind: &str, der: &[u8]| pem::encode(&pem::Pem::new(kind, der));
    let identity = Identity::from_pem(pem("CERTIFICATE", &svid.chain), pem("PRIVATE KEY", &svid.key));
    let knocking = async {
        let channel = world
            .connect(Some(identity), 0)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let mut fleet = FleetServiceClient::new(channel);
        let listed = fleet.list(ListRequest::default()).await;
        listed.map_err(|status| format!("{status:?}"))
    };
    match timeout(KNOCK_MAX, knocking).await {
        Ok(Ok(_)) => Told::LetIn,
        Ok(Err(why)) => Told::Refused(why),
        Err(_) => Told::Nothing,
    }
}

/// Whom this authority certifies is let in by and by.
async fn until_let_in(world: &World, authority: &Path) {
    let mut told = Told::Nothing;
    let knocking = async {
        while !matches!(told, Told::LetIn) {
            told = knock(world, authority).await;
        }
    };
    let is_let_in = timeout(WAIT_MAX, knocking).await.is_ok();
    assert!(is_let_in, "the last of it: {told:?}");
}

/// Whom this authority certifies is refused by the first answer that comes: that nobody answers is no refusal.
async fn expect_refused(world: &World, authority: &Path) {
    let mut told = Told::Nothing;
    let knocking = async {
        while matches!(told, Told::Nothing) {
            told = knock(world, authority).await;
        }
    };
    let is_answered = timeout(WAIT_MAX, knocking).await.is_ok();
    assert!(is_answered && matches!(told, Told::Refused(_)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_of_another_authority_is_let_in_where_the_control_plane_is_told_of_it_and_nowhere_else() {
    let spire = tempfile::tempdir().unwrap();
    let bundle = apart(spire.path());
    let machine = Machine::apart(bundle, spire.path()).await;
    let enforcer = machine.enforcer().await;
    enforcer.shutdown().await;
    let untold = World::start().await.unwrap();
    expect_refused(&untold, spire.path()).await;
    until_let_in(&untold, &untold.path().join("data")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorities_of_clients_are_those_that_the_file_names_now() {
    let (spire, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = spire.path().join("bundle.pem");
    std::fs::copy(apart(spire.path()), &bundle).unwrap();
    let options = WorldOptions {
        client_ca: Some(bundle.clone()),
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    let successor = apart(next.path());
    until_let_in(&world, spire.path()).await;
    expect_refused(&world, next.path()).await;
    // Whole at once: half a file is none, and would be looked at again only after a while.
    let whole = spire.path().join("next.pem");
    std::fs::copy(successor, &whole).unwrap();
    std::fs::rename(whole, &bundle).unwrap();
    until_let_in(&world, next.path()).await;
    expect_refused(&world, spire.path()).await;
}
