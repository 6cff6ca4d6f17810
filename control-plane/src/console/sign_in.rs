//! How people get in and out: by a link that is good once, or by whoever the organisation signs in with.
//!
//! **Invariant**: a session is opened for whom a certificate or a verified token named, under a token that nobody had before;
//! looking at a link does not use it up; whoever guesses is slowed down.

mod limit;
mod oidc;
mod start;

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use checkrein_shared::identity::SpiffeId;
use serde::Deserialize;
use tonic::Status;

use super::Console;
use super::page::{Frame, Trouble, ok, shown};
use super::serve::Peer;
use super::visit::{Posted, SESSION, Visit, percent};
use crate::api::database_trouble;
use crate::caller::RelyingParty;
use crate::words::visible;

pub(super) use limit::Limit;
pub(super) use oidc::{callback, start};

/// Where the issuer sends people back to.
pub(super) const CALLBACK: &str = "/sign-in/oidc/callback";

/// Where browsers find the console, and who signs people in there beside links.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    url: Arc<str>,
    party: Option<Arc<RelyingParty>>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// Of a link that somebody followed; empty: of none.
    link: String,
    /// Whom the link signs in.
    who: String,
    next: String,
    /// Whom else to sign in by, and where.
    issuer: Option<(String, String)>,
    trouble: Option<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    link: String,
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`
pub(super) async fn page(
    State(console): State<Console>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    if asked.link.is_empty() {
        return Ok(ok(&SignInPage::new(&console, asked.next)));
    }
    let found = console.sessions.whose(&asked.link).await;
    let Some(id) = found.map_err(|error| database_trouble(&error))? else {
        return Ok(spent(&console, asked.next));
    };
    let role = id.role().map_or_else(String::new, |role| format!(" ({role})"));
    Ok(ok(&SignInPage {
        link: asked.link,
        who: visible(&format!("{}{role}", id.name())),
        ..SignInPage::new(&console, asked.next)
    }))
}

/// `POST /sign-in/link`
pub(super) async fn by_link(
    State(console): State<Console>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Result<Response, Trouble> {
    console.limit.try_once(peer.0, console.clock.boot_ms())?;
    let found = console.sessions.redeem(&asked.link).await;
    match found.map_err(|error| database_trouble(&error))? {
        Some(id) => open(&console, &headers, &[id], None, &asked.next).await,
        None => Ok(spent(&console, asked.next)),
    }
}

/// `POST /sign-out`
pub(super) async fn out(
    State(console): State<Console>,
    _visit: Visit,
    headers: HeaderMap,
    _posted: Posted,
) -> Result<Response, Trouble> {
    if let Some(token) = SESSION.read(&headers, console.site.is_secure()) {
        let ended = console.sessions.end(token).await;
        ended.map_err(|error| database_trouble(&error))?;
    }
    let gone = SESSION.set("", console.site.is_secure(), Some(0));
    Ok(([(SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response())
}

fn spent(console: &Console, next: String) -> Response {
    let page = SignInPage {
        trouble: Some("This link was used before, or is older than a minute."),
        ..SignInPage::new(console, next)
    };
    shown(StatusCode::UNAUTHORIZED, &page)
}

/// A new session in place of the one that the browser may have had.
pub(super) async fn open(
    console: &Console,
    headers: &HeaderMap,
    ids: &[SpiffeId],
    until_ms: Option<u64>,
    next: &str,
) -> Result<Response, Trouble> {
    let opened = async {
        if let Some(before) = SESSION.read(headers, console.site.is_secure()) {
            console.sessions.end(before).await?;
        }
        console.sessions.open(ids, until_ms).await
    };
    let opened = opened.await.map_err(|error| database_trouble(&error))?;
    let cookie = SESSION.set(opened.as_str(), console.site.is_secure(), None);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(local(next))).into_response())
}

/// Where to go next: a path of ours, and nothing else.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next } else { "/" }
}

impl Site {
    /// Found at `url`; `party` is how the issuer knows it.
    pub(crate) fn new(url: String, party: Option<RelyingParty>) -> Self {
        Self {
            url: url.into(),
            party: party.map(Arc::new),
        }
    }

    /// Whether browsers come over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }
}

impl SignInPage {
    fn new(console: &Console, next: String) -> Self {
        let issuer = console.site.party.as_ref().map(|party| {
            let start = format!("/sign-in/oidc?next={}", percent(local(&next)));
            (visible(&party.issuer_host()), start)
        });
        Self {
            frame: Frame::bare("Sign in".to_owned()),
            link: String::new(),
            who: String::new(),
            next,
            issuer,
            trouble: None,
        }
    }
}

impl From<limit::TooOften> for Trouble {
    fn from(too_often: limit::TooOften) -> Self {
        Status::resource_exhausted(visible(&too_often.to_string())).into()
    }
}
