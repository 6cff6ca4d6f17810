//! Who comes in, and with which grant: the one place where that is found out.
//!
//! **Invariant**: nobody is heard who is not known. On this machine alone, whoever knows the secret in the address is the agent that the
//! configuration names, which is recorded as asserted; elsewhere it is who the certificate says, or the client of an access token. What
//! a request shows for this is told to no server.

use std::sync::Arc;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use url::Url;

use crate::gate::Caller;
use crate::surface::bearer::Bearers;
use crate::surface::caller::certified_agent;

/// The header that a grant is shown in.
const GRANT: &str = "checkrein-grant";
/// A grant may have at most this many bytes: as much as the longest chain that is believed.
const GRANT_BYTES_MAX: usize = 256 << 10;

/// How a caller is known.
#[derive(Debug)]
pub(super) enum Door {
    /// By the path that it asks for, on this machine.
    Secret { path: Arc<str>, agent: SpiffeId },
    /// By its certificate, which TLS verified.
    Certificate { path: Arc<str> },
    /// By an access token that a configured issuer gave its client.
    Bearer { path: Arc<str>, bearers: Bearers },
}

/// Somebody who is known.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) caller: Caller,
    /// A grant that the request shows.
    pub(super) grant: Option<Arc<str>>,
}

impl Door {
    /// Where clients knock.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Secret { path, .. } | Self::Certificate { path } | Self::Bearer { path, .. } => path,
        }
    }

    /// Whose request this is, or what to answer.
    pub(super) async fn known(&self, head: &Parts) -> Result<Known, Box<Response>> {
        let refused = |status: StatusCode, words: &str| Box::new((status, words.to_owned()).into_response());
        let (path, headers) = (self.path(), &head.headers);
        if let Self::Bearer { bearers, .. } = self
            && bearers.tells(head.uri.path())
            && head.method == Method::GET
        {
            return Err(Box::new(bearers.metadata()));
        }
        // Of their hashes it says nothing how long a comparison takes.
        if Sha256::of(head.uri.path().as_bytes()) != Sha256::of(path.as_bytes()) {
            return Err(refused(StatusCode::NOT_FOUND, "there is nothing here"));
        }
        let proven = |agent| Caller {
            agent,
            asserted: false,
        };
        let caller = match self {
            Self::Secret { agent, .. } if is_of_this_machine(headers) => Caller {
                agent: agent.clone(),
                asserted: true,
            },
            Self::Secret { .. } => {
                let words =
                    "a page of another site may not ask this; `Host` and `Origin` must be of this machine";
                return Err(refused(StatusCode::FORBIDDEN, words));
            }
            // A certificate is a program's: no page has a reason to ask here.
            Self::Certificate { .. } if headers.contains_key(ORIGIN) => {
                return Err(refused(StatusCode::FORBIDDEN, "a page may not ask this"));
            }
            Self::Certificate { .. } => {
                let agent = certified_agent(&head.extensions);
                proven(agent.map_err(|status| refused(StatusCode::FORBIDDEN, status.message()))?)
            }
            Self::Bearer { bearers, .. } => {
                if headers
                    .get(ORIGIN)
                    .is_some_and(|origin| !bearers.is_origin(origin))
                {
                    let words =
                        "a page of another site may not ask this; `Origin` must be that of the resource";
                    return Err(refused(StatusCode::FORBIDDEN, words));
                }
                let agent = bearers.agent(headers).await;
                proven(agent.map_err(|why| Box::new(bearers.refuse(&why)))?)
            }
        };
        let grant = grant(headers).map_err(|words| refused(StatusCode::BAD_REQUEST, words))?;
        Ok(Known { caller, grant })
    }
}

/// Whether a browser, if it was one, asks for a page of this machine; a name that another site made point here is not of it.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let is_local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "::1");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    let Some(host) = host else { return false };
    let origin = match headers.get(ORIGIN) {
        None => return host.host_str().is_some_and(is_local),
        Some(origin) => origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()),
    };
    let is_of = |url: &Url| url.host_str().is_some_and(is_local);
    is_of(&host) && origin.is_some_and(|origin| is_of(&origin))
}

fn grant(headers: &HeaderMap) -> Result<Option<Arc<str>>, &'static str> {
    let mut shown = headers.get_all(GRANT).iter();
    let Some(grant) = shown.next() else {
        return Ok(None);
    };
    let grant = grant.to_str().map_err(|_| "the grant is no text")?.trim();
    if shown.next().is_some() || grant.is_empty() || grant.len() > GRANT_BYTES_MAX {
        return Err("show one grant, in one header `Checkrein-Grant`");
    }
    Ok(Some(Arc::from(grant)))
}
