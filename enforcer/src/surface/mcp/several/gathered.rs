//! What several servers say to one request, put together.
//!
//! **Invariant**: a list holds what its servers gave, their bytes but for the names; nothing in it has the name of another. What the servers
//! are said to be able to do, one of them can.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::super::answers::{self, INTERNAL};
use super::super::listing::PAGES_MAX;
use super::super::methods::Era;
use super::super::wire::{Answered, Id, Members, Message, shown, text};
use super::Part;
use super::named::{NAME_BYTES_MAX, joined};

/// What the servers can is not told further than this.
const DEPTH_MAX: usize = 8;

/// One server's list, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Pages {
    items: Vec<String>,
    count: usize,
    /// What it said instead.
    error: Option<String>,
    ttl_ms: Option<u64>,
}

/// The name of a method's list in its result.
pub(super) fn list(method: &str) -> Option<&'static str> {
    Some(match method {
        "tools/list" => "tools",
        "resources/list" => "resources",
        "resources/templates/list" => "resourceTemplates",
        "prompts/list" => "prompts",
        _ => return None,
    })
}

impl Pages {
    /// Takes up a page; gives the parameters that ask for the next.
    pub(super) fn take(&mut self, said: &str, list: &str, params: &str) -> Option<String> {
        self.count += 1;
        let result = match Message::parse(said) {
            Ok(Message::Response {
                answer: Answered::Result(result),
                ..
            }) => Members::parse(result.get()).ok()?,
            Ok(Message::Response {
                answer: Answered::Error(error),
                ..
            }) => {
                self.error = Some(error.get().to_owned());
                return None;
            }
            _ => return None,
        };
        let items: Vec<&RawValue> = serde_json::from_str(result.get(list)?.get()).ok()?;
        self.items
            .extend(items.into_iter().map(|item| item.get().to_owned()));
        let ttl_ms = result.get("ttlMs").and_then(|ttl| ttl.get().parse().ok());
        self.ttl_ms = self.ttl_ms.into_iter().chain(ttl_ms).min();
        let next = result.get("nextCursor").filter(|next| next.get() != "null")?;
        if self.count >= PAGES_MAX {
            return None;
        }
        Some(Members::parse(params).ok()?.with("cursor", next.get()))
    }
}

/// The lists of all servers as one. Where none has such a list, what the first said of it.
pub(super) fn lists(era: Era, (id, list): (&Id, &str), all: Vec<(&Part, Pages)>) -> String {
    let is_named = matches!(list, "tools" | "prompts");
    let ttl_ms = all.iter().map(|(_, pages)| pages.ttl_ms.unwrap_or(0)).min();
    let has_list = all
        .iter()
        .any(|(_, pages)| pages.error.is_none() && pages.count > 0);
    let error = all.iter().find_map(|(_, pages)| pages.error.clone());
    if let Some(error) = error.filter(|_| !has_list) {
        return answers::error_of(id, &error);
    }
    let mut items = Vec::new();
    for (part, pages) in all {
        if is_named {
            items.extend(pages.items.iter().filter_map(|item| named(part, item)));
        } else {
            items.extend(pages.items);
        }
    }
    let (items, ttl_ms) = (items.join(","), ttl_ms.unwrap_or(0));
    let result = match era {
        Era::Handshake => format!(r#"{{"{list}":[{items}]}}"#),
        Era::Stateless => format!(
            r#"{{"resultType":"complete","{list}":[{items}],"ttlMs":{ttl_ms},"cacheScope":"private"}}"#
        ),
    };
    answers::result(id, &result)
}

/// A tool or a prompt by the name that it has here; none: it can have none.
fn named(part: &Part, item: &str) -> Option<String> {
    let members = Members::parse(item).ok()?;
    let name = joined(&part.name, &members.get("name").and_then(text)?);
    if name.len() > NAME_BYTES_MAX + 2 {
        warn!(
            name = shown(&name),
            "the name is longer than clients take; it is not shown"
        );
        return None;
    }
    Some(members.with("name", &name))
}

/// What the servers said of themselves, or to a word that is for them all.
pub(super) fn said(id: &Id, method: &str, all: &[(&str, Option<String>)]) -> String {
    let mut results = Vec::new();
    let mut error = None;
    for (name, said) in all {
        match said.as_deref().map(Message::parse) {
            Some(Ok(Message::Response {
                answer: Answered::Result(result),
                ..
            })) => {
                if let Ok(Value::Object(result)) = serde_json::from_str(result.get()) {
                    results.push((*name, result));
                }
            }
            Some(Ok(Message::Response {
                answer: Answered::Error(refused),
                ..
            })) => error = error.or_else(|| Some(refused.get().to_owned())),
            _ => {}
        }
    }
    match (results.is_empty(), error) {
        (true, Some(error)) => answers::error_of(id, &error),
        (true, None) => answers::error(Some(id), INTERNAL, "no server here answers", None),
        (false, _) if method == "logging/setLevel" => answers::result(id, "{}"),
        (false, _) => answers::result(id, &Value::Object(together(method, &results)).to_string()),
    }
}

/// What they say of themselves, as one.
fn together(method: &str, results: &[(&str, Map<String, Value>)]) -> Map<String, Value> {
    let mut can = Map::new();
    let mut words = Vec::new();
    let names: Vec<&str> = results.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    for (name, result) in results {
        if let Some(Value::Object(capabilities)) = result.get("capabilities") {
            unite(&mut can, capabilities, 0);
        }
        if let Some(said) = result.get("instructions").and_then(Value::as_str) {
            words.push(format!(
                "{name} (its tools and prompts begin with `{name}__`):\n{said}"
            ));
        }
    }
    // Nobody speaks of these for several servers at once.
    can.remove("tasks");
    let mut told = Map::new();
    if method == "initialize" {
        let revisions = results
            .iter()
            .filter_map(|(_, result)| result.get("protocolVersion")?.as_str());
        // Dates sort as texts do. Whoever speaks a newer revision understands this one.
        told.insert("protocolVersion".to_owned(), revisions.min().into());
    } else {
        let spoken = |result: &Map<String, Value>| result.get("supportedVersions").cloned();
        told.insert(
            "supportedVersions".to_owned(),
            common(results.iter().filter_map(|(_, result)| spoken(result))),
        );
        let ttl_ms = results
            .iter()
            .map(|(_, result)| result.get("ttlMs").and_then(Value::as_u64).unwrap_or(0));
        told.insert("ttlMs".to_owned(), ttl_ms.min().into());
        told.insert("cacheScope".to_owned(), "private".into());
        told.insert("resultType".to_owned(), "complete".into());
    }
    told.insert("capabilities".to_owned(), Value::Object(can));
    let title = format!("Checkrein before {names}");
    let whoever = json!({ "name": "checkrein", "title": title, "version": env!("CARGO_PKG_VERSION") });
    if method == "initialize" {
        told.insert("serverInfo".to_owned(), whoever);
    } else {
        told.insert(
            "_meta".to_owned(),
            json!({ "io.modelcontextprotocol/serverInfo": whoever }),
        );
    }
    if !words.is_empty() {
        told.insert("instructions".to_owned(), words.join("\n\n").into());
    }
    told
}

/// What all of these lists hold.
fn common(lists: impl Iterator<Item = Value>) -> Value {
    let lists: Vec<Vec<Value>> = lists.filter_map(|list| list.as_array().cloned()).collect();
    let Some((first, others)) = lists.split_first() else {
        return json!([]);
    };
    let is_common = |value: &&Value| others.iter().all(|list| list.contains(value));
    first.iter().filter(is_common).cloned().collect()
}

/// What either can.
fn unite(can: &mut Map<String, Value>, more: &Map<String, Value>, depth: usize) {
    for (name, value) in more {
        match (can.get_mut(name), value) {
            (Some(Value::Object(own)), Value::Object(more)) if depth < DEPTH_MAX => {
                unite(own, more, depth + 1);
            }
            (Some(Value::Bool(own)), Value::Bool(more)) => *own |= more,
            (Some(_), _) => {}
            (None, value) => {
                can.insert(name.clone(), value.clone());
            }
        }
    }
}
