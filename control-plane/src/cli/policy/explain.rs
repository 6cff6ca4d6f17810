//! `checkrein policy explain`: why a call is decided as it is, from the packs alone.
//!
//! **Invariant**: it asks no control plane and makes no call; what it says comes from the code that decides.

mod text;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use checkrein_shared::action::Arguments;
use checkrein_shared::grant::DEPTH_MAX;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Amounts, Meter};
use checkrein_shared::policy::{Asked, Done, Pack, TeamName, explain};

use super::local::{bundle, examine, read};
use super::{PackArgs, PackError};
use crate::cli::values;
use crate::cli::{Error, Invocation, Outcome};
use view::View;

pub(super) const HELP: &str = "\
Examples:
  checkrein policy explain payments --agent spiffe://acme.example/agent/billing --tool bank/send_money
  checkrein policy explain payments --agent spiffe://acme.example/agent/billing --tool bank/send_money \\
    --arguments '{\"recipient\": \"GB29NWBK60161331926819\", \"amount\": 10}' --label pii --named GB29NWBK60161331926819
  checkrein policy explain payments --agent spiffe://acme.example/agent/billing --tool bank/send_money \\
    --arguments '{\"recipient\": \"GB29NWBK60161331926819\", \"amount\": 10}' \\
    --used bank/send_money=5m --used bank/send_money --spent money=40 --untrusted GB29NWBK60161331926819

What the task has done stands in --label, --used, --calls, --spent, --trusted and --untrusted; without them it has done nothing. A rule
that ASKS for the ledger reads the first four, one that asks where arguments came from the last two and --named.";

/// `checkrein policy explain`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy directories that run together
    #[arg(required = true, value_name = "PACK_DIR")]
    dirs: Vec<PathBuf>,
    /// Who would call
    #[arg(long, value_name = "SPIFFE-ID")]
    agent: SpiffeId,
    /// What: `<catalog>/<tool>`
    #[arg(long, value_name = "TOOL", value_parser = values::one_tool)]
    tool: String,
    /// A team that the register puts the agent into; repeat for more
    #[arg(long, value_name = "TEAM")]
    team: Vec<TeamName>,
    /// With which arguments, as a JSON object; without, there is no verdict
    #[arg(long, value_name = "JSON", value_parser = values::arguments)]
    arguments: Option<Arguments>,
    /// What the task carries, such as `pii`; repeat for more
    #[arg(long, value_name = "LABEL")]
    label: Vec<Label>,
    /// A tool the task has used, such as `crm/search`, or `crm/search=5m` for five minutes ago; repeat for each time
    #[arg(long, value_name = "TOOL", value_parser = values::used)]
    used: Vec<(String, u64)>,
    /// How many calls were let through in it; as many as `--used` unless said
    #[arg(long, value_name = "N")]
    calls: Option<u64>,
    /// What it has used up, such as `money=40`; repeat for other meters
    #[arg(long, value_name = "METER=AMOUNT", value_parser = values::budget)]
    spent: Vec<(Meter, u64)>,
    /// A value that a system of record gave; repeat for more
    #[arg(long, value_name = "VALUE")]
    trusted: Vec<String>,
    /// A value that stood in what others wrote; repeat for more
    #[arg(long, value_name = "VALUE")]
    untrusted: Vec<String>,
    /// How many agents passed the task on
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(..=i64::from(DEPTH_MAX)))]
    depth: u8,
    /// The risk declared for the task: `low`, `medium`, `high`, `critical`, or 0 to 100
    #[arg(long, value_name = "RISK", default_value = "0", hide_default_value = true, value_parser = values::risk)]
    task_risk: u8,
    /// Where the task runs
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// For whom the task is
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    user: String,
    /// A value the user named; repeat for more
    #[arg(long, value_name = "VALUE")]
    named: Vec<String>,
}

/// Runs it.
pub(super) fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let mut dirs = args.dirs.into_iter();
    let pack = PackArgs {
        // INVARIANT: clap asks for one at least; without, there is no such directory.
        dir: dirs.next().unwrap_or_default(),
        name: None,
        with: dirs.collect(),
    };
    let (packs, rehearsal) = examine(&read(&pack)?, &pack)?;
    if !rehearsal.is_good() {
        return rehearsal.refuse(invocation);
    }
    let bundle = Arc::new(bundle(&packs)?);
    let mut spent = Amounts::default();
    for (meter, amount) in args.spent {
        spent.set(meter, amount);
    }
    let tool = args.tool.clone();
    let asked = Asked {
        tool: args.tool,
        arguments: args.arguments,
        user: args.user,
        named: args.named,
        environment: args.environment,
        risk: args.task_risk,
        depth: args.depth,
        labels: args.label.into_iter().collect(),
        done: Done {
            used: args.used,
            calls: args.calls,
            spent,
            trusted: args.trusted,
            untrusted: args.untrusted,
        },
        teams: args.team.into_iter().collect(),
    };
    let packs: Vec<&Pack> = packs.iter().collect();
    let explanation = explain(&packs, &bundle, &args.agent, asked).map_err(PackError::from)?;
    let view = View::of(&tool, &explanation);
    invocation.answer(&view, |paint| text::of(&view, paint))?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests;
