//! To the issuer, and back with a code.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tonic::Status;
use tracing::warn;

use super::super::Console;
use super::super::page::Trouble;
use super::super::serve::Peer;
use super::start::{Start, forgotten};
use super::{Asked, CALLBACK, Site, local, open};
use crate::caller::{NotSignedIn, Person, RelyingParty};
use crate::words::visible;

/// With what the issuer sends people back (RFC 6749, section 4.1.2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Returned {
    code: String,
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /sign-in/oidc`
pub(in crate::console) async fn start(
    State(console): State<Console>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let started = async {
        let party = console.site.party()?;
        let start = Start::fresh(console.clock.wall_ms(), local(&asked.next));
        let address = party.address(&start.attempt(), &console.site.callback())?;
        let cookie = start.cookie(console.site.is_secure());
        Ok(([(SET_COOKIE, cookie)], Redirect::to(&address)).into_response())
    };
    started.await.map(kept_nowhere)
}

/// `GET /sign-in/oidc/callback`
pub(in crate::console) async fn callback(
    State(console): State<Console>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
) -> Response {
    let opened = async {
        let (person, next) = person(&console, &headers, peer, returned).await?;
        open(&console, &headers, &person.ids, Some(person.until_ms), &next).await
    };
    let mut response = opened.await.unwrap_or_else(Trouble::into_response);
    // An attempt is over, however it ended.
    if let Ok(cookie) = HeaderValue::try_from(forgotten(console.site.is_secure())) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    kept_nowhere(response)
}

/// Who came back, and where they wanted to go.
async fn person(
    console: &Console,
    headers: &HeaderMap,
    peer: Peer,
    returned: Returned,
) -> Result<(Person, String), Trouble> {
    let party = console.site.party()?;
    let is_secure = console.site.is_secure();
    let now_ms = console.clock.wall_ms();
    let start = Start::returned(headers, is_secure, &returned.state, now_ms).ok_or_else(|| {
        Status::unauthenticated("this sign-in was not begun in this browser, or too long ago; begin again")
    })?;
    party.expect_issuer(returned.iss.as_deref())?;
    if let Some(error) = returned.error {
        let said = visible(&error);
        return Err(Status::unauthenticated(format!("the issuer signed nobody in: {said}")).into());
    }
    console.limit.try_once(peer.0, console.clock.boot_ms())?;
    let attempt = start.attempt();
    let person = party
        .redeem(&returned.code, &attempt, &console.site.callback())
        .await?;
    Ok((person, start.next))
}

impl Site {
    fn party(&self) -> Result<&RelyingParty, Trouble> {
        let off = || Status::not_found("nobody signs in by an issuer here; type `checkrein console`");
        Ok(self.party.as_deref().ok_or_else(off)?)
    }

    fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.url)
    }
}

impl From<NotSignedIn> for Trouble {
    fn from(error: NotSignedIn) -> Self {
        warn!(error = &error as &dyn std::error::Error, "nobody was signed in");
        let said = error.to_string();
        match error {
            NotSignedIn::Issuer(_) => Status::unavailable(said),
            NotSignedIn::Person(_) => Status::permission_denied(said),
            NotSignedIn::Code(_) | NotSignedIn::Mixed | NotSignedIn::Token(_) => {
                Status::unauthenticated(said)
            }
        }
        .into()
    }
}

fn kept_nowhere(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}
