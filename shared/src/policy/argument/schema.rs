//! From a tool's JSON Schema, as `mcp-tools-sdk` reads it, to argument types.

use std::collections::HashMap;

use mcp_tools_sdk::description::{Property, PropertyType, ToolDescription};
use thiserror::Error;

use super::{ArgumentType, EnumType, Member, RecordType, Scalar};
use crate::policy::entity;

/// Types may be nested this deep; deeper ones are opaque.
const TYPE_DEPTH_MAX: usize = 16;
/// All types of one tool may have this many parts: references are followed, and could multiply.
const TYPE_PARTS_MAX: usize = 10_000;

/// A JSON Schema that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in super::super) enum InvalidSchema {
    /// A `$ref` to nothing.
    #[error("`#/$defs/{0}` is not defined in this tool")]
    UndefinedReference(String),
    /// A name that Cedar reserves.
    #[error("`{0}` can't be the name of an entity type")]
    Name(String),
    /// More parts than can be kept.
    #[error(
        "the argument types of this tool have more than {TYPE_PARTS_MAX} parts once references are followed"
    )]
    TooLarge,
}

/// One tool's definitions, and where the walk is.
struct Walk<'a> {
    definitions: HashMap<&'a str, &'a PropertyType>,
    open: Vec<&'a str>,
    parts: usize,
}

/// The types of a tool's arguments. `name` begins the names of its enumerations, `additional` says whether the schema
/// itself allows members it does not list.
pub(in super::super) fn arguments_of(
    tool: &ToolDescription,
    name: &str,
    additional: bool,
) -> Result<RecordType, InvalidSchema> {
    let shared = tool.type_definitions();
    let definitions = shared.chain(tool.inputs().type_definitions());
    let definitions = definitions
        .map(|definition| (definition.name(), definition.property_type()))
        .collect();
    let mut walk = Walk {
        definitions,
        open: Vec::new(),
        parts: 0,
    };
    let mut record = walk.record(tool.inputs().properties(), name, 0)?;
    record.additional = additional.then(|| Box::new(ArgumentType::Scalar(Scalar::Opaque)));
    Ok(record)
}

impl<'a> Walk<'a> {
    fn record(
        &mut self,
        properties: impl Iterator<Item = &'a Property>,
        path: &str,
        depth: usize,
    ) -> Result<RecordType, InvalidSchema> {
        let member = |property: &'a Property| {
            let name = property.name().to_owned();
            let path = format!("{path}_{}", identifier(&name));
            let (ty, nullable) = self.nullable(property.property_type(), &path, depth)?;
            Ok(Member {
                name,
                ty,
                required: property.is_required(),
                nullable,
            })
        };
        let mut members = properties.map(member).collect::<Result<Vec<_>, _>>()?;
        members.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(RecordType {
            members,
            additional: None,
        })
    }

    /// `null` as one choice of a member is absence, to rules: the rest is the member's type.
    fn nullable(
        &mut self,
        ty: &'a PropertyType,
        path: &str,
        depth: usize,
    ) -> Result<(ArgumentType, bool), InvalidSchema> {
        let types = match ty {
            PropertyType::Union { types } => types,
            // Too deep is for `ty` to say.
            PropertyType::Ref { name } if depth <= TYPE_DEPTH_MAX => {
                let followed = self.follow(name, |walk, ty| walk.nullable(ty, path, depth + 1))?;
                return Ok(followed.unwrap_or((ArgumentType::Scalar(Scalar::Opaque), false)));
            }
            _ => return Ok((self.ty(ty, path, depth)?, false)),
        };
        let some: Vec<_> = types.iter().filter(|ty| **ty != PropertyType::Null).collect();
        let nullable = some.len() < types.len();
        match some.as_slice() {
            [] => Ok((ArgumentType::Scalar(Scalar::Null), true)),
            [only] => Ok((self.ty(only, path, depth)?, nullable)),
            several => Ok((self.choice(several, path, depth)?, nullable)),
        }
    }

    fn choice(
        &mut self,
        types: &[&'a PropertyType],
        path: &str,
        depth: usize,
    ) -> Result<ArgumentType, InvalidSchema> {
        let alternative =
            |(at, ty): (usize, &&'a PropertyType)| self.ty(ty, &format!("{path}_typeChoice{at}"), depth + 1);
        Ok(ArgumentType::Choice(
            types
                .iter()
                .enumerate()
                .map(alternative)
                .collect::<Result<_, _>>()?,
        ))
    }

    fn ty(&mut self, ty: &'a PropertyType, path: &str, depth: usize) -> Result<ArgumentType, InvalidSchema> {
        self.parts += 1;
        if self.parts > TYPE_PARTS_MAX {
            return Err(InvalidSchema::TooLarge);
        }
        if depth > TYPE_DEPTH_MAX {
            return Ok(ArgumentType::Scalar(Scalar::Opaque));
        }
        Ok(match ty {
            PropertyType::Array { element_ty } => {
                ArgumentType::List(Box::new(self.ty(element_ty, path, depth + 1)?))
            }
            PropertyType::Enum { variants } => ArgumentType::Enumeration(EnumType {
                entity_type: entity::entity_type(path).ok_or_else(|| InvalidSchema::Name(path.to_owned()))?,
                variants: variants.iter().map(ToString::to_string).collect(),
            }),
            PropertyType::Union { types } => self.choice(&types.iter().collect::<Vec<_>>(), path, depth)?,
            // Each place has its own type; rules see a set that could hold any of them.
            PropertyType::Tuple { .. } => ArgumentType::List(Box::new(ArgumentType::Scalar(Scalar::Opaque))),
            PropertyType::Object {
                properties,
                additional_properties,
            } => {
                let mut record = self.record(properties.iter(), path, depth + 1)?;
                record.additional = match additional_properties {
                    Some(ty) => Some(Box::new(self.ty(ty, &format!("{path}_additional"), depth + 1)?)),
                    None => None,
                };
                ArgumentType::Record(record)
            }
            PropertyType::Ref { name } => self
                .follow(name, |walk, ty| walk.ty(ty, path, depth + 1))?
                .unwrap_or(ArgumentType::Scalar(Scalar::Opaque)),
            scalar => ArgumentType::Scalar(scalar_of(scalar)),
        })
    }

    /// Walks what a reference refers to; none if the walk is inside that already: the type contains itself.
    fn follow<T>(
        &mut self,
        name: &'a str,
        walk: impl FnOnce(&mut Self, &'a PropertyType) -> Result<T, InvalidSchema>,
    ) -> Result<Option<T>, InvalidSchema> {
        if self.open.contains(&name) {
            return Ok(None);
        }
        let undefined = || InvalidSchema::UndefinedReference(name.to_owned());
        let ty = *self.definitions.get(name).ok_or_else(undefined)?;
        self.open.push(name);
        let walked = walk(self, ty);
        self.open.pop();
        walked.map(Some)
    }
}

/// A text as part of an identifier.
pub(in super::super) fn identifier(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

const fn scalar_of(ty: &PropertyType) -> Scalar {
    match ty {
        PropertyType::Bool => Scalar::Bool,
        PropertyType::Integer => Scalar::Long,
        PropertyType::Float | PropertyType::Number => Scalar::Decimal,
        // A decimal in a string is seen as the string it is: `1.0` and `1.00` are two.
        PropertyType::String | PropertyType::Decimal => Scalar::String,
        PropertyType::Datetime => Scalar::Datetime,
        PropertyType::Duration => Scalar::Duration,
        PropertyType::IpAddr => Scalar::IpAddress,
        PropertyType::Null => Scalar::Null,
        _ => Scalar::Opaque,
    }
}
