//! A tool as its own server defines it, in `<catalog>.json`.

use std::collections::BTreeMap;
use std::ops::Range;

use mcp_tools_sdk::description::ToolDescription;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::action::{Arguments, Json, Sha256};
use crate::policy::argument::{RecordType, arguments_of, identifier};
use crate::policy::finding::{Finding, Place};

/// A tool's name may have at most this many characters.
const TOOL_NAME_CHARS_MAX: usize = 128;

/// One tool as its server defines it.
pub(super) struct Definition<'a> {
    /// Where it begins in the file.
    pub(super) at: Range<usize>,
    /// SHA-256 of its canonical JSON.
    pub(super) sha256: Sha256,
    text: &'a str,
}

/// What a `tools/list` answer may look like, other than a bare list. Other members are the server's own business.
#[derive(Deserialize)]
struct Listing<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    result: Option<ToolList<'a>>,
}

#[derive(Deserialize)]
struct ToolList<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

/// The tools of a file, by name, as far as they are definitions at all; and what is wrong with the others.
pub(super) fn definitions(json: Place<'_>) -> (Option<BTreeMap<String, Definition<'_>>>, Vec<Finding>) {
    let raws = match tool_list(json.text) {
        Ok(raws) => raws,
        Err(error) => {
            let at = json.offset(error.line(), error.column());
            let help = "expected what `tools/list` answers: `{\"tools\": […]}`, `{\"result\": {\"tools\": […]}}` or `[…]`";
            let finding = json.error(at, format!("not a list of tools: {error}"), help);
            return (None, vec![finding]);
        }
    };
    let mut definitions = BTreeMap::new();
    let mut findings = Vec::new();
    for raw in raws {
        let start = json.span_of(raw.get()).start;
        match definition(json, raw.get(), start..start) {
            Err(finding) => findings.push(finding),
            Ok((name, definition)) => {
                if definitions.insert(name.clone(), definition).is_some() {
                    findings.push(json.error(
                        start..start,
                        format!("`{name}` is listed twice"),
                        "remove one",
                    ));
                }
            }
        }
    }
    (Some(definitions), findings)
}

impl Definition<'_> {
    /// The types of the tool's arguments.
    pub(super) fn arguments(&self, catalog: &str, name: &str) -> Result<RecordType, String> {
        let mut value: Value = serde_json::from_str(self.text).map_err(|error| error.to_string())?;
        let schema = value.get("inputSchema").or_else(|| value.get("parameters"));
        let additional = schema.and_then(|schema| schema.get("additionalProperties"));
        let additional =
            additional.is_some_and(|allowed| allowed.is_object() || *allowed == Value::Bool(true));
        if let Some(tool) = value.as_object_mut() {
            // What a tool answers is nothing that rules see, and no reason to refuse it.
            tool.remove("outputSchema");
        }
        spell_out_additional(&mut value);
        let tool = ToolDescription::from_json_str(&value.to_string()).map_err(|error| error.to_string())?;
        let mut prefix = format!("{}_{}", identifier(catalog), identifier(name));
        if prefix.starts_with(|c: char| c.is_ascii_digit()) {
            prefix.insert(0, '_');
        }
        arguments_of(&tool, &prefix, additional).map_err(|error| error.to_string())
    }
}

/// Parsed by the strict parser of arguments: a definition too has one reading, one canonical text and one hash.
fn definition<'a>(
    json: Place<'a>,
    text: &'a str,
    at: Range<usize>,
) -> Result<(String, Definition<'a>), Finding> {
    let object = Arguments::parse(text.as_bytes()).map_err(|error| {
        json.error(
            at.clone(),
            format!("a tool's definition can't be used: {error}"),
            "",
        )
    })?;
    let Some(Json::String(name)) = object.get("name") else {
        return Err(json.error(at, "a tool has no `name`", ""));
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || name.len() > TOOL_NAME_CHARS_MAX || !name.chars().all(allowed) {
        let help = "MCP allows letters, digits, `_`, `-`, `.` and `/`, at most 128";
        return Err(json.error(at, format!("`{name}` can't be the name of a tool"), help));
    }
    let sha256 = Sha256::of(object.canonical().as_bytes());
    Ok((name.clone(), Definition { at, sha256, text }))
}

fn tool_list(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let listing: Listing<'_> = serde_json::from_str(text)?;
    let tools = listing.tools.or(listing.result.map(|result| result.tools));
    tools.ok_or_else(|| serde_json::Error::custom("there is no member `tools`"))
}

/// `mcp-tools-sdk` reads `additionalProperties` only if it is a schema. `true` is the schema `{}`; and an object of which
/// nothing at all is said may hold anything. Members that an object with members does not list stay refused.
fn spell_out_additional(value: &mut Value) {
    let is_object =
        |ty: &Value| ty == "object" || ty.as_array().is_some_and(|all| all.contains(&"object".into()));
    if let Value::Object(schema) = value {
        if schema.get("type").is_some_and(is_object) {
            let says_nothing =
                |properties: &Value| properties.as_object().is_some_and(serde_json::Map::is_empty);
            let empty = schema.get("properties").is_none_or(says_nothing);
            let anything = match schema.get("additionalProperties") {
                Some(allowed) => *allowed == Value::Bool(true),
                None => empty,
            };
            if anything {
                schema.insert(
                    "additionalProperties".to_owned(),
                    Value::Object(serde_json::Map::new()),
                );
            }
        }
        schema.values_mut().for_each(spell_out_additional);
    } else if let Value::Array(elements) = value {
        elements.iter_mut().for_each(spell_out_additional);
    }
}
