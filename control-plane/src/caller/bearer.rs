//! Sign-in by bearer token: whom a token names.
//!
//! Two kinds. A token of the OIDC issuer names a person, and the groups it lists make that person an operator, an approver or
//! both; no other role comes of it. A JWT-SVID names a workload by its SPIFFE ID, in whatever role that says.
//!
//! **Invariant**: a token names only identities of this trust domain, and none that could be read as two.

use checkrein_http::{Disbelief, Fetcher, Follower, InvalidCa, Keyring, Source};
use checkrein_shared::SharedClock;
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::token::{Claims, InvalidToken, Token};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::relying_party::{Client, RelyingParty};
use crate::config::{JwtSvid, Oidc};

/// Types of a token that a person signs in with; a token to sign out with has another, and lists the same audience.
const OIDC_TYPES: &[&str] = &["jwt", "at+jwt", "application/at+jwt"];
/// JWT-SVID, section 2.3.
const SVID_TYPES: &[&str] = &["jwt", "jose"];
/// JWT-SVID, section 2.
const SVID_HEADERS: &[&str] = &["alg", "kid", "typ"];

/// Everything that verifies bearer tokens; none of it: no token is taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bearers {
    oidc: Option<(Oidc, Keyring)>,
    client: Option<(Client, Fetcher)>,
    svid: Option<(JwtSvid, Keyring)>,
}

/// Sign-in by token that can't be set up.
#[derive(Debug, Error)]
pub enum BearerError {
    /// The CA of the issuer.
    #[error("the CAs to verify the OIDC issuer by can't be used")]
    Ca(#[from] InvalidCa),
    /// What the console proves to the issuer who it is with.
    #[error("--oidc-client-secret: {0}")]
    Secret(String),
    /// The bundle.
    #[error("--jwt-svid-keys: {0}")]
    Bundle(String),
}

/// A token that names nobody.
#[derive(Debug, Error)]
pub(super) enum Unnamed {
    /// Not believed.
    #[error(transparent)]
    Disbelief(#[from] Disbelief),
    /// No tokens here.
    #[error(
        "this control plane takes no bearer tokens: use a client certificate, or have it started with --oidc-issuer or --jwt-svid-keys"
    )]
    NotTaken,
    /// No group of either role.
    #[error(
        "claim `{0}` of the token lists none of the groups that --oidc-operators and --oidc-approvers name"
    )]
    NoRole(String),
    /// No name.
    #[error("the token has no claim `{0}` to name you by; have --oidc-name-claim name one that it has")]
    NoName(String),
    /// A name that can't be one.
    #[error(
        "claim `{0}` of the token can't stand in a SPIFFE ID (letters, digits, dots, dashes and underscores only); have \
         --oidc-name-claim name another claim"
    )]
    Name(String),
    /// Not a workload of ours.
    #[error("the token's `sub` is not a SPIFFE ID of trust domain `{0}`")]
    Subject(String),
}

impl From<InvalidToken> for Unnamed {
    fn from(error: InvalidToken) -> Self {
        Self::Disbelief(error.into())
    }
}

impl Bearers {
    /// Follows the keys of what is configured until `stop` is cancelled. A bundle must be there; an issuer may come later.
    pub(crate) async fn start(
        oidc: Option<Oidc>,
        svid: Option<JwtSvid>,
        clock: SharedClock,
        stop: &CancellationToken,
    ) -> Result<Self, BearerError> {
        let keyring = |source| Keyring::new(source, clock.clone());
        let follow = |follower: Follower| tokio::spawn(follower.follow(stop.clone()));
        let mut bearers = Self::default();
        if let Some(oidc) = oidc {
            let fetcher = Fetcher::new(oidc.ca.as_deref())?;
            let client = oidc.client.as_ref().map(Client::read).transpose();
            let client = client.map_err(BearerError::Secret)?;
            bearers.client = client.map(|client| (client, fetcher.clone()));
            let issuer = oidc.issuer.clone();
            let (ring, follower) = keyring(Source::Issuer { issuer, fetcher });
            follow(follower);
            bearers.oidc = Some((oidc, ring));
        }
        if let Some(svid) = svid {
            let (ring, follower) = keyring(Source::Bundle(svid.keys.clone()));
            if !follower.fetch_once().await {
                let cause = follower.failure().unwrap_or_default();
                return Err(BearerError::Bundle(cause));
            }
            follow(follower);
            bearers.svid = Some((svid, ring));
        }
        Ok(bearers)
    }

    /// How people of this trust domain sign in at the console; none: not by an issuer.
    pub(crate) fn relying_party(&self, trust_domain: &str) -> Option<RelyingParty> {
        let (oidc, ring) = self.oidc.as_ref()?;
        let (client, fetcher) = self.client.as_ref()?;
        Some(RelyingParty {
            oidc: oidc.clone(),
            client: client.clone(),
            ring: ring.clone(),
            fetcher: fetcher.clone(),
            trust_domain: trust_domain.to_owned(),
        })
    }

    /// Everybody that a token says its bearer is: a person may be one in each of two roles.
    pub(super) async fn identify(&self, text: &str, trust_domain: &str) -> Result<Vec<SpiffeId>, Unnamed> {
        if self.oidc.is_none() && self.svid.is_none() {
            return Err(Unnamed::NotTaken);
        }
        let token = Token::parse(text)?;
        match (&self.oidc, &self.svid) {
            (Some((oidc, ring)), _) if token.claims_issuer(&oidc.issuer) => {
                token.expect_type(OIDC_TYPES)?;
                let claims = ring.verify(&token, &oidc.audience).await?;
                people(oidc, &claims, trust_domain)
            }
            (_, Some((svid, ring))) if token.claims_workload() => {
                token.expect_headers(SVID_HEADERS)?;
                token.expect_type(SVID_TYPES)?;
                // JWT-SVID, section 2.1: not among its algorithms.
                if token.algorithm() == "EdDSA" {
                    return Err(InvalidToken::Algorithm.into());
                }
                let claims = ring.verify(&token, &svid.audience).await?;
                Ok(vec![workload(&claims, trust_domain)?])
            }
            (Some(_), _) => Err(InvalidToken::Issuer.into()),
            (None, _) => Err(Unnamed::Subject(trust_domain.to_owned())),
        }
    }
}

pub(super) fn people(oidc: &Oidc, claims: &Claims, trust_domain: &str) -> Result<Vec<SpiffeId>, Unnamed> {
    let groups = claims.texts(&oidc.roles_claim);
    let is_of = |named: &[String]| named.iter().any(|group| groups.contains(&group.as_str()));
    let roles = [
        (Role::Operator, &oidc.operators),
        (Role::Approver, &oidc.approvers),
    ];
    let roles: Vec<Role> = roles
        .into_iter()
        .filter(|(_, named)| is_of(named))
        .map(|(role, _)| role)
        .collect();
    if roles.is_empty() {
        return Err(Unnamed::NoRole(oidc.roles_claim.clone()));
    }
    let claim = || oidc.name_claim.clone();
    let name = claims
        .text(&oidc.name_claim)
        .ok_or_else(|| Unnamed::NoName(claim()))?;
    // A slash would make a name of several segments, which certificates give to nobody.
    if name.contains('/') {
        return Err(Unnamed::Name(claim()));
    }
    let identity = |role| SpiffeId::of(trust_domain, role, name).map_err(|_| Unnamed::Name(claim()));
    roles.into_iter().map(identity).collect()
}

fn workload(claims: &Claims, trust_domain: &str) -> Result<SpiffeId, Unnamed> {
    let id = claims.text("sub").and_then(|sub| sub.parse::<SpiffeId>().ok());
    id.filter(|id| id.trust_domain() == trust_domain)
        .ok_or_else(|| Unnamed::Subject(trust_domain.to_owned()))
}
