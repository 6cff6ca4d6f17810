//! What would be decided about a call that nobody makes, and why: its tier, its risk, the rules that could apply.
//!
//! **Invariant**: every answer comes from the code that decides real calls; nothing is told here that it does not do.

mod done;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy_core::ast::{
    Context, EntityUID, EntityUIDEntry, Expr, Literal, PrincipalOrResourceConstraint, Request, SlotEnv,
    ValueKind,
};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use thiserror::Error;

use super::bundle::{Bundle, CompiledTool};
use super::cases::CASE_NOW_MS_DEFAULT;
use super::check::is_about;
use super::entity;
use super::evaluate::{Judgement, sensitivity_of};
use super::pack::{Bounds, Pack};
use super::reads::Reads;
use super::request::Question;
use super::risk::{Exposure, Risk};
use super::roster::{Roster, SeatError, Seated, TeamName};
use super::rule::{Origin, Rule, RuleKind};
use super::tier::TierReason;
use super::trial::{Authority, Trial};
use crate::action::Arguments;
use crate::decision::Tier;
use crate::grant::InvalidScope;
use crate::identity::SpiffeId;
use crate::label::Label;
use crate::ledger::{Ledger, Meter};

pub use done::Done;

/// A call to explain.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `<catalog>/<tool>`.
    pub tool: String,
    /// Its arguments; none: they are not known, and nothing can be said of a verdict or of a resource.
    pub arguments: Option<Arguments>,
    /// For whom the task is.
    pub user: String,
    /// Values the user named.
    pub named: Vec<String>,
    /// Where the task runs.
    pub environment: String,
    /// The floor of the risk.
    pub risk: u8,
    /// How many agents passed the task on.
    pub depth: u8,
    /// What the task carries.
    pub labels: BTreeSet<Label>,
    /// What it has done.
    pub done: Done,
    /// The teams that the register puts the agent into, beside those of the packs.
    pub teams: BTreeSet<TeamName>,
}

/// Why a call can't be explained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// No tool has such a name.
    #[error(transparent)]
    Tool(#[from] InvalidScope),
    /// Teams that can't be.
    #[error(transparent)]
    Teams(#[from] SeatError),
    /// No catalog here has this tool that was used.
    #[error("no task can have used `{0}`, which no catalog here knows; name a tool of these packs")]
    Used(String),
    /// Less than is said to have been used.
    #[error(
        "a task of {calls} calls can't have used tools {used} times; say as many calls, or leave them out"
    )]
    Calls {
        /// How many calls are said.
        calls: u64,
        /// How many there are of tools.
        used: u64,
    },
}

/// What is decided about it, and why.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Whether a catalog knows the tool.
    pub is_catalogued: bool,
    /// How much must be true before it is released.
    pub tier: Tier,
    /// What about the tool demands which tier, the highest first.
    pub tier_because: Vec<TierReason>,
    /// What its calls use up.
    pub costs: Vec<Meter>,
    /// Its calls can't be stopped once they began; what compensates.
    pub unstoppable: Option<String>,
    /// How old policy may be, as these packs have it.
    pub bounds: Bounds,
    /// How risky it is.
    pub risk: Risk,
    /// The rules that could apply, by pack and id.
    pub candidates: Vec<Candidate>,
    /// The verdict; none: without arguments there is none.
    pub judgement: Option<Judgement>,
}

/// A rule that could apply.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The pack it stands in.
    pub pack: String,
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: RuleKind,
    /// Where it stands.
    pub origin: Origin,
    /// Whether it has conditions beside its scope.
    pub has_conditions: bool,
    /// What they look at, beside what every call says of itself.
    pub asks: Asks,
}

/// What the conditions of a rule look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    /// What the task has done.
    pub ledger: bool,
    /// Where arguments came from.
    pub arguments_from: bool,
    /// What is known of the result.
    pub result: bool,
}

/// The scope of the call, as rules see it.
struct Scene<'a> {
    entities: &'a Entities,
    tool: &'a CompiledTool,
    principal: EntityUID,
    /// None: it is not known.
    resource: Option<EntityUID>,
}

/// Explains a call by this agent under these packs, of which the bundle was composed.
pub fn explain(
    packs: &[&Pack],
    bundle: &Arc<Bundle>,
    agent: &SpiffeId,
    mut asked: Asked,
) -> Result<Explanation, ExplainError> {
    let has_arguments = asked.arguments.is_some();
    let roster = Roster {
        revision: 0,
        agents: BTreeMap::from([(agent.clone(), std::mem::take(&mut asked.teams))]),
    };
    let seated = Seated::new(bundle, &roster)?;
    let entities = seated
        .as_ref()
        .map_or(&bundle.entities, |seated| &seated.entities);
    let ledger = asked.done.ledger(bundle, std::mem::take(&mut asked.labels))?;
    let trial = trial(agent, asked, ledger)?;
    let compiled = bundle.tools.get(&trial.action.tool);
    let scene = compiled.map(|tool| Scene::of(entities, tool, &trial));
    let resource = scene.as_ref().and_then(|scene| scene.resource.as_ref());
    let exposure = Exposure::of(
        compiled.map(|compiled| &compiled.tool),
        &trial.ledger,
        resource.and_then(|resource| sensitivity_of(resource, entities)),
        trial.delegated_by.len(),
        trial.grant.limits.risk,
    );
    let rules = packs
        .iter()
        .flat_map(|pack| pack.rules.iter().map(move |rule| (*pack, rule)));
    let mut candidates: Vec<Candidate> = rules
        .filter(|(_, rule)| scene.as_ref().is_some_and(|scene| scene.may_meet(rule)))
        .map(|(pack, rule)| Candidate::of(pack, rule))
        .collect();
    candidates.sort_by(|left, right| (&left.pack, &left.id).cmp(&(&right.pack, &right.id)));
    Ok(Explanation {
        is_catalogued: compiled.is_some(),
        tier: compiled.map_or(Tier::Full, |compiled| compiled.tier),
        tier_because: compiled.map_or_else(
            || vec![TierReason::uncatalogued()],
            |compiled| compiled.tool.tier_because(),
        ),
        costs: compiled.map_or_else(Vec::new, |compiled| compiled.tool.cost.keys().copied().collect()),
        unstoppable: compiled.and_then(|compiled| compiled.tool.unstoppable.clone()),
        bounds: bundle.bounds(),
        risk: exposure.risk(),
        candidates,
        // What no catalog knows is denied whatever its arguments are.
        judgement: (has_arguments || compiled.is_none()).then(|| match &seated {
            Some(seated) => seated.judge(&trial.situation()),
            None => trial.judge(bundle),
        }),
    })
}

fn trial(agent: &SpiffeId, asked: Asked, ledger: Ledger) -> Result<Trial, InvalidScope> {
    let authority = Authority {
        user: asked.user,
        scope: vec![asked.tool.clone()],
        named: asked.named,
        environment: asked.environment,
        risk: asked.risk,
        // Nobody in particular: as many as there are.
        delegated_by: vec![agent.clone(); asked.depth.into()],
        ledger,
        pedigree: asked.done.pedigree(),
        ..Authority::default()
    };
    let arguments = asked.arguments.unwrap_or_else(Arguments::none);
    let name = String::new();
    Trial::new(
        name,
        agent.clone(),
        asked.tool,
        arguments,
        authority,
        CASE_NOW_MS_DEFAULT,
    )
}

impl<'a> Scene<'a> {
    fn of(entities: &'a Entities, tool: &'a CompiledTool, trial: &Trial) -> Self {
        let question = Question::new(tool, &trial.situation());
        Self {
            entities,
            tool,
            principal: entity::of(&entity::AGENT, trial.grant.agent.as_str()),
            resource: question.ok().map(|question| question.resource),
        }
    }

    /// Whether the scope of a rule is satisfied, as far as it can be said.
    fn may_meet(&self, rule: &Rule) -> bool {
        is_about(rule, &self.tool.tool)
            && self.satisfies(&rule.policy.principal_constraint().as_expr())
            && match &self.resource {
                Some(_) => self.satisfies(&rule.policy.resource_constraint().as_expr()),
                None => self.may_be(rule.policy.resource_constraint().as_inner()),
            }
    }

    /// Whether a resource of the tool's type could be what a scope asks for.
    fn may_be(&self, constraint: &PrincipalOrResourceConstraint) -> bool {
        use PrincipalOrResourceConstraint as Constraint;
        match constraint {
            Constraint::Is(wanted) | Constraint::IsIn(wanted, _) => **wanted == self.tool.resource_type,
            Constraint::Eq(_) => constraint
                .get_euid()
                .is_none_or(|uid| *uid.entity_type() == self.tool.resource_type),
            Constraint::Any | Constraint::In(_) => true,
        }
    }

    fn satisfies(&self, scope: &Expr) -> bool {
        let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
        let resource = self.resource.as_ref().unwrap_or(&self.tool.action);
        let request = Request::new_unchecked(
            known(&self.principal),
            known(&self.tool.action),
            known(resource),
            Some(Context::empty()),
        );
        let evaluator = Evaluator::new(request, self.entities, Extensions::all_available());
        let value = evaluator.interpret(scope, &SlotEnv::new());
        !value.is_ok_and(|value| matches!(value.value_kind(), ValueKind::Lit(Literal::Bool(false))))
    }
}

impl Candidate {
    fn of(pack: &Pack, rule: &Rule) -> Self {
        let conditions = rule.policy.non_scope_constraints();
        let reads = conditions.map_or_else(Reads::nothing, Reads::of);
        Self {
            pack: pack.name.clone(),
            id: rule.id.clone(),
            kind: rule.kind.clone(),
            origin: rule.origin.clone(),
            has_conditions: conditions.is_some(),
            asks: Asks {
                ledger: reads.ledger,
                arguments_from: reads.pedigree,
                result: reads.result,
            },
        }
    }
}

#[cfg(test)]
mod tests;
