//! Who may, to which, and what, is found without anything being decided.

use super::*;

fn configured(place: &tempfile::TempDir) -> String {
    let subject = |id: &str, file: &str| {
        let file = place.path().join(file);
        format!(
            "[[subject]]\ntype = \"user\"\nid = \"{id}\"\nagent = \"{AGENT}\"\ngrant = \"{}\"\n",
            file.display()
        )
    };
    let pay = "[[action]]\nname = \"pay\"\nresource = \"bill\"\ntool = \"bank/pay\"\narguments = { to = \"resource.properties.payee\", amount = \"resource.properties.amount\" }\n";
    let view = "[[action]]\nname = \"view\"\nresource = \"bill\"\ntool = \"bank/look\"\n";
    let bill = |id: &str, amount: u32| {
        format!(
            "[[resource]]\ntype = \"bill\"\nid = \"{id}\"\nproperties = {{ payee = \"GB29\", amount = {amount} }}\n"
        )
    };
    [
        subject("alice", "alice.grant"),
        subject("bob", "none.grant"),
        pay.to_owned(),
        view.to_owned(),
        bill("small", 1),
        bill("held", 500),
        bill("large", 5_000),
    ]
    .concat()
}

fn scene() -> (tempfile::TempDir, Scene) {
    let place = tempfile::tempdir().unwrap();
    let scene = Scene::with(&configured(&place));
    std::fs::write(place.path().join("alice.grant"), scene.bench.grant()).unwrap();
    (place, scene)
}

impl Scene {
    async fn finds(&self, what: &str, body: &Value) -> Vec<String> {
        let told = self.posts(&format!("/access/v1/search/{what}"), body).await;
        assert_eq!(told.status, 200, "{}", told.body);
        let results = told.body["results"].as_array().unwrap();
        let name = |result: &Value| {
            result
                .get("id")
                .or(result.get("name"))
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        results.iter().map(name).collect()
    }
}

#[tokio::test]
async fn what_rules_would_permit_is_found_and_nothing_is_decided() {
    let (_place, scene) = scene();
    let alice = json!({ "type": "user", "id": "alice" });
    let bill = |id: &str| json!({ "type": "bill", "id": id });
    let pay = json!({ "name": "pay" });
    let none: [&str; 0] = [];
    let bills = json!({ "subject": alice, "action": pay, "resource": { "type": "bill", "id": "ignored" } });
    assert_eq!(
        scene.finds("resource", &bills).await,
        ["small"],
        "a hold is no permit"
    );
    let who = |resource: Value| json!({ "subject": { "type": "user" }, "action": { "name": "view" }, "resource": resource });
    assert_eq!(scene.finds("subject", &who(bill("large"))).await, ["alice"]);
    let what = |id: &str| json!({ "subject": alice, "resource": bill(id) });
    assert_eq!(scene.finds("action", &what("small")).await, ["pay", "view"]);
    assert_eq!(scene.finds("action", &what("large")).await, ["view"]);
    let nobody = json!({ "subject": { "type": "user", "id": "carol" }, "resource": bill("small") });
    assert_eq!(scene.finds("action", &nobody).await, none);
    let ships = json!({ "subject": { "type": "spaceship" }, "action": pay, "resource": bill("small") });
    assert_eq!(scene.finds("subject", &ships).await, none);
    assert!(scene.bench.records().is_empty());
    scene.bench.snapshots.install(|next| next.policy = None);
    assert_eq!(
        scene.finds("action", &what("small")).await,
        none,
        "without policy"
    );
}

#[tokio::test]
async fn the_tools_that_a_task_may_use_are_found_by_its_grant() {
    let scene = Scene::set();
    let tools = json!({
        "subject": { "type": "agent", "id": AGENT },
        "action": { "name": "call" },
        "resource": { "type": "tool" },
    });
    let found = scene.finds("resource", &tools).await;
    assert_eq!(
        found,
        ["bank/ask", "bank/look", "bank/mail", "bank/note", "bank/pay"]
    );
    let actions = json!({ "subject": tools["subject"], "resource": { "type": "tool", "id": "bank/look" } });
    assert_eq!(scene.finds("action", &actions).await, ["call"]);
}

#[tokio::test]
async fn a_search_whose_given_parts_are_not_whole_is_refused() {
    let (_place, scene) = scene();
    let (user, alice) = (
        json!({ "type": "user" }),
        json!({ "type": "user", "id": "alice" }),
    );
    let (bill, small) = (
        json!({ "type": "bill" }),
        json!({ "type": "bill", "id": "small" }),
    );
    let pay = json!({ "name": "pay" });
    let wrong = [
        ("subject", json!({ "subject": user, "resource": small })),
        (
            "subject",
            json!({ "subject": user, "action": pay, "resource": bill }),
        ),
        (
            "subject",
            json!({ "subject": {}, "action": pay, "resource": small }),
        ),
        ("resource", json!({ "action": pay, "resource": bill })),
        (
            "resource",
            json!({ "subject": user, "action": pay, "resource": bill }),
        ),
        ("action", json!({ "subject": alice })),
        ("action", json!({ "subject": user, "resource": small })),
    ];
    for (what, body) in wrong {
        let told = scene.posts(&format!("/access/v1/search/{what}"), &body).await;
        assert_eq!(told.status, 400, "{what} {body}");
    }
}
