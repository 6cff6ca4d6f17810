//! Compiles the contract with protox, so that no `protoc` and no generated code is needed in the tree.

use std::error::Error;

const FILES: [&str; 16] = [
    "checkrein/policy/v1/bundle.proto",
    "checkrein/policy/v1/change.proto",
    "checkrein/policy/v1/policy.proto",
    "checkrein/decision/v1/decision.proto",
    "checkrein/hold/v1/hold.proto",
    "checkrein/hold/v1/notification.proto",
    "checkrein/hold/v1/numbers.proto",
    "checkrein/hold/v1/standing.proto",
    "checkrein/hold/v1/state.proto",
    "checkrein/task/v1/ledger.proto",
    "checkrein/task/v1/task.proto",
    "checkrein/fleet/v1/identity.proto",
    "checkrein/fleet/v1/invitation.proto",
    "checkrein/fleet/v1/fleet.proto",
    // Of others, whose surfaces we speak.
    "agentgateway/dev/ext_mcp/ext_mcp.proto",
    "envoy/service/auth/v3/external_auth.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for directory in ["agentgateway", "checkrein", "envoy"] {
        println!("cargo:rerun-if-changed={directory}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure()
        .build_client(cfg!(feature = "client"))
        .build_server(cfg!(feature = "server"))
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
