//! Agents that an authorization server vouches for: the access token of a request, and which agent its client is.
//!
//! **Invariant**: a token is believed if a key of the issuer signed it, for this resource and for now; it names only agents that the
//! configuration does, and goes no further than here. One that is bound to a key, which nobody shows here, is not believed.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use checkrein_http::{Disbelief, Fetcher, InvalidCa, Keyring, Source};
use checkrein_shared::SharedClock;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::token::{Claims, InvalidToken, Token};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::config::OAuth;

/// What an access token says it is, in lower case. RFC 9068 names the second; many issuers say the first.
const TYPES: &[&str] = &["jwt", "at+jwt", "application/at+jwt"];
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Everything that tokens are judged by.
#[derive(Debug, Clone)]
pub(crate) struct Bearers {
    settings: Arc<OAuth>,
    ring: Keyring,
}

/// Why nobody is heard, in words that hold nothing of the token.
#[derive(Debug, Error)]
pub(crate) enum Unbelieved {
    #[error("show an access token, as `Authorization: Bearer …`")]
    None,
    #[error("show one access token, in one header `Authorization: Bearer …`")]
    Unreadable,
    #[error(transparent)]
    Token(#[from] InvalidToken),
    #[error("the token is from an issuer that is not known here")]
    Issuer,
    #[error("the token is bound to a key, which can't be shown here; ask for one that is not")]
    Bound,
    #[error("the token does not say which client it was given to")]
    Nobody,
    #[error("the client of the token is no agent here; name it under `[[oauth.client]]`")]
    Stranger,
    #[error("the token lacks the scope `{0}`")]
    Scope(String),
    #[error("the keys of the token's issuer are not known at the moment")]
    NoKeys,
}

impl Bearers {
    /// Follows the issuer's keys until `stop` is cancelled.
    pub(crate) fn start(
        settings: OAuth,
        clock: SharedClock,
        stop: &CancellationToken,
    ) -> Result<Self, InvalidCa> {
        let fetcher = Fetcher::new(settings.ca.as_deref())?;
        let issuer = settings.issuer.clone();
        let (ring, follower) = Keyring::new(Source::Issuer { issuer, fetcher }, clock);
        tokio::spawn(follower.follow(stop.clone()));
        Ok(Self {
            settings: Arc::new(settings),
            ring,
        })
    }

    /// The agent whose request has these headers.
    pub(crate) async fn agent(&self, headers: &HeaderMap) -> Result<SpiffeId, Unbelieved> {
        let token = Token::parse(shown(headers)?)?;
        token.expect_type(TYPES)?;
        if !token.claims_issuer(&self.settings.issuer) {
            return Err(Unbelieved::Issuer);
        }
        let claims = self.ring.verify(&token, &self.settings.resource).await;
        self.client(&claims?)
    }

    /// What clients are told of how to get a token (RFC 9728).
    pub(crate) fn metadata(&self) -> Response {
        let mut metadata = serde_json::json!({
            "resource": self.settings.resource,
            "authorization_servers": [self.settings.issuer],
            "bearer_methods_supported": ["header"],
        });
        if let Some(scope) = &self.settings.scope {
            metadata["scopes_supported"] = serde_json::json!([scope]);
        }
        ([(CONTENT_TYPE, "application/json")], metadata.to_string()).into_response()
    }

    /// Whether it is told under this path.
    pub(crate) fn tells(&self, path: &str) -> bool {
        path == WELL_KNOWN || path == self.metadata_path()
    }

    /// The path of the resource.
    pub(crate) fn path(&self) -> &str {
        match self.split().1 {
            "" => "/",
            path => path,
        }
    }

    /// Whether a page of the resource's own site asks.
    pub(crate) fn is_origin(&self, origin: &HeaderValue) -> bool {
        origin.as_bytes().eq_ignore_ascii_case(self.split().0.as_bytes())
    }

    fn metadata_path(&self) -> String {
        let path = self.split().1;
        format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))
    }

    /// The answer to somebody who is not heard.
    pub(crate) fn refuse(&self, why: &Unbelieved) -> Response {
        let (origin, _) = self.split();
        let mut challenge = format!("Bearer resource_metadata=\"{origin}{}\"", self.metadata_path());
        let (status, error) = match why {
            Unbelieved::None => (StatusCode::UNAUTHORIZED, None),
            Unbelieved::Unreadable => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Unbelieved::Scope(_) => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            // It may be a good token: nobody can say at the moment.
            Unbelieved::NoKeys => (StatusCode::SERVICE_UNAVAILABLE, None),
            _ => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
        };
        if let Some(error) = error {
            let words = why.to_string().replace(['"', '\\'], "'");
            // INVARIANT: writing to a String does not fail.
            let _written = write!(challenge, ", error=\"{error}\", error_description=\"{words}\"");
        }
        if let Some(scope) = &self.settings.scope {
            let _written = write!(challenge, ", scope=\"{scope}\"");
        }
        let mut response = (status, why.to_string()).into_response();
        let ascii = challenge.replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?");
        if let Ok(challenge) = HeaderValue::from_str(&ascii) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn client(&self, claims: &Claims) -> Result<SpiffeId, Unbelieved> {
        if claims.has("cnf") {
            return Err(Unbelieved::Bound);
        }
        if let Some(scope) = &self.settings.scope {
            let scopes = claims.text("scope").unwrap_or_default();
            if !scopes.split(' ').any(|given| given == scope) {
                return Err(Unbelieved::Scope(scope.clone()));
            }
        }
        let named = [claims.text("client_id"), claims.text("azp")];
        let mut named = named.into_iter().flatten();
        let id = named.next().ok_or(Unbelieved::Nobody)?;
        if named.any(|other| other != id) {
            return Err(Unbelieved::Nobody);
        }
        let known = self.settings.client.iter().find(|client| client.id == id);
        known
            .map(|client| client.agent.clone())
            .ok_or(Unbelieved::Stranger)
    }

    /// The resource's origin and path.
    fn split(&self) -> (&str, &str) {
        let resource = self.settings.resource.as_str();
        let after_scheme = resource.find("://").map_or(0, |at| at + 3);
        match resource[after_scheme..].find('/') {
            Some(at) => resource.split_at(after_scheme + at),
            None => (resource, ""),
        }
    }
}

/// The token that a request shows.
fn shown(headers: &HeaderMap) -> Result<&str, Unbelieved> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let one = all.next().ok_or(Unbelieved::None)?;
    if all.next().is_some() {
        return Err(Unbelieved::Unreadable);
    }
    let (scheme, token) = one
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(Unbelieved::Unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        return Ok(token);
    }
    Err(Unbelieved::Unreadable)
}

impl From<Disbelief> for Unbelieved {
    fn from(disbelief: Disbelief) -> Self {
        match disbelief {
            Disbelief::Token(invalid) => invalid.into(),
            // What exactly could not be reached is for whoever runs this, and was logged.
            Disbelief::NoKeys(_) => Self::NoKeys,
        }
    }
}

#[cfg(test)]
mod tests;
