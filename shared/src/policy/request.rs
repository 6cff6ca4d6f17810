//! What rules are asked about: principal, action, resource and context, built from a call and its grant.
//!
//! The context is put together as values, without JSON and without a schema: the catalog's types have already said what the
//! arguments are, and a test holds what is built here to the schema that rules are validated against.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::{Context, EntityUID, EntityUIDEntry, Request, Value};
use cedar_policy_core::entities::Entities;
use smol_str::SmolStr;

use super::argument::ArgumentType;
use super::bundle::CompiledTool;
use super::catalog::{Reversibility, Tool};
use super::evaluate::{ResultSize, Situation, sensitivity_of};
use super::reads::{ARGUMENTS_FROM, INPUT, LEDGER, RESULT, RISK, TASK};
use super::risk::Exposure;
use super::value::{Mismatch, decimal_text};
use super::{entity, extension, intent};
use crate::action::Json;
use crate::identity::SpiffeId;
use crate::ledger::{Amounts, Ledger, Meter, Pedigree};

/// What is known beside the call, and is asked for by a rule.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    pub(super) ledger: Option<&'a Ledger>,
    pub(super) pedigree: Option<&'a Pedigree>,
}

/// A call, as rules see it.
pub(super) struct Question {
    pub(super) principal: EntityUID,
    pub(super) action: EntityUID,
    pub(super) resource: EntityUID,
    pub(super) context: Context,
    input: Vec<(SmolStr, Value)>,
    /// Arguments that were sent, and that rules can't see: Cedar has no exact value for them.
    pub(super) inexact: Vec<String>,
}

impl Question {
    /// Builds it without a context, or says what is wrong with the arguments.
    pub(super) fn new(compiled: &CompiledTool, situation: &Situation<'_>) -> Result<Self, Mismatch> {
        let arguments = &situation.action.arguments;
        let mut inexact = Vec::new();
        let types = &compiled.tool.arguments;
        let input = types.members_of(arguments.members(), |name| inexact.push(name.to_owned()));
        let input = input.map_err(|mismatch| mismatch.above(&compiled.tool.secret))?;
        Ok(Self {
            principal: entity::of(&entity::AGENT, situation.grant.agent.as_str()),
            action: compiled.action.clone(),
            resource: resource(compiled, situation)?,
            context: Context::empty(),
            input,
            inexact,
        })
    }

    /// With all that rules read; of what is known beside the call only what one of them reads, for it costs more than the rest.
    pub(super) fn within(
        mut self,
        tools: &HashMap<String, CompiledTool>,
        situation: &Situation<'_>,
        known: Known<'_>,
        entities: &Entities,
    ) -> Self {
        let Some(compiled) = tools.get(situation.action.tool.as_str()) else {
            return self;
        };
        let ledger = known.ledger;
        let risk = ledger.map(|ledger| self.risk(&compiled.tool, situation, ledger, entities));
        let ledger = ledger.map(|ledger| members_of_ledger(ledger, tools, situation.now_ms));
        let input = std::mem::take(&mut self.input);
        let from = known
            .pedigree
            .map(|pedigree| arguments_from(compiled, situation, pedigree));
        let more = [
            (RISK, risk.map(|risk| Value::from(i64::from(risk)))),
            (ARGUMENTS_FROM, from),
        ];
        self.context = context(compiled, situation, input, ledger.into_iter().flatten(), more);
        self
    }

    fn risk(&self, tool: &Tool, situation: &Situation<'_>, ledger: &Ledger, entities: &Entities) -> u8 {
        let resource = sensitivity_of(&self.resource, entities);
        let (depth, floor) = (situation.delegated_by.len(), situation.grant.limits.risk);
        Exposure::of(Some(tool), ledger, resource, depth, floor).total()
    }

    /// As the evaluator takes it.
    pub(super) fn request(&self) -> Request {
        let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
        Request::new_unchecked(
            known(&self.principal),
            known(&self.action),
            known(&self.resource),
            Some(self.context.clone()),
        )
    }
}

/// What the call touches. A tool with a resource is never judged without one: a rule about certain resources would be
/// passed by.
fn resource(compiled: &CompiledTool, situation: &Situation<'_>) -> Result<EntityUID, Mismatch> {
    let Some(resource) = &compiled.tool.resource else {
        return Ok(entity::of(&entity::TOOL, &compiled.tool.id));
    };
    let mismatch = |wrong: &str| Mismatch {
        path: resource.argument.clone(),
        wrong: wrong.to_owned(),
    };
    let is_long = matches!(
        compiled.tool.argument(&resource.argument),
        Some(ArgumentType::Scalar(super::argument::Scalar::Long))
    );
    let id = match situation.action.arguments.get(&resource.argument) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => {
            let text = if is_long {
                number.to_long().map(|value| value.to_string())
            } else {
                number.to_decimal_units().map(decimal_text)
            };
            text.ok_or_else(|| {
                mismatch("names the resource, and has no exact value that rules could compare")
            })?
        }
        None | Some(Json::Null) => return Err(mismatch("names the resource, and is missing")),
        Some(_) => return Err(mismatch("names the resource, and is neither text nor number")),
    };
    Ok(entity::of(&compiled.resource_type, &id))
}

/// What the task has done, as members of `context.task`. Rules know the tools of their own bundle.
fn members_of_ledger(
    ledger: &Ledger,
    tools: &HashMap<String, CompiledTool>,
    now_ms: u64,
) -> [(SmolStr, Value); LEDGER.len()] {
    let long = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let known = ledger
        .used
        .iter()
        .filter(|(tool, _)| tools.contains_key(tool.as_str()));
    let used = known.map(|(tool, used)| {
        let ago = extension::milliseconds(now_ms.saturating_sub(used.last_ms));
        let of_tool = [("times", Some(long(used.times))), ("ago", ago)];
        (SmolStr::new(tool), Value::record(present(of_tool), None))
    });
    let class = ledger.reversibility.map_or(0, Reversibility::rank);
    let values = [
        Value::set(
            ledger.labels.iter().map(|label| Value::from(label.as_str())),
            None,
        ),
        long(ledger.sensitivity().rank().into()),
        long(ledger.calls),
        Value::record(used, None),
        long(class.into()),
        spent(&ledger.spent),
    ];
    let mut names = LEDGER.into_iter().map(SmolStr::new_static);
    values.map(|value| (names.next().unwrap_or_default(), value))
}

/// How much of each meter its calls have used up, and may still.
fn spent(spent: &Amounts) -> Value {
    let member = |meter: Meter| {
        let amount = i64::try_from(spent.get(meter).unwrap_or_default()).unwrap_or(i64::MAX);
        let value = match meter {
            Meter::Money => extension::decimal(&decimal_text(amount)),
            _ => Some(Value::from(amount)),
        };
        (meter.as_str(), value)
    };
    Value::record(present(Meter::OF_TASKS.map(member)), None)
}

/// How much a call gave, as far as it is known.
fn result(size: ResultSize) -> Value {
    let long = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let members = [("bytes", Some(long(size.bytes))), ("rows", size.rows.map(long))];
    Value::record(present(members), None)
}

fn context(
    compiled: &CompiledTool,
    situation: &Situation<'_>,
    input: Vec<(SmolStr, Value)>,
    ledger: impl Iterator<Item = (SmolStr, Value)>,
    more: [(&'static str, Option<Value>); 2],
) -> Context {
    let grant = situation.grant;
    let age_ms = situation.now_ms.saturating_sub(grant.issued_ms);
    let text = |text: &str| Value::from(text);
    let scope = grant.scope.tools().map(text);
    let data = grant.data.as_ref();
    let task = [
        ("id", Some(text(&grant.task.to_string()))),
        ("intent", Some(text(&grant.intent))),
        ("scope", Some(Value::set(scope, None))),
        ("age", extension::milliseconds(age_ms)),
        ("risk", Some(Value::from(i64::from(grant.limits.risk)))),
        // Absent: any. A rule asks with `has`.
        ("data", data.map(|data| Value::set(data.labels().map(text), None))),
    ];
    let yields = compiled.tool.yields.iter().map(|label| text(label.as_str()));
    let tool = [("yields", Some(Value::set(yields, None)))];
    let named = intent::named_arguments(
        &situation.action.arguments,
        &compiled.tool.arguments,
        &grant.named,
    );
    let members = [
        (INPUT, Some(Value::record(input, None))),
        (TASK, Some(Value::record(present(task).chain(ledger), None))),
        ("chain", Some(Value::record(present(chain(situation)), None))),
        ("tool", Some(Value::record(present(tool), None))),
        ("user", Some(Value::from(entity::of(&entity::USER, &grant.user)))),
        ("environment", Some(text(&grant.environment))),
        ("now", extension::moment(situation.now_ms)),
        ("policy_age", extension::milliseconds(situation.policy_age_ms)),
        ("arguments_from_intent", Some(Value::set(named.map(text), None))),
        // Absent, until the call has been made.
        (RESULT, situation.result.map(result)),
    ];
    let members = present(members).chain(present(more));
    Context::Value(Arc::new(members.collect::<BTreeMap<_, _>>()))
}

/// The names of arguments, by who gave their values. One may stand in several, or in none: then nobody knows.
fn arguments_from(compiled: &CompiledTool, situation: &Situation<'_>, pedigree: &Pedigree) -> Value {
    let arguments = &situation.action.arguments;
    let user = intent::named_arguments(arguments, &compiled.tool.arguments, &situation.grant.named);
    let is_named = intent::is_named(&situation.grant.named);
    let those = |is_one: &dyn Fn(&Json) -> bool| {
        let found = arguments.members().filter(|(_, json)| is_one(json));
        Value::set(found.map(|(name, _)| Value::from(name)), None)
    };
    let members = [
        ("user", Some(Value::set(user.map(Value::from), None))),
        (
            "trusted",
            Some(those(&|json| pedigree.is_trusted(json, &is_named))),
        ),
        (
            "untrusted",
            Some(those(&|json| pedigree.is_untrusted(json, &is_named))),
        ),
    ];
    Value::record(present(members), None)
}

/// Through whose hands the grant went. The parent of a grant that nobody passed on is absent.
fn chain(situation: &Situation<'_>) -> [(&'static str, Option<Value>); 4] {
    let agent = |agent: &SpiffeId| Value::from(entity::of(&entity::AGENT, agent.as_str()));
    let own = &situation.grant.agent;
    let above = situation.delegated_by;
    let depth = i64::try_from(above.len()).ok();
    [
        ("depth", depth.map(Value::from)),
        (
            "agents",
            Some(Value::set(above.iter().chain([own]).map(agent), None)),
        ),
        ("root", Some(agent(above.first().unwrap_or(own)))),
        ("parent", above.last().map(agent)),
    ]
}

/// Members that have a value. A moment that Cedar can't express is absent, and a rule that reads it errs: a forbid denies.
fn present<const N: usize>(
    members: [(&'static str, Option<Value>); N],
) -> impl Iterator<Item = (SmolStr, Value)> {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((SmolStr::new_static(name), value?)))
}

#[cfg(test)]
mod tests;
