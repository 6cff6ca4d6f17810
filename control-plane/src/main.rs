//! The `checkrein` binary: parses what was typed, runs it, and says how it ended.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 bad usage.

use std::process::ExitCode;
use std::sync::Arc;

use checkrein_control_plane::cli::{self, Cli};
use checkrein_shared::SystemClock;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse(), Arc::new(SystemClock)).await
}
