//! `checkrein policy`: what agents may do, written, checked, tested, pushed, listed and taken back.
//!
//! **Invariant**: `init`, `check`, `test` and `explain` need no control plane; `push` sends nothing that fails them.

mod diff;
mod directory;
mod explain;
mod init;
mod local;
mod publish;
mod show;
mod usage;
mod view;
mod wait;

use std::path::PathBuf;

use checkrein_proto::policy::v1::ListRequest;
use checkrein_proto::policy::v1::policy_service_client::PolicyServiceClient;
use clap::Subcommand;
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::pages::Rows;
use super::values::{self, LIMIT_DEFAULT};
use super::{Error, Invocation, Outcome};
use crate::cli::client::Connection;
use crate::config::TRUST_DOMAIN_DEFAULT;
pub(super) use directory::PackError;
use view::RevisionView;

/// `checkrein policy`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a small pack that passes `check` and `test`, to begin with
    #[command(after_help = "Example:\n  checkrein policy init mail && checkrein policy test mail")]
    Init {
        /// The directory to make
        dir: PathBuf,
        /// Whose agents and approvers it speaks of: the trust domain that `checkrein serve` certifies
        #[arg(long, value_name = "DOMAIN", default_value = TRUST_DOMAIN_DEFAULT, value_parser = values::trust_domain)]
        trust_domain: String,
    },
    /// Check a pack: syntax, types, names; points at what is wrong
    #[command(after_help = "Example:\n  checkrein policy check payments")]
    Check(PackArgs),
    /// Run a pack's own cases, `tests/*.yaml`
    #[command(after_help = "Example:\n  checkrein policy test payments")]
    Test(PackArgs),
    /// What would be decided about a call, and why: its tier, its risk, the rules that could apply
    #[command(after_help = explain::HELP)]
    Explain(Box<explain::Args>),
    /// Check, test and publish a pack to every enforcer it selects
    #[command(
        after_help = "Example:\n  checkrein policy push payments --note 'hold what nobody named' --wait"
    )]
    Push(PushArgs),
    /// The packs in force, or every revision of one
    #[command(after_help = "Example:\n  checkrein policy list\n  checkrein policy list payments")]
    List {
        /// The pack whose history to show
        #[arg(default_value = "", hide_default_value = true)]
        pack: String,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// One revision of a pack, and its files
    #[command(
        after_help = "Example:\n  checkrein policy show payments\n  checkrein policy show payments --revision 3 --files was/payments"
    )]
    Show(ShowArgs),
    /// What changed between two revisions of a pack
    #[command(after_help = diff::EXAMPLE)]
    Diff(diff::Args),
    /// Which rules decided how often, and which of a pack never did
    #[command(after_help = usage::EXAMPLE)]
    Usage(usage::Args),
    /// Publish what a pack was before, under a new generation
    #[command(
        after_help = "Example:\n  checkrein policy rollback payments --wait\n  checkrein policy rollback payments --to 3"
    )]
    Rollback(RollbackArgs),
}

#[derive(Debug, clap::Args)]
struct PackArgs {
    /// The policy directory
    dir: PathBuf,
    /// The pack's name [default: the directory's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Another pack that it runs together with, and whose tools its rules name; repeat for more
    #[arg(long, value_name = "DIR")]
    with: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PushArgs {
    #[command(flatten)]
    pack: PackArgs,
    /// Why, for people who read the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Check, test and compose with the packs in force, but publish nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until every connected enforcer runs it
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The pack
    pack: String,
    /// Which revision [default: the current one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    revision: u64,
    /// Write its files into this directory
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RollbackArgs {
    /// The pack
    pack: String,
    /// To this revision [default: the one before the current]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    to: u64,
    /// Why, for people who read the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Wait until every connected enforcer runs it
    #[arg(long)]
    wait: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    match args.command {
        Command::Init { dir, trust_domain } => init::run(&dir, &trust_domain, invocation),
        Command::Check(args) => local::check(&args, invocation),
        Command::Test(args) => local::test(&args, invocation),
        Command::Explain(args) => explain::run(*args, invocation),
        Command::Push(args) => publish::push(args, invocation).await,
        Command::Rollback(args) => publish::rollback(args, invocation).await,
        Command::List { pack, limit } => list(pack, limit, invocation).await,
        Command::Show(args) => show::run(args, invocation).await,
        Command::Diff(args) => diff::run(args, invocation).await,
        Command::Usage(args) => usage::run(args, invocation).await,
    }
}

async fn list(pack: String, limit: u32, invocation: &Invocation) -> Result<Outcome, Error> {
    let client = client(invocation.connect().await?);
    let mut generation = 0;
    let found = Rows::collect(limit, async |page_size, page_token| {
        let request = ListRequest {
            pack: pack.clone(),
            page_size,
            page_token,
        };
        let page = client.clone().list(request).await?.into_inner();
        generation = page.generation;
        Ok((page.revisions, page.next_page_token))
    })
    .await?;
    let revisions: Vec<RevisionView> = found.rows.iter().map(RevisionView::of).collect();
    let document = json!({"revisions": revisions, "generation": generation, "more": found.more});
    let now_ms = invocation.now_ms();
    invocation.answer(&document, |paint| {
        show::table(&found.rows, generation, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

fn client(channel: Connection) -> PolicyServiceClient<Connection> {
    PolicyServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

#[cfg(test)]
mod tests;
