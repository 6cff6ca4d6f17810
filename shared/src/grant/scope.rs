//! What a task may use: tools, and for each what its arguments must be.
//!
//! As JSON it is the `tools` map of an attenuating agent token: `{"<tool>": {"<argument>": {"constraint_type": …}}}`. A tool
//! without arguments in it may be called with any. Of a tool that says something, an argument that it does not name is
//! refused, and one that it names must be there unless it is `"optional": true`; `"*"` speaks for all it does not name.
//!
//! **Invariant**: what a scope does not name, it does not cover; the entry of a tool itself stands before that of its catalog.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::constraint::{Constraint, InvalidConstraint, Refused};
use super::limits::{Widened, narrower};
use crate::action::{Arguments, InvalidArguments, Json};
use crate::label::Label;
use crate::text::shown;

/// A scope may name at most this many tools.
pub const SCOPE_TOOLS_MAX: usize = 256;
/// And, for each, constrain at most this many arguments.
const ARGUMENTS_MAX: usize = 64;
/// A scope as JSON may have at most this many bytes, so that a token with it stays within its own bound.
pub const SCOPE_BYTES_MAX: usize = 32 << 10;
/// Speaks for every argument that is not named.
const ANY_OTHER: &str = "*";
/// The member beside a constraint's own.
const OPTIONAL: &str = "optional";

/// The tools a grant covers: `<catalog>/<tool>`, or `<catalog>/*`, each with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    tools: BTreeMap<String, ToolScope>,
}

/// What the arguments of a tool must be; nothing said: they may be any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct ToolScope {
    arguments: BTreeMap<String, Allowed>,
}

/// What one argument must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    constraint: Constraint,
    is_optional: bool,
}

/// Something that can't stand in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidScope {
    /// No tool and no catalog.
    #[error(
        "`{0}` is not a tool: expected `<catalog>/<tool>`, or `<catalog>/*` for every tool of a catalog; \
         a `*` stands for nothing else"
    )]
    Tool(String),
    /// Named by itself and with its arguments: which of the two is meant?
    #[error("`{0}` is named twice: name it once, with its arguments or without")]
    Twice(String),
    /// Not JSON that can be read in one way.
    #[error("a scope is a JSON object of tools: {0}")]
    Json(#[from] InvalidArguments),
    /// A tool's entry is no object.
    #[error("`{0}` must have an object of arguments; `{{}}` lets it be called with any")]
    NotArguments(String),
    /// An argument's constraint can't be understood.
    #[error("argument `{argument}` of `{tool}`: {why}")]
    Argument {
        /// Of which tool.
        tool: String,
        /// Which.
        argument: String,
        /// Why not.
        why: InvalidConstraint,
    },
    /// `optional` is neither true nor false.
    #[error("argument `{argument}` of `{tool}`: `optional` is true or false")]
    Optional {
        /// Of which tool.
        tool: String,
        /// Which.
        argument: String,
    },
    /// More than is ever needed.
    #[error(
        "a scope has at most {SCOPE_TOOLS_MAX} tools, {ARGUMENTS_MAX} arguments of each, and {SCOPE_BYTES_MAX} bytes"
    )]
    TooLarge,
}

/// Why a scope does not cover a call. Never holds the value of an argument.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutOfScope {
    /// The tool.
    #[error("`{0}` is not in the scope of this task")]
    Tool(String),
    /// An argument that the scope does not name.
    #[error("the scope of this task does not allow `{tool}` to be called with an argument `{argument}`")]
    Unnamed {
        /// Which tool.
        tool: String,
        /// Which argument.
        argument: String,
    },
    /// An argument that it wants.
    #[error("the scope of this task wants `{tool}` to be called with an argument `{argument}`")]
    Missing {
        /// Which tool.
        tool: String,
        /// Which argument.
        argument: String,
    },
    /// Data that the tool gives.
    #[error("`{tool}` yields `{label}`, which is outside the data scope of this task")]
    Data {
        /// Which tool.
        tool: String,
        /// What it yields.
        label: Label,
    },
    /// An argument that is not what it must be.
    #[error("argument `{argument}` of `{tool}` is not in the scope of this task: {why}")]
    Argument {
        /// Which tool.
        tool: String,
        /// Which argument.
        argument: String,
        /// What is wrong with it.
        why: Refused,
    },
}

impl Scope {
    /// From tools alone, each with any arguments.
    pub fn parse(tools: impl IntoIterator<Item = String>) -> Result<Self, InvalidScope> {
        let mut scope = Self::default();
        for tool in tools {
            check_tool(&tool)?;
            scope.tools.insert(tool, ToolScope::default());
        }
        scope.within_bounds()
    }

    /// From its JSON text, strictly.
    pub fn parse_json(text: &[u8]) -> Result<Self, InvalidScope> {
        if text.len() > SCOPE_BYTES_MAX {
            return Err(InvalidScope::TooLarge);
        }
        Self::of_members(Arguments::parse(text)?.members())
    }

    /// From the members of its JSON object.
    pub(super) fn of_members<'a>(
        members: impl Iterator<Item = (&'a str, &'a Json)>,
    ) -> Result<Self, InvalidScope> {
        let mut scope = Self::default();
        for (tool, arguments) in members {
            check_tool(tool)?;
            scope
                .tools
                .insert(tool.to_owned(), ToolScope::parse(tool, arguments)?);
        }
        scope.within_bounds()
    }

    /// Both together; a tool that both name is refused.
    pub fn and(mut self, other: Self) -> Result<Self, InvalidScope> {
        for (tool, arguments) in other.tools {
            if self.tools.contains_key(&tool) {
                return Err(InvalidScope::Twice(shown(&tool)));
            }
            self.tools.insert(tool, arguments);
        }
        self.within_bounds()
    }

    /// These tools, each with what it lets them be called with. One that it does not cover is taken with any arguments, so that
    /// [`Scope::narrows`] says that it is too much.
    pub fn only(&self, tools: impl IntoIterator<Item = String>) -> Result<Self, InvalidScope> {
        let mut only = Self::default();
        for tool in tools {
            check_tool(&tool)?;
            if let Some(catalog) = tool.strip_suffix('*') {
                let special = self.tools.iter().filter(|(tool, _)| tool.starts_with(catalog));
                only.tools
                    .extend(special.map(|(tool, scope)| (tool.clone(), scope.clone())));
            }
            let scope = self.of_tool(&tool).cloned().unwrap_or_default();
            only.tools.insert(tool, scope);
        }
        only.within_bounds()
    }

    /// As JSON, which [`Scope::parse_json`] reads back as this very scope.
    pub fn to_json(&self) -> Value {
        let entry = |(tool, scope): (&String, &ToolScope)| (tool.clone(), scope.to_json());
        Value::Object(self.tools.iter().map(entry).collect())
    }

    /// Whether it covers a call of this tool with these arguments.
    pub fn admits(&self, tool: &str, arguments: &Arguments) -> Result<(), OutOfScope> {
        let scope = self.of_tool(tool).ok_or_else(|| OutOfScope::Tool(shown(tool)))?;
        scope.admits(tool, arguments)
    }

    /// Whether it covers any call of this tool, with some arguments.
    pub fn names(&self, tool: &str) -> bool {
        self.of_tool(tool).is_some()
    }

    /// Whether it covers only calls that its parent covers. Sound, and incomplete: what can't be shown is refused.
    pub fn narrows(&self, parent: &Self) -> Result<(), Widened> {
        for (tool, scope) in &self.tools {
            let of_parent = parent.of_tool(tool).ok_or(Widened::Tools)?;
            narrower(scope.narrows(of_parent), Widened::Arguments)?;
            if let Some(catalog) = tool.strip_suffix('*') {
                // Whoever covers a whole catalog covers each tool that the parent has said something about.
                for (special, of_parent) in parent.tools.iter().filter(|(tool, _)| tool.starts_with(catalog))
                {
                    let own = self.tools.get(special).unwrap_or(scope);
                    narrower(own.narrows(of_parent), Widened::Arguments)?;
                }
            }
        }
        Ok(())
    }

    /// The tools it names, sorted.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    fn of_tool(&self, tool: &str) -> Option<&ToolScope> {
        // `c/*` is no tool's own name: a call of it is a call of a tool that no catalog knows.
        self.tools.get(tool).or_else(|| {
            let (catalog, _) = tool.split_once('/')?;
            self.tools.get(&format!("{catalog}/*"))
        })
    }

    fn within_bounds(self) -> Result<Self, InvalidScope> {
        if self.tools.len() > SCOPE_TOOLS_MAX {
            return Err(InvalidScope::TooLarge);
        }
        Ok(self)
    }
}

impl ToolScope {
    fn parse(tool: &str, arguments: &Json) -> Result<Self, InvalidScope> {
        let Json::Object(members) = arguments else {
            return Err(InvalidScope::NotArguments(shown(tool)));
        };
        if members.len() > ARGUMENTS_MAX {
            return Err(InvalidScope::TooLarge);
        }
        let entry = |(argument, json): &(String, Json)| {
            let allowed = Allowed::parse(tool, argument, json)?;
            Ok::<_, InvalidScope>((argument.clone(), allowed))
        };
        Ok(Self {
            arguments: members.iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    fn to_json(&self) -> Value {
        let entry = |(argument, allowed): (&String, &Allowed)| (argument.clone(), allowed.to_json());
        Value::Object(self.arguments.iter().map(entry).collect::<Map<_, _>>())
    }

    /// Every argument that it lets through must be one that the parent lets through, and none that the parent wants may be
    /// missing.
    fn narrows(&self, parent: &Self) -> bool {
        if parent.arguments.is_empty() {
            return true;
        }
        if self.arguments.is_empty() {
            return false;
        }
        let is_within = |(argument, own): (&String, &Allowed)| {
            let of_parent = parent
                .arguments
                .get(argument)
                .or_else(|| parent.arguments.get(ANY_OTHER));
            of_parent.is_some_and(|of_parent| own.constraint.narrows(&of_parent.constraint))
        };
        let wants = |arguments: &BTreeMap<String, Allowed>, name: &str| {
            arguments.get(name).is_some_and(|allowed| !allowed.is_optional)
        };
        let is_kept = |(argument, of_parent): (&String, &Allowed)| {
            if argument == ANY_OTHER {
                return true;
            }
            // What the child's `*` lets through under this name, the parent's own entry must too.
            let other = self
                .arguments
                .get(ANY_OTHER)
                .filter(|_| !self.arguments.contains_key(argument));
            (of_parent.is_optional || wants(&self.arguments, argument))
                && other.is_none_or(|other| other.constraint.narrows(&of_parent.constraint))
        };
        self.arguments.iter().all(is_within) && parent.arguments.iter().all(is_kept)
    }

    fn admits(&self, tool: &str, arguments: &Arguments) -> Result<(), OutOfScope> {
        if self.arguments.is_empty() {
            return Ok(());
        }
        for (argument, value) in arguments.members() {
            let allowed = self.arguments.get(argument).filter(|_| argument != ANY_OTHER);
            let allowed = allowed.or_else(|| self.arguments.get(ANY_OTHER));
            let named = || (shown(tool), shown(argument));
            let Some(allowed) = allowed else {
                let (tool, argument) = named();
                return Err(OutOfScope::Unnamed { tool, argument });
            };
            allowed.constraint.admits(value).map_err(|why| {
                let (tool, argument) = named();
                OutOfScope::Argument { tool, argument, why }
            })?;
        }
        let is_missing = |(argument, allowed): &(&String, &Allowed)| {
            !allowed.is_optional && *argument != ANY_OTHER && arguments.get(argument).is_none()
        };
        match self.arguments.iter().find(is_missing) {
            Some((argument, _)) => Err(OutOfScope::Missing {
                tool: shown(tool),
                argument: shown(argument),
            }),
            None => Ok(()),
        }
    }
}

impl Allowed {
    fn parse(tool: &str, argument: &str, json: &Json) -> Result<Self, InvalidScope> {
        let (constraint, optional) = match json {
            Json::Object(members) => {
                let (optional, own): (Vec<_>, Vec<_>) =
                    members.iter().cloned().partition(|(name, _)| name == OPTIONAL);
                (Json::Object(own), optional.into_iter().next())
            }
            other => (other.clone(), None),
        };
        let is_optional = match optional {
            None => false,
            Some((_, Json::Bool(is_optional))) => is_optional,
            Some(_) => {
                return Err(InvalidScope::Optional {
                    tool: shown(tool),
                    argument: shown(argument),
                });
            }
        };
        let constraint = Constraint::parse(&constraint).map_err(|why| InvalidScope::Argument {
            tool: shown(tool),
            argument: shown(argument),
            why,
        })?;
        Ok(Self {
            constraint,
            is_optional,
        })
    }

    fn to_json(&self) -> Value {
        let mut json = self.constraint.to_json();
        if self.is_optional
            && let Value::Object(members) = &mut json
        {
            members.insert(OPTIONAL.to_owned(), Value::Bool(true));
        }
        json
    }
}

/// Whoever writes `c/x*` means more than one tool: it would cover none, and nobody would be told.
fn check_tool(pattern: &str) -> Result<(), InvalidScope> {
    let is_tool = |tool: &str| tool == "*" || !(tool.is_empty() || tool.contains('*'));
    let is_catalog = |catalog: &str| !(catalog.is_empty() || catalog.contains('*'));
    match pattern.split_once('/') {
        Some((catalog, tool)) if is_catalog(catalog) && is_tool(tool) => Ok(()),
        _ => Err(InvalidScope::Tool(shown(pattern))),
    }
}

#[cfg(test)]
mod tests;
