//! Probes: calls that no case makes, so that rules are asked about every tool.
//!
//! Arguments are made from the catalog's types, since a call that is not of them never reaches a rule. Who asks are the agents
//! that rules and entities speak of, and one that none knows. Each asks twice: barely, with what must be there and nothing
//! named; and fully, with every argument, every value named, a resource that exists, and a task that may touch what the tool
//! yields and no other data. A tool that yields something is also asked for by a task that may touch nothing, and every tool by
//! one that carries each label that any tool or rule yields and has used every tool of the pack, the worst among them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::EntityUID;
use serde_json::{Map, Value};

use crate::action::Arguments;
use crate::grant::DataScope;
use crate::identity::SpiffeId;
use crate::label::Label;
use crate::ledger::{LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Sensitivity};
use crate::policy::argument::{ArgumentType, RecordType, Scalar};
use crate::policy::bundle::Bundle;
use crate::policy::cases::CASE_NOW_MS_DEFAULT;
use crate::policy::catalog::Tool;
use crate::policy::entity;
use crate::policy::pack::Pack;
use crate::policy::rule::RuleKind;
use crate::policy::trial::{Authority, Trial};

/// Each tool is probed as at most this many of the agents that packs speak of; the next tool as the next ones.
/// An enforcer judges every probe before it decides anything.
const AGENTS_PER_TOOL_MAX: usize = 2;
/// The agent that no pack speaks of.
const STRANGER: &str = "spiffe://checkrein.invalid/agent/self-test";
/// Where a full probe happens.
const ENVIRONMENT: &str = "production";

/// What packs give to probe with.
pub(super) struct Prober {
    stranger: Option<SpiffeId>,
    /// Those whom rules name, and of those with the same groups the first.
    agents: Vec<SpiffeId>,
    /// The first entity of each type.
    resources: BTreeMap<String, String>,
    /// What a task has done that has done everything.
    tainted: Ledger,
}

/// How a call is made up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// Only what must be there.
    Bare,
    /// Everything that may be there.
    Full,
}

impl Prober {
    pub(super) fn of(packs: &[&Pack], bundle: &Bundle) -> Self {
        let agent = |uid: &EntityUID| uid.eid().as_ref().parse::<SpiffeId>().ok();
        let is_agent = |uid: &EntityUID| *uid.entity_type() == *entity::AGENT;
        let mut resources = BTreeMap::new();
        let mut by_groups = BTreeMap::new();
        // Cedar keeps entities in no order.
        let known: BTreeMap<_, _> = bundle
            .entities
            .iter()
            .map(|one| (one.uid().clone(), one))
            .collect();
        for (uid, entity) in &known {
            if is_agent(uid) {
                let groups: BTreeSet<_> = entity.ancestors().cloned().collect();
                by_groups.entry(groups).or_insert(uid.clone());
            } else {
                let id: &str = uid.eid().as_ref();
                resources
                    .entry(uid.entity_type().to_string())
                    .or_insert(id.to_owned());
            }
        }
        let rules = packs.iter().flat_map(|pack| &pack.rules);
        let named = rules.filter_map(|rule| {
            let principal = rule.policy.principal_constraint();
            let uid = principal.as_inner().get_euid()?.as_ref().clone();
            is_agent(&uid).then_some(uid)
        });
        let agents: BTreeSet<_> = named.chain(by_groups.into_values()).collect();
        Self {
            stranger: STRANGER.parse().ok(),
            agents: agents.iter().filter_map(agent).collect(),
            resources,
            tainted: tainted(packs),
        }
    }

    /// The probes of a tool, the `at`th of its pack.
    pub(super) fn probes<'a>(&'a self, at: usize, tool: &'a Tool) -> impl Iterator<Item = Trial> + 'a {
        let count = self.agents.len();
        let turn = (0..AGENTS_PER_TOOL_MAX.min(count))
            .filter_map(move |nth| self.agents.get((at * AGENTS_PER_TOOL_MAX + nth) % count));
        let agents = self.stranger.iter().chain(turn);
        let probes = agents.flat_map(move |agent| {
            [Fill::Bare, Fill::Full]
                .into_iter()
                .filter_map(move |fill| self.probe(tool, agent, fill))
        });
        probes.chain(self.blind(tool)).chain(self.tainted(tool))
    }

    /// A call of a task that has done everything: a build that loses the ledger lets it through.
    fn tainted(&self, tool: &Tool) -> Option<Trial> {
        let agent = self.agents.first().or(self.stranger.as_ref())?;
        let mut trial = self.probe(tool, agent, Fill::Full)?;
        trial.name = format!("tainted probe of {} as {agent}", tool.id);
        trial.grant.data = None;
        trial.ledger = self.tainted.clone();
        Some(trial)
    }

    /// A call of a task that may touch nothing of what the tool yields: a build that loses the labels lets it through.
    fn blind(&self, tool: &Tool) -> Option<Trial> {
        let agent = self.stranger.as_ref().filter(|_| !tool.yields.is_empty())?;
        let mut trial = self.probe(tool, agent, Fill::Bare)?;
        trial.name = format!("blind probe of {} as {agent}", tool.id);
        trial.grant.data = Some(DataScope::default());
        Some(trial)
    }

    fn probe(&self, tool: &Tool, agent: &SpiffeId, fill: Fill) -> Option<Trial> {
        let arguments = self.arguments(tool, fill);
        let mut named = Vec::new();
        if fill == Fill::Full {
            texts(&arguments, &mut named);
            named.sort();
            named.dedup();
        }
        let yields = tool.yields.iter().map(Label::as_str);
        let data = match fill {
            Fill::Bare => None,
            Fill::Full => Some(DataScope::parse(yields).ok()?),
        };
        let authority = Authority {
            scope: vec![tool.id.clone()],
            data,
            named,
            environment: fill.of("", ENVIRONMENT).to_owned(),
            ..Authority::default()
        };
        Trial::new(
            format!("{} probe of {} as {agent}", fill.of("bare", "full"), tool.id),
            agent.clone(),
            tool.id.clone(),
            Arguments::parse(arguments.to_string().as_bytes()).ok()?,
            authority,
            CASE_NOW_MS_DEFAULT,
        )
        .ok()
    }

    fn arguments(&self, tool: &Tool, fill: Fill) -> Value {
        let mut members = fill.record(&tool.arguments);
        // A tool with a resource is not asked about without one.
        if let Some(resource) = &tool.resource {
            let ty = tool.argument(&resource.argument);
            let known = self.resources.get(&resource.entity_type);
            let id = match (ty, known) {
                (Some(ArgumentType::Scalar(Scalar::String)), Some(id)) if fill == Fill::Full => {
                    Value::from(id.as_str())
                }
                (Some(ty), _) => fill.value(ty),
                (None, _) => Value::Null,
            };
            members.insert(resource.argument.clone(), id);
        }
        Value::Object(members)
    }
}

/// Every label and every tool of these packs, a minute before the probes.
fn tainted(packs: &[&Pack]) -> Ledger {
    let mut ledger = Ledger::default();
    let at_ms = CASE_NOW_MS_DEFAULT - 60_000;
    for tool in packs.iter().flat_map(|pack| &pack.tools).take(LEDGER_TOOLS_MAX) {
        ledger.count(&tool.id, tool.reversibility, at_ms);
    }
    let of_tools = packs
        .iter()
        .flat_map(|pack| &pack.tools)
        .flat_map(|tool| &tool.yields);
    let of_rules = packs
        .iter()
        .flat_map(|pack| &pack.rules)
        .filter_map(|rule| match &rule.kind {
            RuleKind::Yield(labels) => Some(labels),
            _ => None,
        });
    let labels: BTreeSet<&Label> = of_tools.chain(of_rules.flatten()).collect();
    let restricted = Sensitivity::Restricted.label();
    ledger.labels = restricted
        .into_iter()
        .chain(labels.into_iter().cloned())
        .take(LEDGER_LABELS_MAX)
        .collect();
    ledger
}

impl Fill {
    const fn of<'a>(self, bare: &'a str, full: &'a str) -> &'a str {
        match self {
            Self::Bare => bare,
            Self::Full => full,
        }
    }

    fn record(self, record: &RecordType) -> Map<String, Value> {
        let members = record.members.iter();
        members
            .filter(|member| member.required || self == Self::Full)
            .map(|member| (member.name.clone(), self.value(&member.ty)))
            .collect()
    }

    /// A value of this type that Cedar can express.
    fn value(self, ty: &ArgumentType) -> Value {
        match ty {
            ArgumentType::Scalar(scalar) => scalar_value(*scalar),
            ArgumentType::List(element) => Value::Array(vec![self.value(element)]),
            ArgumentType::Record(record) => Value::Object(self.record(record)),
            ArgumentType::Choice(alternatives) => {
                alternatives.first().map_or(Value::Null, |ty| self.value(ty))
            }
            ArgumentType::Enumeration(names) => names.variants.first().cloned().into(),
        }
    }
}

fn scalar_value(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Bool => true.into(),
        Scalar::Long | Scalar::Decimal => 1.into(),
        Scalar::String | Scalar::Opaque => "probe".into(),
        Scalar::Datetime => "2026-01-01".into(),
        Scalar::Duration => "1h".into(),
        Scalar::IpAddress => "192.0.2.1".into(),
        Scalar::Null => Value::Null,
    }
}

/// Every value, as a user would name it.
fn texts(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Null => {}
        Value::String(text) => found.push(text.clone()),
        Value::Bool(_) | Value::Number(_) => found.push(json.to_string()),
        Value::Array(elements) => elements.iter().for_each(|element| texts(element, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
    }
}
