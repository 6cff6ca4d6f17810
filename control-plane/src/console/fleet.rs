//! The fleet: which enforcers there are, what each runs and since when, and what it refused.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use checkrein_proto::fleet::v1::{Enforcer, Instance, Journal, ListRequest, NackReport, ShowRequest};
use serde::Deserialize;
use tonic::Status;

use super::page::{Frame, Place, Trouble, ok};
use super::parts::{Moment, link, short};
use super::visit::Visit;
use crate::words::{is_behind, stage_word, visible};

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    frame: Frame,
    newest: u64,
    rows: Vec<Row>,
    behind: usize,
    next: String,
}

/// A directory that an enforcer runs from, or an enforcer that never connected.
struct Row {
    name: String,
    word: &'static str,
    labels: String,
    agents: String,
    instance: Option<Run>,
    nack: Option<Refused>,
}

/// What runs.
struct Run {
    id: String,
    incarnation: u64,
    build: String,
    word: &'static str,
    generation: u64,
    since: Moment,
    seen: Moment,
    pending: u64,
}

/// A bundle that was refused.
struct Refused {
    generation: u64,
    stage: &'static str,
    reason: String,
    at: Moment,
}

struct Home {
    id: String,
    incarnation: u64,
    records: u64,
    moved: Moment,
    trouble: &'static str,
}

#[derive(Template)]
#[template(path = "enforcer.html")]
struct EnforcerPage {
    frame: Frame,
    name: String,
    id: String,
    labels: String,
    agents: Vec<String>,
    registered: Moment,
    removed: Option<Moment>,
    runs: Vec<Run>,
    journals: Vec<Home>,
    nacks: Vec<Refused>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: String,
}

/// `GET /fleet`
pub(super) async fn page(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    let request = ListRequest {
        page_token: asked.after,
        ..ListRequest::default()
    };
    let page = visit.entrance.fleet().list(request).await?.into_inner();
    let rows: Vec<Row> = page
        .enforcers
        .iter()
        .flat_map(|enforcer| Row::of(enforcer, page.generation, visit.now_ms))
        .collect();
    Ok(ok(&FleetPage {
        frame: visit.frame("Fleet", Place::Fleet),
        newest: page.generation,
        behind: rows.iter().filter(|row| row.word == "behind").count(),
        rows,
        next: if page.next_page_token.is_empty() {
            String::new()
        } else {
            link("/fleet", &[("after", &page.next_page_token)])
        },
    }))
}

/// `GET /fleet/{name}`
pub(super) async fn enforcer(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let shown = visit
        .entrance
        .fleet()
        .show(ShowRequest { name })
        .await?
        .into_inner();
    let of = shown
        .enforcer
        .ok_or_else(|| Status::not_found("there is no such enforcer"))?;
    let now_ms = visit.now_ms;
    Ok(ok(&EnforcerPage {
        frame: visit.frame(&of.name, Place::Fleet),
        name: visible(&of.name),
        id: visible(&of.spiffe_id),
        labels: visible(&of.labels.join(" ")),
        agents: of.agents.iter().map(|agent| visible(agent)).collect(),
        registered: Moment::of(of.registered_unix_ms, now_ms),
        removed: (of.removed_unix_ms > 0).then(|| Moment::of(of.removed_unix_ms, now_ms)),
        runs: of
            .instances
            .iter()
            .map(|instance| Run::of(instance, u64::MAX, now_ms))
            .collect(),
        journals: shown
            .journals
            .iter()
            .map(|journal| Home::of(journal, now_ms))
            .collect(),
        nacks: of.nacks.iter().map(|nack| Refused::of(nack, now_ms)).collect(),
    }))
}

impl Row {
    /// One for each directory that it runs from.
    fn of(enforcer: &Enforcer, newest: u64, now_ms: u64) -> Vec<Self> {
        let is_removed = enforcer.removed_unix_ms > 0;
        let row = |instance: Option<&Instance>| {
            let nack = instance.and_then(|instance| latest_nack(enforcer, instance));
            let run = instance.map(|instance| Run::of(instance, newest, now_ms));
            Self {
                name: visible(&enforcer.name),
                word: match &run {
                    _ if is_removed => "removed",
                    Some(run) => run.word,
                    None => "never connected",
                },
                labels: visible(&enforcer.labels.join(" ")),
                agents: enforcer
                    .agents
                    .iter()
                    .map(|agent| short(agent))
                    .collect::<Vec<_>>()
                    .join(", "),
                nack: nack.map(|nack| Refused::of(nack, now_ms)),
                instance: run,
            }
        };
        if enforcer.instances.is_empty() {
            return vec![row(None)];
        }
        enforcer
            .instances
            .iter()
            .map(|instance| row(Some(instance)))
            .collect()
    }
}

/// What this directory refused last, if it does not run something newer by now.
fn latest_nack<'a>(enforcer: &'a Enforcer, instance: &Instance) -> Option<&'a NackReport> {
    let nacks = enforcer.nacks.iter();
    let of_it = nacks.filter(|nack| nack.instance_id == instance.instance_id);
    of_it
        .filter(|nack| nack.generation > instance.generation)
        .max_by_key(|nack| nack.refused_unix_ms)
}

impl Run {
    fn of(instance: &Instance, newest: u64, now_ms: u64) -> Self {
        Self {
            id: visible(&instance.instance_id),
            incarnation: instance.incarnation,
            build: visible(&instance.build),
            word: if newest != u64::MAX && is_behind(instance, newest) {
                "behind"
            } else if instance.connected {
                "connected"
            } else {
                "away"
            },
            generation: instance.generation,
            since: Moment::of(instance.acked_unix_ms, now_ms),
            seen: Moment::of(instance.last_seen_unix_ms, now_ms),
            pending: instance.journal_pending,
        }
    }
}

impl Refused {
    fn of(nack: &NackReport, now_ms: u64) -> Self {
        Self {
            generation: nack.generation,
            stage: stage_word(nack.stage()),
            reason: visible(&nack.reason),
            at: Moment::of(nack.refused_unix_ms, now_ms),
        }
    }
}

impl Home {
    fn of(journal: &Journal, now_ms: u64) -> Self {
        Self {
            id: visible(&journal.instance_id),
            incarnation: journal.incarnation,
            records: journal.next_sequence,
            moved: Moment::of(journal.advanced_unix_ms, now_ms),
            trouble: match (journal.forked_unix_ms, journal.unfinished) {
                (0, false) => "",
                (0, true) => "unfinished",
                _ => "forked",
            },
        }
    }
}
