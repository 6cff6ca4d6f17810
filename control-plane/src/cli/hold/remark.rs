//! What people say of a hold before they answer it: a question, a reply, or that somebody else is to look at it.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as wire, RemarkRequest};
use checkrein_shared::hold::{Remark, RemarkKind};
use checkrein_shared::identity::SpiffeId;
use serde::Serialize;
use thiserror::Error;

use super::find;
use super::view::HoldView;
use super::vote::VoteError;
use crate::cli::client::Connection;
use crate::cli::output::{Fields, Style, relative, rfc3339, visible};
use crate::cli::{Error, Invocation, Outcome};
use crate::words::{ShownAction, remarks};

pub(super) const ASK_EXAMPLE: &str = "\
Example:
  checkrein hold ask hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --question 'which invoice is this for?'

Everybody who sees the hold is told, and the agent: whoever is behind it can have the task amended, or end it. A question is no answer:
the time to answer goes on. Whoever may answer the hold, or an operator, replies: `checkrein hold reply`.";

pub(super) const REPLY_EXAMPLE: &str = "\
Example:
  checkrein hold reply hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --text 'for the March invoice, 4711'

Everybody who sees the hold sees it. Whoever has to say yes or no says that by `hold approve` and `hold deny`.";

pub(super) const HAND_EXAMPLE: &str = "\
Examples:
  checkrein hold hand hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --to carol --reason 'she knows this supplier'
  checkrein hold hand hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --to spiffe://acme.example/approver/carol --reason 'I am on leave'

It goes to somebody who may answer the hold now, as `hold show` names them, and changes nobody's right: whoever might answer before
still may. It leaves the inbox of whoever hands it on, and stands in the other's with who handed it to them.";

/// `checkrein hold ask`
#[derive(Debug, clap::Args)]
pub(super) struct AskArgs {
    /// The hold, as `hold list` names it
    id: String,
    /// What you have to know before you answer; at most 1 KiB
    #[arg(long, value_name = "TEXT")]
    question: String,
}

/// `checkrein hold reply`
#[derive(Debug, clap::Args)]
pub(super) struct ReplyArgs {
    /// The hold, as `hold list` names it
    id: String,
    /// What there is to say to what was asked; at most 1 KiB
    #[arg(long, value_name = "TEXT")]
    text: String,
}

/// `checkrein hold hand`
#[derive(Debug, clap::Args)]
pub(super) struct HandArgs {
    /// The hold, as `hold list` names it
    id: String,
    /// Who is to look at it: a SPIFFE ID, or the last part of it
    #[arg(long, value_name = "ID")]
    to: String,
    /// Why; at most 1 KiB
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Why nothing was said.
#[derive(Debug, Error)]
pub enum RemarkError {
    /// A name of nobody who may answer.
    #[error("nobody of the name `{0}` may answer this hold now: `checkrein hold show` says who may")]
    NoSuchPerson(String),
    /// A name of several.
    #[error("`{0}` may be any of {1}: give the whole SPIFFE ID")]
    SeveralPeople(String, String),
}

/// What one says, before the hold that it is said of is known.
pub(super) enum Said {
    /// A question.
    Ask(AskArgs),
    /// A reply.
    Reply(ReplyArgs),
    /// That somebody else is to look at it.
    Hand(HandArgs),
}

/// Something that somebody said, for scripts.
#[derive(Debug, Serialize)]
pub(super) struct RemarkView {
    author: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    text: String,
    remarked_at: Option<String>,
}

/// Says it of the very bytes that the hold shows.
pub(super) async fn say(
    mut client: HoldServiceClient<Connection>,
    said: Said,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let shown = find(client.clone(), said.hold().to_owned()).await?;
    let action = ShownAction::verify(&shown.hold).map_err(VoteError::from)?;
    let request = RemarkRequest {
        action_sha256: action.sha256.to_bytes(),
        idempotency_key: invocation.idempotency_key(),
        ..said.request(&shown.hold)?
    };
    let to = request.to.clone();
    let said = client.remark(request).await?.into_inner().hold;
    let hold = said.ok_or(Error::Incomplete("hold"))?;
    invocation.answer(&HoldView::of(&hold), |paint| {
        let id = paint.apply(Style::Strong, &visible(&hold.hold_id));
        let until = relative(hold.decide_by_unix_ms, invocation.now_ms());
        match &*to {
            "" => format!("{id}  said; it still waits for an answer, {until}\n"),
            to => format!(
                "{id}  handed to {}; whoever may answer still may, {until}\n",
                visible(to)
            ),
        }
    })?;
    Ok(Outcome::Done)
}

impl Said {
    fn hold(&self) -> &str {
        match self {
            Self::Ask(args) => &args.id,
            Self::Reply(args) => &args.id,
            Self::Hand(args) => &args.id,
        }
    }

    fn request(self, hold: &wire::Hold) -> Result<RemarkRequest, RemarkError> {
        let hold_id = hold.hold_id.clone();
        Ok(match self {
            Self::Ask(args) => RemarkRequest {
                hold_id,
                text: args.question,
                ..RemarkRequest::default()
            },
            Self::Reply(args) => RemarkRequest {
                hold_id,
                text: args.text,
                replies: true,
                ..RemarkRequest::default()
            },
            Self::Hand(args) => RemarkRequest {
                hold_id,
                to: person(hold, &args.to)?,
                text: args.reason,
                ..RemarkRequest::default()
            },
        })
    }
}

/// The whole identity of somebody who is named, of those who may answer.
fn person(hold: &wire::Hold, named: &str) -> Result<String, RemarkError> {
    if named.contains("://") {
        return Ok(named.to_owned());
    }
    let may = hold.may_answer.iter().filter_map(|may| may.capacity.as_ref());
    let is_named = |id: &&str| {
        let parsed = id.parse::<SpiffeId>();
        parsed.is_ok_and(|id| id.name() == named)
    };
    let found: BTreeSet<&str> = may.map(|capacity| &*capacity.approver).filter(is_named).collect();
    match found.iter().copied().collect::<Vec<_>>()[..] {
        [] => Err(RemarkError::NoSuchPerson(visible(named))),
        [id] => Ok(id.to_owned()),
        ref several => Err(RemarkError::SeveralPeople(visible(named), several.join(", "))),
    }
}

impl RemarkView {
    /// All of a hold.
    pub(super) fn all(hold: &wire::Hold) -> Vec<Self> {
        remarks(hold).iter().map(Self::of).collect()
    }

    fn of(remark: &Remark) -> Self {
        Self {
            author: remark.author.to_string(),
            kind: remark.kind.as_str(),
            to: match &remark.kind {
                RemarkKind::HandedOn { to } => Some(to.to_string()),
                RemarkKind::Question | RemarkKind::Reply => None,
            },
            text: remark.text.clone(),
            remarked_at: rfc3339(remark.remarked_ms),
        }
    }
}

/// Each remark on a line of its own.
pub(super) fn lines(hold: &wire::Hold, now_ms: u64, fields: &mut Fields) {
    let remarks = remarks(hold);
    for remark in &remarks {
        let does = match &remark.kind {
            RemarkKind::Question => "asks".to_owned(),
            RemarkKind::Reply => "replies".to_owned(),
            RemarkKind::HandedOn { to } => format!("handed it to {to}"),
        };
        let when = relative(remark.remarked_ms, now_ms);
        fields.line(
            "said",
            &format!("{} {does}, {when}: {}", remark.author, remark.text),
        );
    }
    if hold.state() == wire::State::Open && Remark::unanswered(&remarks).is_some() {
        fields.line("", "nobody has replied yet: `checkrein hold reply`");
    }
}

/// In a word what people wait for, for a table.
pub(super) fn word(hold: &wire::Hold) -> String {
    let remarks = remarks(hold);
    let asked = Remark::unanswered(&remarks).map(|one| format!("asked by {}", one.author.name()));
    let mut latest = remarks.iter().rev();
    let handed = latest.find_map(|remark| match &remark.kind {
        RemarkKind::HandedOn { to } => Some(format!("handed to {} by {}", to.name(), remark.author.name())),
        RemarkKind::Question | RemarkKind::Reply => None,
    });
    let said: Vec<String> = asked.into_iter().chain(handed).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests;
