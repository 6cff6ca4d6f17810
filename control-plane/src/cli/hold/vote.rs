//! A vote: show, recompute the hash, ask, and send what was shown.

use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as wire, VoteRequest};
use checkrein_shared::action::Sha256;
use checkrein_shared::hold::TOGETHER_MAX;
use thiserror::Error;

use super::terms::{TermsArgs, preview};
use super::view::HoldView;
use super::{find, show};
use crate::cli::approval;
use crate::cli::client::Connection;
use crate::cli::output::{Paint, Style, relative, style_of, visible};
use crate::cli::{Error, Invocation, Outcome};
use crate::words::{ShownAction, Unreadable};

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
    /// What is held can't be shown.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// More than one request takes.
    #[error("{0} holds are more than the {TOGETHER_MAX} that can be answered at once; not voted")]
    TooMany(usize),
    /// Nothing waits.
    #[error("nothing waits that is like `{0}`; `checkrein hold list` says what does")]
    NoneAlike(String),
    /// Nothing of it can happen again.
    #[error(
        "hold `{0}` is not open, or can't be allowed again: approve it without --for, --times, --at-most and --any"
    )]
    NoOffer(String),
    /// What may happen again is said of one.
    #[error("--for, --times, --at-most and --any are said of one hold: approve it by itself; not voted")]
    AgainTogether,
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
    (again, yes): (&TermsArgs, bool),
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let shown = find(client.clone(), id).await?;
    let hold = &shown.hold;
    let action = ShownAction::verify(hold).map_err(VoteError::from)?;
    let terms = again.terms(&shown.labels);
    let paint = invocation.paint_notes();
    let preview = match (&terms, &shown.offer) {
        (None, _) => String::new(),
        (Some(terms), Some(offer)) => preview(hold, offer, terms, paint),
        (Some(_), None) => return Err(VoteError::NoOffer(hold.hold_id.clone()).into()),
    };
    if !invocation.json() || !yes {
        let page = show::page(&shown, invocation.now_ms(), paint);
        invocation.note(&page);
        if !preview.is_empty() {
            invocation.note(&preview);
        }
    }
    if !yes {
        let question = if terms.is_some() {
            "let exactly this happen, once, and what is like it as said above?"
        } else {
            word.question()
        };
        match invocation.confirm(question)? {
            Some(true) => {}
            Some(false) => return Err(VoteError::Declined.into()),
            None => return Err(VoteError::NotAsked.into()),
        }
    }
    let gives = terms.is_some();
    let request = VoteRequest {
        terms,
        ..word.request(shown.hold.hold_id, action.sha256, invocation.idempotency_key())
    };
    let voted = client.vote(request).await?.into_inner();
    let hold = voted.hold.ok_or(Error::Incomplete("hold"))?;
    let now_ms = invocation.now_ms();
    let id = voted
        .standing
        .as_ref()
        .map(|standing| standing.standing_id.clone());
    invocation.answer(&HoldView::of(&hold).with_approval(id), |paint| {
        let mut out = result_line(&hold, now_ms, paint);
        match &voted.standing {
            Some(standing) => out.push_str(&approval::page(standing, now_ms, paint)),
            None if gives && hold.state() == wire::State::Approved => {
                out.push_str(
                    "nothing else is allowed: not everyone who approved it allowed the same again\n",
                );
            }
            None => {}
        }
        out
    })?;
    Ok(Outcome::Done)
}

impl Word {
    const fn question(&self) -> &'static str {
        match self {
            Self::Approve => "let exactly this happen, once?",
            Self::Deny { .. } => "refuse this?",
        }
    }

    /// The same of several.
    pub(super) fn question_of(&self, count: usize) -> String {
        match self {
            Self::Approve => format!("let exactly these {count} happen, each once?"),
            Self::Deny { .. } => format!("refuse these {count}?"),
        }
    }

    pub(super) const fn approves(&self) -> bool {
        matches!(self, Self::Approve)
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Approve => "",
            Self::Deny { reason } => reason,
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
    let word = crate::words::hold_word(hold);
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
