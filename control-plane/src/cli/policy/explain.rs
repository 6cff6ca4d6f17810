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
use checkrein_shared::policy::{Asked, Pack, TeamName, explain};

use super::local::{bundle, examine, read};
use super::{PackArgs, PackError};
use crate::cli::values;
use crate::cli::{Error, Invocation, Outcome};
use view::View;

pub(super) const HELP: &str = "\
Examples:
  checkrein policy explain payments --agent spiffe://acme.example/agent/billing --tool bank/send_money
  checkrein policy explain payments --agent spiffe://acme.example/agent/billing --tool bank/send_money \\
    --arguments '{\"recipient\": \"GB29NWBK60161331926819\", \"amount\": 10}' --label pii --named GB29NWBK60161331926819";

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
