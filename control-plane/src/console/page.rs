//! What every page looks like, and what a page says when something can't be done.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse, Response};
use tonic::{Code, Status};
use tracing::error;

use super::assets;
use super::coded::Coded;
use crate::words::visible_lines;

/// A page of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// What waits.
    Inbox,
    /// What was allowed to happen again.
    Approvals,
    /// What was decided.
    Decisions,
    /// What agents were given authority for.
    Tasks,
    /// What is in force.
    Policies,
    /// What each enforcer runs.
    Fleet,
    /// How often people are asked.
    Numbers,
    /// None of them.
    Elsewhere,
}

/// The navigation, in its order.
const PLACES: &[(Place, &str, &str)] = &[
    (Place::Inbox, "/", "Inbox"),
    (Place::Approvals, "/approvals", "Standing approvals"),
    (Place::Decisions, "/decisions", "Decisions"),
    (Place::Tasks, "/tasks", "Tasks"),
    (Place::Policies, "/policies", "Policies"),
    (Place::Fleet, "/fleet", "Fleet"),
    (Place::Numbers, "/numbers", "Numbers"),
];

/// What is around a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// Of the page.
    pub title: String,
    /// Which of the navigation it is.
    pub here: Place,
    /// Who is signed in; empty: nobody.
    pub who: String,
    /// Goes into every form.
    pub csrf: String,
    /// When it was made; 0: nothing on it counts time.
    pub now_ms: u64,
}

/// Why a page can't be shown, or an action not be done.
#[derive(Debug)]
pub(super) struct Trouble {
    code: StatusCode,
    said: String,
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    said: Coded,
}

impl Frame {
    /// For whom nobody knows.
    pub(super) const fn bare(title: String) -> Self {
        Self {
            title,
            here: Place::Elsewhere,
            who: String::new(),
            csrf: String::new(),
            now_ms: 0,
        }
    }

    /// The navigation: where, what it is called, and whether it is here.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        PLACES
            .iter()
            .map(|(place, path, name)| (*path, *name, *place == self.here))
    }

    /// Where the style sheet is.
    pub(super) fn style() -> &'static str {
        assets::style()
    }

    /// Where the icon is.
    pub(super) fn icon() -> &'static str {
        assets::icon()
    }

    /// Where the scripts are.
    pub(super) fn scripts() -> impl Iterator<Item = &'static str> {
        assets::scripts()
    }
}

impl Trouble {
    /// In plain words.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// As HTTP says it.
    pub(super) const fn code(&self) -> StatusCode {
        self.code
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            code,
            said: visible_lines(status.message()),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let title = self.code.canonical_reason().unwrap_or("Trouble").to_owned();
        let page = TroublePage {
            frame: Frame::bare(title),
            said: Coded::of(&self.said),
        };
        shown(self.code, &page)
    }
}

/// A page that shows what people may see, and so is kept nowhere.
pub(super) fn shown(code: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (code, [(CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(error) => {
            error!(
                error = &error as &dyn std::error::Error,
                "a page was not rendered"
            );
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be made; the log says why",
            )
                .into_response()
        }
    }
}

/// A page that is as it should be.
pub(super) fn ok(page: &impl Template) -> Response {
    shown(StatusCode::OK, page)
}

/// Where there is nothing.
pub(super) async fn missing() -> Trouble {
    std::future::ready(Status::not_found("there is no such page").into()).await
}
