//! A vote: show, recompute the hash, ask, and send what was shown.

use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as wire, VoteRequest};
use checkrein_shared::action::{InvalidArguments, InvalidSha256, Sha256};
use checkrein_shared::wire::InvalidMessage;
use thiserror::Error;

use super::action::ShownAction;
use super::view::{HoldView, state_word};
use super::{find, show};
use crate::cli::client::Connection;
use crate::cli::output::{Paint, Style, relative, style_of, visible};
use crate::cli::{Error, Invocation, Outcome};

/// A person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Yes.
    Approve,
    /// No, and why.
    Deny {
        /// What the agent is told.
        reason: String,
    },
}

/// Why no vote was cast.
#[derive(Debug, Error)]
pub enum VoteError {
    /// The hold names no action.
    #[error("the hold came without its action; not voted")]
    NoAction,
    /// The action can't be read.
    #[error("the held action can't be read; not voted")]
    Unreadable(#[from] InvalidMessage),
    /// Its hash can't.
    #[error("the held action's hash can't be read; not voted")]
    UnreadableHash(#[from] InvalidSha256),
    /// Its arguments have more than one reading, or none.
    #[error("the held arguments can't be read in one way; not voted")]
    UnreadableArguments(#[from] InvalidArguments),
    /// What is shown is not what would be approved.
    #[error(
        "what is shown hashes to {computed}, but the control plane names {named}: what you see is not what would be \
         approved; not voted, tell whoever runs the control plane"
    )]
    HashMismatch {
        /// Of what is shown.
        computed: Sha256,
        /// What the control plane says it is.
        named: Sha256,
    },
    /// Nobody was there to confirm.
    #[error("not voted: there is no terminal to ask on; say --yes if you have read it")]
    NotAsked,
    /// The person thought better of it.
    #[error("not voted")]
    Declined,
}

/// Shows a hold, and votes if the hash is right and the person says so.
pub(super) async fn cast(
    mut client: HoldServiceClient<Connection>,
    id: String,
    word: Word,
    yes: bool,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let (hold, labels) = find(client.clone(), id).await?;
    let action = ShownAction::verify(&hold)?;
    if !invocation.json() || !yes {
        let page = show::page(&hold, &labels, invocation.now_ms(), invocation.paint_notes());
        invocation.note(&page);
    }
    if !yes {
        match invocation.confirm(word.question())? {
            Some(true) => {}
            Some(false) => return Err(VoteError::Declined.into()),
            None => return Err(VoteError::NotAsked.into()),
        }
    }
    let request = word.request(hold.hold_id, action.sha256, invocation.idempotency_key());
    let voted = client.vote(request).await?.into_inner();
    let hold = voted.hold.ok_or(Error::Incomplete("hold"))?;
    let now_ms = invocation.now_ms();
    invocation.answer(&HoldView::of(&hold), |paint| result_line(&hold, now_ms, paint))?;
    Ok(Outcome::Done)
}

impl Word {
    const fn question(&self) -> &'static str {
        match self {
            Self::Approve => "let exactly this happen, once?",
            Self::Deny { .. } => "refuse this?",
        }
    }

    fn request(self, hold_id: String, sha256: Sha256, idempotency_key: String) -> VoteRequest {
        let (approve, reason) = match self {
            Self::Approve => (true, String::new()),
            Self::Deny { reason } => (false, reason),
        };
        VoteRequest {
            hold_id,
            approve,
            action_sha256: sha256.to_bytes(),
            reason,
            terms: None,
            idempotency_key,
        }
    }
}

fn result_line(hold: &wire::Hold, now_ms: u64, paint: Paint) -> String {
    let word = state_word(hold);
    let then = match hold.state() {
        wire::State::Open => {
            "your word counts, and more people must agree: `checkrein hold show` says who".to_owned()
        }
        wire::State::Approved => {
            format!(
                "usable once, {}; the enforcer judges again before it releases",
                relative(hold.use_by_unix_ms, now_ms)
            )
        }
        wire::State::Denied => "the agent is told, for the rest of its task".to_owned(),
        wire::State::Withdrawn => "the approval was taken back before it was used".to_owned(),
        _ => String::new(),
    };
    let id = paint.apply(Style::Strong, &visible(&hold.hold_id));
    format!("{id}  {}  {then}\n", paint.apply(style_of(word), word))
}
