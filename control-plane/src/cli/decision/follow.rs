//! `decision tail`: the latest, and with -f those that come, until interrupted.

use std::collections::HashSet;
use std::time::Duration;

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::decision::v1::{SearchRequest, SearchResponse, StoredDecision};
use serde_json::json;
use tokio::signal;
use tokio::time::sleep;

use super::view::DecisionView;
use super::{TailArgs, newest, show};
use crate::cli::client::Connection;
use crate::cli::output::Style;
use crate::cli::values::PAGE_ROWS_MAX;
use crate::cli::{Error, Invocation, Outcome};

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Asks again and again.
struct Follower<'a> {
    client: DecisionServiceClient<Connection>,
    invocation: &'a Invocation,
    cursor: Cursor,
}

/// Where following stands.
#[derive(Debug)]
pub(super) struct Cursor {
    /// What to ask next.
    request: SearchRequest,
    /// Shown before following began: the first pages bring them once more.
    shown: HashSet<String>,
}

/// Prints the latest decisions, oldest first.
pub(super) async fn tail(
    client: DecisionServiceClient<Connection>,
    args: TailArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let request = args.filter.request();
    let mut latest = match args.lines {
        0 => Vec::new(),
        lines => newest(&client, &request, lines).await?.rows,
    };
    latest.reverse();
    if !args.follow {
        let decisions: Vec<DecisionView> = latest.iter().map(DecisionView::of).collect();
        let now_ms = invocation.now_ms();
        invocation.answer(&json!({"decisions": decisions}), |paint| {
            show::table(&latest, now_ms, paint)
        })?;
        return Ok(Outcome::Done);
    }
    let mut follower = Follower {
        client,
        invocation,
        cursor: Cursor::after(&latest, request, invocation.now_ms()),
    };
    follower.print(&latest)?;
    tokio::select! {
        result = follower.follow() => result,
        _ = signal::ctrl_c() => Ok(Outcome::Done),
    }
}

impl Follower<'_> {
    /// Polls ascending pages for ever; a control plane that is away is waited for.
    async fn follow(&mut self) -> Result<Outcome, Error> {
        let mut away = false;
        loop {
            let page = self
                .client
                .search(self.cursor.request.clone())
                .await
                .map_err(Error::from);
            let page = match page {
                Ok(page) => page.into_inner(),
                Err(Error::Refused(refusal)) if refusal.is_passing() => {
                    if !away {
                        self.note_away(&refusal.to_string());
                    }
                    away = true;
                    sleep(POLL_INTERVAL).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            away = false;
            let is_last = page.decisions.is_empty();
            let fresh = self.cursor.advance(page);
            self.print(&fresh)?;
            if is_last {
                sleep(POLL_INTERVAL).await;
            }
        }
    }

    fn print(&self, decisions: &[StoredDecision]) -> Result<(), Error> {
        for stored in decisions {
            let line = if self.invocation.json() {
                serde_json::to_string(&DecisionView::of(stored)).map_err(std::io::Error::from)?
            } else {
                show::line(stored, self.invocation.paint())
            };
            self.invocation.print(&format!("{line}\n"))?;
        }
        Ok(())
    }

    fn note_away(&self, cause: &str) {
        let note = format!("{cause}; waiting for the control plane to come back");
        self.invocation
            .note(&self.invocation.paint_notes().apply(Style::Dim, &note));
    }
}

impl Cursor {
    /// Begins where the latest decisions end.
    pub(super) fn after(latest: &[StoredDecision], request: SearchRequest, now_ms: u64) -> Self {
        let request = SearchRequest {
            since_unix_ms: latest.iter().map(decided_ms).min().unwrap_or(now_ms),
            ascending: true,
            page_size: PAGE_ROWS_MAX,
            ..request
        };
        Self {
            request,
            shown: latest.iter().map(id).collect(),
        }
    }

    /// Goes past a page; gives what of it was not shown yet. A page without a token leaves the old one good.
    pub(super) fn advance(&mut self, page: SearchResponse) -> Vec<StoredDecision> {
        if !page.next_page_token.is_empty() {
            self.request.page_token = page.next_page_token;
        }
        let mut fresh = page.decisions;
        fresh.retain(|stored| !self.shown.remove(&id(stored)));
        fresh
    }
}

fn id(stored: &StoredDecision) -> String {
    stored
        .decision
        .as_ref()
        .map(|decision| decision.decision_id.clone())
        .unwrap_or_default()
}

fn decided_ms(stored: &StoredDecision) -> u64 {
    stored
        .decision
        .as_ref()
        .map_or(stored.received_unix_ms, |decision| decision.decided_unix_ms)
}

#[cfg(test)]
mod tests;
