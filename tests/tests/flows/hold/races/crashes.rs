//! A vote while the database, or the replica that takes it, dies.
//!
//! Goal: afterwards the vote stands whole or not at all, saying it again is the same vote, and what it approves is used at most
//! once and never without enough people. Method: a server of our own, which a killed process makes throw every connection out
//! and recover from its log, and a replica that is a process of its own; at the two moments that matter, which are brought
//! about for certain, and at moments that a seed draws. A failure names its seed.

mod moments;
mod seeds;

use std::net::SocketAddr;
use std::time::Duration;

use checkrein_control_plane::postgres::{Options, PrivatePostgres};
use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::consume_response::Result as Consumed;
use checkrein_shared::identity::Role;
use checkrein_tests::{Binaries, Person, Process, TRUST_DOMAIN, WAIT_MAX, World, WorldOptions, payments};
use tokio::process::Command;
use tokio_postgres::Client;
use tonic::{Code, Status};

use crate::flows::asking::{Asking, open};

/// How soon somebody who was not answered asks again.
const PAUSE: Duration = Duration::from_millis(5);
/// The board of two that has to agree, as far as so many are wanted.
const VOTERS: [&str; 2] = ["bob", "carol"];

/// Two replicas in this process, on a server of their own.
struct Crashing {
    scene: Asking,
    // Last: it stops after whoever uses it.
    _postgres: PrivatePostgres,
}

/// A replica that can be killed.
struct Mortal {
    process: Process,
    address: SocketAddr,
}

impl Crashing {
    async fn set() -> Self {
        let postgres = PrivatePostgres::start(Options::throwaway()).await.unwrap();
        let options = WorldOptions {
            database_url: Some(postgres.database("checkrein").await.unwrap()),
            ..WorldOptions::default()
        };
        let mut world = World::with(options).await.unwrap();
        world.add_replica().await.unwrap();
        Self {
            scene: Asking::set_in(world, &payments().unwrap()).await,
            _postgres: postgres,
        }
    }

    /// A third replica, in a process of its own.
    async fn mortal(&self) -> Mortal {
        let world = &self.scene.world;
        let (keys, data) = (world.path().join("data/keys"), world.path().join("mortal"));
        std::fs::create_dir_all(data.join("keys")).unwrap();
        for file in std::fs::read_dir(keys).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), data.join("keys").join(file.file_name())).unwrap();
        }
        let mut serve = Binaries::build().await.unwrap().checkrein();
        serve
            .args([
                "serve",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--console-listen",
                "off",
            ])
            .args(["--trust-domain", TRUST_DOMAIN, "--data"])
            .arg(data)
            .env("CHECKREIN_DATABASE_URL", world.database_url());
        let process = Process::start(&mut serve).await.unwrap();
        let address = process.ready["address"].as_str().unwrap();
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Mortal {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// A hold that takes so many.
    async fn held_for(&self, call: &str, quorum: u32) -> wire::Hold {
        let mut request = open(&self.scene.started, call, "US13");
        request.requirements[0].quorum = quorum;
        self.scene.opened(request).await
    }

    /// Ends the server as a lack of memory would: one process of it is killed. Returns when it takes connections again.
    async fn crash(&self) {
        let victim = self.scene.sql().await;
        self.crash_with(&victim).await;
    }

    async fn crash_with(&self, victim: &Client) {
        let process = "SELECT pg_backend_pid()";
        let process: i32 = victim.query_one(process, &[]).await.unwrap().get(0);
        let killed = Command::new("kill")
            .args(["-s", "KILL", &process.to_string()])
            .status()
            .await
            .unwrap();
        assert!(killed.success());
        let back = async {
            while !victim.is_closed() || self.scene.world.sql().await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, back).await.unwrap();
    }

    /// Where it stands, how many said yes, and how often it changed: of one moment.
    async fn stands(&self, hold: &wire::Hold) -> (String, i64, i64) {
        let read =
            "SELECT state, (SELECT count(*) FROM hold_vote WHERE hold_id = hold.id AND approve), version
            FROM hold WHERE 'hold_' || replace(id::text, '-', '') = $1";
        let sql = self.scene.sql().await;
        let row = sql.query_one(read, &[&hold.hold_id]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    /// The same after everybody said yes once more: it must be what it was.
    async fn stands_said_again(&self, hold: &wire::Hold, quorum: usize) -> (String, i64, i64) {
        let before = self.stands(hold).await;
        for name in &VOTERS[..quorum] {
            let person = self.scene.world.approver(name).await.unwrap();
            insist(&[person], hold, name).await;
        }
        assert_eq!(self.stands(hold).await, before, "said again it is the same vote");
        before
    }

    /// Uses an approval, by whoever asks for it at once at both replicas; says how many were let.
    async fn used(&self, hold: &wire::Hold) -> usize {
        let mut let_through = 0;
        for replica in [0, 1, 0] {
            let edge = self.scene.world.person(Role::Enforcer, "edge", replica).await;
            let_through += usize::from(release(&self.scene, &edge.unwrap(), hold).await);
        }
        let_through
    }
}

/// Says yes once.
async fn say(person: &Person, hold: &wire::Hold, name: &str) -> Result<wire::Hold, Status> {
    let request = wire::VoteRequest {
        hold_id: hold.hold_id.clone(),
        approve: true,
        action_sha256: hold.action.clone().unwrap().action_sha256,
        reason: String::new(),
        terms: None,
        idempotency_key: format!("{}-{name}", hold.hold_id),
    };
    let answer = person.holds().vote(request).await?;
    Ok(answer.into_inner().hold.unwrap())
}

/// Says yes until that is answered, each time in the same words, and each time to the next replica. Says how often it took.
async fn insist(replicas: &[Person], hold: &wire::Hold, name: &str) -> usize {
    let insisting = async {
        for (tries, person) in replicas.iter().cycle().enumerate() {
            match say(person, hold, name).await {
                Ok(_) => return tries + 1,
                Err(status) => assert!(is_passing(&status), "{name}: {status:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("it goes round and round")
    };
    tokio::time::timeout(WAIT_MAX, insisting).await.unwrap()
}

/// Asks to release until it is, or until it was; whether this one was let.
async fn release(scene: &Asking, edge: &Person, hold: &wire::Hold) -> bool {
    let request = scene.consume_request(hold);
    let asking = async {
        loop {
            let answer = edge.holds().consume(request.clone()).await;
            match answer.map(|answer| answer.into_inner().result) {
                Ok(Some(Consumed::Consumed(_))) => return true,
                Ok(Some(Consumed::Refused(refusal))) if refusal.cause == "already_released" => return false,
                Ok(Some(Consumed::Refused(_))) => {}
                Ok(other) => panic!("{other:?}"),
                Err(status) => assert!(is_passing(&status), "{status:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asking).await.unwrap()
}

/// Nobody answered, or whoever did says that it passes.
fn is_passing(status: &Status) -> bool {
    let is_cut = status.code() == Code::Unknown && status.message().contains("transport error");
    is_cut || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}
