//! Segments: catalogs, rules and entities of a pack as bytes, and back.
//!
//! **Invariant**: deterministic. No maps, lists in a defined order.

use std::collections::BTreeSet;

use bytes::Bytes;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::entities::{EntityJsonParser, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use checkrein_proto::policy::v1 as wire;
use prost::Message;

use crate::action::Sha256;
use crate::label::{InvalidLabel, Label};
use crate::ledger::{AMOUNT_MAX, Meter, Trust};
use crate::policy::argument::{ArgumentType, EnumType, Member, RecordType, Scalar};
use crate::policy::catalog::{Cost, Effect, Price, ResourceSpec, Reversibility, Tool, YIELDS_MAX};
use crate::policy::entity;
use crate::policy::pack::Pack;
use crate::policy::rule::{Origin, Rule};

/// Types may be nested this deep on the wire; `prost` itself stops soon after.
const TYPE_DEPTH_MAX: usize = 24;

/// A catalog segment, decoded.
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
    pub(super) full_bound_ms: Option<u64>,
    pub(super) light_bound_ms: Option<u64>,
}

/// What each tool of a pack is, and the pack's bounds.
pub(super) fn encode_catalog(pack: &Pack) -> Vec<u8> {
    wire::CatalogSegment {
        tools: pack.tools.iter().map(encode_tool).collect(),
        full_bound_ms: pack.full_bound_ms.unwrap_or_default(),
        light_bound_ms: pack.light_bound_ms.unwrap_or_default(),
    }
    .encode_to_vec()
}

pub(super) fn decode_catalog(bytes: Bytes) -> Result<Catalog, String> {
    let segment = wire::CatalogSegment::decode(bytes).map_err(|error| error.to_string())?;
    Ok(Catalog {
        tools: segment
            .tools
            .into_iter()
            .map(decode_tool)
            .collect::<Result<_, _>>()?,
        full_bound_ms: (segment.full_bound_ms > 0).then_some(segment.full_bound_ms),
        light_bound_ms: (segment.light_bound_ms > 0).then_some(segment.light_bound_ms),
    })
}

/// A pack's rules, by id.
pub(super) fn encode_rules(pack: &Pack) -> Vec<u8> {
    let rule = |rule: &Rule| wire::Rule {
        id: rule.id.clone(),
        text: rule.text.clone(),
        origin: format!("{}:{}:{}", rule.origin.file, rule.origin.line, rule.origin.column),
    };
    wire::RulesSegment {
        rules: pack.rules.iter().map(rule).collect(),
    }
    .encode_to_vec()
}

pub(super) fn decode_rules(bytes: Bytes) -> Result<Vec<Rule>, String> {
    let segment = wire::RulesSegment::decode(bytes).map_err(|error| error.to_string())?;
    let decode = |rule: wire::Rule| {
        let why = |errors: &[String]| format!("rule `{}`: {}", rule.id, errors.join("; "));
        let decoded = Rule::parse(&rule.text, decode_origin(&rule.origin), 0)
            .map_err(|errors| why(&errors.into_iter().map(|error| error.message).collect::<Vec<_>>()))?;
        if decoded.id == rule.id {
            Ok(decoded)
        } else {
            Err(why(&["its text has another id".to_owned()]))
        }
    };
    segment.rules.into_iter().map(decode).collect()
}

/// Entities in Cedar's JSON, already sorted.
pub(super) fn encode_entities(cedar_json: String) -> Vec<u8> {
    wire::EntitiesSegment {
        cedar_json: cedar_json.into(),
    }
    .encode_to_vec()
}

pub(super) fn decode_entities(bytes: Bytes) -> Result<Vec<Entity>, String> {
    let segment = wire::EntitiesSegment::decode(bytes).map_err(|error| error.to_string())?;
    let json = std::str::from_utf8(&segment.cedar_json).map_err(|error| error.to_string())?;
    let parser: EntityJsonParser<'_, '_, NoEntitiesSchema> = EntityJsonParser::new(
        None,
        Extensions::all_available(),
        TCComputation::AssumeAlreadyComputed,
    );
    let entities = parser
        .iter_from_json_str(json)
        .map_err(|error| error.to_string())?;
    let entities: Vec<Entity> = entities.collect();
    match entities.iter().find(|entity| entity.uid().is_action()) {
        Some(action) => Err(format!(
            "`{}` is an action; actions come from catalogs",
            action.uid()
        )),
        None => Ok(entities),
    }
}

fn encode_tool(tool: &Tool) -> wire::Tool {
    let resource = tool.resource.as_ref();
    wire::Tool {
        id: tool.id.clone(),
        effects: tool
            .effects
            .iter()
            .map(|effect| wire::Effect::from(*effect).into())
            .collect(),
        reversibility: wire::Reversibility::from(tool.reversibility).into(),
        resource_type: resource
            .map(|resource| resource.entity_type.clone())
            .unwrap_or_default(),
        resource_argument: resource
            .map(|resource| resource.argument.clone())
            .unwrap_or_default(),
        secret_arguments: tool.secret.clone(),
        definition_sha256: tool.definition.to_bytes(),
        arguments: Some(wire::ArgumentType {
            kind: Some(wire::argument_type::Kind::Record(Box::new(encode_record(
                &tool.arguments,
            )))),
        }),
        yields: tool.yields.iter().map(ToString::to_string).collect(),
        trust: wire_trust(tool.trust).into(),
        cost: tool.cost.iter().map(encode_price).collect(),
        fails_without_effect: tool.fails_without_effect,
        unstoppable: tool.unstoppable.clone().unwrap_or_default(),
    }
}

const fn wire_trust(trust: Option<Trust>) -> wire::Trust {
    match trust {
        None => wire::Trust::Unspecified,
        Some(Trust::Trusted) => wire::Trust::Trusted,
        Some(Trust::Untrusted) => wire::Trust::Untrusted,
    }
}

fn decode_tool(tool: wire::Tool) -> Result<Tool, String> {
    let reversibility = tool.reversibility();
    let trust = match tool.trust() {
        wire::Trust::Unspecified => None,
        wire::Trust::Trusted => Some(Trust::Trusted),
        wire::Trust::Untrusted => Some(Trust::Untrusted),
    };
    let effects = tool.effects().map(Effect::try_from).collect::<Result<_, _>>()?;
    let arguments = match tool.arguments.and_then(|arguments| arguments.kind) {
        Some(wire::argument_type::Kind::Record(record)) => decode_record(*record, TYPE_DEPTH_MAX)?,
        _ => return Err(format!("the arguments of `{}` are not a record", tool.id)),
    };
    let resource = ResourceSpec {
        entity_type: tool.resource_type,
        argument: tool.resource_argument,
    };
    Ok(Tool {
        effects,
        reversibility: reversibility.try_into()?,
        resource: (!resource.entity_type.is_empty()).then_some(resource),
        secret: tool.secret_arguments,
        definition: Sha256::try_from(&*tool.definition_sha256).map_err(|error| error.to_string())?,
        arguments,
        yields: decode_yields(&tool.id, &tool.yields)?,
        trust,
        cost: decode_cost(&tool.id, tool.cost)?,
        fails_without_effect: tool.fails_without_effect,
        unstoppable: Some(tool.unstoppable).filter(|text| !text.is_empty()),
        id: tool.id,
    })
}

/// Strictly: labels that were lost, or read otherwise, would let a tool into a data scope that it is not in.
fn decode_yields(tool: &str, words: &[String]) -> Result<BTreeSet<Label>, String> {
    if words.len() > YIELDS_MAX || !words.is_sorted_by(|left, right| left < right) {
        return Err(format!("the labels of `{tool}` are too many or not in order"));
    }
    let labels = words.iter().map(|word| word.parse());
    labels
        .collect::<Result<_, _>>()
        .map_err(|error: InvalidLabel| error.to_string())
}

fn encode_price((meter, price): (&Meter, &Price)) -> wire::Price {
    wire::Price {
        meter: meter.as_str().to_owned(),
        argument: price.argument.clone().unwrap_or_default(),
        amount: price.amount,
    }
}

/// Strictly: a price that was lost would let a call through that nobody charges.
fn decode_cost(tool: &str, prices: Vec<wire::Price>) -> Result<Cost, String> {
    let mut cost = Cost::new();
    for price in prices {
        let meter: Meter = price
            .meter
            .parse()
            .map_err(|error| format!("`{tool}`: {error}"))?;
        let decoded = Price {
            argument: Some(price.argument).filter(|name| !name.is_empty()),
            amount: price.amount,
        };
        let is_price = decoded.argument.is_some() || decoded.amount.is_some();
        let is_small = decoded.amount.is_none_or(|amount| amount <= AMOUNT_MAX);
        let is_next = cost.last_key_value().is_none_or(|(last, _)| *last < meter);
        if !(is_price && is_small && is_next) {
            return Err(format!("the cost of `{tool}` is no cost, or not in order"));
        }
        cost.insert(meter, decoded);
    }
    Ok(cost)
}

fn encode_type(ty: &ArgumentType) -> wire::ArgumentType {
    use wire::argument_type::Kind;
    let kind = match ty {
        ArgumentType::Scalar(scalar) => Kind::Scalar(wire::ScalarType::from(*scalar).into()),
        ArgumentType::List(element) => Kind::List(Box::new(encode_type(element))),
        ArgumentType::Record(record) => Kind::Record(Box::new(encode_record(record))),
        ArgumentType::Choice(alternatives) => Kind::Choice(wire::ChoiceType {
            alternatives: alternatives.iter().map(encode_type).collect(),
        }),
        ArgumentType::Enumeration(names) => Kind::Enumeration(wire::EnumType {
            entity_type: names.entity_type.to_string(),
            variants: names.variants.clone(),
        }),
    };
    wire::ArgumentType { kind: Some(kind) }
}

fn encode_record(record: &RecordType) -> wire::RecordType {
    let member = |member: &Member| wire::RecordMember {
        name: member.name.clone(),
        r#type: Some(encode_type(&member.ty)),
        required: member.required,
        nullable: member.nullable,
    };
    wire::RecordType {
        members: record.members.iter().map(member).collect(),
        additional: record.additional.as_ref().map(|ty| Box::new(encode_type(ty))),
    }
}

fn decode_type(ty: wire::ArgumentType, depth_left: usize) -> Result<ArgumentType, String> {
    use wire::argument_type::Kind;
    let depth_left = depth_left
        .checked_sub(1)
        .ok_or("an argument type is nested too deep")?;
    Ok(match ty.kind.ok_or("an argument has no type")? {
        Kind::Scalar(scalar) => {
            let scalar = wire::ScalarType::try_from(scalar).map_err(|error| error.to_string())?;
            ArgumentType::Scalar(scalar.try_into()?)
        }
        Kind::List(element) => ArgumentType::List(Box::new(decode_type(*element, depth_left)?)),
        Kind::Record(record) => ArgumentType::Record(decode_record(*record, depth_left)?),
        Kind::Choice(choice) => {
            let alternatives = choice
                .alternatives
                .into_iter()
                .map(|ty| decode_type(ty, depth_left));
            ArgumentType::Choice(alternatives.collect::<Result<_, _>>()?)
        }
        Kind::Enumeration(names) => ArgumentType::Enumeration(EnumType {
            entity_type: entity::entity_type(&names.entity_type)
                .ok_or_else(|| format!("`{}` is not an entity type", names.entity_type))?,
            variants: names.variants,
        }),
    })
}

fn decode_record(record: wire::RecordType, depth_left: usize) -> Result<RecordType, String> {
    let member = |member: wire::RecordMember| {
        let ty = member.r#type.ok_or("an argument has no type")?;
        let ty = decode_type(ty, depth_left)?;
        Ok(Member {
            name: member.name,
            ty,
            required: member.required,
            nullable: member.nullable,
        })
    };
    let members = record
        .members
        .into_iter()
        .map(member)
        .collect::<Result<Vec<_>, String>>()?;
    if !members.is_sorted_by(|left, right| left.name < right.name) {
        return Err("the members of a record are not in order".to_owned());
    }
    let additional = record
        .additional
        .map(|ty| decode_type(*ty, depth_left))
        .transpose()?;
    Ok(RecordType {
        members,
        additional: additional.map(Box::new),
    })
}

fn decode_origin(text: &str) -> Origin {
    let mut parts = text.rsplitn(3, ':');
    let mut number = || {
        parts
            .next()
            .and_then(|part| part.parse().ok())
            .unwrap_or_default()
    };
    let (column, line) = (number(), number());
    Origin {
        file: parts.next().unwrap_or_default().to_owned(),
        line,
        column,
    }
}

/// Ties a domain enum to its wire enum, whose unspecified value means nothing.
macro_rules! same_values {
    ($domain:ident, $wire:ident, $what:literal, $($variant:ident),+) => {
        impl From<$domain> for wire::$wire {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$variant),+ }
            }
        }

        impl TryFrom<wire::$wire> for $domain {
            type Error = String;

            fn try_from(value: wire::$wire) -> Result<Self, String> {
                match value {
                    $(wire::$wire::$variant => Ok(Self::$variant),)+
                    wire::$wire::Unspecified => Err(concat!($what, " is not known").to_owned()),
                }
            }
        }
    };
}

same_values!(
    Effect,
    Effect,
    "an effect",
    Read,
    Write,
    Destroy,
    Send,
    Spend,
    Approve,
    Trigger,
    Administer,
    Publish
);
same_values!(
    Reversibility,
    Reversibility,
    "a reversibility",
    ReadOnly,
    Reversible,
    ExternallyReversible,
    Irreversible
);
same_values!(
    Scalar, ScalarType, "a type", Bool, Long, Decimal, String, Datetime, Duration, IpAddress, Null, Opaque
);
