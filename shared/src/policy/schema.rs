//! The Cedar schema that rules and entities are held to: the product's own types, what catalogs say of tools, and what packs
//! declare.
//!
//! **Invariant**: `context` here and the context that is built for each call are the same; a test holds them to each other.

mod entities;
mod generate;
mod mistake;

use std::collections::BTreeMap;
use std::ops::Range;

use cedar_policy::{Schema, SchemaFragment};
use serde_json::{Map, Value, json};

use super::catalog::{Effect, Reversibility, Tool};
use super::finding::{Finding, Place, Severity};
use super::pack::Pack;
pub(super) use entities::{ENTITIES_FILE, compiled_entities, pack_entities};
use generate::{Generated, generate};

/// What the product itself declares; a pack may not declare it again.
const BASE_TYPES: [&str; 5] = ["Agent", "Team", "User", "Tool", USED];
/// The common type of what a ledger says of the use of tools: one for all actions, because it names every tool.
const USED: &str = "UsedTools";

/// The schema of a pack's own `*.cedarschema`, in Cedar's JSON.
#[derive(Debug, Clone)]
pub(super) struct PackSchema {
    pub(super) file: String,
    pub(super) json: Value,
}

/// A finding, and the pack whose file it points into.
pub(super) type Found<'p> = (&'p str, Finding);

/// Everything that is declared, while it is put together.
#[derive(Default)]
struct Declarations<'p> {
    /// By namespace. The empty one is the product's, and packs' too.
    namespaces: BTreeMap<String, Namespace>,
    findings: Vec<Found<'p>>,
}

#[derive(Default)]
struct Namespace {
    entity_types: Map<String, Value>,
    common_types: Map<String, Value>,
    actions: Map<String, Value>,
}

impl PackSchema {
    /// Reads a `*.cedarschema` file.
    pub(super) fn parse(place: Place<'_>) -> Result<Self, Vec<Finding>> {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(place.text)
            .map_err(|error| vec![place.diagnostic(Severity::Error, &error, 0)])?;
        let json = fragment
            .to_json_value()
            .map_err(|error| vec![place.whole(chain(&error), "")])?;
        let mut findings = Vec::new();
        for (namespace, declared) in members(&json) {
            for (action, _) in members_of(declared, "actions") {
                let help = "actions are the tools of `catalog/*.json`; a schema declares entity types";
                findings.push(place.error(
                    find(place.text, action),
                    format!("`{action}` is declared as an action"),
                    help,
                ));
            }
            for name in members_of(declared, "entityTypes")
                .chain(members_of(declared, "commonTypes"))
                .map(|(name, _)| name)
            {
                if namespace.is_empty() && BASE_TYPES.contains(&name.as_str()) {
                    let help = "the product declares it; attributes belong on types of your own";
                    findings.push(place.error(
                        find(place.text, name),
                        format!("`{name}` is declared already"),
                        help,
                    ));
                }
            }
        }
        if findings.is_empty() {
            Ok(Self {
                file: place.file.to_owned(),
                json,
            })
        } else {
            Err(findings)
        }
    }
}

/// The schema of packs that run together, as Cedar's own tools take it.
pub fn schema(packs: &[&Pack]) -> Result<Schema, Vec<Finding>> {
    let shown = |(pack, finding): Found<'_>| match packs {
        [_] => finding,
        _ => finding.within(pack),
    };
    schema_of(packs).map_err(|found| found.into_iter().map(shown).collect())
}

/// The same, each finding beside its pack.
pub(super) fn schema_of<'p>(packs: &[&'p Pack]) -> Result<Schema, Vec<Found<'p>>> {
    let mut declared = Declarations::base();
    for (pack, schema) in packs
        .iter()
        .flat_map(|pack| pack.schemas.iter().map(move |schema| (pack, schema)))
    {
        declared.add_pack_schema(pack, schema);
    }
    for pack in packs {
        declared.add_catalogs(pack);
    }
    declared.add_used(packs);
    declared.finish(packs)
}

impl<'p> Declarations<'p> {
    /// What the product itself declares.
    fn base() -> Self {
        let mut declared = Self::default();
        let own = declared.namespace("");
        own.entity_types
            .insert("Team".to_owned(), json!({ "memberOfTypes": ["Team"] }));
        own.entity_types
            .insert("Agent".to_owned(), json!({ "memberOfTypes": ["Team"] }));
        own.entity_types.insert("User".to_owned(), json!({}));
        own.entity_types.insert("Tool".to_owned(), json!({}));
        let groups = Effect::ALL
            .map(Effect::as_str)
            .into_iter()
            .chain(Reversibility::ALL.map(Reversibility::as_str));
        own.actions
            .extend(groups.map(|group| (group.to_owned(), json!({}))));
        declared
    }

    fn add_pack_schema(&mut self, pack: &'p Pack, schema: &PackSchema) {
        for (name, declared) in members(&schema.json) {
            let namespace = self.namespaces.entry(name.clone()).or_default();
            let mut twice = Vec::new();
            for (ty, declaration) in members_of(declared, "entityTypes") {
                if namespace
                    .entity_types
                    .insert(ty.clone(), declaration.clone())
                    .is_some()
                {
                    twice.push(ty);
                }
            }
            for (ty, declaration) in members_of(declared, "commonTypes") {
                if namespace
                    .common_types
                    .insert(ty.clone(), declaration.clone())
                    .is_some()
                {
                    twice.push(ty);
                }
            }
            for ty in twice {
                let place = pack.place(&schema.file);
                let message = format!("`{ty}` is declared by another schema too");
                let help = "declare it once, or rename it";
                let finding = place.error(find(place.text, ty), message, help);
                self.findings.push((pack.name(), finding));
            }
        }
    }

    fn add_catalogs(&mut self, pack: &'p Pack) {
        let mut catalogs: BTreeMap<&str, Vec<&Tool>> = BTreeMap::new();
        for tool in &pack.tools {
            catalogs.entry(tool.catalog()).or_default().push(tool);
        }
        for (catalog, tools) in catalogs {
            let file = format!("catalog/{catalog}.json");
            match generate(&tools) {
                Ok(generated) => self.add_catalog(pack, &file, &tools, generated),
                Err(error) => {
                    let finding = pack.place(&file).whole(error.to_string(), "");
                    self.findings.push((pack.name(), finding));
                }
            }
        }
    }

    fn add_catalog(&mut self, pack: &'p Pack, file: &str, tools: &[&Tool], generated: Generated) {
        let own = self.namespaces.entry(String::new()).or_default();
        for (name, enumeration) in generated.enumerations {
            if own.entity_types.insert(name.clone(), enumeration).is_some() {
                let message =
                    format!("the entity type `{name}`, named after an enumeration here, is declared already");
                let help = "rename the catalog or the other declaration";
                self.findings
                    .push((pack.name(), pack.place(file).whole(message, help)));
            }
        }
        for (tool, input) in tools.iter().zip(generated.inputs) {
            own.entity_types
                .entry(tool.resource_type())
                .or_insert_with(|| json!({}));
            let action = json!({
                "memberOf": tool.groups().map(|group| json!({ "id": group })).collect::<Vec<_>>(),
                "appliesTo": {
                    "principalTypes": ["Agent"],
                    "resourceTypes": [tool.resource_type()],
                    "context": context(&input),
                },
            });
            own.actions.insert(tool.id.clone(), action);
        }
    }

    /// Every tool of these packs may have been used.
    fn add_used(&mut self, packs: &[&Pack]) {
        let used = json!({
            "type": "Record",
            "required": false,
            "attributes": {
                "times": { "type": "Long" },
                "ago": { "type": "Extension", "name": "duration" },
            },
        });
        let tools = packs.iter().flat_map(|pack| &pack.tools);
        let attributes: Map<String, Value> = tools.map(|tool| (tool.id.clone(), used.clone())).collect();
        self.namespace("").common_types.insert(
            USED.to_owned(),
            json!({ "type": "Record", "attributes": attributes }),
        );
    }

    fn finish(self, packs: &[&'p Pack]) -> Result<Schema, Vec<Found<'p>>> {
        if !self.findings.is_empty() {
            return Err(self.findings);
        }
        let namespaces = self.namespaces.into_iter().map(|(name, namespace)| {
            let Namespace {
                entity_types,
                common_types,
                actions,
            } = namespace;
            (
                name,
                json!({ "entityTypes": entity_types, "commonTypes": common_types, "actions": actions }),
            )
        });
        let json = Value::Object(namespaces.collect());
        Schema::from_json_value(json.clone()).map_err(|error| mistake::mistakes(packs, &json, &error))
    }

    fn namespace(&mut self, name: &str) -> &mut Namespace {
        self.namespaces.entry(name.to_owned()).or_default()
    }
}

/// What rules read beside principal, action and resource.
fn context(input: &Value) -> Value {
    let string = || json!({ "type": "String" });
    let strings = || json!({ "type": "Set", "element": string() });
    let extension = |name: &str| json!({ "type": "Extension", "name": name });
    let long = || json!({ "type": "Long" });
    let spent = json!({
        "money": extension("decimal"), "rows": long(), "bytes": long(), "tokens": long(), "model_calls": long(),
    });
    let task = json!({
        "id": string(), "intent": string(), "scope": strings(), "age": extension("duration"),
        "risk": long(),
        "data": { "type": "Set", "element": string(), "required": false },
        "labels": strings(), "sensitivity": long(), "calls": long(), "reversibility": long(),
        "used": { "type": USED },
        "spent": { "type": "Record", "attributes": spent },
    });
    let agent = || json!({ "type": "Entity", "name": "Agent" });
    let chain = json!({
        "depth": long(),
        "agents": { "type": "Set", "element": agent() },
        "root": agent(),
        "parent": { "type": "Entity", "name": "Agent", "required": false },
    });
    let tool = json!({ "yields": strings() });
    json!({
        "type": "Record",
        "attributes": {
            "input": input,
            "chain": { "type": "Record", "attributes": chain },
            "task": { "type": "Record", "attributes": task },
            "tool": { "type": "Record", "attributes": tool },
            "user": { "type": "Entity", "name": "User" },
            "environment": string(),
            "risk": long(),
            "now": extension("datetime"),
            "policy_age": extension("duration"),
            "arguments_from_intent": strings(),
            "arguments_from": {
                "type": "Record",
                "attributes": { "user": strings(), "trusted": strings(), "untrusted": strings() },
            },
            "result": {
                "type": "Record",
                "required": false,
                "attributes": {
                    "bytes": { "type": "Long" },
                    "rows": { "type": "Long", "required": false },
                },
            },
        },
    })
}

/// An error with all that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}

/// Where a word stands in a text.
pub(super) fn find(text: &str, word: &str) -> Range<usize> {
    text.find(word).map_or(0..0, |at| at..at + word.len())
}

fn members(json: &Value) -> impl Iterator<Item = (&String, &Value)> {
    json.as_object().into_iter().flatten()
}

fn members_of<'a>(json: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    json.get(name).into_iter().flat_map(members)
}

#[cfg(test)]
mod tests;
