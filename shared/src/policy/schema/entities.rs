//! A pack's entities, held to the schema and brought into one form.

use std::collections::BTreeMap;

use cedar_policy::{Entities, Schema};
use serde_json::Value;

use super::chain;
use crate::action::Arguments;
use crate::policy::finding::{Finding, Place};
use crate::policy::pack::Pack;

/// Where a pack's entities stand.
pub(in super::super) const ENTITIES_FILE: &str = "entities.json";
/// Each pack's entities as Cedar's own JSON, sorted and in one form, by the name of the pack.
pub(in super::super) fn compiled_entities<'p>(
    packs: &[&'p Pack],
    schema: &Schema,
) -> Result<BTreeMap<&'p str, String>, Vec<Finding>> {
    let mut compiled = BTreeMap::new();
    let mut findings = Vec::new();
    for pack in packs {
        match pack_entities(pack, schema) {
            Ok(entities) if entities.is_empty() => {}
            Ok(entities) => {
                let entities: Vec<_> = entities.into_values().collect();
                compiled.insert(pack.name(), format!("[{}]", entities.join(",")));
            }
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() {
        Ok(compiled)
    } else {
        Err(findings)
    }
}

/// A pack's entities: by uid, as canonical JSON.
pub(in super::super) fn pack_entities(
    pack: &Pack,
    schema: &Schema,
) -> Result<BTreeMap<String, String>, Finding> {
    let Some(text) = &pack.entities else {
        return Ok(BTreeMap::new());
    };
    let place = Place::new(ENTITIES_FILE, text);
    let wrong = |error: &dyn std::error::Error| entity_error(place, &chain(error));
    let entities = Entities::from_json_str(text, Some(schema)).map_err(|error| wrong(&error))?;
    let mut all = BTreeMap::new();
    for entity in entities
        .iter()
        .filter(|entity| entity.uid().type_name().basename() != "Action")
    {
        let mut json = entity.to_json_value().map_err(|error| wrong(&error))?;
        if let Some(parents) = json.get_mut("parents").and_then(Value::as_array_mut) {
            // Cedar keeps them in a hash set.
            parents.sort_by_key(Value::to_string);
        }
        let canonical = Arguments::parse(json.to_string().as_bytes()).map_err(|error| wrong(&error))?;
        all.insert(entity.uid().to_string(), canonical.canonical());
    }
    Ok(all)
}

/// Cedar names the entity and not the place; the place is where its id stands.
fn entity_error(place: Place<'_>, message: &str) -> Finding {
    let id = message
        .split("::\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let quoted = format!("\"{id}\"");
    let help =
        "entities are Cedar's JSON: a list of `{ \"uid\": { \"type\", \"id\" }, \"attrs\", \"parents\" }`";
    match place.text.find(&quoted) {
        Some(at) if !id.is_empty() => place.error(at..at + quoted.len(), message, help),
        _ => place.whole(message, help),
    }
}
