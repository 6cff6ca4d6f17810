//! Constraints as JSON: `{"constraint_type": "<type>", …}`.
//!
//! **Invariant**: what is not understood is an error, to the last member; what was read is written back as what it means.

use serde_json::{Value, json};

use super::member::{Budget, Members, number_of};
use super::{Command, Constraint, Domains, InvalidConstraint, Origin, Pattern, Range, Ranges, Root, Sql};
use crate::action::Json;
use crate::text::shown;

pub(super) fn parse(json: &Json) -> Result<Constraint, InvalidConstraint> {
    parse_within(json, &mut Budget::new())
}

/// What is left of the budget is shared by the constraints inside this one.
pub(super) fn parse_within(json: &Json, budget: &mut Budget) -> Result<Constraint, InvalidConstraint> {
    budget.depth = budget.depth.checked_sub(1).ok_or(InvalidConstraint::TooDeep)?;
    let mut members = Members::of(json)?;
    let constraint = parse_type(&mut members, budget)?;
    members.end()?;
    budget.depth += 1;
    Ok(constraint)
}

fn parse_type(members: &mut Members<'_>, budget: &mut Budget) -> Result<Constraint, InvalidConstraint> {
    use Constraint as C;
    Ok(match members.ty {
        "exact" => C::Exact(budget.value("value", members.take("value")?)?),
        "one_of" => C::OneOf(budget.values("values", members.take("values")?)?),
        "not_one_of" => C::NotOneOf(budget.values("excluded", members.take("excluded")?)?),
        "range" => C::Range(Range::read(members)?),
        "contains" => C::Contains(budget.values("required", members.take("required")?)?),
        "subset" => C::Subset(budget.values("allowed", members.take("allowed")?)?),
        "each" => C::Each(Box::new(parse_within(members.take("constraint")?, budget)?)),
        "wildcard" => C::Wildcard,
        "all" => C::All(constraints(members, budget)?),
        "any" => C::Any(constraints(members, budget)?),
        "pattern" => C::Pattern(Pattern::read(members)?),
        "path" => C::Path(Root::read(members)?),
        "url" => C::Url(Origin::read(members, budget)?),
        "shell" => C::Shell(Command::read(members, budget)?),
        "cidr" => C::Cidr(Ranges::read(members, budget)?),
        "email_domain" => C::EmailDomain(Domains::read(members, budget)?),
        "sql" => C::Sql(Sql::read(members, budget)?),
        unknown => return Err(InvalidConstraint::UnknownType(shown(unknown))),
    })
}

fn constraints(members: &mut Members<'_>, budget: &mut Budget) -> Result<Vec<Constraint>, InvalidConstraint> {
    let list = budget.list("constraints", members.take("constraints")?)?;
    list.iter().map(|json| parse_within(json, budget)).collect()
}

pub(super) fn write(constraint: &Constraint) -> Value {
    use Constraint as C;
    let all = |constraints: &[Constraint]| constraints.iter().map(write).collect::<Value>();
    match constraint {
        C::Exact(value) => json!({"constraint_type": "exact", "value": write_value(value)}),
        C::OneOf(values) => json!({"constraint_type": "one_of", "values": write_values(values)}),
        C::NotOneOf(values) => json!({"constraint_type": "not_one_of", "excluded": write_values(values)}),
        C::Range(range) => range.write(),
        C::Contains(values) => json!({"constraint_type": "contains", "required": write_values(values)}),
        C::Subset(values) => json!({"constraint_type": "subset", "allowed": write_values(values)}),
        C::Each(constraint) => json!({"constraint_type": "each", "constraint": write(constraint)}),
        C::Wildcard => json!({"constraint_type": "wildcard"}),
        C::All(constraints) => json!({"constraint_type": "all", "constraints": all(constraints)}),
        C::Any(constraints) => json!({"constraint_type": "any", "constraints": all(constraints)}),
        C::Pattern(pattern) => pattern.write(),
        C::Path(root) => root.write(),
        C::Url(origin) => origin.write(),
        C::Shell(command) => command.write(),
        C::Cidr(ranges) => ranges.write(),
        C::EmailDomain(domains) => domains.write(),
        C::Sql(sql) => sql.write(),
    }
}

fn write_values(values: &[Json]) -> Value {
    values.iter().map(write_value).collect()
}

fn write_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(*is),
        // A number of a constraint that was read is one that `serde_json` keeps.
        Json::Number(number) => number_of(number).map_or(Value::Null, Value::Number),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(elements) => write_values(elements),
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), write_value(value)));
            Value::Object(members.collect())
        }
    }
}
