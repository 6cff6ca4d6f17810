//! The inbox: what waits for people, the most urgent first, like things together.

use std::cmp::Reverse;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use checkrein_proto::hold::v1::{Hold, ListRequest, State};
use checkrein_shared::hold::Remark;

use super::coded::Coded;
use super::page::{Frame, Place, Trouble, ok, shown};
use super::visit::Visit;
use crate::words::{Handed, brief, handed, quorum_words, relative, remarks, rfc3339, undo_brief, visible};

/// So many are shown; of more, that there are.
const SHOWN_MAX: u32 = 200;
/// What expires this soon comes before what is more dangerous.
const PRESSING_MS: u64 = 5 * 60_000;

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    waiting: Waiting,
}

/// What waits, as a part of the page that is asked for anew when something changed.
#[derive(Template)]
#[template(path = "waiting.html")]
struct Waiting {
    /// What this person may answer.
    own: Vec<Lot>,
    /// What waits for other people.
    others: Vec<Lot>,
    more: bool,
    is_fragment: bool,
}

/// Like things: the same tool with the same arguments, however many ask.
struct Lot {
    id: String,
    tool: String,
    agent: String,
    user: String,
    environment: String,
    reason: Coded,
    /// So that one can be told from another.
    with: String,
    until: String,
    until_said: String,
    count: usize,
    missing: String,
    has_glass: bool,
    danger: &'static str,
    /// Who handed it to whom, as this person sees it.
    handed: Handed,
    /// Somebody asks something about it, and nobody has replied.
    asked_by: Option<String>,
    like: (String, Bytes, Bytes),
}

/// `GET /`
pub(super) async fn page(visit: Visit) -> Result<Response, Trouble> {
    let waiting = Waiting::read(&visit, false).await?;
    let frame = visit.frame("Inbox", Place::Inbox);
    Ok(ok(&InboxPage { frame, waiting }))
}

/// `GET /inbox/waiting`
pub(super) async fn waiting(visit: Visit) -> Result<Response, Trouble> {
    Ok(shown(StatusCode::OK, &Waiting::read(&visit, true).await?))
}

impl Waiting {
    async fn read(visit: &Visit, is_fragment: bool) -> Result<Self, Trouble> {
        let request = ListRequest {
            states: vec![State::Open.into()],
            page_size: SHOWN_MAX,
            ..ListRequest::default()
        };
        let page = visit.entrance.holds().list(request).await?.into_inner();
        let waiting = page
            .holds
            .iter()
            .filter(|hold| hold.decide_by_unix_ms > visit.now_ms);
        // What they handed on is somebody else's to look at, although they may still answer it.
        let (own, others): (Vec<&Hold>, Vec<&Hold>) = waiting.partition(|hold| {
            let handed = handed(&remarks(hold), |id| visit.is(id));
            visit.may_answer(hold) && !matches!(handed, Handed::To(_))
        });
        Ok(Self {
            own: lots(&own, visit),
            others: lots(&others, visit),
            more: !page.next_page_token.is_empty(),
            is_fragment,
        })
    }

    /// How much waits, in words.
    fn count_said(&self) -> String {
        let count: usize = self.own.iter().map(|lot| lot.count).sum();
        match count {
            0 => "Nothing waits for your answer.".to_owned(),
            1 => "One action waits for your answer.".to_owned(),
            _ if self.more => format!("More than {count} actions wait for your answer."),
            _ => format!("{count} actions wait for your answer."),
        }
    }
}

impl Lot {
    fn of(hold: &Hold, visit: &Visit) -> Self {
        let action = hold.action.clone().unwrap_or_default();
        let missing = hold.requirements.iter().map(quorum_words);
        let said = remarks(hold);
        let question = Remark::unanswered(&said);
        Self {
            id: visible(&hold.hold_id),
            tool: visible(&action.tool),
            agent: short(&action.agent),
            user: visible(&action.user),
            environment: visible(&hold.environment),
            reason: Coded::of(&hold.reason),
            with: brief(&action.arguments),
            until: rfc3339(hold.decide_by_unix_ms).unwrap_or_default(),
            until_said: relative(hold.decide_by_unix_ms, visit.now_ms),
            count: 1,
            missing: missing.collect::<Vec<_>>().join(", "),
            has_glass: hold.glass.is_some(),
            danger: undo_brief(hold.reversibility),
            handed: handed(&said, |id| visit.is(id)),
            asked_by: question.map(|one| visible(one.author.name())),
            like: (action.tool, action.definition_sha256, action.arguments),
        }
    }
}

/// What is about to expire first, then the more dangerous, then the sooner; like things as one.
fn lots(holds: &[&Hold], visit: &Visit) -> Vec<Lot> {
    let mut holds = holds.to_vec();
    holds.sort_by_key(|hold| {
        let is_pressing = hold.decide_by_unix_ms < visit.now_ms + PRESSING_MS;
        // Nobody said: as the worst there is.
        let class = if hold.reversibility == 0 {
            u32::MAX
        } else {
            hold.reversibility
        };
        (!is_pressing, Reverse(class), hold.decide_by_unix_ms)
    });
    let mut lots: Vec<Lot> = Vec::new();
    for hold in holds {
        let lot = Lot::of(hold, visit);
        // What was said of one of them was not said of the others.
        let is_like = |other: &&mut Lot| {
            (&other.like, &other.handed, &other.asked_by) == (&lot.like, &lot.handed, &lot.asked_by)
        };
        match lots.iter_mut().find(is_like) {
            Some(other) => other.count += 1,
            None => lots.push(lot),
        }
    }
    lots
}

/// An agent by its name, where there is one: the whole identity stands on the page of the hold.
fn short(agent: &str) -> String {
    visible(agent.rsplit('/').next().unwrap_or(agent))
}
