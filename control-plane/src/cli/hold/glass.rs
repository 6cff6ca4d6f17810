//! Breaking the glass, and looking at it afterwards: what is shown is what is answered for, as with any vote.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_shared::hold::Finding;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::view::HoldView;
use super::vote::VoteError;
use super::{find, show};
use crate::cli::client::Connection;
use crate::cli::output::{Paint, Style, relative, visible};
use crate::cli::{Error, Invocation, Outcome};
use crate::words::ShownAction;

pub(super) const BREAK_EXAMPLE: &str = "\
Example:
  checkrein hold break-glass hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --reason 'treasury is on a plane, payroll is due at noon'

It takes two people of the group that `[break_glass]` of the pack names. It stands in for people whose answer is missing, and for
nothing else: not for a no, not for somebody who asked, not once the time to answer or the task is over. The policy is asked again
before anything is released. It is kept with the hold and the decision, and somebody else reviews it: `checkrein hold list --unreviewed`.";

pub(super) const REVIEW_EXAMPLE: &str = "\
Examples:
  checkrein hold list --unreviewed
  checkrein hold review hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --finding justified --reason 'treasury was on a plane'

Whoever broke the glass or asked for the action reviews nothing. A review stands: it is written once.";

#[derive(Debug, clap::Args)]
pub(super) struct BreakArgs {
    /// The hold, as `hold list` names it
    id: String,
    /// Why it can't wait; the record keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Don't ask again
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReviewArgs {
    /// The hold, as `hold list --unreviewed` names it
    id: String,
    /// Whether it was right
    #[arg(long, value_parser = findings())]
    finding: Finding,
    /// Why; the record keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

fn findings() -> impl TypedValueParser<Value = Finding> {
    PossibleValuesParser::new(Finding::ALL.map(Finding::as_str))
        .try_map(|word| Finding::named(&word).ok_or("expected `justified` or `unjustified`"))
}

/// Shows a hold, and wants the glass broken for it if the hash is right and the person says so.
pub(super) async fn break_glass(
    mut client: HoldServiceClient<Connection>,
    args: BreakArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let shown = find(client.clone(), args.id).await?;
    let action = ShownAction::verify(&shown.hold).map_err(VoteError::from)?;
    if !invocation.json() || !args.yes {
        invocation.note(&show::page(&shown, invocation.now_ms(), invocation.paint_notes()));
    }
    if !args.yes {
        match invocation.confirm("let exactly this happen without those who were asked, in the open?")? {
            Some(true) => {}
            Some(false) => return Err(VoteError::Declined.into()),
            None => return Err(VoteError::NotAsked.into()),
        }
    }
    let request = wire::BreakGlassRequest {
        hold_id: shown.hold.hold_id,
        action_sha256: action.sha256.to_bytes(),
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let broken = client.break_glass(request).await?.into_inner().hold;
    let hold = broken.ok_or(Error::Incomplete("hold"))?;
    invocation.answer(&HoldView::of(&hold), |paint| {
        let id = paint.apply(Style::Strong, &visible(&hold.hold_id));
        let then = match hold.state() {
            wire::State::Approved => {
                let until = relative(hold.use_by_unix_ms, invocation.now_ms());
                format!("the glass is broken: usable once, {until}; somebody else reviews it afterwards")
            }
            _ => "your word counts, and a second person must say the same".to_owned(),
        };
        format!("{id}  {}\n", paint.apply(Style::Bad, &then))
    })?;
    Ok(Outcome::Done)
}

/// Writes down what was found.
pub(super) async fn review(
    mut client: HoldServiceClient<Connection>,
    args: ReviewArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let request = wire::ReviewRequest {
        hold_id: args.id,
        finding: wire::Finding::from(args.finding).into(),
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let reviewed = client.review(request).await?.into_inner().hold;
    let hold = reviewed.ok_or(Error::Incomplete("hold"))?;
    invocation.answer(&HoldView::of(&hold), |paint: Paint| {
        let id = paint.apply(Style::Strong, &visible(&hold.hold_id));
        format!("{id}  reviewed: {}\n", args.finding.as_str())
    })?;
    Ok(Outcome::Done)
}
