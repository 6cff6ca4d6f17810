//! What a tool may be, as far as its server says: for a person who knows better.

use std::fmt::Write as _;

use checkrein_enforcer::Inventory;
use serde_json::{Value, json};

/// Arguments that often name what a tool touches, and those that often are nobody's to see.
const RESOURCES: [&str; 6] = ["path", "file_path", "uri", "url", "id", "name"];
const SECRETS: [&str; 6] = ["password", "secret", "token", "api_key", "apiKey", "private_key"];
const HEAD: &str = "\
# What each tool is. This is a suggestion: it is made of what the server hints at its own tools, which proves nothing, and of the worst where
# it hints at nothing. Look at each, and say what it does to the world (read, write, destroy, send, spend, approve, trigger, administer,
# publish) and whether that can be undone (read_only, reversible, externally_reversible, irreversible).
";

/// One entry.
struct Suggestion {
    effects: &'static [&'static str],
    reversibility: &'static str,
    why: &'static str,
    reaches_others: bool,
}

/// The catalog's JSON: the definitions as the server gives them, and its other methods.
pub(super) fn definitions(found: &Inventory) -> String {
    let methods = found.methods.iter().map(|method| {
        let words = format!("MCP's {method}");
        json!({"name": method, "description": words, "inputSchema": arguments(method)}).to_string()
    });
    let tools: Vec<String> = found.tools.iter().cloned().chain(methods).collect();
    format!("{{\"tools\": [\n{}\n]}}\n", tools.join(",\n"))
}

/// What those methods are given.
fn arguments(method: &str) -> Value {
    let text = json!({"type": "string"});
    let (properties, required): (Value, &[&str]) = match method {
        "resources/list" | "resources/templates/list" | "prompts/list" => (json!({"cursor": text}), &[]),
        "prompts/get" => (
            json!({"name": text, "arguments": {"type": "object", "additionalProperties": text}}),
            &["name"],
        ),
        "subscriptions/listen" => (json!({"notifications": subscription()}), &["notifications"]),
        _ => (json!({"uri": text}), &["uri"]),
    };
    json!({"type": "object", "properties": properties, "required": required})
}

/// Of what a client wants to be told.
fn subscription() -> Value {
    let is = json!({"type": "boolean"});
    let resources = json!({"type": "array", "items": {"type": "string"}});
    let properties = json!({
        "toolsListChanged": is, "promptsListChanged": is, "resourcesListChanged": is, "resourceSubscriptions": resources
    });
    json!({"type": "object", "properties": properties})
}

/// The catalog's TOML.
pub(super) fn entries(found: &Inventory) -> String {
    let mut text = HEAD.to_owned();
    for tool in &found.tools {
        let tool: Value = serde_json::from_str(tool).unwrap_or_default();
        let name = tool["name"].as_str().unwrap_or_default();
        entry(&mut text, name, &Suggestion::of(&tool["annotations"]));
        let members = tool["inputSchema"]["properties"].as_object();
        let has = |wanted: &&&str| members.is_some_and(|members| members.contains_key(**wanted));
        if let Some(argument) = RESOURCES.iter().find(has) {
            let _written = writeln!(text, "# resource = {{ type = \"Thing\", id = \"{argument}\" }}");
        }
        let secrets: Vec<&&str> = SECRETS.iter().filter(has).collect();
        if !secrets.is_empty() {
            let _written = writeln!(text, "secret = {secrets:?}");
        }
    }
    for method in &found.methods {
        entry(&mut text, method, &Suggestion::READS);
    }
    text
}

fn entry(text: &mut String, name: &str, suggestion: &Suggestion) {
    let is_bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let key = if is_bare {
        name.to_owned()
    } else {
        toml::Value::from(name).to_string()
    };
    // Writing to a String does not fail.
    let _written = write!(
        text,
        "\n# {}\n[{key}]\neffects = {:?}\nreversibility = \"{}\"\n",
        suggestion.why, suggestion.effects, suggestion.reversibility
    );
    if suggestion.reaches_others {
        text.push_str("# It may give what others wrote: yields = [\"untrusted_content\"]\n");
    }
}

impl Suggestion {
    const READS: Self = Self {
        effects: &["read"],
        reversibility: "read_only",
        why: "A method of MCP; what it gives is the server's.",
        reaches_others: false,
    };

    /// From the hints, each with what MCP says is meant where it is missing.
    fn of(annotations: &Value) -> Self {
        let hint = |name: &str, missing: bool| annotations[name].as_bool().unwrap_or(missing);
        let reaches_others = hint("openWorldHint", true);
        let (effects, reversibility, why): (&[&str], _, _) = if !annotations.is_object() {
            (
                &["read", "write", "destroy", "send"],
                "irreversible",
                "The server says nothing of it.",
            )
        } else if hint("readOnlyHint", false) {
            (&["read"], "read_only", "The server says that it only reads.")
        } else {
            match (hint("destructiveHint", true), reaches_others) {
                (true, true) => (
                    &["read", "write", "destroy", "send"],
                    "irreversible",
                    "It destroys, and reaches others, unless the server says otherwise; it does not.",
                ),
                (true, false) => (
                    &["read", "write", "destroy"],
                    "irreversible",
                    "It destroys, unless the server says otherwise; it does not.",
                ),
                (false, true) => (
                    &["read", "write", "send"],
                    "externally_reversible",
                    "The server says that it does not destroy, and not that it stays with it.",
                ),
                (false, false) => (
                    &["read", "write"],
                    "reversible",
                    "The server says that it does not destroy, and stays with it.",
                ),
            }
        };
        Self {
            effects,
            reversibility,
            why,
            reaches_others,
        }
    }
}

#[cfg(test)]
mod tests;
