//! Calls and what is to be decided of each, as JSON; every surface is asked the same.

use serde::Deserialize;

use super::fixture;
use super::pack::Pack;
use super::trial::{Authority, Trial};
use crate::action::Arguments;
use crate::decision::{Cause, Verdict};
use crate::ledger::Ledger;

const PAYMENTS: &str = include_str!("fixtures/corpus/payments.json");
/// Rules beside those of the pack: about what a task has done, and one that errs.
const RULES: &[u8] = include_bytes!("fixtures/corpus/rules.cedar");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default = "billing")]
    agent: String,
    #[serde(default = "send_money")]
    tool: String,
    /// The text that is sent, byte for byte.
    arguments: String,
    #[serde(default = "whole_bank")]
    scope: Vec<String>,
    #[serde(default = "named")]
    named: Vec<String>,
    #[serde(default = "production")]
    environment: String,
    /// What the task carries: of one call before.
    #[serde(default)]
    labels: Vec<String>,
    expect: Expected,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: String,
    cause: String,
    rules: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

fn billing() -> String {
    "spiffe://acme.example/agent/billing".to_owned()
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

/// What is decided of a call; arguments that can't be read are denied before any rule is asked.
fn decided(call: &Call, bundle: &super::Bundle) -> Expected {
    let Ok(arguments) = Arguments::parse(call.arguments.as_bytes()) else {
        return Expected {
            verdict: Verdict::Deny.to_string(),
            cause: Cause::InvalidArguments.to_string(),
            rules: Vec::new(),
            groups: Vec::new(),
        };
    };
    let authority = Authority {
        user: "alice".to_owned(),
        scope: call.scope.clone(),
        data: None,
        named: call.named.clone(),
        intent: String::new(),
        environment: call.environment.clone(),
        risk: 0,
        delegated_by: Vec::new(),
        ledger: Ledger {
            labels: call.labels.iter().map(|label| label.parse().unwrap()).collect(),
            ..Ledger::default()
        },
        pedigree: crate::ledger::Pedigree::default(),
    };
    let agent = call.agent.parse().unwrap();
    let trial = Trial::new(
        call.name.clone(),
        agent,
        call.tool.clone(),
        arguments,
        authority,
        1_700_000_000_000,
    );
    let judged = trial.unwrap().judge(bundle);
    let groups = judged
        .requirements
        .into_iter()
        .map(|requirement| requirement.group);
    Expected {
        verdict: judged.verdict.to_string(),
        cause: judged.cause.to_string(),
        rules: judged.rules,
        groups: groups.collect(),
    }
}

#[test]
fn every_call_of_the_corpus_is_decided_as_it_says() {
    let mut source = fixture::payments();
    source.files.insert("corpus.cedar".to_owned(), RULES.to_vec());
    let bundle = fixture::bundle(&[&Pack::parse(&source).unwrap()]);
    let calls: Vec<Call> = serde_json::from_str(PAYMENTS).unwrap();
    for call in &calls {
        assert_eq!(
            decided(call, &bundle),
            call.expect,
            "{}: {}",
            call.name,
            call.arguments
        );
    }
}
