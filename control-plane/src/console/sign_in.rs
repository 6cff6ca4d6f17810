//! How people get in and out: by a link that is good once, or by whoever the organisation signs in with.
//!
//! **Invariant**: a session is opened for whom a certificate or a verified token named, under a token that nobody had before;
//! looking at a link does not use it up; whoever guesses is slowed down.

mod limit;

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
use super::visit::{Posted, Visit, cookie, token};
use crate::api::database_trouble;
use crate::words::visible;

pub(super) use limit::Limit;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// Of a link that somebody followed.
    link: String,
    next: String,
    trouble: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    link: String,
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`
pub(super) async fn page(Query(asked): Query<Asked>) -> Response {
    std::future::ready(ok(&SignInPage {
        frame: Frame::bare("Sign in".to_owned()),
        link: asked.link,
        next: asked.next,
        trouble: None,
    }))
    .await
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
    let Some(id) = found.map_err(|error| database_trouble(&error))? else {
        return Ok(shown(
            StatusCode::UNAUTHORIZED,
            &SignInPage {
                frame: Frame::bare("Sign in".to_owned()),
                link: String::new(),
                next: asked.next,
                trouble: Some("This link was used before, or is older than a minute.".to_owned()),
            },
        ));
    };
    open(&console, &headers, &[id], &asked.next).await
}

/// `POST /sign-out`
pub(super) async fn out(
    State(console): State<Console>,
    _visit: Visit,
    headers: HeaderMap,
    _posted: Posted,
) -> Result<Response, Trouble> {
    if let Some(token) = token(&headers, console.is_secure) {
        let ended = console.sessions.end(token).await;
        ended.map_err(|error| database_trouble(&error))?;
    }
    let gone = cookie("", console.is_secure, Some(0));
    Ok(([(SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response())
}

/// A new session in place of the one that the browser may have had.
pub(super) async fn open(
    console: &Console,
    headers: &HeaderMap,
    ids: &[SpiffeId],
    next: &str,
) -> Result<Response, Trouble> {
    let opened = async {
        if let Some(before) = token(headers, console.is_secure) {
            console.sessions.end(before).await?;
        }
        console.sessions.open(ids).await
    };
    let opened = opened.await.map_err(|error| database_trouble(&error))?;
    let cookie = cookie(opened.as_str(), console.is_secure, None);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(local(next))).into_response())
}

/// Where to go next: a path of ours, and nothing else.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next } else { "/" }
}

impl From<limit::TooOften> for Trouble {
    fn from(too_often: limit::TooOften) -> Self {
        Status::resource_exhausted(visible(&too_often.to_string())).into()
    }
}
