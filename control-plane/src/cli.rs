//! What people type: one file per noun, each with its arguments and what they do.
//!
//! Comes from a terminal or a script; goes to the control plane through the same contract as everyone else's calls.
//!
//! **Invariant**: no verb here knows more than its caller's certificate lets it, and none decides anything: the control
//! plane does. With `--json` a command prints one JSON document to standard output and nothing else there.

mod approval;
mod approver;
pub mod client;
mod console;
mod decision;
mod demo;
mod error;
mod fleet;
mod hold;
pub mod identity;
mod invocation;
mod join;
mod ledger;
mod notification;
pub(crate) mod output;
mod pages;
mod policy;
mod renew;
mod serve;
mod status;
mod streams;
mod task;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use checkrein_shared::SharedClock;
use clap::{Parser, Subcommand};

pub use error::Error;
pub use invocation::Invocation;
pub use streams::{Sink, Streams};
pub(crate) use task::{ToldAgent, ToldEvent, told};

/// Decides, at the moment of action, what AI agents may do.
#[derive(Debug, Parser)]
#[command(name = "checkrein", version, disable_help_subcommand = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// How a command that ran to its end turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// Not as asked, and what was wrong has been shown.
    Failed,
}

const EXAMPLES: &str = "\
Examples:
  checkrein policy init payments && checkrein policy push payments --wait
  checkrein task start --user alice --agent spiffe://acme.example/agent/billing --tool 'bank/*'
  checkrein hold list
  checkrein decision tail -f";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Which control plane, and who you are [default: ~/.config/checkrein/client.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CHECKREIN_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Sign in with the bearer token in this file, and not with the certificate of the config
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CHECKREIN_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
    /// Print one JSON document, for scripts
    #[arg(long, global = true)]
    json: bool,
    /// No colours (also `NO_COLOR=1`, and whenever the output is no terminal)
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a control plane; makes keys, an operator and a database where they are missing
    #[command(after_help = serve::EXAMPLE)]
    Serve(Box<serve::Args>),
    /// Watch the main job on real parts, for a minute
    #[command(after_help = demo::EXAMPLE)]
    Demo(demo::Args),
    /// Write, check, test and push what agents may do
    Policy(policy::Args),
    /// Answer actions that wait for people
    Hold(hold::Args),
    /// See and end what may happen again without asking
    Approval(approval::Args),
    /// Say who is away, so that their deputies answer
    Approver(approver::Args),
    /// See what people were not told, and try again
    Notification(notification::Args),
    /// Give an agent authority, and take it back
    Task(task::Args),
    /// Read what was decided, and why
    Decision(decision::Args),
    /// Register enforcers and people, and see what each enforcer runs
    Fleet(fleet::Args),
    /// Print a link that signs you in at the web console, once
    #[command(after_help = console::EXAMPLE)]
    Console,
    /// Renew the certificate in use
    Identity(renew::Args),
    /// Get an identity with a token from `fleet enrol`; writes key, certificate and client config
    #[command(after_help = join::EXAMPLE)]
    Join(join::Args),
}

/// Runs a command and says on standard error what went wrong, if anything did.
pub async fn run(cli: Cli, clock: SharedClock) -> ExitCode {
    let global = cli.global;
    let color = !global.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let invocation = Invocation::new(global.config, global.json, color, clock, Streams::standard())
        .with_token(global.token_file);
    let result = match cli.command {
        Command::Serve(args) => Box::pin(serve::run(*args, &invocation)).await,
        Command::Demo(args) => demo::run(&args, &invocation).await,
        Command::Policy(args) => policy::run(args, &invocation).await,
        Command::Hold(args) => hold::run(args, &invocation).await,
        Command::Approval(args) => approval::run(args, &invocation).await,
        Command::Approver(args) => approver::run(args, &invocation).await,
        Command::Notification(args) => notification::run(args, &invocation).await,
        Command::Task(args) => task::run(args, &invocation).await,
        Command::Decision(args) => decision::run(args, &invocation).await,
        Command::Fleet(args) => fleet::run(args, &invocation).await,
        Command::Console => console::run(&invocation).await,
        Command::Identity(args) => renew::run(args, &invocation).await,
        Command::Join(args) => join::run(args, &invocation).await,
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // Whoever read our output has read enough.
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            invocation.report(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests;
