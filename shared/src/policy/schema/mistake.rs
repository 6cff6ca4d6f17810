//! Where a schema that does not resolve goes wrong.
//!
//! Declarations are put together as JSON, which keeps no places. So each schema file is read once more as text, beside the
//! JSON of everything else: what Cedar points at then stands in that file.

use cedar_policy::{Schema, SchemaError, SchemaFragment};
use miette::{Diagnostic, SourceSpan};
use serde_json::Value;

use super::{Found, PackSchema, chain, members, members_of};
use crate::policy::finding::{Place, Severity};
use crate::policy::pack::Pack;

/// What is wrong with `all`, at its places; as a whole if Cedar knows none.
pub(super) fn mistakes<'p>(packs: &[&'p Pack], all: &Value, error: &SchemaError) -> Vec<Found<'p>> {
    let mut schemas = packs
        .iter()
        .flat_map(|pack| pack.schemas.iter().map(|schema| (*pack, schema)));
    let mut found = Vec::new();
    for (pack, schema) in schemas.clone() {
        let place = pack.place(&schema.file);
        if let Some(error) = reread(place.text, without(all, schema)) {
            found.push((pack.name(), place.diagnostic(Severity::Error, &error, 0)));
        }
    }
    if found.is_empty() {
        let help = "entity types of packs and resource types of catalogs must fit together";
        let (pack, file) = schemas.next().map_or(("", "schema"), |(pack, schema)| {
            (pack.name(), schema.file.as_str())
        });
        found.push((pack, Place::new(file, "").whole(chain(error), help)));
    }
    found
}

/// What Cedar points at in this text, beside the rest.
fn reread(text: &str, rest: Value) -> Option<SchemaError> {
    let (own, _) = SchemaFragment::from_cedarschema_str(text).ok()?;
    let rest = SchemaFragment::from_json_value(rest).ok()?;
    let error = Schema::from_schema_fragments([own, rest]).err()?;
    // A name that was read as JSON has a place too: in itself.
    let whole = SourceSpan::from(0..text.len());
    let points_here = |error: &SchemaError| {
        let source = error.source_code()?.read_span(&whole, 0, 0).ok()?;
        Some(source.data() == text.as_bytes())
    };
    (points_here(&error) == Some(true)).then_some(error)
}

/// Everything but what this schema declares.
fn without(all: &Value, schema: &PackSchema) -> Value {
    let mut rest = all.clone();
    for (namespace, declared) in members(&schema.json) {
        for kind in ["entityTypes", "commonTypes"] {
            let kept = rest.get_mut(namespace).and_then(|rest| rest.get_mut(kind));
            if let Some(kept) = kept.and_then(Value::as_object_mut) {
                for (name, _) in members_of(declared, kind) {
                    kept.remove(name);
                }
            }
        }
    }
    rest
}
