//! Policies: what is in force, every version of a pack, what changed, and what its rules do.

mod diff;
mod pack;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use checkrein_proto::policy::v1::{ListRequest, PackRevision};
use serde::Deserialize;

use super::page::{Frame, Place, Trouble, ok};
use super::parts::{Moment, link, short};
use super::visit::Visit;
use crate::words::visible;
pub(super) use diff::page as diff;
pub(super) use pack::page as pack;

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    frame: Frame,
    generation: u64,
    rows: Vec<Row>,
    next: String,
}

/// One pushed state of a pack.
struct Row {
    pack: String,
    revision: u64,
    generation: u64,
    rules: u32,
    tools: u32,
    pushed: Moment,
    by: String,
    whole_by: String,
    note: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: String,
}

/// `GET /policies`
pub(super) async fn page(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    let request = ListRequest {
        page_token: asked.after,
        ..ListRequest::default()
    };
    let page = visit.entrance.policies().list(request).await?.into_inner();
    Ok(ok(&PoliciesPage {
        frame: visit.frame("Policies", Place::Policies),
        generation: page.generation,
        rows: page
            .revisions
            .iter()
            .map(|of| Row::of(of, visit.now_ms))
            .collect(),
        next: next("/policies", &page.next_page_token),
    }))
}

/// Where the page after this one is; empty: there is none.
fn next(path: &str, token: &str) -> String {
    if token.is_empty() {
        return String::new();
    }
    link(path, &[("after", token)])
}

impl Row {
    fn of(revision: &PackRevision, now_ms: u64) -> Self {
        Self {
            pack: visible(&revision.pack),
            revision: revision.revision,
            generation: revision.generation,
            rules: revision.rules,
            tools: revision.tools,
            pushed: Moment::of(revision.pushed_unix_ms, now_ms),
            by: short(&revision.pushed_by),
            whole_by: visible(&revision.pushed_by),
            note: visible(&revision.note),
        }
    }
}
