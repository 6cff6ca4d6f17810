//! The self-test: actions, and what the control plane decided on them with the composed bundle and a fixed clock. An
//! enforcer that decides otherwise refuses the bundle.
//!
//! **Invariant**: derived from the packs alone, in a defined order, so that the same packs give the same bytes.

mod probe;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use checkrein_proto::policy::v1 as wire;
use prost::Message;

use super::bundle::{Bundle, BundleError};
use super::evaluate::Judgement;
use super::pack::Pack;
use super::trial::{Authority, Trial};
use crate::action::{Arguments, Sha256};
use crate::decision::{Cause, Tier, Verdict};
use crate::grant::DataScope;
use crate::hold::Requirement;
use crate::label::Label;
use crate::ledger::{Ledger, Pedigree};
use crate::wire::{ids, labels_from_wire, parsed_ids};
use probe::Prober;

/// A bundle carries at most this many self-tests. Packs take turns until it is full, within a pack cases and probes, and
/// within the probes tools: no pack and no tool is left out before all have had a turn.
pub const SELF_TESTS_MAX: usize = 2_000;

/// Of a catalog entry, of as many rules, and of a resource: more labels than one call ever has.
const SELF_TEST_LABELS_MAX: usize = 1_024;

/// What the digest in the manifest begins with.
const DIGEST_DOMAIN: &[u8] = b"checkrein.self-test.v1";

/// Actions, and what was decided on them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SelfTests(Vec<SelfTest>);

#[derive(Debug, Clone, PartialEq)]
struct SelfTest {
    trial: Trial,
    outcome: Outcome,
}

/// What must come out the same: everything that anybody acts on. The reason is words for people, the rules' own among them
/// stand in the requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    verdict: Verdict,
    cause: Cause,
    tier: Tier,
    rules: Vec<String>,
    requirements: Vec<Requirement>,
    yields: BTreeSet<Label>,
}

/// Takes one of each lane in turn, until all are empty.
struct Turns<'a, T>(VecDeque<Lane<'a, T>>);

type Lane<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

impl SelfTests {
    /// Every case of every pack, and probes of every tool; judged.
    pub(super) fn derive(packs: &[&Pack], bundle: &Bundle) -> Self {
        let prober = Prober::of(packs, bundle);
        let trials = Turns(packs.iter().map(|pack| trials_of(pack, &prober)).collect());
        let judged = trials.take(SELF_TESTS_MAX).map(|trial| SelfTest {
            outcome: trial.judge(bundle).into(),
            trial,
        });
        Self(judged.collect())
    }

    /// The digest that stands in the manifest.
    pub(super) fn sha256(&self) -> Sha256 {
        Sha256::of_parts(&[DIGEST_DOMAIN, &self.encode()])
    }

    /// Judges again, here, and compares.
    pub(super) fn check(&self, bundle: &Bundle, expected: Sha256) -> Result<(), BundleError> {
        for test in &self.0 {
            if Outcome::from(test.trial.judge(bundle)) != test.outcome {
                return Err(BundleError::SelfTest(test.trial.name.clone()));
            }
        }
        if self.sha256() == expected {
            Ok(())
        } else {
            Err(BundleError::SelfTest("the list of self-tests itself".to_owned()))
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        wire::SelfTestSegment {
            tests: self.0.iter().map(encode).collect(),
        }
        .encode_to_vec()
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, String> {
        let segment = wire::SelfTestSegment::decode(bytes).map_err(|error| error.to_string())?;
        if segment.tests.len() > SELF_TESTS_MAX {
            return Err(format!("it has more than {SELF_TESTS_MAX} self-tests"));
        }
        segment
            .tests
            .into_iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl From<Judgement> for Outcome {
    fn from(judged: Judgement) -> Self {
        Self {
            verdict: judged.verdict,
            cause: judged.cause,
            tier: judged.tier,
            rules: judged.rules,
            requirements: judged.requirements,
            yields: judged.yields,
        }
    }
}

impl<T> Iterator for Turns<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while let Some(mut lane) = self.0.pop_front() {
            if let Some(item) = lane.next() {
                self.0.push_back(lane);
                return Some(item);
            }
        }
        None
    }
}

/// What a pack has to try: its cases, and probes of its tools.
fn trials_of<'a>(pack: &'a Pack, prober: &'a Prober) -> Lane<'a, Trial> {
    let cases = pack.cases.iter().map(|case| {
        let mut trial = case.trial.clone();
        trial.name = format!("{}: {}", pack.name, trial.name);
        trial
    });
    let tools = pack.tools.iter().enumerate();
    let probes = tools.map(|(at, tool)| Box::new(prober.probes(at, tool)) as Lane<'_, Trial>);
    let lanes: [Lane<'_, Trial>; 2] = [Box::new(cases), Box::new(Turns(probes.collect()))];
    Box::new(Turns(lanes.into()))
}

fn encode(test: &SelfTest) -> wire::SelfTest {
    let Trial {
        name,
        action,
        grant,
        delegated_by,
        now_ms,
        ledger,
        pedigree,
    } = &test.trial;
    let outcome = &test.outcome;
    wire::SelfTest {
        name: name.clone(),
        agent: grant.agent.to_string(),
        user: grant.user.clone(),
        scope: grant.scope.tools().map(str::to_owned).collect(),
        named: grant.named.clone(),
        intent: grant.intent.clone(),
        environment: grant.environment.clone(),
        tool: action.tool.clone(),
        arguments: action.arguments.canonical().into(),
        now_unix_ms: *now_ms,
        verdict: outcome.verdict.to_string(),
        rules: outcome.rules.clone(),
        cause: outcome.cause.to_string(),
        tier: outcome.tier.to_string(),
        requirements: outcome.requirements.iter().map(Into::into).collect(),
        risk: grant.limits.risk.into(),
        delegated_by: ids(delegated_by),
        data: grant.data.as_ref().map(Into::into),
        ledger: (*ledger != Ledger::default()).then(|| ledger.into()),
        yields: outcome.yields.iter().map(ToString::to_string).collect(),
        pedigree: (*pedigree != Pedigree::default()).then(|| pedigree.into()),
    }
}

fn decode(test: wire::SelfTest) -> Result<SelfTest, String> {
    let why = |error: &dyn std::error::Error| error.to_string();
    let outcome = Outcome {
        verdict: test.verdict.parse().map_err(|error| why(&error))?,
        cause: test.cause.parse().map_err(|error| why(&error))?,
        tier: test.tier.parse().map_err(|error| why(&error))?,
        rules: test.rules,
        requirements: test.requirements.into_iter().map(Into::into).collect(),
        yields: labels_from_wire(&test.yields, SELF_TEST_LABELS_MAX).map_err(|error| why(&error))?,
    };
    let ledger = test.ledger.map(Ledger::try_from).transpose();
    let data = test.data.map(DataScope::try_from).transpose();
    let trial = Trial::new(
        test.name,
        test.agent.parse().map_err(|error| why(&error))?,
        test.tool,
        Arguments::parse(&test.arguments).map_err(|error| why(&error))?,
        Authority {
            user: test.user,
            scope: test.scope,
            data: data.map_err(|error| why(&error))?,
            ledger: ledger.map_err(|error| why(&error))?.unwrap_or_default(),
            pedigree: test.pedigree.map(Into::into).unwrap_or_default(),
            named: test.named,
            intent: test.intent,
            environment: test.environment,
            risk: u8::try_from(test.risk).map_err(|error| why(&error))?,
            delegated_by: parsed_ids(&test.delegated_by).map_err(|error| why(&error))?,
        },
        test.now_unix_ms,
    )
    .map_err(|error| why(&error))?;
    Ok(SelfTest { trial, outcome })
}

#[cfg(test)]
mod tests;
