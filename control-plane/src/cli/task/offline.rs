//! What whoever holds a grant does with it by itself: a key for it, less of it for another agent, a proof for one call.
//!
//! Comes from an agent's machine; goes nowhere: there is no connection, and no client config is needed, but where an agent
//! without a key has its grant passed on for it.
//!
//! **Invariant**: nothing here makes a grant give more than it did, and nothing is said of a signature that was not verified
//! but that it was not.

mod delegate;
mod error;
mod hop;
mod inspect;
mod key;
mod presented;
mod prove;

use clap::Subcommand;

use crate::cli::{Error, Invocation, Outcome};

pub(in crate::cli) use error::GrantError;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the key of an agent that passes its grant on, or proves that it is its own; works offline
    #[command(after_help = key::EXAMPLE)]
    Key(key::Args),
    /// Pass a grant on to another agent, all of it or less; works offline with a key
    #[command(after_help = delegate::EXAMPLE)]
    Delegate(Box<delegate::Args>),
    /// Show what a grant gives, and through whose hands it came; works offline
    #[command(after_help = inspect::EXAMPLE)]
    Inspect(inspect::Args),
    /// Prove, for one call, that a grant is your own; works offline
    #[command(after_help = prove::EXAMPLE)]
    Prove(prove::Args),
}

/// Runs it.
pub(super) async fn run(command: Command, invocation: &Invocation) -> Result<Outcome, Error> {
    match command {
        Command::Key(args) => key::run(&args, invocation)?,
        Command::Delegate(args) => delegate::run(*args, invocation).await?,
        Command::Inspect(args) => inspect::run(&args, invocation)?,
        Command::Prove(args) => prove::run(&args, invocation)?,
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests;
