//! What people type about holds, with the real binary, as scripts would read it.

use std::collections::BTreeSet;

use checkrein_shared::identity::Role;
use checkrein_tests::{Binaries, WAIT_MAX};
use serde_json::Value;

use super::groups::{DAVE, held_for, scene, use_up};
use crate::flows::asking::Asking;

const BOB: &str = "spiffe://acme.example/approver/bob";
const DEPUTY: &str =
    r#"deputies = { "spiffe://acme.example/approver/bob" = "spiffe://acme.example/approver/dave" }"#;

/// Types `checkrein --json …` as somebody: the document it prints, or what it says went wrong.
async fn types(scene: &Asking, (role, name): (Role, &str), words: &[&str]) -> Result<Value, Value> {
    let config = scene.world.client_config(role, name).unwrap();
    let mut command = Binaries::build().await.unwrap().checkrein();
    command.arg("--json").arg("--config").arg(config).args(words);
    let typed = tokio::time::timeout(WAIT_MAX, command.output())
        .await
        .unwrap()
        .unwrap();
    if typed.status.success() {
        return Ok(serde_json::from_slice(&typed.stdout).unwrap());
    }
    let said = String::from_utf8_lossy(&typed.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    Err(serde_json::from_str(last).unwrap_or(Value::String(said)))
}

async fn approver(scene: &Asking, name: &str, words: &[&str]) -> Value {
    let said = types(scene, (Role::Approver, name), words).await;
    said.unwrap_or_else(|said| panic!("{name}: checkrein {}: {said}", words.join(" ")))
}

async fn refused(scene: &Asking, name: &str, words: &[&str]) -> String {
    let said = types(scene, (Role::Approver, name), words).await;
    said.unwrap_err()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bob_is_away_dave_answers_in_his_place_and_bob_is_back() {
    let scene = scene(DEPUTY).await;
    let hold = scene.held("call", "US13").await;
    let id = &*hold.hold_id;
    let away = approver(&scene, "bob", &["approver", "away", "--for", "2h"]).await;
    assert_eq!(
        (&away["approver"], &away["declared_by"]),
        (&BOB.into(), &BOB.into())
    );
    let said = refused(&scene, "bob", &["hold", "approve", id, "--yes"]).await;
    assert!(said.contains("checkrein approver back"), "{said}");
    let shown = approver(&scene, "carol", &["hold", "show", id]).await;
    let dave = shown["may_answer"]
        .as_array()
        .unwrap()
        .iter()
        .find(|may| may["approver"] == DAVE);
    assert_eq!(dave.unwrap()["deputy_of"], BOB, "{shown}");

    let approved = approver(&scene, "dave", &["hold", "approve", id, "--yes"]).await;
    assert_eq!(approved["state"], "approved");
    assert_eq!(approved["votes"][0]["capacity"]["deputy_of"], BOB, "{approved}");
    use_up(&scene, &hold).await.unwrap();

    let operator = (Role::Operator, "olga");
    let listed = types(&scene, operator, &["approver", "list"]).await.unwrap();
    assert_eq!(listed["absences"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        approver(&scene, "bob", &["approver", "back"]).await["was_away"],
        true
    );
    let again = types(&scene, operator, &["approver", "away", "--approver", BOB])
        .await
        .unwrap();
    assert_eq!(again["until"], Value::Null, "{again}");
    let others = refused(&scene, "carol", &["approver", "back", "--approver", BOB]).await;
    assert!(others.contains("or an operator"), "{others}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_break_the_glass_and_a_third_person_reviews_it() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    let id = &*hold.hold_id;
    let breaking = ["hold", "break-glass", id, "--reason", "payroll is due", "--yes"];
    let one = approver(&scene, "frank", &breaking).await;
    assert_eq!(
        (&one["state"], &one["glass"]["broken"]),
        (&"open".into(), &false.into()),
        "{one}"
    );
    let two = approver(&scene, "grace", &breaking).await;
    assert_eq!(
        (&two["state"], &two["glass"]["broken"]),
        (&"approved".into(), &true.into()),
        "{two}"
    );
    use_up(&scene, &hold).await.unwrap();
    let unreviewed = approver(&scene, "carol", &["hold", "list", "--unreviewed"]).await;
    assert_eq!(unreviewed["holds"][0]["id"], id);
    let reviewing = [
        "hold",
        "review",
        id,
        "--finding",
        "unjustified",
        "--reason",
        "bob was there",
    ];
    let said = refused(&scene, "grace", &reviewing).await;
    assert!(said.contains("somebody else reviews it"), "{said}");
    let reviewed = approver(&scene, "carol", &reviewing).await;
    assert_eq!(
        reviewed["glass"]["review"]["finding"], "unjustified",
        "{reviewed}"
    );
    let none = approver(&scene, "carol", &["hold", "list", "--unreviewed"]).await;
    assert_eq!(none["holds"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        approver(&scene, "carol", &["hold", "list", "--broken"]).await["holds"][0]["id"],
        id
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_again_is_listed_shown_and_revoked() {
    let scene = scene("").await;
    let first = scene.held("first", "US13").await;
    let allowing = [
        "hold",
        "approve",
        &first.hold_id,
        "--for",
        "1h",
        "--times",
        "3",
        "--yes",
    ];
    let approved = approver(&scene, "bob", &allowing).await;
    let id = approved["approval"].as_str().unwrap();
    let second = scene.held("second", "US13").await;
    let listed = approver(&scene, "carol", &["approval", "list"]).await;
    let only = &listed["approvals"][0];
    assert_eq!(
        (&only["id"], &only["used"], &only["times"]),
        (&id.into(), &1.into(), &3.into()),
        "{listed}"
    );
    let shown = approver(&scene, "carol", &["approval", "show", id]).await;
    assert_eq!(
        (&shown["state"], &shown["approvers"][0]),
        (&"live".into(), &BOB.into())
    );
    assert_eq!(shown["uses"][0]["hold"], *second.hold_id, "{shown}");

    let revoking = ["approval", "revoke", id, "--reason", "wrong supplier"];
    let revoked = approver(&scene, "carol", &revoking).await;
    assert_eq!(revoked["withdrawn"][0], *second.hold_id, "{revoked}");
    assert_eq!(revoked["approval"]["ended_reason"], "wrong supplier");
    assert_eq!(
        approver(&scene, "bob", &["approval", "list"]).await["approvals"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    let all = approver(&scene, "bob", &["approval", "list", "--all"]).await;
    assert_eq!(all["approvals"][0]["state"], "ended", "{all}");
    assert_eq!(
        scene.held("third", "US13").await.state(),
        checkrein_proto::hold::v1::State::Open
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn approve_like_answers_all_that_wait_alike_and_nothing_else() {
    let scene = scene("").await;
    let (one, two) = (scene.held("one", "US13").await, scene.held("two", "US13").await);
    let (other, by_two) = (
        scene.held("other", "US14").await,
        held_for(&scene, "by-two", 2).await,
    );
    let answered = approver(
        &scene,
        "bob",
        &["hold", "approve", "--like", &one.hold_id, "--yes"],
    )
    .await;
    let results = answered["results"].as_array().unwrap();
    let of = |result: &Value, field: &str| result[field].as_str().unwrap().to_owned();
    let states: BTreeSet<_> = results
        .iter()
        .map(|result| (of(result, "id"), of(result, "state")))
        .collect();
    let expected = [(&one, "approved"), (&two, "approved"), (&by_two, "open")];
    let expected: BTreeSet<_> = expected
        .map(|(hold, state)| (hold.hold_id.clone(), state.to_owned()))
        .into();
    assert_eq!(states, expected, "{answered}");
    assert_eq!(scene.shown(&other).await.votes.len(), 0);
    let none = refused(
        &scene,
        "carol",
        &[
            "hold",
            "approve",
            "--like",
            "hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6",
            "--yes",
        ],
    )
    .await;
    assert!(none.contains("nothing waits that is like"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bob_asks_hands_the_hold_to_carol_by_her_name_and_an_operator_replies() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    let id = &*hold.hold_id;
    let asked = approver(
        &scene,
        "bob",
        &["hold", "ask", id, "--question", "which invoice?"],
    )
    .await;
    assert_eq!(asked["remarks"][0]["kind"], "question", "{asked}");
    let nobody = ["hold", "hand", id, "--to", "mallory", "--reason", "on leave"];
    let said = refused(&scene, "bob", &nobody).await;
    assert!(said.contains("`mallory`") && said.contains("hold show"), "{said}");
    let handed = approver(
        &scene,
        "bob",
        &["hold", "hand", id, "--to", "carol", "--reason", "on leave"],
    )
    .await;
    assert_eq!(
        handed["remarks"][1]["to"], "spiffe://acme.example/approver/carol",
        "{handed}"
    );
    let operator = (Role::Operator, "olga");
    let replied = types(&scene, operator, &["hold", "reply", id, "--text", "4711"]).await;
    assert_eq!(replied.unwrap()["remarks"][2]["kind"], "reply");
    let listed = approver(&scene, "carol", &["hold", "list"]).await;
    assert_eq!(listed["holds"][0]["remarks"][2]["text"], "4711", "{listed}");
    let shown = approver(&scene, "carol", &["hold", "show", id]).await;
    assert_eq!(shown["reversibility"], "irreversible", "{shown}");
    assert_eq!(shown["remarks"].as_array().map(Vec::len), Some(3));
    let said = refused(&scene, "bob", &["hold", "reply", id, "--text", "again"]).await;
    assert!(said.contains("nobody asks"), "{said}");
}
