//! Which call of which tool a question is about.
//!
//! **Invariant**: what the configuration knows of a subject or a resource counts whatever an asker says of it. A question that says no
//! one call, by no one agent, under no one grant, is about nothing.

use std::collections::BTreeMap;

use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::identity::SpiffeId;

use super::super::asking::{Asking, Carried, Credentials};
use super::asked::{Members, Question, Thing, canonical, member, said};
use crate::config::{ArgumentSource, AuthZen, AuthZenAction};
use crate::surface::mcp::GrantSource;

/// The type of a subject that is an agent by its own name,
const AGENT: &str = "agent";
/// and of a resource that is a tool by the catalog's.
pub(super) const TOOL: &str = "tool";
/// What is done with a tool, and what MCP calls it.
pub(super) const CALL: [&str; 2] = ["call", "tools/call"];

/// What the configuration says questions are.
#[derive(Debug)]
pub(super) struct Mapping {
    subjects: BTreeMap<(String, String), Subject>,
    pub(super) actions: Vec<AuthZenAction>,
    resources: BTreeMap<(String, String), Members>,
}

#[derive(Debug)]
struct Subject {
    agent: SpiffeId,
    grant: GrantSource,
    properties: Members,
}

/// A question that is about nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unmapped {
    pub(super) cause: &'static str,
    pub(super) words: String,
}

/// Who a question is about, and what they show.
struct Who {
    agent: SpiffeId,
    credentials: Credentials,
    /// For whom the agent acts, if that was said.
    user: Option<String>,
}

impl Mapping {
    pub(super) fn of(configured: &AuthZen) -> Self {
        let subjects = configured.subject.iter().map(|subject| {
            let known = Subject {
                agent: subject.agent.clone(),
                grant: GrantSource::File(subject.grant.clone()),
                properties: known(&subject.properties),
            };
            ((subject.kind.clone(), subject.id.clone()), known)
        });
        let resources = configured.resource.iter().map(|resource| {
            let place = (resource.kind.clone(), resource.id.clone());
            (place, known(&resource.properties))
        });
        Self {
            subjects: subjects.collect(),
            actions: configured.action.clone(),
            resources: resources.collect(),
        }
    }

    /// The call that a question is about.
    pub(super) async fn call(
        &self,
        asking: &Asking,
        question: &Question,
        shown: &Credentials,
    ) -> Result<Carried, Unmapped> {
        let who = self.who(asking, question, shown).await?;
        let (tool, arguments) = self.what(question)?;
        // A grant that is not believed is the gate's to refuse.
        let offer = asking.offer(&who.agent, &who.credentials.grant);
        if let (Some(user), Some(offer)) = (&who.user, offer)
            && offer.user() != user
        {
            let words = format!(
                "the grant is of a task of `{}`, and the subject is `{}`",
                offer.user(),
                user.escape_debug()
            );
            return Err(Unmapped::new("wrong_user", words));
        }
        Ok(Carried {
            agent: who.agent,
            credentials: who.credentials,
            tool,
            arguments,
        })
    }

    /// The subjects of a type that are known, with what an asker says of each.
    pub(super) fn subjects<'a>(
        &'a self,
        kind: &'a str,
        said: &'a Members,
    ) -> impl Iterator<Item = Thing> + 'a {
        of_kind(&self.subjects, kind, said)
    }

    /// The same of resources.
    pub(super) fn resources<'a>(
        &'a self,
        kind: &'a str,
        said: &'a Members,
    ) -> impl Iterator<Item = Thing> + 'a {
        of_kind(&self.resources, kind, said)
    }

    async fn who(&self, asking: &Asking, question: &Question, shown: &Credentials) -> Result<Who, Unmapped> {
        let subject = &question.subject;
        if let Some(known) = self.subjects.get(&(subject.kind.clone(), subject.id.clone())) {
            let grant = known.grant.read().await;
            let grant = grant.map_err(|error| Unmapped::new("no_grant", error.to_string()))?;
            return Ok(Who {
                agent: known.agent.clone(),
                credentials: Credentials {
                    grant,
                    proof: String::new(),
                },
                user: None,
            });
        }
        let named = |name: &str| {
            asking
                .named(name)
                .map_err(|words| Unmapped::new("no_agent", words))
        };
        let (agent, user) = match actor(subject) {
            Some(actor) => (named(actor)?, Some(subject.id.clone())),
            None if subject.kind == AGENT => (named(&subject.id)?, None),
            None => return Err(Unmapped::subject(subject)),
        };
        Ok(Who {
            agent,
            credentials: credentials(shown, &question.context)?,
            user,
        })
    }

    fn what(&self, question: &Question) -> Result<(String, String), Unmapped> {
        let (action, resource) = (&question.action, &question.resource);
        let is_it = |known: &&AuthZenAction| known.name == action.name && known.resource == resource.kind;
        if let Some(known) = self.actions.iter().find(is_it) {
            return Ok((known.tool.clone(), self.arguments(known, question)));
        }
        if resource.kind == TOOL && CALL.contains(&action.name.as_str()) {
            let arguments = match member(&action.properties, "arguments") {
                Some(Json::Object(members)) => canonical(members.clone()),
                None => "{}".to_owned(),
                Some(_) => {
                    let words = "`action.properties.arguments` must be an object";
                    return Err(Unmapped::new("unreadable", words));
                }
            };
            return Ok((resource.id.clone(), arguments));
        }
        Err(Unmapped::new(
            "no_tool",
            format!(
                "no tool is named for `{}` of a `{}`; ask for `call` of a `tool`, or name it under `[[gateway.authzen.action]]`",
                shown_name(&action.name),
                shown_name(&resource.kind)
            ),
        ))
    }

    fn arguments(&self, action: &AuthZenAction, question: &Question) -> String {
        let (subject, resource) = (&question.subject, &question.resource);
        let place = |thing: &Thing| (thing.kind.clone(), thing.id.clone());
        let subject_known = self.subjects.get(&place(subject)).map(|known| &known.properties);
        let resource_known = self.resources.get(&place(resource));
        let of = |source: &ArgumentSource| match source {
            ArgumentSource::SubjectId => Some(Json::String(subject.id.clone())),
            ArgumentSource::ResourceId => Some(Json::String(resource.id.clone())),
            ArgumentSource::ActionName => Some(Json::String(question.action.name.clone())),
            ArgumentSource::Subject(path) => first(path, subject_known, &subject.properties),
            ArgumentSource::Resource(path) => first(path, resource_known, &resource.properties),
            ArgumentSource::Action(path) => at(path, &question.action.properties).cloned(),
            ArgumentSource::Context(path) => at(path, &question.context).cloned(),
        };
        let arguments = action.arguments.iter();
        canonical(
            arguments
                .filter_map(|(name, source)| Some((name.clone(), of(source)?)))
                .collect(),
        )
    }
}

impl Unmapped {
    pub(super) fn new(cause: &'static str, words: impl Into<String>) -> Self {
        Self {
            cause,
            words: words.into(),
        }
    }

    fn subject(subject: &Thing) -> Self {
        Self::new(
            "no_agent",
            format!(
                "nobody says which agent the {} `{}` is; name it under `[[gateway.authzen.subject]]`, ask for a subject of the type `agent`, or say it in `subject.properties.act.sub`",
                shown_name(&subject.kind),
                shown_name(&subject.id)
            ),
        )
    }
}

/// Which agent acts for a subject.
fn actor(subject: &Thing) -> Option<&str> {
    match member(&subject.properties, "act")? {
        Json::Object(actor) => said(actor, "sub"),
        _ => None,
    }
}

/// From the headers, or from the context of the question: one of the two.
fn credentials(shown: &Credentials, context: &Members) -> Result<Credentials, Unmapped> {
    let one = |name: &str, header: &str| match (said(context, name).unwrap_or_default().trim(), header) {
        ("", header) => Ok(header.to_owned()),
        (said, "") => Ok(said.to_owned()),
        (said, header) if said == header => Ok(said.to_owned()),
        _ => Err(Unmapped::new(
            "two_grants",
            format!("`context.{name}` and the header `checkrein-{name}` differ; send one"),
        )),
    };
    Ok(Credentials {
        grant: one("grant", &shown.grant)?,
        proof: one("proof", &shown.proof)?,
    })
}

fn of_kind<'a, T>(
    known: &'a BTreeMap<(String, String), T>,
    kind: &'a str,
    said: &'a Members,
) -> impl Iterator<Item = Thing> + 'a {
    let of_kind = known.keys().filter(move |(known, _)| known == kind);
    of_kind.map(|(kind, id)| Thing {
        kind: kind.clone(),
        id: id.clone(),
        properties: said.clone(),
    })
}

/// What is known here, else what was said.
fn first(path: &[String], known: Option<&Members>, said: &Members) -> Option<Json> {
    let known = known.and_then(|known| at(path, known));
    known.or_else(|| at(path, said)).cloned()
}

fn at<'a>(path: &[String], members: &'a [(String, Json)]) -> Option<&'a Json> {
    let (name, rest) = path.split_first()?;
    match member(members, name)? {
        value if rest.is_empty() => Some(value),
        Json::Object(members) => at(rest, members),
        _ => None,
    }
}

/// A table of the configuration. A value that JSON has none for, a date, is the text of it.
fn known(table: &toml::Table) -> Members {
    let text = json(&toml::Value::Table(table.clone())).to_string();
    let members = Arguments::parse(text.as_bytes()).unwrap_or_else(|_| Arguments::none());
    members
        .members()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(is_true) => (*is_true).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            let members = table.iter().map(|(name, value)| (name.clone(), json(value)));
            serde_json::Value::Object(members.collect())
        }
    }
}

/// A name as an answer may repeat it.
fn shown_name(name: &str) -> String {
    name.chars().take(128).flat_map(char::escape_debug).collect()
}
