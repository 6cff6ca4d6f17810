//! The inbox: what waits for people, the most urgent first, like things together.

use std::cmp::Reverse;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use checkrein_proto::hold::v1::{Hold, ListRequest, State};

use super::page::{Frame, Place, Trouble, ok, shown};
use super::visit::Visit;
use crate::words::{brief, relative, rfc3339, visible};

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
    reason: String,
    /// So that one can be told from another.
    with: String,
    until: String,
    until_said: String,
    count: usize,
    missing: String,
    has_glass: bool,
    danger: &'static str,
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
        let (own, others): (Vec<&Hold>, Vec<&Hold>) = waiting.partition(|hold| visit.may_answer(hold));
        Ok(Self {
            own: lots(&own, visit.now_ms),
            others: lots(&others, visit.now_ms),
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
    fn of(hold: &Hold, now_ms: u64) -> Self {
        let action = hold.action.clone().unwrap_or_default();
        let missing = hold.requirements.iter().map(|requirement| {
            let people = if requirement.quorum == 1 { "one" } else { "people" };
            match requirement.quorum {
                1 => format!("{people} of {}", visible(&requirement.group)),
                quorum => format!("{quorum} {people} of {}", visible(&requirement.group)),
            }
        });
        Self {
            id: visible(&hold.hold_id),
            tool: visible(&action.tool),
            agent: short(&action.agent),
            user: visible(&action.user),
            environment: visible(&hold.environment),
            reason: visible(&hold.reason),
            with: brief(&action.arguments),
            until: rfc3339(hold.decide_by_unix_ms).unwrap_or_default(),
            until_said: relative(hold.decide_by_unix_ms, now_ms),
            count: 1,
            missing: missing.collect::<Vec<_>>().join(", "),
            has_glass: hold.glass.is_some(),
            danger: danger(hold.reversibility),
            like: (action.tool, action.definition_sha256, action.arguments),
        }
    }
}

/// What is about to expire first, then the more dangerous, then the sooner; like things as one.
fn lots(holds: &[&Hold], now_ms: u64) -> Vec<Lot> {
    let mut holds = holds.to_vec();
    holds.sort_by_key(|hold| {
        let is_pressing = hold.decide_by_unix_ms < now_ms + PRESSING_MS;
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
        let lot = Lot::of(hold, now_ms);
        match lots.iter_mut().find(|other| other.like == lot.like) {
            Some(other) => other.count += 1,
            None => lots.push(lot),
        }
    }
    lots
}

const fn danger(class: u32) -> &'static str {
    match class {
        1 => "only reads",
        2 => "can be undone",
        3 => "only others could undo it",
        4 => "can't be undone",
        _ => "",
    }
}

/// An agent by its name, where there is one: the whole identity stands on the page of the hold.
fn short(agent: &str) -> String {
    visible(agent.rsplit('/').next().unwrap_or(agent))
}
