//! The Cedar types of a catalog's arguments, by `cedar-policy-mcp-schema-generator`.
//!
//! The generator wants identifiers where tools and arguments may have any name, one namespace of its own, and declares a
//! type for every object. So it is given safe names (`t0`, `p0`, …), once per catalog, and what it gives is rewritten: names
//! put back, objects inlined, enumerations in the empty namespace under the names their values carry.

use std::collections::HashMap;

use cedar_policy_mcp_schema_generator::{SchemaGenerator, SchemaGeneratorConfig};
use mcp_tools_sdk::description::{Parameters, Property, PropertyType, ServerDescription, ToolDescription};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::policy::argument::{ArgumentType, RecordType, Scalar};
use crate::policy::catalog::Tool;

/// The namespace the generator works in. Nothing of it is left in what is returned.
const NAMESPACE: &str = "Generated";
/// What the generator needs to begin with.
const STUB: &str = "namespace Generated { @mcp_principal entity Agent; @mcp_resource entity Tool; }";

/// The types of one catalog, in Cedar's JSON.
pub(super) struct Generated {
    /// By tool: the type of `context.input`.
    pub(super) inputs: Vec<Value>,
    /// Name and declaration of each enumeration.
    pub(super) enumerations: Vec<(String, Value)>,
}

/// The generator and this file disagree.
#[derive(Debug, Error)]
#[error("no Cedar schema can be generated for these tools: {0}")]
pub(super) struct GenerateError(String);

/// Safe names, and what they stand for.
#[derive(Default)]
struct Names {
    /// `p7` is the seventh.
    arguments: Vec<String>,
    /// Enumerations, by the name the generator gives them.
    enumerations: HashMap<String, String>,
}

/// What the generator gave, while it is rewritten.
struct Rewrite<'a> {
    names: &'a Names,
    common: &'a Map<String, Value>,
}

/// Generates the types of these tools, all of one catalog.
pub(super) fn generate(tools: &[&Tool]) -> Result<Generated, GenerateError> {
    let mut names = Names::default();
    let describe = |(at, tool): (usize, &&Tool)| names.tool(&format!("t{at}"), tool);
    let tools: Vec<_> = tools.iter().enumerate().map(describe).collect();
    let count = tools.len();
    let generated = run(&ServerDescription::new(tools.into_iter(), HashMap::new()))?;
    let empty = Map::new();
    let part = |name: &str| generated.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let rewrite = Rewrite {
        names: &names,
        common: part("commonTypes"),
    };
    let input = |at: usize| rewrite.reference(&format!("t{at}Input"));
    let inputs = (0..count).map(input).collect::<Result<_, _>>()?;
    let enumeration =
        |(safe, name): (&String, &String)| Some((name.clone(), part("entityTypes").get(safe)?.clone()));
    let enumerations = names.enumerations.iter().filter_map(enumeration).collect();
    Ok(Generated { inputs, enumerations })
}

fn run(tools: &ServerDescription) -> Result<Value, GenerateError> {
    let failed = |error: &dyn std::error::Error| GenerateError(error.to_string());
    let config = SchemaGeneratorConfig::default()
        .objects_as_records(true)
        .encode_numbers_as_decimal(true)
        .inline_empty_records(true)
        .flatten_namespaces(true);
    let mut generator =
        SchemaGenerator::from_cedarschema_str_with_config(STUB, config).map_err(|error| failed(&error))?;
    generator
        .add_actions_from_server_description(tools)
        .map_err(|error| failed(&error))?;
    let mut schema = serde_json::to_value(generator.get_schema()).map_err(|error| failed(&error))?;
    schema
        .get_mut(NAMESPACE)
        .map(Value::take)
        .ok_or_else(|| GenerateError("it gave nothing".to_owned()))
}

impl Names {
    fn tool(&mut self, name: &str, tool: &Tool) -> ToolDescription {
        let inputs = self.properties(&tool.arguments, &format!("{name}_Input"));
        let none = || Parameters::new(Vec::new(), HashMap::new());
        let inputs = Parameters::new(inputs, HashMap::new());
        ToolDescription::new(name.into(), inputs, none(), HashMap::new(), None)
    }

    fn properties(&mut self, record: &RecordType, path: &str) -> Vec<Property> {
        let members = record.members.iter();
        members
            .map(|member| {
                let safe = format!("p{}", self.arguments.len());
                self.arguments.push(member.name.clone());
                let ty = self.property(&member.ty, &format!("{path}_{safe}"));
                Property::new(safe.into(), !member.is_optional(), ty, None)
            })
            .collect()
    }

    /// `path` is the name that the generator will give a type declared here.
    fn property(&mut self, ty: &ArgumentType, path: &str) -> PropertyType {
        match ty {
            ArgumentType::Scalar(scalar) => scalar_property(*scalar),
            ArgumentType::List(element) => PropertyType::Array {
                element_ty: Box::new(self.property(element, path)),
            },
            ArgumentType::Record(record) => PropertyType::Object {
                properties: self.properties(record, path),
                additional_properties: None,
            },
            ArgumentType::Choice(alternatives) => {
                let alternatives = alternatives.iter().enumerate();
                let types = alternatives.map(|(at, ty)| self.property(ty, &format!("{path}_TypeChoice{at}")));
                PropertyType::Union {
                    types: types.collect(),
                }
            }
            ArgumentType::Enumeration(names) => {
                self.enumerations
                    .insert(path.to_owned(), names.entity_type.to_string());
                PropertyType::Enum {
                    variants: names.variants.iter().map(Into::into).collect(),
                }
            }
        }
    }
}

impl Rewrite<'_> {
    /// The type behind a name of the generator's.
    fn reference(&self, name: &str) -> Result<Value, GenerateError> {
        let name = name
            .strip_prefix(NAMESPACE)
            .and_then(|name| name.strip_prefix("::"))
            .unwrap_or(name);
        if let Some(enumeration) = self.names.enumerations.get(name) {
            return Ok(json!({ "type": "Entity", "name": enumeration }));
        }
        match self.common.get(name) {
            Some(ty) => self.ty(ty),
            // One of Cedar's own: `Long`, `decimal`, whatever else a pack may call so.
            None => Ok(json!({ "type": "EntityOrCommon", "name": format!("__cedar::{name}") })),
        }
    }

    fn ty(&self, ty: &Value) -> Result<Value, GenerateError> {
        if let Some(name) = ty.get("name").and_then(Value::as_str) {
            return self.reference(name);
        }
        if let Some(element) = ty.get("element") {
            return Ok(json!({ "type": "Set", "element": self.ty(element)? }));
        }
        match (
            ty.get("attributes").and_then(Value::as_object),
            ty.get("type").and_then(Value::as_str),
        ) {
            (Some(attributes), _) => {
                let attributes = attributes.iter().map(|(safe, ty)| self.attribute(safe, ty));
                let attributes: Map<String, Value> = attributes.collect::<Result<_, _>>()?;
                Ok(json!({ "type": "Record", "attributes": attributes }))
            }
            (None, Some(name)) => self.reference(name),
            (None, None) => Err(GenerateError(format!("it gave the type {ty}"))),
        }
    }

    fn attribute(&self, safe: &str, ty: &Value) -> Result<(String, Value), GenerateError> {
        let number = safe
            .strip_prefix('p')
            .and_then(|number| number.parse::<usize>().ok());
        let name = match number.and_then(|number| self.names.arguments.get(number)) {
            Some(name) => name.clone(),
            None => safe.to_owned(),
        };
        let mut rewritten = self.ty(ty)?;
        rewritten["required"] = ty.get("required").cloned().unwrap_or(Value::Bool(true));
        Ok((name, rewritten))
    }
}

/// What can't be looked into is given as an object without members: rules see that it is there.
const fn scalar_property(scalar: Scalar) -> PropertyType {
    match scalar {
        Scalar::Bool => PropertyType::Bool,
        Scalar::Long => PropertyType::Integer,
        Scalar::Decimal => PropertyType::Number,
        Scalar::String => PropertyType::String,
        Scalar::Datetime => PropertyType::Datetime,
        Scalar::Duration => PropertyType::Duration,
        Scalar::IpAddress => PropertyType::IpAddr,
        Scalar::Null | Scalar::Opaque => PropertyType::Object {
            properties: Vec::new(),
            additional_properties: None,
        },
    }
}
