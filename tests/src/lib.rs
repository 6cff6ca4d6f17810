//! The whole system in one process, for tests, replays and benchmarks: a real Postgres, real replicas on real sockets over
//! mTLS, real enforcers. One server a process, one database a world.
//!
//! **Invariant**: nothing here is a stand-in. What a test cuts, it cuts by stopping a real part.

mod crash;
mod figures;
pub mod generated;
mod installed;
mod process;
mod provider;
pub mod replay;
mod world;

pub use crash::{Aftermath, Crash};
pub use figures::{Conditions, Latency, Stopwatch, resident_bytes, target};
pub use installed::installed;
pub use process::{Binaries, Process, free_port, gate};
pub use provider::Provider;
pub use world::clients::{Person, fresh_key};
pub use world::packs::{open as open_pack, payments, payments_with, read as read_pack};
pub use world::{Cut, Replica, TRUST_DOMAIN, WAIT_MAX, World, WorldOptions, fresh_database};
