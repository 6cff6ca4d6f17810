//! Sign-in of people at the console by the OIDC issuer: the authorization code flow.
//!
//! ```text
//! address --> browser --> issuer --> browser, with a code --> redeem --> ID token --> whom it names
//! ```
//!
//! A code is given for tokens with PKCE (RFC 7636) and, if there is a secret, with that; the ID token is verified by the keys
//! and the checks of a bearer token, and read for the same claims.
//!
//! **Invariant**: an ID token counts only for the client and the attempt it was made for. No code, token or secret is in an error.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use checkrein_http::{Disbelief, Discovery, Fetcher, Keyring, is_askable};
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::token::{Claims, Token};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use ring::hmac;
use serde::Deserialize;
use thiserror::Error;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::bearer::{Unnamed, people};
use crate::config::{Oidc, OidcClient};

/// OIDC Core 1.0 gives an ID token no type of its own; one for something else says so.
const ID_TOKEN_TYPES: &[&str] = &["jwt"];
/// An error of an issuer is one word of the standard's; what is longer is none, and is not repeated.
const ERROR_BYTES_MAX: usize = 64;

/// The console, as one issuer knows it.
#[derive(Debug, Clone)]
pub(crate) struct RelyingParty {
    pub(super) oidc: Oidc,
    pub(super) client: Client,
    pub(super) ring: Keyring,
    pub(super) fetcher: Fetcher,
    pub(super) trust_domain: String,
}

/// As what it is known, and how it proves that.
#[derive(Clone)]
pub(super) struct Client {
    id: String,
    secret: Option<Arc<str>>,
    scope: String,
}

/// One try of one browser to sign in.
///
/// All of it comes from a secret that only that browser keeps: nothing else has to be remembered until it comes back.
pub(crate) struct Attempt {
    /// Comes back with the code: the browser that brings it is the one that was sent.
    pub(crate) state: String,
    /// Is in the ID token: it was made for this attempt.
    nonce: String,
    /// Is shown with the code: whoever has the code alone has nothing.
    verifier: String,
}

/// Whom the issuer signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// In each of their roles.
    pub(crate) ids: Vec<SpiffeId>,
    /// Until when the issuer vouches for them.
    pub(crate) until_ms: u64,
}

/// Why nobody was signed in.
#[derive(Debug, Error)]
pub(crate) enum NotSignedIn {
    /// The issuer does not do its part.
    #[error("the issuer can't sign anybody in now: {0}")]
    Issuer(String),
    /// The issuer says no.
    #[error("the issuer did not take the code: {0}; sign in again")]
    Code(String),
    /// Another issuer than ours.
    #[error("the answer is of another issuer; sign in again")]
    Mixed,
    /// An ID token that is not for this.
    #[error("{0}; sign in again")]
    Token(String),
    /// A person without a role, or a name.
    #[error("{0}")]
    Person(String),
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Attempt {
    /// The attempt of the browser that keeps `secret`, about something that can't be changed on the way.
    pub(crate) fn of(secret: &str, about: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derive = |name: &str| {
            let text = format!("{name}\0{about}");
            URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()))
        };
        Self {
            state: derive("state"),
            nonce: derive("nonce"),
            verifier: derive("verifier"),
        }
    }

    fn challenge(&self) -> String {
        Sha256::of(self.verifier.as_bytes()).to_base64()
    }
}

impl Client {
    /// With its secret from the file; a line end after that is the editor's.
    pub(super) fn read(client: &OidcClient) -> Result<Self, String> {
        let read = |path: &std::path::PathBuf| {
            let shown = path.display();
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("can't read `{shown}`: {error}"))?;
            match text.trim_end_matches(['\r', '\n']) {
                "" => Err(format!("`{shown}` is empty")),
                secret => Ok(Arc::from(secret)),
            }
        };
        let scopes = client.scopes.iter().map(String::as_str);
        let scopes: Vec<&str> = std::iter::once("openid").chain(scopes).collect();
        Ok(Self {
            id: client.id.clone(),
            secret: client.secret.as_ref().map(read).transpose()?,
            scope: scopes.join(" "),
        })
    }

    /// Puts into the form, or beside it, who asks (RFC 6749, section 2.3.1).
    fn prove(&self, form: &mut Serializer<'_, String>, discovery: &Discovery) -> Option<HeaderValue> {
        let methods = discovery.token_endpoint_auth_methods_supported.as_ref();
        let takes_basic =
            methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        match &self.secret {
            Some(secret) if takes_basic => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let both = STANDARD.encode(format!("{}:{}", encode(&self.id), encode(secret)));
                let mut value = HeaderValue::from_str(&format!("Basic {both}")).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
            secret => {
                form.append_pair("client_id", &self.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
                None
            }
        }
    }
}

impl RelyingParty {
    /// The issuer, as people know it.
    pub(crate) fn issuer_host(&self) -> String {
        let url = Url::parse(&self.oidc.issuer).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or(&self.oidc.issuer).to_owned()
    }

    /// Where a browser goes to sign in; from there it comes to `back`.
    pub(crate) fn address(&self, attempt: &Attempt, back: &str) -> Result<String, NotSignedIn> {
        let discovery = self.ring.discovery().map_err(NotSignedIn::Issuer)?;
        let endpoint = discovery.authorization_endpoint.as_deref();
        let mut url = endpoint
            .filter(|endpoint| is_askable(endpoint.split('?').next().unwrap_or_default()))
            .and_then(|endpoint| Url::parse(endpoint).ok())
            .ok_or_else(|| lacks("authorization_endpoint"))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", back)
            .append_pair("scope", &self.client.scope)
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Refuses an answer that says it is of another issuer, or does not say of whom it is although ours would (RFC 9207).
    pub(crate) fn expect_issuer(&self, named: Option<&str>) -> Result<(), NotSignedIn> {
        let discovery = self.ring.discovery().map_err(NotSignedIn::Issuer)?;
        match named {
            Some(issuer) if issuer == self.oidc.issuer => Ok(()),
            None if !discovery.authorization_response_iss_parameter_supported => Ok(()),
            _ => Err(NotSignedIn::Mixed),
        }
    }

    /// Whom the issuer gave this code for.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        attempt: &Attempt,
        back: &str,
    ) -> Result<Person, NotSignedIn> {
        let token = self.exchange(code, attempt, back).await?;
        let claims = self.verify(&token, attempt).await?;
        let ids = people(&self.oidc, &claims, &self.trust_domain).map_err(unnamed)?;
        let until_ms = claims.expires_ms().map_err(untrue)?;
        Ok(Person { ids, until_ms })
    }

    async fn exchange(&self, code: &str, attempt: &Attempt, back: &str) -> Result<String, NotSignedIn> {
        let discovery = self.ring.discovery().map_err(NotSignedIn::Issuer)?;
        let endpoint = discovery.token_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| lacks("token_endpoint"))?;
        let (form, authorization) = self.form(code, attempt, back, &discovery);
        let answer = self.fetcher.post(endpoint, form, authorization).await;
        given(&answer.map_err(|error| NotSignedIn::Issuer(format!("`{endpoint}`: {error}")))?)
    }

    /// What is asked for with a code, and what may stand beside it.
    fn form(
        &self,
        code: &str,
        attempt: &Attempt,
        back: &str,
        discovery: &Discovery,
    ) -> (String, Option<HeaderValue>) {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", back)
            .append_pair("code_verifier", &attempt.verifier);
        let authorization = self.client.prove(&mut form, discovery);
        (form.finish(), authorization)
    }

    /// OIDC Core 1.0, section 3.1.3.7.
    async fn verify(&self, text: &str, attempt: &Attempt) -> Result<Claims, NotSignedIn> {
        let token = Token::parse(text).map_err(untrue)?;
        if !token.claims_issuer(&self.oidc.issuer) {
            return Err(untrue("the token is of another issuer"));
        }
        token.expect_type(ID_TOKEN_TYPES).map_err(untrue)?;
        let claims = self.ring.verify(&token, &self.client.id).await;
        let claims = claims.map_err(|error| unnamed(error.into()))?;
        let is_for_us = match claims.text("azp") {
            Some(party) => party == self.client.id,
            None => claims.texts("aud").len() == 1,
        };
        if !is_for_us {
            return Err(untrue("the token was made for another client"));
        }
        // Of digests, so that how long it takes says nothing of what was expected.
        let digest = |text: &str| Sha256::of(text.as_bytes());
        if claims.text("nonce").map(digest) != Some(digest(&attempt.nonce)) {
            return Err(untrue("the token was made for another attempt"));
        }
        Ok(claims)
    }
}

fn given(answer: &Response<Bytes>) -> Result<String, NotSignedIn> {
    match answer.status() {
        StatusCode::OK => {
            let tokens: Option<Tokens> = serde_json::from_slice(answer.body()).ok();
            let token = tokens.and_then(|tokens| tokens.id_token);
            token.ok_or_else(|| NotSignedIn::Issuer("it gave no ID token".to_owned()))
        }
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
            let refusal: Option<Refusal> = serde_json::from_slice(answer.body()).ok();
            match refusal.map(|refusal| refusal.error) {
                Some(error) if error == "invalid_grant" => Err(NotSignedIn::Code(error)),
                Some(error) if error.len() <= ERROR_BYTES_MAX => {
                    Err(NotSignedIn::Issuer(format!("it refused the client: {error}")))
                }
                _ => Err(NotSignedIn::Issuer(format!("it answered {}", answer.status()))),
            }
        }
        other => Err(NotSignedIn::Issuer(format!("it answered {other}"))),
    }
}

fn lacks(name: &str) -> NotSignedIn {
    NotSignedIn::Issuer(format!(
        "its discovery document names no `{name}` that can be asked"
    ))
}

fn untrue(why: impl fmt::Display) -> NotSignedIn {
    NotSignedIn::Token(why.to_string())
}

fn unnamed(error: Unnamed) -> NotSignedIn {
    match error {
        Unnamed::Disbelief(Disbelief::NoKeys(cause)) => NotSignedIn::Issuer(cause),
        Unnamed::Disbelief(Disbelief::Token(error)) => untrue(error),
        person => NotSignedIn::Person(person.to_string()),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("secret", &self.secret.as_ref().map(|_| "…"))
            .field("scope", &self.scope)
            .finish()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(…)")
    }
}
