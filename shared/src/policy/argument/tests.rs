//! Types come from JSON Schemas as finite trees.

use mcp_tools_sdk::description::ToolDescription;

use super::schema::InvalidSchema;
use super::*;

fn types(schema: &str) -> Result<RecordType, InvalidSchema> {
    let tool = format!("{{\"name\": \"t\", \"inputSchema\": {schema}}}");
    arguments_of(&ToolDescription::from_json_str(&tool).unwrap(), "c_t", false)
}

fn ty(schema: &str) -> Member {
    types(&format!("{{\"properties\": {{\"a\": {schema}}}}}"))
        .unwrap()
        .members
        .remove(0)
}

#[test]
fn null_as_a_choice_is_absence() {
    let member = ty(r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#);
    assert_eq!(
        (member.ty, member.nullable, member.required),
        (ArgumentType::Scalar(Scalar::String), true, false)
    );
    let member = ty(r#"{"type": ["null", "integer", "string"]}"#);
    let choice = ArgumentType::Choice(vec![
        ArgumentType::Scalar(Scalar::Long),
        ArgumentType::Scalar(Scalar::String),
    ]);
    assert_eq!((member.ty, member.nullable), (choice, true));
    assert!(!ty(r#"{"type": "string"}"#).nullable);
}

#[test]
fn an_enumeration_is_named_after_where_it_stands() {
    let ArgumentType::Enumeration(names) = ty(r#"{"type": "string", "enum": ["x", "y"]}"#).ty else {
        panic!()
    };
    assert_eq!(
        (names.entity_type.to_string(), names.variants),
        ("c_t_a".to_owned(), vec!["x".to_owned(), "y".to_owned()])
    );
}

#[test]
fn a_type_that_contains_itself_ends_in_one_that_can_t_be_looked_into() {
    let schema = r##"{"$defs": {"T": {"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}}},
        "properties": {"a": {"$ref": "#/$defs/T"}}}"##;
    let a = types(schema).unwrap().members.remove(0);
    let ArgumentType::Record(record) = a.ty else {
        panic!()
    };
    assert_eq!(record.members[0].ty, ArgumentType::Scalar(Scalar::Opaque));
}

#[test]
fn a_nullable_type_that_contains_itself_ends_too() {
    let schema = r##"{"$defs": {"T": {"anyOf": [{"type": "object",
        "properties": {"l": {"$ref": "#/$defs/T"}, "r": {"$ref": "#/$defs/T"}}}, {"type": "null"}]}},
        "properties": {"a": {"$ref": "#/$defs/T"}}}"##;
    let a = types(schema).unwrap().members.remove(0);
    assert!(a.nullable);
    let ArgumentType::Record(record) = a.ty else {
        panic!()
    };
    let opaque = |member: &Member| member.ty == ArgumentType::Scalar(Scalar::Opaque);
    assert!(record.members.len() == 2 && record.members.iter().all(opaque));
}

#[test]
fn null_is_absence_through_any_number_of_references() {
    let schema = r##"{"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": ["string", "null"]}},
        "properties": {"a": {"$ref": "#/$defs/A"}}}"##;
    let a = types(schema).unwrap().members.remove(0);
    assert_eq!((a.ty, a.nullable), (ArgumentType::Scalar(Scalar::String), true));
}

#[test]
fn a_string_is_a_string_whatever_its_format() {
    for format in ["decimal", "uuid", "email"] {
        let member = ty(&format!(r#"{{"type": "string", "format": "{format}"}}"#));
        assert_eq!(member.ty, ArgumentType::Scalar(Scalar::String), "{format}");
    }
}

#[test]
fn references_that_multiply_are_refused() {
    let fan = |to: usize| {
        (0..12)
            .map(|at| format!("\"p{at}\": {{\"$ref\": \"#/$defs/D{to}\"}}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let definitions: Vec<_> = (0..6)
        .map(|at| {
            format!(
                "\"D{at}\": {{\"type\": \"object\", \"properties\": {{{}}}}}",
                fan(at + 1)
            )
        })
        .chain(["\"D6\": {\"type\": \"string\"}".to_owned()])
        .collect();
    let schema = format!(
        "{{\"$defs\": {{{}}}, \"properties\": {{\"a\": {{\"$ref\": \"#/$defs/D0\"}}}}}}",
        definitions.join(",")
    );
    assert_eq!(types(&schema), Err(InvalidSchema::TooLarge));
}

#[test]
fn members_are_sorted_and_what_is_not_understood_is_opaque() {
    let record =
        types(r#"{"required": ["z"], "properties": {"z": {"type": "integer"}, "b": {"const": 1}, "é": {}}}"#)
            .unwrap();
    let names: Vec<_> = record
        .members
        .iter()
        .map(|member| (member.name.as_str(), member.required))
        .collect();
    assert_eq!(names, [("b", false), ("z", true), ("é", false)]);
    assert_eq!(
        record.member("b").unwrap().ty,
        ArgumentType::Scalar(Scalar::Opaque)
    );
}
