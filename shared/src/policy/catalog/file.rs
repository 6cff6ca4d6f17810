//! A catalog on disk: `<name>.json`, tools as MCP's `tools/list` gives them, and `<name>.toml` beside it, what they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::cost::{Cost, Written};
use super::definition::{Definition, definitions};
use super::{COMPENSATION_CHARS_MAX, Effect, ResourceSpec, Reversibility, Tool, YIELDS_MAX};
use crate::ledger::{Meter, Trust};
use crate::policy::UNTRUSTED_CONTENT;
use crate::policy::argument::{ArgumentType, Scalar};
use crate::policy::finding::{Finding, Place};

/// One catalog: both files, understood.
#[derive(Debug, Default)]
pub(in super::super) struct CatalogFile {
    pub(in super::super) tools: Vec<Tool>,
    /// What to know that refuses nothing.
    pub(in super::super) warnings: Vec<Finding>,
}

/// What the TOML says of one tool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    effects: Spanned<BTreeSet<Effect>>,
    reversibility: Spanned<Reversibility>,
    resource: Option<Spanned<Resource>>,
    #[serde(default)]
    secret: Vec<Spanned<String>>,
    #[serde(default)]
    yields: Vec<Spanned<String>>,
    trust: Option<Spanned<Trust>>,
    #[serde(default)]
    cost: BTreeMap<Spanned<String>, Spanned<Written>>,
    #[serde(default)]
    fails_without_effect: bool,
    unstoppable: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    #[serde(rename = "type")]
    entity_type: String,
    id: String,
}

/// Both files of one catalog, while they are read.
struct Reader<'a> {
    catalog: &'a str,
    json: Place<'a>,
    toml: Place<'a>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl CatalogFile {
    /// Reads both files of the catalog of this name.
    pub(in super::super) fn parse(
        catalog: &str,
        json: Place<'_>,
        toml: Place<'_>,
    ) -> Result<Self, Vec<Finding>> {
        let mut reader = Reader {
            catalog,
            json,
            toml,
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        let (definitions, errors) = definitions(json);
        reader.errors = errors;
        let entries = reader.entries();
        let (Some(definitions), Some(entries)) = (definitions, entries) else {
            return Err(reader.errors);
        };
        let tools = reader.tools(&definitions, entries);
        reader.warn_of_uncatalogued(&definitions, &tools);
        if reader.errors.is_empty() {
            Ok(Self {
                tools,
                warnings: reader.warnings,
            })
        } else {
            Err(reader.errors)
        }
    }
}

impl Reader<'_> {
    fn entries(&mut self) -> Option<BTreeMap<Spanned<String>, Entry>> {
        match toml::from_str(self.toml.text) {
            Ok(entries) => Some(entries),
            Err(error) => {
                let at = error.span().unwrap_or_default();
                let help = "a tool needs `effects` and `reversibility`, and may have `resource = { type, id }`, `secret`, `yields`, `trust`, `cost`, `fails_without_effect` and `unstoppable`";
                self.errors
                    .push(self.toml.error(at, error.message().trim_end(), help));
                None
            }
        }
    }

    fn tools(
        &mut self,
        definitions: &BTreeMap<String, Definition<'_>>,
        entries: BTreeMap<Spanned<String>, Entry>,
    ) -> Vec<Tool> {
        let mut tools = Vec::with_capacity(entries.len());
        for (name, entry) in entries {
            let at = name.span();
            let name = name.into_inner();
            let Some(definition) = definitions.get(&name) else {
                let message = format!("`{}` does not list `{name}`", self.json.file);
                self.errors.push(
                    self.toml
                        .error(at, message, "add its definition, or remove this entry"),
                );
                continue;
            };
            if let Some(tool) = self.tool(&name, definition, entry) {
                tools.push(tool);
            }
        }
        tools.sort_by(|left, right| left.id.cmp(&right.id));
        tools
    }

    fn tool(&mut self, name: &str, definition: &Definition<'_>, entry: Entry) -> Option<Tool> {
        let here = definition.at.clone();
        let arguments = match definition.arguments(self.catalog, name) {
            Ok(arguments) => arguments,
            Err(message) => {
                let message = format!("the argument types of `{name}` can't be used: {message}");
                self.errors.push(self.json.error(here, message, ""));
                return None;
            }
        };
        let mut tool = Tool {
            id: format!("{}/{name}", self.catalog),
            effects: entry.effects.get_ref().clone(),
            reversibility: *entry.reversibility.get_ref(),
            resource: None,
            secret: Vec::new(),
            yields: BTreeSet::new(),
            trust: None,
            cost: Cost::new(),
            fails_without_effect: entry.fails_without_effect,
            unstoppable: None,
            definition: definition.sha256,
            arguments,
        };
        self.refuse_contradiction(&tool, &entry);
        self.set_resource(&mut tool, entry.resource);
        self.set_secret(&mut tool, entry.secret);
        self.set_yields(&mut tool, entry.yields);
        self.set_trust(&mut tool, entry.trust);
        self.set_cost(&mut tool, entry.cost);
        self.set_unstoppable(&mut tool, entry.unstoppable);
        Some(tool)
    }

    fn refuse_contradiction(&mut self, tool: &Tool, entry: &Entry) {
        let acting: Vec<_> = tool
            .effects
            .iter()
            .filter(|effect| **effect != Effect::Read)
            .collect();
        if let (Reversibility::ReadOnly, [effect, ..]) = (tool.reversibility, acting.as_slice()) {
            let message = format!("a tool that is `read_only` can't have the effect `{effect}`");
            let finding = self
                .toml
                .error(entry.reversibility.span(), message, "say how it can be undone");
            self.errors.push(finding);
        }
    }

    fn set_resource(&mut self, tool: &mut Tool, resource: Option<Spanned<Resource>>) {
        let Some(resource) = resource else { return };
        let at = resource.span();
        let Resource { entity_type, id } = resource.into_inner();
        if !is_type_name(&entity_type) {
            let message = format!("`{entity_type}` can't be the name of an entity type");
            let finding = self.toml.error(
                at.clone(),
                message,
                "use letters, digits and underscores: `Account`",
            );
            self.errors.push(finding);
        }
        match tool.arguments.member(&id) {
            None => {
                let message = format!("`{}` has no argument `{id}`", tool.id);
                self.errors.push(self.toml.error(
                    at,
                    message,
                    "name the argument whose value is the resource",
                ));
            }
            Some(member) if !names_a_resource(&member.ty) => {
                let message = format!("the value of `{id}` can't be the id of a resource");
                let help = "only strings, numbers and enumerations name one; leave `resource` out to use the tool itself";
                self.errors.push(self.toml.error(at, message, help));
            }
            Some(member) => {
                if member.is_optional() {
                    let message = format!(
                        "`{id}` is optional: calls of `{}` without it will be denied",
                        tool.id
                    );
                    let help = "name a required argument, or leave `resource` out to use the tool itself";
                    self.warnings.push(self.toml.warning(at, message, help));
                }
                tool.resource = Some(ResourceSpec {
                    entity_type,
                    argument: id,
                });
            }
        }
    }

    fn set_secret(&mut self, tool: &mut Tool, secret: Vec<Spanned<String>>) {
        for name in secret {
            if tool.argument(name.get_ref()).is_none() {
                let message = format!("`{}` has no argument `{}`", tool.id, name.get_ref());
                self.errors
                    .push(self.toml.error(name.span(), message, "name a top-level argument"));
            }
            tool.secret.push(name.into_inner());
        }
        tool.secret.sort();
        tool.secret.dedup();
    }

    fn set_yields(&mut self, tool: &mut Tool, yields: Vec<Spanned<String>>) {
        for word in yields {
            let refusal = match word.get_ref().parse() {
                Ok(label) if tool.yields.len() < YIELDS_MAX || tool.yields.contains(&label) => {
                    let is_new = tool.yields.insert(label);
                    (!is_new).then(|| (format!("`{}` stands twice", word.get_ref()), "remove one"))
                }
                Ok(_) => Some((
                    format!("`{}` yields more than {YIELDS_MAX} labels", tool.id),
                    "name kinds of data, not single values",
                )),
                Err(error) => Some((format!("{error}"), "write `pii` or `untrusted_content`")),
            };
            if let Some((message, help)) = refusal {
                self.errors.push(self.toml.error(word.span(), message, help));
            }
        }
    }

    /// Whose word its values are. They are remembered only if the catalog says: it costs a write for each result.
    fn set_trust(&mut self, tool: &mut Tool, trust: Option<Spanned<Trust>>) {
        let Some(trust) = trust else { return };
        let is_of_strangers = tool
            .yields
            .iter()
            .any(|label| label.as_str() == UNTRUSTED_CONTENT);
        if is_of_strangers && *trust.get_ref() == Trust::Trusted {
            let message = format!("`{}` yields `{UNTRUSTED_CONTENT}` and can't be trusted", tool.id);
            let help = "a system of record gives what is so; remove one of the two";
            self.errors.push(self.toml.error(trust.span(), message, help));
        }
        tool.trust = Some(*trust.get_ref());
    }

    fn set_cost(&mut self, tool: &mut Tool, cost: BTreeMap<Spanned<String>, Spanned<Written>>) {
        for (word, written) in cost {
            let (word_at, at) = (word.span(), written.span());
            let meter: Meter = match word.get_ref().parse() {
                Ok(meter) => meter,
                Err(error) => {
                    let message = format!("{error}");
                    self.errors.push(self.toml.error(word_at, message, ""));
                    continue;
                }
            };
            let price = match written.into_inner().price(meter) {
                Ok(price) => price,
                Err(message) => {
                    let help = "write `{ argument = \"max_tokens\", default = 4000 }`, or an amount";
                    self.errors.push(self.toml.error(at, message, help));
                    continue;
                }
            };
            if let Some((message, help)) = tool.refuse_price(&price) {
                self.errors.push(self.toml.error(at, message, help));
                continue;
            }
            if tool.may_lack(&price) {
                let message = format!("calls of `{}` that leave its price out will be denied", tool.id);
                let help = "name a `default`, or a required argument";
                self.warnings.push(self.toml.warning(at, message, help));
            }
            tool.cost.insert(meter, price);
        }
    }

    /// A mark without what compensates would be read past.
    fn set_unstoppable(&mut self, tool: &mut Tool, unstoppable: Option<Spanned<String>>) {
        let Some(unstoppable) = unstoppable else { return };
        let at = unstoppable.span();
        let text = unstoppable.into_inner();
        let is_sentence = !text.trim().is_empty()
            && text.chars().count() <= COMPENSATION_CHARS_MAX
            && !text.contains(char::is_control);
        if !is_sentence {
            let message = format!(
                "`{}` can't be stopped, and nothing is said to compensate",
                tool.id
            );
            let help = format!(
                "say it in at most {COMPENSATION_CHARS_MAX} characters on one line: `unstoppable = \"its password is good for ten minutes\"`"
            );
            self.errors.push(self.toml.error(at, message, help));
        }
        tool.unstoppable = Some(text.trim().to_owned());
    }

    fn warn_of_uncatalogued(&mut self, definitions: &BTreeMap<String, Definition<'_>>, tools: &[Tool]) {
        for (name, definition) in definitions {
            let id = format!("{}/{name}", self.catalog);
            if !tools.iter().any(|tool| tool.id == id) {
                let at = definition.at.clone();
                let message = format!("`{id}` is not catalogued: every call of it will be denied");
                let help = format!("say in `{}` what it is", self.toml.file);
                self.warnings.push(self.json.warning(at, message, help));
            }
        }
    }
}

const fn names_a_resource(ty: &ArgumentType) -> bool {
    matches!(
        ty,
        ArgumentType::Enumeration(_) | ArgumentType::Scalar(Scalar::String | Scalar::Long | Scalar::Decimal)
    )
}

fn is_type_name(text: &str) -> bool {
    text != "Action"
        && text
            .parse::<cedar_policy_core::ast::Name>()
            .is_ok_and(|name| name.is_unqualified())
}
