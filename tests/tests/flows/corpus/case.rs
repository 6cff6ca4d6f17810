//! The calls. Those that `shared` decides alone stand there; those that are about how they are presented stand here.

use serde::Deserialize;

const DECIDED: &str = include_str!("../../../../shared/src/policy/fixtures/corpus/payments.json");
const PRESENTED: &str = include_str!("presented.json");
pub(super) const BILLING: &str = "spiffe://acme.example/agent/billing";

/// A call, and what is to be decided of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default = "billing")]
    pub(super) agent: String,
    #[serde(default = "send_money")]
    pub(super) tool: String,
    /// The text that is sent, byte for byte.
    pub(super) arguments: String,
    #[serde(default = "whole_bank")]
    pub(super) scope: Vec<String>,
    #[serde(default = "named")]
    pub(super) named: Vec<String>,
    #[serde(default = "production")]
    pub(super) environment: String,
    /// What the task carries: of one call before.
    #[serde(default)]
    pub(super) labels: Vec<String>,
    #[serde(default)]
    pub(super) presents: Presents,
    /// Whether one is for the enforcer that is asked.
    #[serde(default = "yes")]
    pub(super) has_pack: bool,
    /// How long ago the policy was confirmed that the enforcer decides by; none: it is connected.
    #[serde(default)]
    pub(super) confirmed_s_ago: Option<u64>,
    /// What people answer, where they are asked.
    #[serde(default = "yes")]
    pub(super) people_agree: bool,
    pub(super) expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) verdict: String,
    pub(super) cause: String,
    pub(super) rules: Vec<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// What a call comes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Presents {
    /// The grant of its task.
    #[default]
    Own,
    Nothing,
    /// With another signature.
    Forged,
    Expired,
    /// Of another agent.
    Anothers,
    /// Of a task that was ended.
    Ended,
}

impl Case {
    pub(super) fn all() -> Vec<Self> {
        let read = |json| serde_json::from_str::<Vec<Self>>(json).unwrap();
        [DECIDED, PRESENTED].into_iter().flat_map(read).collect()
    }

    /// Whether another argument could make another verdict of it.
    pub(super) fn looks_at_arguments(&self) -> bool {
        let before = [
            "invalid_grant",
            "task_ended",
            "wrong_agent",
            "out_of_scope",
            "unknown_tool",
        ];
        !before.contains(&self.expect.cause.as_str())
    }
}

fn billing() -> String {
    BILLING.to_owned()
}

fn send_money() -> String {
    "bank/send_money".to_owned()
}

fn whole_bank() -> Vec<String> {
    vec!["bank/*".to_owned()]
}

fn named() -> Vec<String> {
    vec!["GB29".to_owned()]
}

fn production() -> String {
    "production".to_owned()
}

const fn yes() -> bool {
    true
}
