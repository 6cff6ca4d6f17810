//! OpenID AuthZEN over mutual TLS: the table of its certification, the vectors of its interoperability events, and access requests that
//! people answer. `tests/packs/authzen` has the rules, `tests/vectors/authzen` the vectors.

mod certification;
mod requests;
mod vectors;

use std::path::Path;

use checkrein_enforcer::{Config, Enforcer, Listening, Surfaces};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, payments, read_pack};
use serde_json::{Value, json};

use super::agent::{Agent, Answer};

const AGENT: &str = "spiffe://acme.example/agent/portal";
/// People of the fixtures, and the properties that are known of each.
const CERTIFIED: [(&str, &str); 2] = [("alice", ""), ("bob", "role = \"admin\"")];
const MEMBERS: [(&str, &str, &[&str]); 5] = [
    (
        "A2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "rick@the-citadel.com",
        &["admin", "evil_genius"],
    ),
    (
        "E2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "morty@the-citadel.com",
        &["editor"],
    ),
    (
        "I2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "summer@the-smiths.com",
        &["editor"],
    ),
    (
        "M2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "beth@the-smiths.com",
        &["viewer"],
    ),
    (
        "Q2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "jerry@the-smiths.com",
        &["viewer"],
    ),
];
const READERS: [(&str, &str, &str); 6] = [
    ("alice", "manager", "Sales"),
    ("bob", "employee", "Legal"),
    ("carol", "contractor", "Legal"),
    ("dan", "manager", "Finance"),
    ("erin", "employee", "Finance"),
    ("felix", "contractor", "Accounting"),
];
/// Documents 101 to 120: whose department, and whose.
const DOCUMENTS: [(&str, &str); 20] = [
    ("Legal", "alice"),
    ("Legal", "bob"),
    ("Legal", "carol"),
    ("Accounting", "dan"),
    ("Legal", "erin"),
    ("Accounting", "felix"),
    ("Sales", "alice"),
    ("Legal", "bob"),
    ("Accounting", "carol"),
    ("Sales", "dan"),
    ("Accounting", "erin"),
    ("Legal", "felix"),
    ("Sales", "alice"),
    ("Accounting", "bob"),
    ("Finance", "carol"),
    ("Legal", "dan"),
    ("Legal", "erin"),
    ("Accounting", "felix"),
    ("Legal", "alice"),
    ("Accounting", "bob"),
];

/// An enforcer that answers on two ports, an asker on each, and people.
struct Scene {
    world: World,
    operator: Person,
    task: String,
    enforcer: Enforcer,
    surfaces: Surfaces,
    /// On the port for the certification, the todo application and calls of tools by their names.
    asker: Agent,
    /// On the port for the search demonstration, whose subjects and resources have the same names. Its answers are bare.
    searcher: Agent,
}

impl Scene {
    /// With the rules of the fixtures.
    async fn set() -> Self {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/authzen");
        Self::under(&read_pack("authzen", &pack).unwrap()).await
    }

    async fn under(pack: &PackSource) -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        let generation = operator.push(pack).await.unwrap();
        let tools = ["bank/*", "records/*", "todo/*", "routes/*", "documents/*"];
        let task = operator.start("alice", AGENT, &tools, &[]).await.unwrap();

        let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
        std::fs::write(directory.join("portal.grant"), &task.grant).unwrap();
        let config = world.enforcer_toml(AGENT, &[world.address(0)]);
        let config = format!("{config}{}{}", application(), demonstration());
        let config = Config::parse(&config, &directory).unwrap();
        let enforcer = Enforcer::connect(config.clone()).await.unwrap();
        enforcer
            .wait_until(
                |status| status.connected() && status.decides_by(Generation(generation)),
                WAIT_MAX,
            )
            .await
            .unwrap();
        let surfaces = Surfaces::open(&enforcer, &config).await.unwrap();
        let [Listening::Tcp(first), Listening::Tcp(second)] = surfaces.listening() else {
            panic!("{:?}", surfaces.listening())
        };
        let certificate = world.client_config(Role::Enforcer, "ingress").unwrap();
        let place = certificate.parent().unwrap();
        let asker = Agent::new(place, first.port(), &task.grant);
        let searcher = Agent::new(place, second.port(), "").without_grant();
        Self {
            task: task.task.unwrap().task_id,
            world,
            operator,
            enforcer,
            surfaces,
            asker,
            searcher,
        }
    }
}

impl Agent {
    async fn asks(&self, path: &str, question: &Value) -> Answer {
        self.sends("POST", path, &[], &question.to_string()).await
    }

    /// What is decided of one question.
    async fn decided(&self, question: &Value) -> Value {
        let answer = self.asks("/access/v1/evaluation", question).await;
        assert_eq!(answer.status, 200, "{question} {answer:?}");
        answer.json()
    }
}

fn gateway() -> String {
    "\n[[gateway]]\naddress = \"127.0.0.1:0\"\ncallers = [\"spiffe://acme.example/enforcer/ingress\"]\n"
        .to_owned()
}

fn subject(kind: &str, id: &str, properties: &str) -> String {
    format!(
        "[[gateway.authzen.subject]]\ntype = \"{kind}\"\nid = \"{id}\"\nagent = \"{AGENT}\"\ngrant = \"portal.grant\"\nproperties = {{ {properties} }}\n"
    )
}

fn action(name: &str, resource: &str, tool: &str, arguments: &str) -> String {
    format!(
        "[[gateway.authzen.action]]\nname = \"{name}\"\nresource = \"{resource}\"\ntool = \"{tool}\"\narguments = {{ {arguments} }}\n"
    )
}

fn resource(kind: &str, id: &str, properties: &str) -> String {
    format!(
        "[[gateway.authzen.resource]]\ntype = \"{kind}\"\nid = \"{id}\"\nproperties = {{ {properties} }}\n"
    )
}

/// The fixture of the certification, and the todo application with its gateway.
fn application() -> String {
    let mut config = gateway();
    for (id, properties) in CERTIFIED {
        config += &subject("user", id, properties);
    }
    let record = "id = \"resource.id\", status = \"resource.properties.status\", role = \"subject.properties.role\", soft = \"action.properties.soft\"";
    let without_soft = record.rsplit_once(',').unwrap().0;
    config += &action("read", "record", "records/read", without_soft);
    config += &action("write", "record", "records/write", without_soft);
    config += &action("delete", "record", "records/delete", record);
    config += &resource("record", "record-1", "status = \"active\"");
    config += &resource("record", "record-2", "status = \"archived\"");
    for (id, email, roles) in MEMBERS {
        let known = format!("email = \"{email}\", roles = {roles:?}");
        config += &subject("user", &format!("CiRmZD{id}"), &known);
        config += &subject("identity", &format!("CiRmZD{id}"), &known);
    }
    let todo = "id = \"resource.id\", owner = \"resource.properties.ownerID\", email = \"subject.properties.email\", roles = \"subject.properties.roles\"";
    config += &action("can_read_user", "user", "todo/read_user", todo);
    for name in ["read_todos", "create_todo", "update_todo", "delete_todo"] {
        config += &action(&format!("can_{name}"), "todo", &format!("todo/{name}"), todo);
    }
    let route = "route = \"resource.id\", roles = \"subject.properties.roles\"";
    for method in ["GET", "POST", "PUT", "DELETE"] {
        config += &action(
            method,
            "route",
            &format!("routes/{}", method.to_lowercase()),
            route,
        );
    }
    config
}

/// The search demonstration.
fn demonstration() -> String {
    let mut config = gateway() + "[gateway.authzen]\nterse = true\n";
    for (id, role, department) in READERS {
        config += &subject(
            "user",
            id,
            &format!("role = \"{role}\", department = \"{department}\""),
        );
    }
    let arguments = "id = \"resource.id\", owner = \"resource.properties.owner\", department = \"resource.properties.department\", user = \"subject.id\", role = \"subject.properties.role\", of = \"subject.properties.department\"";
    for name in ["view", "edit", "delete"] {
        config += &action(name, "record", &format!("documents/{name}"), arguments);
    }
    for (at, (department, owner)) in DOCUMENTS.iter().enumerate() {
        let known = format!("department = \"{department}\", owner = \"{owner}\"");
        config += &resource("record", &(101 + at).to_string(), &known);
    }
    config
}

fn json(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors/authzen")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_maps_and_one_under_policy_that_is_gone_are_denied() {
    let scene = Scene::set().await;
    let stranger = json!({
        "subject": { "type": "user", "id": "mallory" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" },
    });
    assert_eq!(scene.asker.decided(&stranger).await["decision"], false);
    let mut alice = stranger.clone();
    alice["subject"]["id"] = json!("alice");
    assert_eq!(scene.asker.decided(&alice).await["decision"], true);
    scene.operator.end(&scene.task).await.unwrap();
    scene
        .enforcer
        .wait_until(|status| status.revocation_sequence > 0, WAIT_MAX)
        .await
        .unwrap();
    let after = scene.asker.decided(&alice).await;
    assert_eq!(
        (&after["decision"], &after["context"]["reason"]),
        (&json!(false), &json!("task_ended"))
    );
    assert!(!scene.surfaces.listening().is_empty() && scene.world.path().exists());
}
