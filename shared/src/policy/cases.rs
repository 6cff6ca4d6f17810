//! Cases: what a pack's author says must be decided, in `tests/*.yaml`, and whether it is.

mod done;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::bundle::Bundle;
use super::evaluate::Judgement;
use super::finding::{Finding, Place};
use super::pack::Pack;
use super::roster::{InvalidTeam, Roster, SeatError, Seated, TEAMS_MAX, TeamName};
use super::trial::{Authority, Trial};
use crate::action::Arguments;
use crate::decision::{Cause, Verdict};
use crate::grant::{DataScope, parse_risk};
use crate::identity::SpiffeId;
use crate::label::Label;
use done::Done;

/// The moment at which a case is judged unless it names one, and every probe of the self-test: 2026-01-01T00:00:00Z. Never
/// the clock of whoever composes, or the same packs would give other bytes each time.
pub const CASE_NOW_MS_DEFAULT: u64 = 1_767_225_600_000;

/// One case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    file: String,
    /// The call it makes.
    pub(super) trial: Trial,
    /// The teams of the register that its agent is in.
    teams: BTreeSet<TeamName>,
    expect: Expect,
}

/// How a case came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// What the case is called.
    pub name: String,
    /// Where it stands.
    pub file: String,
    /// The tool it calls.
    pub tool: String,
    /// Whether the verdict is the expected one.
    pub passed: bool,
    /// What the case expects, for people.
    pub expected: String,
    /// What was decided, for people.
    pub found: String,
    /// Why, as an agent would be told.
    pub reason: String,
}

/// What a case expects; what it leaves out may be anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(deserialize_with = "word")]
    verdict: Verdict,
    rules: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    yields: Option<Vec<String>>,
    #[serde(default, deserialize_with = "optional_word")]
    cause: Option<Cause>,
}

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    agent: SpiffeId,
    #[serde(default)]
    teams: Vec<String>,
    task: WrittenTask,
    tool: String,
    #[serde(default)]
    arguments: serde_yaml_ng::Mapping,
    now: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTask {
    user: String,
    scope: Vec<String>,
    #[serde(default)]
    named: Vec<Scalar>,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    intent: String,
    risk: Option<Scalar>,
    #[serde(default)]
    delegated_by: Vec<SpiffeId>,
    data: Option<Vec<String>>,
    #[serde(default)]
    done: Done,
}

/// A value the user named, or a risk: text, or a number that YAML takes for one.
struct Scalar(String);

/// Runs a pack's cases against a bundle it is part of.
pub fn run_cases(pack: &Pack, bundle: &Arc<Bundle>) -> Vec<CaseResult> {
    pack.cases.iter().map(|case| case.run(bundle)).collect()
}

impl Case {
    /// Reads a file of cases.
    pub(super) fn parse_file(place: Place<'_>) -> Result<Vec<Self>, Finding> {
        let written: Vec<Written> = serde_yaml_ng::from_str(place.text).map_err(|error| {
            let message = format!("not a list of cases: {error}");
            let help = "a case has `name`, `agent`, `task`, `tool`, `arguments`, `expect` and perhaps `teams` and `now`";
            match error.location() {
                Some(at) => place.error(place.offset(at.line(), at.column()), message, help),
                None => place.whole(message, help),
            }
        })?;
        written
            .into_iter()
            .map(|written| Self::read(place, written))
            .collect()
    }

    fn read(place: Place<'_>, written: Written) -> Result<Self, Finding> {
        let name = written.name;
        let wrong = |why: &dyn fmt::Display| {
            let at = place.text.find(name.as_str()).unwrap_or_default();
            place.error(
                at..at + name.len(),
                format!("the case `{name}` can't be run: {why}"),
                "",
            )
        };
        let json = serde_json::to_vec(&written.arguments).map_err(|error| wrong(&error))?;
        let arguments = Arguments::parse(&json).map_err(|error| wrong(&error))?;
        let now_ms = match written.now.as_deref() {
            None => CASE_NOW_MS_DEFAULT,
            Some(text) => moment_ms(text)
                .ok_or_else(|| wrong(&"`now` is not a moment after 1970; write `2026-01-31T12:00:00Z`"))?,
        };
        let teams = written.teams.iter().map(|team| team.parse());
        let teams: BTreeSet<_> = teams
            .collect::<Result<_, InvalidTeam>>()
            .map_err(|error| wrong(&error))?;
        if teams.len() > TEAMS_MAX {
            return Err(wrong(&format_args!("an agent is in at most {TEAMS_MAX} teams")));
        }
        let task = written.task;
        let risk = task.risk.map_or(Ok(0), |risk| parse_risk(&risk.0));
        let data = task.data.map(DataScope::parse).transpose();
        let authority = Authority {
            user: task.user,
            scope: task.scope,
            data: data.map_err(|error| wrong(&error))?,
            named: task.named.into_iter().map(|scalar| scalar.0).collect(),
            intent: task.intent,
            environment: task.environment,
            risk: risk.map_err(|error| wrong(&error))?,
            delegated_by: task.delegated_by,
            pedigree: task.done.pedigree(),
            ledger: task.done.ledger(now_ms).map_err(|error| wrong(&error))?,
        };
        let trial = Trial::new(
            name.clone(),
            written.agent,
            written.tool,
            arguments,
            authority,
            now_ms,
        )
        .map_err(|error| wrong(&error))?;
        Ok(Self {
            file: place.file.to_owned(),
            trial,
            teams,
            expect: written.expect,
        })
    }

    fn run(&self, bundle: &Arc<Bundle>) -> CaseResult {
        let agent = self.trial.grant.agent.clone();
        let roster = Roster {
            revision: 0,
            agents: BTreeMap::from([(agent, self.teams.clone())]),
        };
        let judged = match Seated::new(bundle, &roster) {
            Ok(None) => self.trial.judge(bundle),
            Ok(Some(seated)) => seated.judge(&self.trial.situation()),
            Err(error) => return self.failed(&error),
        };
        CaseResult {
            name: self.trial.name.clone(),
            file: self.file.clone(),
            tool: self.trial.action.tool.clone(),
            passed: self.expect.accepts(&judged),
            expected: self.expect.to_string(),
            found: self.expect.found(&judged),
            reason: judged.reason,
        }
    }

    /// Not judged at all.
    fn failed(&self, error: &SeatError) -> CaseResult {
        CaseResult {
            name: self.trial.name.clone(),
            file: self.file.clone(),
            tool: self.trial.action.tool.clone(),
            passed: false,
            expected: self.expect.to_string(),
            found: "no verdict".to_owned(),
            reason: error.to_string(),
        }
    }
}

impl Expect {
    fn accepts(&self, judged: &Judgement) -> bool {
        let same = |expected: &Option<Vec<String>>, found: Vec<&str>| {
            expected
                .as_ref()
                .is_none_or(|expected| sorted(expected.iter().map(String::as_str)) == found)
        };
        self.verdict == judged.verdict
            && self.cause.is_none_or(|cause| cause == judged.cause)
            && same(&self.rules, sorted(judged.rules.iter().map(String::as_str)))
            && same(&self.groups, groups(judged))
            && same(&self.yields, yields(judged))
    }

    /// What was decided, in the words in which it was expected, and the cause beside it.
    fn found(&self, judged: &Judgement) -> String {
        let by = match judged.rules.as_slice() {
            [] if self.rules.is_none() => String::new(),
            rules => format!(" by {}", listed(rules, "no rule")),
        };
        let waiting = match groups(judged).as_slice() {
            [] if self.groups.is_none() => String::new(),
            groups => format!(" for {}", listed(groups, "nobody")),
        };
        let labels = match yields(judged).as_slice() {
            [] if self.yields.is_none() => String::new(),
            labels => format!(" yielding {}", listed(labels, "nothing")),
        };
        format!("{} ({}){by}{waiting}{labels}", judged.verdict, judged.cause)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if let Some(cause) = self.cause {
            write!(f, " ({cause})")?;
        }
        if let Some(rules) = &self.rules {
            write!(f, " by {}", listed(rules, "no rule"))?;
        }
        if let Some(groups) = &self.groups {
            write!(f, " for {}", listed(groups, "nobody"))?;
        }
        if let Some(labels) = &self.yields {
            write!(f, " yielding {}", listed(labels, "nothing"))?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_yaml_ng::Value::deserialize(deserializer)? {
            serde_yaml_ng::Value::String(text) => Ok(Self(text)),
            serde_yaml_ng::Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom(
                "a value that the user named is text or a number, and so is a risk",
            )),
        }
    }
}

/// A moment as RFC 3339 writes it.
fn moment_ms(text: &str) -> Option<u64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Names, or the word for none.
fn listed<S: AsRef<str>>(names: &[S], none: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        none.to_owned()
    } else {
        names.join(", ")
    }
}

/// The groups a hold waits for, each once.
fn groups(judged: &Judgement) -> Vec<&str> {
    sorted(
        judged
            .requirements
            .iter()
            .map(|requirement| requirement.group.as_str()),
    )
}

/// What the call brings into its task.
fn yields(judged: &Judgement) -> Vec<&str> {
    judged.yields.iter().map(Label::as_str).collect()
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn word<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn optional_word<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    word(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
