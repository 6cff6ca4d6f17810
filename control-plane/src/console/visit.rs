//! A person at a page: who they are, what they sent, and what they may ask.
//!
//! **Invariant**: there is no visit without a live session, and no post without the session's own token in the form.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_proto::hold::v1::Hold;
use checkrein_shared::action::Sha256;
use checkrein_shared::hold::Person;
use checkrein_shared::id::random_bytes;
use checkrein_shared::identity::{Role, SpiffeId};
use tonic::Status;

use super::Console;
use super::cookie::Cookie;
use super::door::Entrance;
use super::page::{Frame, Place, Trouble};
use crate::session::{Session, Sessions};
use crate::words::visible;

/// Keeps the token of a session.
pub(super) const SESSION: Cookie = Cookie {
    secure: "__Host-checkrein",
    plain: "checkrein",
};

/// A person at a page.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// What they may ask.
    pub entrance: Entrance,
    /// Whose clock the page tells.
    pub now_ms: u64,
    session: Session,
    sessions: Sessions,
    token: String,
}

/// What a person posted, once it is known to come from a page of theirs.
#[derive(Debug)]
pub(super) struct Posted {
    fields: Vec<(String, String)>,
}

impl Visit {
    /// The frame of a page of theirs.
    pub(super) fn frame(&self, title: &str, here: Place) -> Frame {
        let names: Vec<&str> = self.session.ids.iter().map(SpiffeId::name).collect();
        Frame {
            title: visible(title),
            here,
            who: visible(names.first().copied().unwrap_or_default()),
            csrf: self.session.csrf.clone(),
            now_ms: self.now_ms,
        }
    }

    /// Who they are, in each role they have.
    pub(super) fn person(&self) -> &Arc<[SpiffeId]> {
        &self.session.ids
    }

    /// Whether the session still is.
    pub(super) async fn again(&self) -> Result<(), Trouble> {
        let session = self.sessions.find(&self.token).await;
        match session.map_err(|error| crate::api::database_trouble(&error))? {
            Some(_) => Ok(()),
            None => Err(Status::unauthenticated("the session is over").into()),
        }
    }

    /// Whether they may answer an open hold, and have not said yes to it already.
    pub(super) fn may_answer(&self, hold: &Hold) -> bool {
        let may = hold.may_answer.iter().filter_map(|may| may.capacity.as_ref());
        let mut may = may.map(|capacity| &capacity.approver);
        may.any(|approver| self.is(approver)) && !self.said_yes(hold)
    }

    /// Whether they may say something of an open hold that is no answer: whoever may answer it, whatever they said, and operators.
    pub(super) fn may_remark(&self, hold: &Hold) -> bool {
        let mut asked = hold.may_answer.iter().filter_map(|may| may.capacity.as_ref());
        self.session
            .ids
            .iter()
            .any(|id| id.role() == Some(Role::Operator))
            || asked.any(|capacity| self.is(&capacity.approver))
    }

    /// Whether this SPIFFE ID is of somebody of their name.
    pub(super) fn is_namesake(&self, id: &SpiffeId) -> bool {
        let mut own = self.session.ids.iter();
        own.any(|own| Person::of(own) == Person::of(id))
    }

    /// Whether they said yes to it.
    pub(super) fn said_yes(&self, hold: &Hold) -> bool {
        let mut votes = hold.votes.iter();
        votes.any(|vote| vote.approve && self.is(&vote.approver))
    }

    /// Whether this SPIFFE ID is theirs.
    pub(super) fn is(&self, id: &str) -> bool {
        self.session.ids.iter().any(|own| own.as_str() == id)
    }
}

impl Posted {
    /// The last value of a field; empty, if there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.all(name).last().copied().unwrap_or_default()
    }

    /// What somebody typed into a field.
    pub(super) fn text(&self, name: &str) -> String {
        self.one(name).trim().replace("\r\n", "\n")
    }

    /// The fields whose names begin so, by the rest of their names.
    pub(super) fn starting(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.filter_map(move |(field, value)| Some((field.strip_prefix(prefix)?, value.trim())))
    }

    /// Every value of a field, in the order of the page.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

impl FromRequestParts<Console> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        if let Some(visit) = parts.extensions.get::<Self>() {
            return Ok(visit.clone());
        }
        let token = SESSION.read(&parts.headers, console.site.is_secure());
        let session = match token {
            Some(token) => console
                .sessions
                .find(token)
                .await
                .map_err(|error| Trouble::from(crate::api::database_trouble(&error)).into_response())?,
            None => None,
        };
        let Some(session) = session else {
            return Err(to_sign_in(parts));
        };
        Ok(Self {
            entrance: console.door.of(session.ids.clone()),
            now_ms: console.clock.wall_ms(),
            session,
            sessions: console.sessions.clone(),
            token: token.unwrap_or_default().to_owned(),
        })
    }
}

impl FromRequest<Console> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, console).await?;
        let request = Request::from_parts(parts, body);
        let Form(fields) = Form::<Vec<(String, String)>>::from_request(request, console)
            .await
            .map_err(|error: FormRejection| {
                Trouble::from(Status::invalid_argument(error.body_text())).into_response()
            })?;
        let posted = Self { fields };
        // Of digests, so that how long it takes says nothing of what was expected.
        let digest = |token: &str| Sha256::of(token.as_bytes());
        if digest(posted.one("csrf")) != digest(&visit.session.csrf) {
            let why = "this form is of another session: go back, load the page again, and send it once more";
            return Err(Trouble::from(Status::permission_denied(why)).into_response());
        }
        Ok(posted)
    }
}

/// Finds out who comes, and asks the row of the RPC behind a page whether they may, before anything they sent is read.
pub(super) async fn let_in(
    State((console, rpc)): State<(Console, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut parts, &console).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Err(status) = visit.entrance.may(rpc) {
        return Trouble::from(status).into_response();
    }
    parts.extensions.insert(visit);
    next.run(Request::from_parts(parts, body)).await
}

/// Whoever looked at a page comes back to it; whoever sent something has to send it again.
fn to_sign_in(parts: &Parts) -> Response {
    let is_fragment = parts.headers.contains_key("hx-request");
    let next = parts.uri.path_and_query().map_or("/", |next| next.as_str());
    if is_fragment {
        // The whole page goes there, not a part of it.
        return ([("hx-redirect", "/sign-in")], ()).into_response();
    }
    if parts.method == axum::http::Method::GET && next != "/" {
        let next: String = percent(next);
        return Redirect::to(&format!("/sign-in?next={next}")).into_response();
    }
    Redirect::to("/sign-in").into_response()
}

/// Goes with a form, so that sending it twice is one answer.
pub(super) fn fresh_key() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}

/// A path as the value of a query.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let hex = |digit: u8| char::from(b"0123456789ABCDEF"[usize::from(digit)]);
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out
}
