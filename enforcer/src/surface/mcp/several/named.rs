//! What is one server's, by a name that is nobody else's: the server's, two underscores, its own.
//!
//! **Invariant**: a name has one reading. No server's name holds two underscores, or ends with one.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::name::{BETWEEN, ServerName};
use super::super::wire::{Members, shown, text};
use super::Part;

/// No client takes a longer name of a tool.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// A name as the client knows it, as JSON.
pub(super) fn joined(server: &ServerName, own: &str) -> String {
    Value::from(format!("{server}{BETWEEN}{own}")).to_string()
}

/// Whose this name is, and what it is there.
pub(super) fn split<'a, 'n>(parts: &'a [Part], name: &'n str) -> Option<(&'a Part, &'n str)> {
    let (server, own) = name.split_once(BETWEEN)?;
    let part = parts.iter().find(|part| part.name.as_str() == server)?;
    Some((part, own))
}

/// Whom the parameters name, and how that server reads them; none: a request of this method names nobody.
pub(super) fn own<'a>(
    parts: &'a [Part],
    method: &str,
    params: Option<&RawValue>,
) -> Option<Result<(&'a Part, String), String>> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    Some(named_by(parts, member, params))
}

fn named_by<'a>(
    parts: &'a [Part],
    member: &str,
    params: Option<&RawValue>,
) -> Result<(&'a Part, String), String> {
    let members =
        Members::parse(params.map_or("{}", RawValue::get)).map_err(|error| format!("`params`: {error}"))?;
    let name = members.get(member).and_then(text).unwrap_or_default();
    let (part, own) = split(parts, &name).ok_or_else(|| {
        let servers: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        format!(
            "`{}` is no name of anything here; it begins with a server's name and `{BETWEEN}`: {}",
            shown(&name),
            servers.join(", ")
        )
    })?;
    Ok((part, members.with(member, &Value::from(own).to_string())))
}
