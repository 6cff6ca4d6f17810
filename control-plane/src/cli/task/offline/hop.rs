//! One grant of a chain, for people and for scripts.

use std::collections::BTreeMap;

use checkrein_shared::grant::{Grant, RISK_MAX, Signer};
use checkrein_shared::key::VerifyingKey;
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::{Fields, Paint, Style, relative, rfc3339, visible};

/// A grant for scripts. Names are stable.
#[derive(Debug, Serialize)]
pub(super) struct HopView {
    grant_id: String,
    task_id: String,
    epoch: u64,
    /// How many grants stand above it.
    depth: u8,
    /// How deep those below it may be.
    depth_max: u8,
    agent: String,
    user: String,
    tools: Vec<String>,
    scope: Value,
    /// None: calls are not counted.
    calls: Option<u64>,
    /// Absent: without bound.
    budgets: BTreeMap<&'static str, String>,
    risk: u8,
    /// None: any.
    data: Option<Vec<String>>,
    named: Vec<String>,
    intent: String,
    environment: String,
    issued_at: Option<String>,
    expires_at: Option<String>,
    /// `control_plane` or `holder`: of the grant above it.
    signed_by: &'static str,
    /// Whether that signature was verified here.
    signature_verified: bool,
    /// The public key that it names.
    holder: Option<String>,
}

impl HopView {
    pub(super) fn of(grant: &Grant) -> Self {
        let is_by_holder = is_by_holder(grant);
        Self {
            grant_id: grant.id.to_string(),
            task_id: grant.task.to_string(),
            epoch: grant.epoch,
            depth: grant.depth(),
            depth_max: grant.limits.depth,
            agent: grant.agent.to_string(),
            user: grant.user.clone(),
            tools: grant.scope.tools().map(ToOwned::to_owned).collect(),
            scope: grant.scope.to_json(),
            calls: grant.limits.calls,
            budgets: grant
                .limits
                .spend
                .iter()
                .map(|(meter, amount)| (meter.as_str(), meter.text(amount)))
                .collect(),
            risk: grant.limits.risk,
            data: grant
                .data
                .as_ref()
                .map(|data| data.labels().map(ToOwned::to_owned).collect()),
            named: grant.named.clone(),
            intent: grant.intent.clone(),
            environment: grant.environment.clone(),
            issued_at: rfc3339(grant.issued_ms),
            expires_at: rfc3339(grant.expires_ms),
            signed_by: if is_by_holder { "holder" } else { "control_plane" },
            signature_verified: is_by_holder,
            holder: grant.holder.as_ref().map(VerifyingKey::to_base64),
        }
    }
}

/// How much it may use.
pub(super) fn budget(grant: &Grant) -> String {
    let calls = grant.limits.calls.map(|calls| format!("{calls} calls"));
    let spend = grant.limits.spend;
    let amounts = spend
        .iter()
        .map(|(meter, amount)| format!("{} {}", meter.text(amount), meter.as_str()));
    calls.into_iter().chain(amounts).collect::<Vec<_>>().join(", ")
}

/// One grant, whole.
pub(super) fn card(grant: &Grant, now_ms: u64, paint: Paint) -> String {
    let mut fields = Fields::default();
    fields.line("may use", &grant.scope.tools().collect::<Vec<_>>().join(", "));
    constraints(grant, &mut fields);
    fields.line("may touch", &data(grant));
    let calls = grant.limits.calls.map(|calls| format!("at most {calls}"));
    fields.line("calls", &calls.unwrap_or_else(|| "not counted".to_owned()));
    for (meter, amount) in grant.limits.spend.iter() {
        let most = format!("at most {} {}", meter.text(amount), meter.as_str());
        fields.line("budget", &most);
    }
    if grant.limits.risk > 0 {
        fields.line("risk", &format!("at least {} of {RISK_MAX}", grant.limits.risk));
    }
    let times = match grant.limits.depth.saturating_sub(grant.depth()) {
        0 => "no further".to_owned(),
        times => format!("at most {times} times in a row"),
    };
    fields
        .line("named", &grant.named.join(", "))
        .line("passed on", &times)
        .line("depth", &format!("{}, epoch {}", grant.depth(), grant.epoch));
    let until = rfc3339(grant.expires_ms).unwrap_or_default();
    let (word, style) = match grant.holds_at(now_ms) {
        Ok(()) => ("expires", Style::Plain),
        Err(_) if grant.expires_ms <= now_ms => ("expired", Style::Bad),
        Err(_) => ("expires", Style::Waiting),
    };
    fields.styled(
        word,
        &format!("{}, {until}", relative(grant.expires_ms, now_ms)),
        style,
    );
    let signer = if is_by_holder(grant) {
        "the key of the grant above"
    } else {
        "the control plane (not verified here)"
    };
    let holder = grant.holder.as_ref().map(VerifyingKey::to_base64);
    fields
        .line("signed by", signer)
        .line("holder", &holder.unwrap_or_else(|| "no key".to_owned()))
        .line("grant", &grant.id.to_string());
    let agent = paint.apply(Style::Strong, &visible(grant.agent.as_str()));
    format!("{agent}\n{}", fields.render(paint))
}

/// The labels of its data in words.
pub(super) fn data(grant: &Grant) -> String {
    let data = grant.data.as_ref();
    data.map_or_else(|| "any data".to_owned(), ToString::to_string)
}

/// What the arguments of each tool must be.
fn constraints(grant: &Grant, fields: &mut Fields) {
    let scope = grant.scope.to_json();
    for (tool, arguments) in scope.as_object().into_iter().flatten() {
        for (argument, constraint) in arguments.as_object().into_iter().flatten() {
            fields.line("only if", &format!("`{argument}` of {tool} meets {constraint}"));
        }
    }
}

fn is_by_holder(grant: &Grant) -> bool {
    grant.link.is_some_and(|link| link.signer == Signer::Holder)
}
