//! What askers by AuthZEN mean who know nothing of Checkrein: who their subjects are, and which tools their actions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use checkrein_http::is_askable;
use checkrein_shared::identity::{Role, SpiffeId};
use serde::Deserialize;

use super::InvalidConfig;

/// A search looks at so many subjects, or resources, at most.
const CANDIDATES_MAX: usize = 1_024;

/// What a gateway's questions by AuthZEN are, beside those that name an agent and a tool themselves.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthZen {
    /// The `https` URL under which askers reach this; absent: the host that each of them asked.
    pub url: Option<String>,
    /// Whether answers are bare: the decision alone, and what is needed to ask people.
    #[serde(default)]
    pub terse: bool,
    /// Subjects, and which agent each of them is.
    #[serde(default)]
    pub subject: Vec<AuthZenSubject>,
    /// Actions, and which tool each of them is.
    #[serde(default)]
    pub action: Vec<AuthZenAction>,
    /// Resources that searches find.
    #[serde(default)]
    pub resource: Vec<AuthZenResource>,
}

/// A subject as askers name it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthZenSubject {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Who it is here.
    pub agent: SpiffeId,
    /// The file of the grant that its calls are presented with, read for each.
    pub grant: PathBuf,
    /// What is known of it, whatever an asker says.
    #[serde(default)]
    pub properties: toml::Table,
}

/// An action as askers name it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthZenAction {
    /// Its name.
    pub name: String,
    /// The type of what it is done to.
    pub resource: String,
    /// As the catalog names it.
    pub tool: String,
    /// Where each argument stands in the question. One that stands nowhere is left out.
    #[serde(default)]
    pub arguments: BTreeMap<String, ArgumentSource>,
}

/// A resource that may be found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthZenResource {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What is known of it, whatever an asker says.
    #[serde(default)]
    pub properties: toml::Table,
}

/// A place in a question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ArgumentSource {
    /// `subject.id`
    SubjectId,
    /// `resource.id`
    ResourceId,
    /// `action.name`
    ActionName,
    /// `subject.properties.role`
    Subject(Vec<String>),
    /// `resource.properties.owner.mail`
    Resource(Vec<String>),
    /// `action.properties.soft`
    Action(Vec<String>),
    /// `context.ip`
    Context(Vec<String>),
}

impl AuthZen {
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.subject.iter_mut().map(|subject| &mut subject.grant)
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if let Some(url) = self.url.as_ref()
            && !(is_askable(url) && url.starts_with("https://"))
        {
            return Err(InvalidConfig::AuthZenUrl(url.clone()));
        }
        if let Some(subject) = self
            .subject
            .iter()
            .find(|subject| subject.agent.role() != Some(Role::Agent))
        {
            return Err(InvalidConfig::NotAnAgent(subject.agent.clone()));
        }
        if self.subject.len().max(self.resource.len()) > CANDIDATES_MAX {
            return Err(InvalidConfig::AuthZenTooMany(CANDIDATES_MAX));
        }
        let subjects = self.subject.iter().map(|subject| (&subject.kind, &subject.id));
        let resources = self
            .resource
            .iter()
            .map(|resource| (&resource.kind, &resource.id));
        let actions = self.action.iter().map(|action| (&action.resource, &action.name));
        let twice = twice(subjects)
            .or_else(|| twice(resources))
            .or_else(|| twice(actions));
        match twice {
            Some((kind, name)) => Err(InvalidConfig::AuthZenTwice(kind.clone(), name.clone())),
            None => Ok(()),
        }
    }
}

fn twice<'a>(named: impl Iterator<Item = (&'a String, &'a String)>) -> Option<(&'a String, &'a String)> {
    let mut seen = std::collections::BTreeSet::new();
    named.into_iter().find(|name| !seen.insert(*name))
}

impl TryFrom<String> for ArgumentSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut parts = text.split('.');
        let names = |parts: std::str::Split<'_, char>| parts.map(str::to_owned).collect::<Vec<String>>();
        let source = match (parts.next(), parts.clone().next()) {
            (Some("context"), Some(_)) => Some(Self::Context(names(parts))),
            (Some(of), Some("properties")) => {
                let names = names({
                    parts.next();
                    parts
                });
                match of {
                    _ if names.is_empty() => None,
                    "subject" => Some(Self::Subject(names)),
                    "resource" => Some(Self::Resource(names)),
                    "action" => Some(Self::Action(names)),
                    _ => None,
                }
            }
            _ => match text.as_str() {
                "subject.id" => Some(Self::SubjectId),
                "resource.id" => Some(Self::ResourceId),
                "action.name" => Some(Self::ActionName),
                _ => None,
            },
        };
        source.filter(|_| text.split('.').all(|name| !name.is_empty())).ok_or_else(|| {
            format!(
                "`{text}` is no place in a question; expected `subject.id`, `resource.id`, `action.name`, `context.NAME`, or `properties` of one of the three, like `resource.properties.owner`"
            )
        })
    }
}

#[cfg(test)]
mod tests;
