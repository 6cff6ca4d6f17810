//! An enforcer whose identity comes from the SPIFFE Workload API: it lives on what is given, and outlives who gives it.

mod agent;

use std::path::PathBuf;

use checkrein_control_plane::authority::Authority;
use checkrein_enforcer::{Answer, Config, Enforcer, Request, Status};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_tests::{TRUST_DOMAIN, WAIT_MAX, World, payments};

use agent::{Agent, Ca, Svid};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const EDGE: &str = "spiffe://acme.example/enforcer/edge";

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
        let world = World::start().await.unwrap();
        let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
        for file in ["certificate.pem", "key.pem", "ca.pem"] {
            std::fs::remove_file(directory.join(file)).unwrap();
        }
        Self {
            agent: Agent::at(world.path().join("agent.sock")),
            ca: Ca::of(&world.path().join("data")),
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
        let text = self.world.enforcer_toml(AGENT, &[self.world.address(0)]);
        let is_file = |line: &&str| line.ends_with(".pem\"");
        let kept: Vec<&str> = text.lines().filter(|line| !is_file(line)).collect();
        let socket = self.world.path().join("agent.sock");
        let spiffe = format!("[spiffe]\nsocket = \"unix://{}\"\n", socket.display());
        Config::parse(&format!("{}\n{spiffe}", kept.join("\n")), &self.directory).unwrap()
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
