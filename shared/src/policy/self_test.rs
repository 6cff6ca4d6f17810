//! The self-test: actions, and what the control plane decided on them with the composed bundle and a fixed clock. An
//! enforcer that decides otherwise refuses the bundle.
//!
//! **Invariant**: derived from the packs alone, in a defined order, so that the same packs give the same bytes.

use bytes::Bytes;
use checkrein_proto::policy::v1 as wire;
use prost::Message;

use super::bundle::{Bundle, BundleError};
use super::cases::CASE_NOW_MS_DEFAULT;
use super::evaluate::Judgement;
use super::pack::Pack;
use super::trial::{Authority, Trial};
use crate::action::{Arguments, Sha256};
use crate::decision::Verdict;

/// A bundle carries at most this many self-tests; the first, in order, are taken.
pub const SELF_TESTS_MAX: usize = 2_000;

/// Who asks in the probes that no case of a pack made.
const PROBE_AGENT: &str = "spiffe://checkrein.invalid/agent/self-test";

/// Actions, and what was decided on them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SelfTests(Vec<SelfTest>);

#[derive(Debug, Clone, PartialEq)]
struct SelfTest {
    trial: Trial,
    verdict: Verdict,
    rules: Vec<String>,
}

impl SelfTests {
    /// Every case of every pack, and one call without arguments of every tool; judged.
    pub(super) fn derive(packs: &[&Pack], bundle: &Bundle) -> Self {
        let cases = packs.iter().flat_map(|pack| {
            let named = |mut trial: Trial| {
                trial.name = format!("{}: {}", pack.name, trial.name);
                trial
            };
            pack.cases.iter().map(move |case| named(case.trial.clone()))
        });
        let tools = packs.iter().flat_map(|pack| pack.tools());
        let probes = tools.filter_map(|tool| probe(&tool.id));
        let judged = cases.chain(probes).take(SELF_TESTS_MAX).map(|trial| {
            let Judgement { verdict, rules, .. } = trial.judge(bundle);
            SelfTest {
                trial,
                verdict,
                rules,
            }
        });
        Self(judged.collect())
    }

    /// The digest that stands in the manifest: of names, verdicts and rules, each after its length.
    pub(super) fn sha256(&self) -> Sha256 {
        let mut bytes = Vec::new();
        let mut push = |part: &str| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        };
        push("checkrein.self-test.v1");
        for test in &self.0 {
            push(&test.trial.name);
            push(test.verdict.as_str());
            push(&test.rules.len().to_string());
            test.rules.iter().for_each(|rule| push(rule));
        }
        Sha256::of(&bytes)
    }

    /// Judges again, here, and compares.
    pub(super) fn check(&self, bundle: &Bundle, expected: Sha256) -> Result<(), BundleError> {
        for test in &self.0 {
            let judged = test.trial.judge(bundle);
            if (judged.verdict, &judged.rules) != (test.verdict, &test.rules) {
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
        let encode = |test: &SelfTest| {
            let Trial {
                name,
                action,
                grant,
                now_ms,
            } = &test.trial;
            wire::SelfTest {
                name: name.clone(),
                agent: grant.agent.to_string(),
                user: grant.user.clone(),
                scope: grant.scope.patterns().to_vec(),
                named: grant.named.clone(),
                intent: grant.intent.clone(),
                environment: grant.environment.clone(),
                tool: action.tool.clone(),
                arguments: action.arguments.canonical().into(),
                now_unix_ms: *now_ms,
                verdict: test.verdict.to_string(),
                rules: test.rules.clone(),
            }
        };
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

fn decode(test: wire::SelfTest) -> Result<SelfTest, String> {
    let why = |error: &dyn std::error::Error| error.to_string();
    let trial = Trial::new(
        test.name,
        test.agent.parse().map_err(|error| why(&error))?,
        test.tool,
        Arguments::parse(&test.arguments).map_err(|error| why(&error))?,
        Authority {
            user: test.user,
            scope: test.scope,
            named: test.named,
            intent: test.intent,
            environment: test.environment,
        },
        test.now_unix_ms,
    )
    .map_err(|error| why(&error))?;
    Ok(SelfTest {
        trial,
        verdict: test.verdict.parse().map_err(|error| why(&error))?,
        rules: test.rules,
    })
}

fn probe(tool: &str) -> Option<Trial> {
    let authority = Authority {
        scope: vec![tool.to_owned()],
        ..Default::default()
    };
    let agent = PROBE_AGENT.parse().ok()?;
    Trial::new(
        format!("probe of {tool}"),
        agent,
        tool.to_owned(),
        Arguments::none(),
        authority,
        CASE_NOW_MS_DEFAULT,
    )
    .ok()
}
