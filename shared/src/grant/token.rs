//! A grant as a token: a compact JWS (RFC 7515) in a profile of the attenuating agent token, and back.
//!
//! One algorithm, Ed25519 (RFC 9864). The header is compared, not interpreted: there is no `alg` to confuse. The scope stands
//! where the draft has it, in `authorization_details`; the draft still moves, so what is signed says which profile it is.
//! What only we know of a task (intent, named values, environment, risk, budgets, exact times) stands in one claim of our own.
//!
//! **Invariant**: a token is read in one way or not at all: no member twice, none missing, none that this verifier does not know.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Grant, InvalidGrant, Limits, Scope, TOKEN_BYTES_MAX};
use crate::action::{Arguments, Json};
use crate::key::{SigningKey, VerifyingKey};
use crate::text::shown;

const ALGORITHM: &str = "Ed25519";
const TOKEN_TYPE: &str = "aat+jwt";
/// Names what is signed here; another version is another token.
const PROFILE: &str = "checkrein-1";
/// The one kind of authorization that a token carries.
const DETAILS_TYPE: &str = "attenuating_agent_token";
/// What the actor of a token is.
const ACTOR_PROFILE: &str = "ai_agent";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The members of an object that were not asked for yet.
struct Claims<'a>(BTreeMap<&'a str, &'a Json>);

impl Grant {
    /// Signs it into a token.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        let header = Header {
            alg: ALGORITHM.into(),
            typ: TOKEN_TYPE.into(),
            kid: key.id().0.clone(),
        };
        let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let signed = format!(
            "{}.{}",
            part(serde_json::to_vec(&header)?),
            part(serde_json::to_vec(&self.claims())?)
        );
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }

    /// Reads a token signed by one of these keys. Whether it holds *now* is [`Grant::holds_at`]'s to say, so that a token
    /// can be verified once and asked often.
    pub fn verify(token: &str, keys: &[VerifyingKey]) -> Result<Self, InvalidGrant> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidGrant::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidGrant::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidGrant::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidGrant::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| InvalidGrant::Header)?;
        if header.alg != ALGORITHM || header.typ != TOKEN_TYPE {
            return Err(InvalidGrant::Header);
        }
        let key = keys
            .iter()
            .find(|key| key.id().0 == header.kid)
            .ok_or_else(|| InvalidGrant::UnknownKey(shown(&header.kid)))?;
        key.verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| InvalidGrant::Signature)?;
        Self::read(&decode(claims)?).map_err(InvalidGrant::Claims)
    }

    fn claims(&self) -> Value {
        json!({
            "aat_spec": PROFILE,
            "jti": self.id.to_string(),
            "iss": issuer(self.agent.trust_domain()),
            // Whole seconds, for whoever reads nothing but the standard's claims: from a little before to a little after.
            "iat": self.issued_ms / 1_000,
            "exp": self.expires_ms.div_ceil(1_000),
            "sub": self.user,
            "act": {"sub": self.agent, "sub_profile": ACTOR_PROFILE},
            "txn": self.task.to_string(),
            "del_depth": 0,
            "del_max_depth": self.limits.depth,
            "authorization_details": [{"type": DETAILS_TYPE, "tools": self.scope.to_json()}],
            "task": {
                "intent": self.intent,
                "named": self.named,
                "environment": self.environment,
                "risk": self.limits.risk,
                // Nothing is left out: a budget that is not there is `null`.
                "budgets": {"calls": self.limits.calls},
                "issued_ms": self.issued_ms,
                "expires_ms": self.expires_ms,
            },
        })
    }

    fn read(claims: &[u8]) -> Result<Self, String> {
        let claims = Arguments::parse(claims).map_err(|error| error.to_string())?;
        let mut claims = Claims(claims.members().collect());
        claims.expect_text("aat_spec", PROFILE)?;
        if claims.whole("del_depth")? != 0 {
            return Err("`del_depth` is not 0: this verifier reads no delegated grants".to_owned());
        }
        let depth = claims.small("del_max_depth")?;
        let mut actor = claims.object("act")?;
        actor.expect_text("sub_profile", ACTOR_PROFILE)?;
        let mut task = claims.object("task")?;
        let mut budgets = task.object("budgets")?;
        let limits = Limits {
            calls: budgets.whole_or_null("calls")?,
            risk: task.small("risk")?,
            depth,
        };
        let grant = Self {
            id: claims.parsed("jti")?,
            task: claims.parsed("txn")?,
            agent: actor.parsed("sub")?,
            user: claims.text("sub")?.to_owned(),
            scope: claims.scope()?,
            limits: limits.checked().map_err(|error| error.to_string())?,
            named: task.texts("named")?,
            intent: task.text("intent")?.to_owned(),
            environment: task.text("environment")?.to_owned(),
            issued_ms: task.whole("issued_ms")?,
            expires_ms: task.whole("expires_ms")?,
        };
        claims.expect_text("iss", &issuer(grant.agent.trust_domain()))?;
        let seconds = (claims.whole("iat")?, claims.whole("exp")?);
        if seconds != (grant.issued_ms / 1_000, grant.expires_ms.div_ceil(1_000)) {
            return Err("its times contradict each other".to_owned());
        }
        actor.end()?;
        budgets.end()?;
        task.end()?;
        claims.end()?;
        Ok(grant)
    }
}

impl<'a> Claims<'a> {
    fn take(&mut self, name: &str) -> Result<&'a Json, String> {
        self.0.remove(name).ok_or_else(|| format!("`{name}` is missing"))
    }

    fn text(&mut self, name: &str) -> Result<&'a str, String> {
        match self.take(name)? {
            Json::String(text) => Ok(text),
            _ => Err(format!("`{name}` is not a text")),
        }
    }

    fn expect_text(&mut self, name: &str, expected: &str) -> Result<(), String> {
        match self.text(name)? {
            found if found == expected => Ok(()),
            found => Err(format!("`{name}` is `{}`, expected `{expected}`", shown(found))),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<T, String> {
        self.text(name)?
            .parse()
            .map_err(|error: T::Err| error.to_string())
    }

    /// A number that is not below 0.
    fn whole(&mut self, name: &str) -> Result<u64, String> {
        let number = match self.take(name)? {
            Json::Number(number) => number.as_str().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| format!("`{name}` is not a whole number"))
    }

    /// One that fits a byte.
    fn small(&mut self, name: &str) -> Result<u8, String> {
        u8::try_from(self.whole(name)?).map_err(|_| format!("`{name}` is larger than it can be"))
    }

    fn whole_or_null(&mut self, name: &str) -> Result<Option<u64>, String> {
        if matches!(self.0.get(name), Some(Json::Null)) {
            self.0.remove(name);
            return Ok(None);
        }
        self.whole(name).map(Some)
    }

    fn list(&mut self, name: &str) -> Result<&'a [Json], String> {
        match self.take(name)? {
            Json::Array(elements) => Ok(elements),
            _ => Err(format!("`{name}` is not a list")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let text = |element: &Json| match element {
            Json::String(text) => Ok(text.clone()),
            _ => Err(format!("`{name}` has an entry that is not a text")),
        };
        self.list(name)?.iter().map(text).collect()
    }

    fn object(&mut self, name: &str) -> Result<Self, String> {
        Self::of(name, self.take(name)?)
    }

    fn of(name: &str, json: &'a Json) -> Result<Self, String> {
        match json {
            Json::Object(members) => Ok(Self(
                members
                    .iter()
                    .map(|(name, value)| (name.as_str(), value))
                    .collect(),
            )),
            _ => Err(format!("`{name}` is not an object")),
        }
    }

    /// The one authorization there is.
    fn scope(&mut self) -> Result<Scope, String> {
        let name = "authorization_details";
        let [one] = self.list(name)? else {
            return Err(format!("`{name}` must have one entry"));
        };
        let mut details = Self::of(name, one)?;
        details.expect_text("type", DETAILS_TYPE)?;
        let tools = details.object("tools")?;
        details.end()?;
        Scope::of_members(tools.0.into_iter()).map_err(|error| error.to_string())
    }

    fn end(self) -> Result<(), String> {
        match self.0.first_key_value() {
            Some((name, _)) => Err(format!(
                "`{}` is a claim this verifier does not know",
                shown(name)
            )),
            None => Ok(()),
        }
    }
}

/// Who vouches: the trust domain, as a SPIFFE ID without a path.
fn issuer(trust_domain: &str) -> String {
    format!("spiffe://{trust_domain}")
}
