//! Decisions: found by whatever is known of them, the latest decided first.

mod one;
mod search;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use checkrein_proto::decision::v1::{Decision, SearchRequest, StoredDecision};

use super::page::{Frame, Place, Trouble, ok, shown};
use super::parts::{Moment, link, listed, short};
use super::visit::Visit;
use crate::words::{verdict_word, visible};
pub(super) use one::page as decision;
use search::Asked;

/// So many stand on a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    /// Where the older ones are; empty: there are none.
    older: String,
    /// What was wrong with what was asked.
    trouble: Option<String>,
}

/// One decision in a line.
struct Row {
    id: String,
    at: Moment,
    word: &'static str,
    tool: String,
    agent: String,
    whole_agent: String,
    rules: String,
    reason: String,
}

/// `GET /decisions`
pub(super) async fn page(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    let frame = visit.frame("Decisions", Place::Decisions);
    let found = match asked.request(visit.now_ms, ROWS) {
        Ok(request) => find(&visit, request).await,
        Err(said) => Err(tonic::Status::invalid_argument(said).into()),
    };
    let mut page = DecisionsPage {
        frame,
        asked,
        rows: Vec::new(),
        older: String::new(),
        trouble: None,
    };
    match found {
        Ok((decisions, next)) => {
            page.rows = decisions
                .iter()
                .map(|stored| Row::of(stored, visit.now_ms))
                .collect();
            page.older = page.asked.link(&next);
            Ok(ok(&page))
        }
        Err(trouble) => {
            page.trouble = Some(trouble.said().to_owned());
            Ok(shown(trouble.code(), &page))
        }
    }
}

async fn find(visit: &Visit, request: SearchRequest) -> Result<(Vec<StoredDecision>, String), Trouble> {
    let page = visit.entrance.decisions().search(request).await?.into_inner();
    Ok((page.decisions, page.next_page_token))
}

impl Row {
    fn of(stored: &StoredDecision, now_ms: u64) -> Self {
        let nothing = Decision::default();
        let decision = stored.decision.as_ref().unwrap_or(&nothing);
        Self {
            id: visible(&decision.decision_id),
            at: Moment::of(decision.decided_unix_ms, now_ms),
            word: verdict_word(decision),
            tool: visible(&decision.tool),
            agent: short(&decision.agent),
            whole_agent: visible(&decision.agent),
            rules: listed(&decision.rules),
            reason: visible(&decision.reason),
        }
    }
}

impl Asked {
    /// The same search, from there on; empty, if there is nowhere to go on.
    fn link(&self, next: &str) -> String {
        if next.is_empty() {
            return String::new();
        }
        link(
            "/decisions",
            &[
                ("task", &self.task),
                ("agent", &self.agent),
                ("tool", &self.tool),
                ("verdict", &self.verdict),
                ("rule", &self.rule),
                ("enforcer", &self.enforcer),
                ("since", &self.since),
                ("until", &self.until),
                ("after", next),
            ],
        )
    }
}
