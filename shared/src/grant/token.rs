//! A grant as a token, in a profile of the attenuating agent token, and back.
//!
//! The scope stands where the draft has it, in `authorization_details`; the draft still moves, so what is signed says which
//! profile it is. What only we know of a task (intent, named values, environment, data, risk, budgets, exact times) stands in one
//! claim of our own.
//!
//! **Invariant**: a token is read in one way or not at all: no member twice, none missing, none that this verifier does not know.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::claims::Claims;
use super::jws::{self, Jws};
use super::{DataScope, Grant, InvalidGrant, Limits, Link, Scope, Signer, TOKEN_BYTES_MAX};
use crate::action::{Arguments, Sha256};
use crate::key::{SigningKey, VerifyingKey};
use crate::ledger::{AMOUNT_MAX, Amounts, Meter};

const TOKEN_TYPE: &str = "aat+jwt";
/// Names what is signed here; another version is another token.
const PROFILE: &str = "checkrein-1";
/// The one kind of authorization that a token carries.
const DETAILS_TYPE: &str = "attenuating_agent_token";
/// What the actor of a token is.
const ACTOR_PROFILE: &str = "ai_agent";
/// How whoever is known by nothing but a key is called (RFC 9278).
const BY_THUMBPRINT: &str = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";

/// What a token hangs on: who may have signed it, and what it must name.
#[derive(Clone, Copy)]
pub(super) enum Above<'a> {
    /// Nothing: `task start` gave it.
    Nothing,
    /// A grant, and the digest of what was signed in its token.
    Parent(&'a Grant, Sha256),
}

/// Which signatures of the control plane are believed.
#[derive(Clone, Copy)]
pub(super) enum Trust<'a> {
    /// Those of its keys.
    Keys(&'a [VerifyingKey]),
    /// Any: whoever reads its own grant has it from whom it trusts, and permits nothing by it.
    Own,
}

impl Grant {
    /// Signs it into a token: with a grant key of the control plane, or, if its [`Link`] says so, with the key of its parent's
    /// holder.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        jws::sign(TOKEN_TYPE, &self.claims(&key.verifying()), key)
    }

    /// Reads a token that `task start` gave, signed by one of these keys. Whether it holds *now* is [`Grant::holds_at`]'s to
    /// say, so that a token can be verified once and asked often.
    pub fn verify(token: &str, keys: &[VerifyingKey]) -> Result<Self, InvalidGrant> {
        Self::verify_below(token, Above::Nothing, Trust::Keys(keys)).map(|(grant, _)| grant)
    }

    /// Reads a token below another, and gives the digest of what was signed in it.
    pub(super) fn verify_below(
        token: &str,
        above: Above<'_>,
        trust: Trust<'_>,
    ) -> Result<(Self, Sha256), InvalidGrant> {
        let jws = Jws::parse(token, TOKEN_TYPE, TOKEN_BYTES_MAX)?;
        let holder = match above {
            Above::Parent(parent, _) => parent.holder.as_ref(),
            Above::Nothing => None,
        };
        let (claims, signer) = match (holder.filter(|holder| jws.is_by(holder)), trust) {
            (Some(holder), _) => (jws.claims([holder])?, Signer::Holder),
            (None, Trust::Keys(keys)) => (jws.claims(keys)?, Signer::Authority),
            (None, Trust::Own) => (jws.unverified()?, Signer::Authority),
        };
        let grant = Self::read(&claims, above, signer).map_err(InvalidGrant::Claims)?;
        Ok((grant, jws.digest()))
    }

    fn claims(&self, signer: &VerifyingKey) -> Value {
        let iss = match self.link {
            Some(Link {
                signer: Signer::Holder,
                ..
            }) => by_thumbprint(signer),
            _ => by_domain(self.agent.trust_domain()),
        };
        json!({
            "aat_spec": PROFILE,
            "jti": self.id.to_string(),
            "iss": iss,
            // Whole seconds, for whoever reads nothing but the standard's claims: from a little before to a little after.
            "iat": self.issued_ms / 1_000,
            "exp": self.expires_ms.div_ceil(1_000),
            "sub": self.user,
            "act": {"sub": self.agent, "sub_profile": ACTOR_PROFILE},
            "txn": self.task.to_string(),
            "cnf": self.holder.as_ref().map(|key| json!({"jwk": key.to_jwk()})),
            "par_hash": self.link.map(|link| link.parent.to_base64()),
            "del_depth": self.depth(),
            "del_max_depth": self.limits.depth,
            "authorization_details": [{"type": DETAILS_TYPE, "tools": self.scope.to_json()}],
            "task": {
                "epoch": self.epoch,
                "intent": self.intent,
                "named": self.named,
                "environment": self.environment,
                "risk": self.limits.risk,
                // Nothing is left out: a budget that is not there is `null`.
                "budgets": budgets(&self.limits),
                "data": self.data.as_ref().map(|data| data.labels().collect::<Vec<_>>()),
                "issued_ms": self.issued_ms,
                "expires_ms": self.expires_ms,
            },
        })
    }

    fn read(claims: &[u8], above: Above<'_>, signer: Signer) -> Result<Self, String> {
        let claims = Arguments::parse(claims).map_err(|error| error.to_string())?;
        let mut claims = Claims::new(&claims);
        claims.expect_text("aat_spec", PROFILE)?;
        let link = link(&mut claims, above, signer)?;
        let depth = claims.small("del_max_depth")?;
        let mut actor = claims.object("act")?;
        actor.expect_text("sub_profile", ACTOR_PROFILE)?;
        let mut task = claims.object("task")?;
        let mut budgets = task.object("budgets")?;
        let limits = Limits {
            calls: budgets.whole_or_null("calls")?,
            risk: task.small("risk")?,
            depth,
            spend: spend(&mut budgets)?,
        };
        let grant = Self {
            id: claims.parsed("jti")?,
            task: claims.parsed("txn")?,
            epoch: task.whole("epoch")?,
            agent: actor.parsed("sub")?,
            user: claims.text("sub")?.to_owned(),
            scope: scope(&mut claims)?,
            data: data(&mut task)?,
            limits: limits.checked().map_err(|error| error.to_string())?,
            named: task.texts("named")?,
            intent: task.text("intent")?.to_owned(),
            environment: task.text("environment")?.to_owned(),
            issued_ms: task.whole("issued_ms")?,
            expires_ms: task.whole("expires_ms")?,
            holder: holder(&mut claims)?,
            link,
        };
        let issuer = match (signer, above) {
            (
                Signer::Holder,
                Above::Parent(
                    Self {
                        holder: Some(key), ..
                    },
                    _,
                ),
            ) => by_thumbprint(key),
            _ => by_domain(grant.agent.trust_domain()),
        };
        claims.expect_text("iss", &issuer)?;
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

/// Money in ten-thousandths, everything else in ones.
fn budgets(limits: &Limits) -> Value {
    let of_meter = |meter: Meter| (meter.as_str().to_owned(), json!(limits.spend.get(meter)));
    let calls = [("calls".to_owned(), json!(limits.calls))];
    Value::Object(calls.into_iter().chain(Meter::OF_TASKS.map(of_meter)).collect())
}

fn spend(budgets: &mut Claims<'_>) -> Result<Amounts, String> {
    let mut spend = Amounts::default();
    for meter in Meter::OF_TASKS {
        let Some(amount) = budgets.whole_or_null(meter.as_str())? else {
            continue;
        };
        if amount > AMOUNT_MAX {
            return Err(format!("`{}` is larger than it can be", meter.as_str()));
        }
        spend.set(meter, amount);
    }
    Ok(spend)
}

/// What it hangs on, which must be what it is shown below.
fn link(claims: &mut Claims<'_>, above: Above<'_>, signer: Signer) -> Result<Option<Link>, String> {
    let depth = claims.small("del_depth")?;
    match above {
        Above::Nothing if depth == 0 => {
            claims.expect_null("par_hash")?;
            Ok(None)
        }
        Above::Nothing => {
            Err("`del_depth` is not 0: a delegated grant is shown after its parents".to_owned())
        }
        Above::Parent(parent, sha256) => {
            claims.expect_text("par_hash", &sha256.to_base64())?;
            if Some(depth) != parent.depth().checked_add(1) {
                return Err("`del_depth` is not one more than its parent's".to_owned());
            }
            Ok(Some(Link {
                parent: sha256,
                depth,
                signer,
            }))
        }
    }
}

fn holder(claims: &mut Claims<'_>) -> Result<Option<VerifyingKey>, String> {
    let Some(mut confirmation) = claims.object_or_null("cnf")? else {
        return Ok(None);
    };
    let mut jwk = confirmation.object("jwk")?;
    confirmation.end()?;
    jwk.expect_text("kty", "OKP")?;
    jwk.expect_text("crv", "Ed25519")?;
    let key = VerifyingKey::from_base64(jwk.text("x")?).map_err(|error| error.to_string())?;
    jwk.end()?;
    Ok(Some(key))
}

/// Labels in their one order, or `null` for any.
fn data(task: &mut Claims<'_>) -> Result<Option<DataScope>, String> {
    let Some(labels) = task.texts_or_null("data")? else {
        return Ok(None);
    };
    let data = DataScope::parse(&labels).map_err(|error| error.to_string())?;
    if !labels.is_sorted() {
        return Err("the labels of `data` are not sorted".to_owned());
    }
    Ok(Some(data))
}

/// The one authorization there is.
fn scope(claims: &mut Claims<'_>) -> Result<Scope, String> {
    let mut details = claims.only_object("authorization_details")?;
    details.expect_text("type", DETAILS_TYPE)?;
    let tools = details.object("tools")?;
    details.end()?;
    Scope::of_members(tools.members()).map_err(|error| error.to_string())
}

/// Who vouches: the trust domain, as a SPIFFE ID without a path.
fn by_domain(trust_domain: &str) -> String {
    format!("spiffe://{trust_domain}")
}

/// The thumbprint of a holder's key, from the key in base64url or from the name that tokens give it.
pub fn holder_thumbprint(text: &str) -> Option<Sha256> {
    match text.strip_prefix(BY_THUMBPRINT) {
        Some(thumbprint) => Sha256::try_from(&*URL_SAFE_NO_PAD.decode(thumbprint).ok()?).ok(),
        None => Some(VerifyingKey::from_base64(text).ok()?.thumbprint()),
    }
}

/// Who vouches: whoever has this key.
fn by_thumbprint(key: &VerifyingKey) -> String {
    format!("{BY_THUMBPRINT}{}", key.thumbprint().to_base64())
}
