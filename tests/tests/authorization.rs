//! Who may call what: every RPC of the control plane, by every kind of caller, over real mTLS.
//!
//! Goal: the table in `caller.rs`, the comments of the contract and what really happens are the same three times.
//! Method: each RPC is called with an empty message by a caller of each role; a refusal by role is `PERMISSION_DENIED` before
//! the message is even looked at, anything else means that the caller got in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use checkrein_control_plane::caller::CALLERS;
use checkrein_shared::identity::Role;
use checkrein_tests::World;
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

/// What the contract says, in words.
type Contract = BTreeMap<String, BTreeSet<Role>>;

/// Reads the `Caller:` sentences of every service that the control plane serves.
fn contract() -> Contract {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/checkrein");
    let mut contract = Contract::new();
    for noun in ["policy", "decision", "hold", "task", "fleet"] {
        for file in std::fs::read_dir(root.join(noun).join("v1")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            read_services(noun, &text, &mut contract);
        }
    }
    contract
}

fn read_services(noun: &str, text: &str, contract: &mut Contract) {
    let (mut service, mut comment) = (String::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("service ") {
            rest.trim_end_matches(" {").clone_into(&mut service);
        } else if let Some(rest) = line.strip_prefix("//") {
            comment.push_str(rest);
        } else if let Some(rest) = line.strip_prefix("rpc ") {
            let rpc = rest.split('(').next().unwrap_or_default();
            let callers = comment
                .rsplit_once("Caller: ")
                .map(|(_, callers)| callers.trim_end_matches('.'));
            let callers = callers.unwrap_or_else(|| panic!("{service}/{rpc} does not say who may call it"));
            let roles = callers
                .split(", ")
                .map(|role| role.parse().unwrap_or_else(|_| panic!("{rpc}: {role}")));
            contract.insert(format!("/checkrein.{noun}.v1.{service}/{rpc}"), roles.collect());
            comment.clear();
        } else {
            comment.clear();
        }
    }
}

/// Calls an RPC with an empty message; says how it was refused, if it was.
async fn call(channel: Channel, path: &str) -> Option<Code> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let request = tonic::Request::new(());
    let path = PathAndQuery::try_from(path).unwrap();
    client
        .unary(request, path, codec)
        .await
        .err()
        .map(|status| status.code())
}

#[test]
fn the_table_says_what_the_contract_says() {
    let table: Contract = CALLERS
        .iter()
        .map(|(rpc, roles)| ((*rpc).to_owned(), roles.iter().copied().collect()))
        .collect();
    // The gate is the enforcer's to serve, and agents' to call.
    let contract: Contract = contract()
        .into_iter()
        .filter(|(rpc, _)| !rpc.starts_with("/checkrein.decision.v1.GateService/"))
        .collect();
    assert_eq!(table, contract);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_lets_its_callers_in_and_refuses_everyone_else() {
    let world = World::start().await.unwrap();
    for role in Role::ALL {
        let channel = world.person(role, "somebody", 0).await.unwrap().channel();
        for (rpc, roles) in CALLERS {
            // An enforcer that is not in the register is let in by role, and refused by name.
            if role == Role::Enforcer && roles.contains(&role) {
                continue;
            }
            let refused = call(channel.clone(), rpc).await == Some(Code::PermissionDenied);
            assert_eq!(refused, !roles.contains(&role), "{role} calling {rpc}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_table_is_served_to_nobody() {
    let world = World::start().await.unwrap();
    for role in Role::ALL {
        let channel = world.person(role, "somebody", 0).await.unwrap().channel();
        for path in [
            "/checkrein.policy.v1.PolicyService/Nothing",
            "/grpc.health.v1.Health/Check",
            "/",
        ] {
            assert_eq!(
                call(channel.clone(), path).await,
                Some(Code::Unimplemented),
                "{role} calling {path}"
            );
        }
    }
}
