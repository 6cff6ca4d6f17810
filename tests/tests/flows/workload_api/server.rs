//! A control plane whose replica has an SVID too: an enforcer that believes its trust domain alone follows it, and those who
//! believe the control plane's CA go on as before.

use tempfile::TempDir;

use super::*;

/// A trust domain with an authority of its own, and an agent on the replica's machine.
struct Spire {
    place: TempDir,
    ca: Ca,
    agent: Agent,
}

impl Spire {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let ca = Ca::of_a_trust_domain();
        std::fs::write(place.path().join("bundle.pem"), ca.pem()).unwrap();
        let mut agent = Agent::at(place.path().join("replica.sock"));
        agent.start();
        Self { place, ca, agent }
    }

    /// The replica shows its SVID to whoever believes us, and believes whom we certified.
    fn options(&self) -> WorldOptions {
        let socket = self.place.path().join("replica.sock");
        WorldOptions {
            client_ca: Some(self.place.path().join("bundle.pem")),
            spiffe_socket: Some(format!("unix://{}", socket.display())),
            ..WorldOptions::default()
        }
    }

    /// Gives the replica an SVID for the name by which clients reach it: agents give no addresses.
    fn give(&self, year: i32) {
        let id = "spiffe://acme.example/control-plane/replica-1";
        self.agent.give(self.ca.certify_host(id, year, Some("localhost")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_have_svids_an_enforcer_needs_no_file_and_a_rotation_ends_no_session() {
    let spire = Spire::start();
    let world = World::with(spire.options()).await.unwrap();
    // Neither what is another's nor what answers to no host of ours is shown; then comes what is.
    spire.agent.give(spire.ca.certify(EDGE, 2049));
    spire.agent.give(
        spire
            .ca
            .certify("spiffe://acme.example/control-plane/replica-1", 2049),
    );
    spire.give(2050);
    // Its own CA certifies nobody here: the trust domain does.
    let mut machine = Machine::of(world, |_| Ca::of_a_trust_domain()).await;
    machine.agent.give(spire.ca.certify(EDGE, 2050));
    machine.agent.start();
    assert!(!machine.directory.join("ca.pem").exists());
    let text = machine
        .config_text()
        .replace("https://127.0.0.1", "https://localhost");
    let enforcer = Enforcer::connect(Config::parse(&text, &machine.directory).unwrap());
    let enforcer = enforcer.await.unwrap();
    enforcer.wait_until(Status::connected, WAIT_MAX).await.unwrap();
    let session = machine.session().await;
    spire.give(2051);
    let generation = Generation(machine.world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    assert_eq!(machine.session().await, session);
    machine.reconnect(&enforcer).await;
    assert_ne!(machine.session().await, session);

    // Who believes the control plane's own CA is shown what that certified: people, and enforcers with files.
    let operator = machine.world.operator().await.unwrap();
    operator.fleet().list(ListRequest::default()).await.unwrap();
    let other = machine
        .world
        .enforcer("other", "spiffe://acme.example/agent/other")
        .await
        .unwrap();
    other.shutdown().await;
    enforcer.shutdown().await;
}
