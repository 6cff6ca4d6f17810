//! What an asker sends, read once.
//!
//! **Invariant**: a question has one reading: a member that stands twice is refused, and so is a part of another type than its own. What
//! is not known is passed over, as the standard wants it.

use checkrein_shared::action::{Arguments, InvalidArguments, Json};

/// Members of an object, in the order of their names.
pub(super) type Members = Vec<(String, Json)>;

/// A subject or a resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) properties: Members,
}

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deed {
    pub(super) name: String,
    pub(super) properties: Members,
}

/// May this subject do this to that?
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub(super) subject: Thing,
    pub(super) action: Deed,
    pub(super) resource: Thing,
    pub(super) context: Members,
}

/// The parts of a question, as they stand; one that stands in an item takes the place of the one beside it, whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) subject: Option<&'a Json>,
    pub(super) action: Option<&'a Json>,
    pub(super) resource: Option<&'a Json>,
    pub(super) context: Option<&'a Json>,
}

/// Reads a body.
pub(super) fn body(bytes: &[u8]) -> Result<Arguments, String> {
    Arguments::parse(bytes).map_err(|error| match error {
        InvalidArguments::Syntax(why) => format!("the body is not JSON that can be read in one way: {why}"),
        InvalidArguments::NotAnObject => "the body must be a JSON object".to_owned(),
        InvalidArguments::TooDeep => "the body is nested too deep".to_owned(),
        InvalidArguments::TooLong(bytes) => format!("a body of {bytes} bytes is too long"),
    })
}

impl<'a> Parts<'a> {
    pub(super) fn of(body: &'a Arguments) -> Self {
        Self {
            subject: body.get("subject"),
            action: body.get("action"),
            resource: body.get("resource"),
            context: body.get("context"),
        }
    }

    /// With those of an item in place of these.
    pub(super) fn with(self, item: &'a Json) -> Result<Self, String> {
        let members = object(item, "an evaluation")?;
        let own = |name| member(members, name);
        Ok(Self {
            subject: own("subject").or(self.subject),
            action: own("action").or(self.action),
            resource: own("resource").or(self.resource),
            context: own("context").or(self.context),
        })
    }

    pub(super) fn question(&self) -> Result<Question, String> {
        Ok(Question {
            subject: thing(self.subject, "subject")?,
            action: self.deed()?,
            resource: thing(self.resource, "resource")?,
            context: self.given()?,
        })
    }

    pub(super) fn subject(&self) -> Result<Thing, String> {
        thing(self.subject, "subject")
    }

    pub(super) fn resource(&self) -> Result<Thing, String> {
        thing(self.resource, "resource")
    }

    pub(super) fn deed(&self) -> Result<Deed, String> {
        let members = object(present(self.action, "action")?, "action")?;
        Ok(Deed {
            name: text(members, "action", "name")?,
            properties: properties(members, "action")?,
        })
    }

    pub(super) fn given(&self) -> Result<Members, String> {
        let given = self
            .context
            .map(|context| object(context, "context"))
            .transpose()?;
        Ok(given.map(<[_]>::to_vec).unwrap_or_default())
    }

    /// One of these whose id is looked for: its type, and what is said of all of them.
    pub(super) fn sought(part: Option<&Json>, name: &str) -> Result<(String, Members), String> {
        let members = object(present(part, name)?, name)?;
        Ok((text(members, name, "type")?, properties(members, name)?))
    }
}

impl Question {
    /// Who may do what to which, without who acts for whom: what people are asked about, and an approval is of.
    pub(super) fn bound(&self) -> String {
        let subject: Members = self.subject.properties.clone();
        let subject = subject.into_iter().filter(|(name, _)| name != "act").collect();
        let parts = vec![
            (
                "action".to_owned(),
                described(&[("name", &self.action.name)], self.action.properties.clone()),
            ),
            (
                "resource".to_owned(),
                self.resource.described(self.resource.properties.clone()),
            ),
            ("subject".to_owned(), self.subject.described(subject)),
        ];
        canonical(parts)
    }
}

impl Thing {
    fn described(&self, properties: Members) -> Json {
        described(&[("id", &self.id), ("type", &self.kind)], properties)
    }
}

fn described(names: &[(&str, &String)], properties: Members) -> Json {
    let named = names
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Json::String((*value).clone())));
    let mut members: Members = named.collect();
    members.push(("properties".to_owned(), Json::Object(properties)));
    members.sort_by(|left, right| left.0.cmp(&right.0));
    Json::Object(members)
}

/// As JSON, in one spelling.
pub(super) fn canonical(mut members: Members) -> String {
    members.sort_by(|left, right| left.0.cmp(&right.0));
    let mut text = String::new();
    Json::Object(members).write_canonical(&mut text);
    text
}

/// What stands in an object under a name. `null` is nothing.
pub(super) fn member<'a>(members: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    let found = members.iter().find(|(member, _)| member == name);
    found
        .map(|(_, value)| value)
        .filter(|value| **value != Json::Null)
}

/// The same, if it is a text.
pub(super) fn said<'a>(members: &'a [(String, Json)], name: &str) -> Option<&'a str> {
    match member(members, name) {
        Some(Json::String(text)) => Some(text),
        _ => None,
    }
}

fn thing(part: Option<&Json>, name: &str) -> Result<Thing, String> {
    let members = object(present(part, name)?, name)?;
    Ok(Thing {
        kind: text(members, name, "type")?,
        id: text(members, name, "id")?,
        properties: properties(members, name)?,
    })
}

fn present<'a>(part: Option<&'a Json>, name: &str) -> Result<&'a Json, String> {
    part.ok_or_else(|| format!("`{name}` is missing"))
}

fn object<'a>(value: &'a Json, name: &str) -> Result<&'a [(String, Json)], String> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(format!("`{name}` must be an object")),
    }
}

fn text(members: &[(String, Json)], of: &str, name: &str) -> Result<String, String> {
    match member(members, name) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("`{of}.{name}` must be a string")),
        None => Err(format!("`{of}.{name}` is missing")),
    }
}

fn properties(members: &[(String, Json)], of: &str) -> Result<Members, String> {
    match member(members, "properties") {
        Some(properties) => Ok(object(properties, &format!("{of}.properties"))?.to_vec()),
        None => Ok(Members::new()),
    }
}
