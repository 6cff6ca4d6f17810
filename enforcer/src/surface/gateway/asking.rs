//! What every gateway asks with: which agent a request is of, and what the gate says of its call.
//!
//! **Invariant**: nobody is named by default. Whoever a gateway names is asserted, and the register says whether this enforcer speaks
//! for them; a permit is given out only after the record says that nobody will tell here how its call ended.

use std::collections::BTreeMap;
use std::time::Duration;

use checkrein_proto::{Struct, value::Kind};
use checkrein_shared::decision::{OutcomeResult, Verdict};
use checkrein_shared::identity::{Role, SpiffeId};
use tokio::time::timeout;

use crate::config::{AgentFrom, Gateway};
use crate::gate::{Answer, Caller, Decided, Denied, Gate, Held, Offer, Request};
use crate::surface::again::{Again, Sameness};

/// A question is answered within this time, or denied: gateways wait no longer, and deny themselves then.
const CHECK_MAX: Duration = Duration::from_secs(10);
/// What the record says of a call that a gateway makes.
const NOT_TOLD: &str = "the gateway made the call, and does not tell how it ended";

/// Whoever waits for people asks again after so many seconds.
pub(super) const RETRY_AFTER_S: u64 = 5;

/// Taken out of every request that goes on.
pub(super) const REMOVED: [&str; 8] = [
    "checkrein-grant",
    "checkrein-proof",
    "txn-token",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// The gate, and what is known of the gateways on one listener.
#[derive(Debug)]
pub(super) struct Asking {
    gate: Gate,
    from: Vec<AgentFrom>,
    agents: BTreeMap<String, SpiffeId>,
    again: Again,
}

/// One call that a gateway is about to pass on.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) agent: SpiffeId,
    pub(super) credentials: Credentials,
    pub(super) tool: String,
    /// JSON.
    pub(super) arguments: String,
}

/// What a call is presented with.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) grant: String,
    pub(super) proof: String,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Said {
    Permit(Decided),
    Hold(Held),
    Deny(Denied),
    /// It was permitted, and may not go on all the same.
    Withheld(Decided, String),
    /// There was nothing to decide, or no time for it.
    Undecided(String),
}

impl std::fmt::Debug for Credentials {
    /// Without the grant, which is a bearer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Asking {
    pub(super) fn new(gate: Gate, gateway: &Gateway) -> Self {
        let from = match gateway.agent_from.as_slice() {
            [] => vec![AgentFrom::Principal],
            from => from.to_vec(),
        };
        Self {
            gate,
            from,
            agents: gateway.agents.clone(),
            again: Again::new("gateway"),
        }
    }

    /// Which agent a request is of: what its certificate and its verified token say, in the order of the configuration.
    pub(super) fn agent(&self, principal: &str, subject: Option<&str>) -> Result<SpiffeId, String> {
        let named = self.from.iter().find_map(|from| {
            let named = match from {
                AgentFrom::Principal => Some(principal),
                AgentFrom::Jwt => subject,
            };
            named.filter(|named| !named.is_empty())
        });
        let Some(named) = named else {
            return Err("the gateway does not say which agent this is; see `agent_from` of the enforcer's `[[gateway]]`".to_owned());
        };
        self.named(named)
    }

    /// The agent of this name: its own, or one that the configuration gives it.
    pub(super) fn named(&self, named: &str) -> Result<SpiffeId, String> {
        if let Some(agent) = self.agents.get(named) {
            return Ok(agent.clone());
        }
        let agent: Option<SpiffeId> = named.parse().ok();
        agent
            .filter(|agent| agent.role() == Some(Role::Agent))
            .ok_or_else(|| {
                let named: String = named.chars().take(128).flat_map(char::escape_debug).collect();
                format!("`{named}` is no agent here; expected `spiffe://<domain>/agent/<name>`, or a name under `agents` of `[[gateway]]`")
            })
    }

    /// What this agent may use a grant for; none, if it is not believed here and now.
    pub(super) fn offer(&self, agent: &SpiffeId, grant: &str) -> Option<Offer> {
        self.gate_of(agent).offer(grant)
    }

    /// What rules would say of a call; none, if it is no call, or nobody knows in time. Nothing comes of it.
    pub(super) async fn would(&self, carried: &Carried) -> Option<Verdict> {
        let (grant, arguments) = (&carried.credentials.grant, carried.arguments.as_bytes());
        let request = Request::new(grant.clone(), carried.tool.clone(), arguments);
        let gate = self.gate_of(&carried.agent);
        timeout(CHECK_MAX, gate.would(request)).await.ok()?.ok()
    }

    /// The gate, as whoever follows what it held needs it.
    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Has a call decided. It does not wait for people: the same call asked for again finds its hold.
    pub(super) async fn decide(&self, carried: &Carried) -> Said {
        let gate = self.gate_of(&carried.agent);
        let (grant, arguments) = (&carried.credentials.grant, carried.arguments.as_bytes());
        let task = gate.offer(grant).map(|offer| offer.task());
        let sameness =
            task.and_then(|task| Sameness::of((&carried.agent, task), &carried.tool, arguments, ""));
        let asks = sameness.and_then(|sameness| self.again.ask(sameness));
        let mut request = Request::new(grant.clone(), carried.tool.clone(), arguments)
            .proof(carried.credentials.proof.clone());
        if let Some(asks) = &asks {
            request = request.call_id(asks.call_id());
        }
        let Ok(answer) = timeout(CHECK_MAX, gate.authorize(request)).await else {
            return Said::Undecided("it could not be decided in time".to_owned());
        };
        match answer {
            Err(error) => Said::Undecided(error.to_string()),
            Ok(Answer::Hold(held)) => {
                if let Some(asks) = &asks {
                    asks.waits();
                }
                Said::Hold(held)
            }
            Ok(Answer::Deny(denied)) => {
                if let Some(asks) = asks.filter(|_| denied.decided.hold.is_some()) {
                    asks.is_over();
                }
                Said::Deny(denied)
            }
            Ok(Answer::Permit(permit)) => {
                if let Some(asks) = asks {
                    asks.is_over();
                }
                let decided = permit.decided().clone();
                // What its result may carry is in the ledger of the task before the call is made.
                match permit.complete(OutcomeResult::Unknown, NOT_TOLD).await {
                    Ok(()) => Said::Permit(decided),
                    Err(error) => Said::Withheld(decided, error.to_string()),
                }
            }
        }
    }

    fn gate_of(&self, agent: &SpiffeId) -> Gate {
        self.gate.for_caller(Caller {
            agent: agent.clone(),
            asserted: true,
        })
    }
}

impl Credentials {
    /// From the headers of a request, each by its name. One that stands twice is nobody's.
    pub(super) fn of<'a>(header: impl Fn(&str) -> Result<Option<&'a str>, String>) -> Result<Self, String> {
        let grant = match (header("checkrein-grant")?, header("txn-token")?) {
            (Some(one), Some(other)) if one != other => {
                return Err("the headers `checkrein-grant` and `txn-token` differ; send one".to_owned());
            }
            (one, other) => one.or(other).unwrap_or_default(),
        };
        Ok(Self {
            grant: grant.trim().to_owned(),
            proof: header("checkrein-proof")?.unwrap_or_default().trim().to_owned(),
        })
    }
}

/// What a header says; nothing can be said of one that stands twice.
pub(super) fn once<'a>(
    name: &str,
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a str>, String> {
    let mut values = values.into_iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(format!("the header `{name}` stands twice; send it once"));
    };
    let text =
        value.map(|value| str::from_utf8(value).map_err(|_| format!("the header `{name}` is no text")));
    text.transpose()
}

/// The subject of a token in what a filter found out: `sub`, at its top or in the one payload there.
pub(super) fn subject(metadata: &Struct) -> Option<&str> {
    let of = |fields: &Struct| fields.fields.get("sub").map(|_| ());
    let payloads: Vec<&Struct> = metadata
        .fields
        .values()
        .filter_map(|value| match &value.kind {
            Some(Kind::StructValue(payload)) => Some(payload),
            _ => None,
        })
        .filter(|payload| of(payload).is_some())
        .collect();
    let holder = match (of(metadata), payloads.as_slice()) {
        (Some(()), []) => metadata,
        (None, [one]) => one,
        // Two subjects are none.
        _ => return None,
    };
    match &holder.fields.get("sub")?.kind {
        Some(Kind::StringValue(subject)) => Some(subject),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
