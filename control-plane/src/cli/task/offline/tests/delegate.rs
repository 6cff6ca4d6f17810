//! What is passed on is believed by whoever has the authority's key, gives what was said, and is shown hop by hop.

use checkrein_shared::action::Arguments;
use checkrein_shared::grant::{Chain, Proof};
use serde_json::{Value, json};

use super::{CHILD, Home, NOW_MS};

fn verified(home: &Home, presented: &str) -> Chain {
    Chain::verify(presented.trim(), &[home.authority.verifying()]).unwrap()
}

/// `task delegate` to the child, with its key.
async fn delegated(home: &Home, words: &[&str]) -> super::Said {
    let holder = format!("--holder={}", home.public("child.key").await.to_base64());
    let needed = [
        "delegate", "--grant", "grant", "--key", "own.key", "--agent", CHILD, &holder,
    ];
    home.types(&[&needed, words].concat()).await.unwrap()
}

#[tokio::test]
async fn all_of_a_grant_is_passed_on_where_nothing_is_said_but_that_it_goes_no_further() {
    let home = Home::new().await;
    let said = delegated(&home, &[]).await;
    let chain = verified(&home, &said.out);
    let (root, leaf) = (chain.root(), chain.leaf());
    assert_eq!(
        (&leaf.scope, &leaf.data, &leaf.named),
        (&root.scope, &root.data, &root.named)
    );
    assert_eq!((leaf.limits.calls, leaf.limits.risk), (Some(60), 75));
    assert_eq!((leaf.limits.depth, leaf.depth()), (1, 1));
    assert_eq!((leaf.expires_ms, leaf.agent.as_str()), (root.expires_ms, CHILD));
    assert_eq!(said.out.lines().count(), 1, "what is piped is the grant alone");
    assert!(
        said.notes.contains(CHILD) && said.notes.contains("no further"),
        "{}",
        said.notes
    );
    assert!(
        said.notes.contains("at most 60") && said.notes.contains("in 10 min"),
        "{}",
        said.notes
    );
}

#[tokio::test]
async fn each_thing_that_is_said_is_less() {
    let home = Home::new().await;
    home.writes(
        "scope.json",
        r#"{"mail/send": {"to": {"constraint_type": "exact", "value": "a@b.example"}}}"#,
    );
    let said = delegated(
        &home,
        &[
            "--json",
            "--tool",
            "bank/send_money",
            "--scope",
            "scope.json",
            "--single-use",
            "--risk",
            "critical",
            "--depth",
            "1",
            "--named",
            "GB29NWBK60161331926819",
            "--no-data",
            "--expires-in",
            "5m",
        ],
    )
    .await;
    let document = said.json();
    let chain = verified(&home, document["grant"].as_str().unwrap());
    let leaf = chain.leaf();
    assert_eq!(
        leaf.scope.tools().collect::<Vec<_>>(),
        ["bank/send_money", "mail/send"]
    );
    let scope = leaf.scope.to_json();
    assert_eq!(
        scope["bank/send_money"],
        chain.root().scope.to_json()["bank/send_money"],
        "a tool keeps what the grant says of its arguments"
    );
    assert_eq!(scope["mail/send"]["to"]["value"], "a@b.example");
    assert_eq!(
        (leaf.limits.calls, leaf.limits.risk, leaf.limits.depth),
        (Some(1), 100, 2)
    );
    assert_eq!(leaf.data.as_ref().unwrap().labels().len(), 0);
    assert_eq!(leaf.expires_ms, NOW_MS + 300_000);
    assert_eq!(document["grant_id"], leaf.id.to_string());
    assert_eq!(
        (&document["agent"], &document["depth"]),
        (&json!(CHILD), &json!(1))
    );
    assert_eq!(document["expires_at"], "2026-01-01T00:05:00.000Z");
    assert_eq!((&document["data"], &document["calls"]), (&json!([]), &json!(1)));
    assert_eq!(said.notes, "");
}

#[tokio::test]
async fn a_chain_is_shown_hop_by_hop_with_who_signed_what() {
    let home = Home::new().await;
    let said = delegated(&home, &["--tool", "bank/send_money", "--calls", "5"]).await;
    home.writes("grant", &said.out);
    let shown = home
        .types(&["inspect", "--grant", "grant", "--json"])
        .await
        .unwrap()
        .json();
    let grants = shown["grants"].as_array().unwrap();
    let members = |member: &str| {
        grants
            .iter()
            .map(|grant| grant[member].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(members("depth"), [json!(0), json!(1)]);
    assert_eq!(members("epoch"), [json!(3), json!(3)]);
    assert_eq!(members("calls"), [json!(60), json!(5)]);
    assert_eq!(members("signed_by"), [json!("control_plane"), json!("holder")]);
    assert_eq!(members("signature_verified"), [json!(false), json!(true)]);
    assert_eq!(grants[1]["scope"]["bank/send_money"]["amount"]["max"], 500);
    let text = home.types(&["inspect", "--grant", "grant"]).await.unwrap().out;
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
    assert!(
        at("given to spiffe://acme.example/agent/billing")
            < at("passed on to spiffe://acme.example/agent/search")
    );
    for part in [
        "for alice in production",
        "asked to: pay the rent",
        "`amount` of bank/send_money meets",
        "at least 75 of 100",
        "pii, public",
        "1, epoch 3",
        "the control plane (not verified here)",
        "the key of the grant above",
        "not the signatures of the control plane",
    ] {
        at(part);
    }
}

#[tokio::test]
async fn an_expired_grant_is_shown_as_one() {
    let home = Home::new().await;
    home.writes_grant(|grant| grant.expires_ms = NOW_MS - 500);
    let text = home.types(&["inspect", "--grant", "grant"]).await.unwrap().out;
    assert!(text.contains("expired") && text.contains("no key"), "{text}");
}

#[tokio::test]
async fn a_proof_is_for_the_call_that_was_named() {
    let home = Home::new().await;
    home.writes("call.json", r#"{"amount": 5}"#);
    let words = [
        "prove",
        "--grant",
        "grant",
        "--key",
        "own.key",
        "--tool",
        "bank/send_money",
        "--arguments",
    ];
    let typed = home
        .types(&[&words[..], &[r#"{"amount":5}"#]].concat())
        .await
        .unwrap();
    let read = home
        .types(&[&words[..], &["@call.json", "--json"]].concat())
        .await
        .unwrap()
        .json();
    let presented = home.text("grant");
    let leaf = verified(&home, &presented).leaf().clone();
    let verify = |proof: &str, arguments: &[u8]| {
        let call = ("bank/send_money", &Arguments::parse(arguments).unwrap());
        Proof::verify(proof, presented.trim(), &leaf, call, NOW_MS)
    };
    verify(typed.out.trim(), br#"{"amount":5}"#).unwrap();
    verify(read["proof"].as_str().unwrap(), br#"{"amount":5}"#).unwrap();
    assert!(verify(typed.out.trim(), br#"{"amount":6}"#).is_err());
    assert_eq!(read["expires_at"], "2026-01-01T00:00:30.000Z");
    assert!(typed.notes.contains("bank/send_money"), "{}", typed.notes);
}
