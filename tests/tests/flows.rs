//! The flows on real parts: real Postgres, real gRPC over mTLS, real enforcers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod flows {
    mod absence;
    mod asking;
    mod beside;
    mod chains;
    mod console;
    mod conversations;
    mod corpus;
    mod decision;
    mod demo;
    mod ended;
    mod fleet;
    mod gateways;
    mod hold;
    mod join;
    mod mcp;
    mod notify;
    mod outcomes;
    mod packs;
    mod policy;
    mod quickstart;
    mod retention;
    mod surface;
    mod task;
    mod workload_api;
}
