//! Keys that follow their source: an issuer's address, or a file.
//!
//! Comes from: a fetch in the background, by age and when a token names a key that is not known. Goes to: whoever verifies a
//! token, from memory.
//!
//! **Invariant**: keys that were not confirmed for [`KEYS_AGE_MAX`] verify nothing; a stranger's tokens cause a fetch every
//! [`FETCH_PAUSE`] at most.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use checkrein_shared::token::{Claims, InvalidToken, KeySet, Token, Use};
use hyper::StatusCode;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{FetchError, Fetcher};

/// Keys are good for so long after their source last gave them.
const KEYS_AGE_MAX: Duration = Duration::from_hours(24);
/// An issuer is asked again after this long.
const ISSUER_INTERVAL: Duration = Duration::from_mins(5);
/// A file is read again after this long, and an issuer that did not answer is asked again.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// Nothing is fetched more often than this.
const FETCH_PAUSE: Duration = Duration::from_secs(3);
/// So long a token of an unknown key waits for a fetch.
const UNKNOWN_KEY_WAIT_MAX: Duration = Duration::from_secs(9);

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An OIDC issuer, by discovery.
    Issuer { issuer: String, fetcher: Fetcher },
    /// A SPIFFE bundle.
    Bundle(PathBuf),
}

/// The keys of one source, as they are now.
#[derive(Debug, Clone)]
pub struct Keyring {
    known: watch::Receiver<Known>,
    wanted: Arc<Notify>,
    clock: SharedClock,
}

/// The end of a keyring that fetches; verifying needs it to run.
#[derive(Debug)]
pub struct Follower {
    source: Source,
    known: watch::Sender<Known>,
    wanted: Arc<Notify>,
    clock: SharedClock,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Disbelief {
    /// The token.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// Nobody to ask.
    #[error("the keys to verify the token with are not known: {0}")]
    NoKeys(String),
}

#[derive(Debug, Clone, Default)]
struct Known {
    keys: KeySet,
    /// On the boot clock; none: never.
    confirmed_ms: Option<u64>,
    failure: Option<String>,
    discovery: Option<Arc<Discovery>>,
}

/// What an issuer says of itself (OIDC Discovery 1.0, section 3).
#[derive(Debug, Clone, Deserialize)]
pub struct Discovery {
    issuer: String,
    jwks_uri: String,
    /// Where people are sent to sign in.
    pub authorization_endpoint: Option<String>,
    /// Where a code is given for tokens.
    pub token_endpoint: Option<String>,
    /// How a client proves there who it is; none: by HTTP's basic scheme.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether the issuer names itself when people come back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What a source gave.
struct Fetched {
    keys: KeySet,
    discovery: Option<Discovery>,
}

impl Keyring {
    /// A keyring that is empty until its follower has fetched.
    pub fn new(source: Source, clock: SharedClock) -> (Self, Follower) {
        let (sender, known) = watch::channel(Known::default());
        let wanted = Arc::new(Notify::new());
        let keyring = Self {
            known,
            wanted: Arc::clone(&wanted),
            clock: Arc::clone(&clock),
        };
        let follower = Follower {
            source,
            known: sender,
            wanted,
            clock,
        };
        (keyring, follower)
    }

    /// What a token says, if it is signed by one of these keys, for this audience and for now; waits within a bound if its key is
    /// not known yet.
    pub async fn verify(&self, token: &Token, audience: &str) -> Result<Claims, Disbelief> {
        let mut known = self.known.clone();
        let first = self.try_verify(token, audience, &known.borrow_and_update());
        let unknown = matches!(
            first,
            Err(Disbelief::Token(InvalidToken::UnknownKey) | Disbelief::NoKeys(_))
        );
        if !unknown {
            return first;
        }
        self.wanted.notify_one();
        // Late or gone, the answer is that of what is known.
        let _fetched = timeout(UNKNOWN_KEY_WAIT_MAX, known.changed()).await;
        self.try_verify(token, audience, &known.borrow())
    }

    /// What the issuer said of itself last.
    pub fn discovery(&self) -> Result<Arc<Discovery>, String> {
        let known = self.known.borrow();
        let failure = || known.failure.clone();
        let never = || "it was not asked yet".to_owned();
        known
            .discovery
            .clone()
            .ok_or_else(|| failure().unwrap_or_else(never))
    }

    fn try_verify(&self, token: &Token, audience: &str, known: &Known) -> Result<Claims, Disbelief> {
        let age_ms = known
            .confirmed_ms
            .map(|at| self.clock.boot_ms().saturating_sub(at));
        let fresh = age_ms.is_some_and(|age| u128::from(age) <= KEYS_AGE_MAX.as_millis());
        if !fresh {
            let cause = known.failure.clone();
            let cause = cause.unwrap_or_else(|| "they were not fetched yet".to_owned());
            return Err(Disbelief::NoKeys(cause));
        }
        Ok(token.verify(&known.keys, audience, self.clock.wall_ms())?)
    }
}

impl Follower {
    /// Fetches now, and then whenever it is time or a key is wanted, until `stop` is cancelled.
    pub async fn follow(self, stop: CancellationToken) {
        loop {
            let fetched = self.fetch_once().await;
            let interval = match (&self.source, fetched) {
                (Source::Issuer { .. }, true) => ISSUER_INTERVAL,
                _ => FILE_INTERVAL,
            };
            let wait = async {
                sleep(FETCH_PAUSE).await;
                let left = interval.saturating_sub(FETCH_PAUSE);
                let _wanted = timeout(left, self.wanted.notified()).await;
            };
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// One fetch; says whether it gave keys.
    pub async fn fetch_once(&self) -> bool {
        let fetched = self.source.fetch().await;
        let confirmed_ms = self.clock.boot_ms();
        let good = fetched.is_ok();
        self.known.send_modify(|known| match fetched {
            Ok(Fetched { keys, discovery }) => {
                *known = Known {
                    keys,
                    confirmed_ms: Some(confirmed_ms),
                    failure: None,
                    discovery: discovery.map(Arc::new),
                }
            }
            Err(cause) => {
                warn!(cause, "keys to verify tokens with were not fetched");
                known.failure = Some(cause);
            }
        });
        good
    }

    /// What the last fetch failed with.
    pub fn failure(&self) -> Option<String> {
        self.known.borrow().failure.clone()
    }
}

impl Source {
    async fn fetch(&self) -> Result<Fetched, String> {
        let (from, text, wanted, discovery) = match self {
            Self::Issuer { issuer, fetcher } => {
                let discovery = discover(issuer, fetcher).await?;
                let from = discovery.jwks_uri.clone();
                let text = fetch(&from, fetcher).await?;
                (from, text, Use::Signature, Some(discovery))
            }
            Self::Bundle(path) => {
                let shown = path.display().to_string();
                let read = tokio::fs::read(path).await;
                let text = read.map_err(|error| format!("can't read `{shown}`: {error}"))?;
                (shown, text, Use::JwtSvid, None)
            }
        };
        let keys = KeySet::parse(&text, wanted).map_err(|error| format!("`{from}`: {error}"))?;
        if keys.is_empty() {
            return Err(format!("`{from}` lists no key that can be used"));
        }
        Ok(Fetched { keys, discovery })
    }
}

async fn fetch(url: &str, fetcher: &Fetcher) -> Result<Vec<u8>, String> {
    let document = fetcher.get(url).await;
    let document = document.map_err(|error| format!("`{url}`: {error}"))?;
    Ok(document.to_vec())
}

async fn discover(issuer: &str, fetcher: &Fetcher) -> Result<Discovery, String> {
    let mut url = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let mut document = fetcher.get(&url).await;
    if matches!(document, Err(FetchError::Answer(StatusCode::NOT_FOUND))) {
        // One that knows nothing of OIDC says the same elsewhere (RFC 8414, section 3).
        url = with_well_known(issuer, "oauth-authorization-server");
        document = fetcher.get(&url).await;
    }
    let document = document.map_err(|error| format!("`{url}`: {error}"))?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|_| format!("`{url}` does not say what an issuer says of itself"))?;
    if discovery.issuer != issuer {
        return Err(format!(
            "`{url}` is of another issuer; name the issuer exactly as that document does"
        ));
    }
    Ok(discovery)
}

/// Where an issuer's own path comes after what is well known.
fn with_well_known(issuer: &str, name: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    let after_scheme = issuer.find("://").map_or(0, |at| at + 3);
    let path = issuer[after_scheme..]
        .find('/')
        .map_or(issuer.len(), |at| after_scheme + at);
    let (origin, path) = issuer.split_at(path);
    format!("{origin}/.well-known/{name}{path}")
}

#[cfg(test)]
mod tests;
