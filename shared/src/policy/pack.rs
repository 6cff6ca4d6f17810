//! A pack: a policy directory, every file understood on its own. What the files say of each other is `check`'s to judge.

mod group;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::budget::{self, Budget};
use super::cases::Case;
use super::catalog::{CatalogFile, Tool};
use super::duration::DurationMs;
use super::finding::{Finding, Place};
use super::rule::Rule;
use super::schema::PackSchema;
use super::source::{PackSource, is_name};
use crate::hold::Group;

pub(super) use group::Spans as GroupSpans;

/// Policy older than this denies, unless packs ask for less. Asking for more changes nothing, and a check says so.
pub const BOUNDS_DEFAULT: Bounds = Bounds {
    full_ms: 30_000,
    light_ms: 15 * 60_000,
};

/// How old policy may be, by tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// For full-tier actions.
    pub full_ms: u64,
    /// For all others.
    pub light_ms: u64,
}

/// A policy directory, understood.
#[derive(Debug, Clone)]
pub struct Pack {
    pub(super) name: String,
    pub(super) selectors: BTreeMap<String, String>,
    pub(super) full_bound_ms: Option<u64>,
    pub(super) light_bound_ms: Option<u64>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Where each of them stands.
    pub(super) group_spans: BTreeMap<String, GroupSpans>,
    /// The group that may break the glass, and where it is named.
    pub(super) break_glass: Option<(String, Range<usize>)>,
    pub(super) budgets: Vec<Budget>,
    /// Where each of them stands.
    pub(super) budget_spans: Vec<budget::Spans>,
    pub(super) rules: Vec<Rule>,
    pub(super) tools: Vec<Tool>,
    pub(super) cases: Vec<Case>,
    /// The text of `entities.json`, if there is one.
    pub(super) entities: Option<String>,
    pub(super) schemas: Vec<PackSchema>,
    /// Every file that findings may point into.
    pub(super) texts: BTreeMap<String, String>,
    /// What reading it had to say that refuses nothing.
    pub(super) warnings: Vec<Finding>,
}

/// `checkrein.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    namespace: Spanned<String>,
    #[serde(default)]
    selectors: BTreeMap<String, String>,
    #[serde(default)]
    bounds: BoundSettings,
    #[serde(default)]
    groups: BTreeMap<Spanned<String>, group::Written>,
    break_glass: Option<BreakGlassSettings>,
    #[serde(default, rename = "budget")]
    budgets: Vec<budget::Written>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct BoundSettings {
    full: Option<Spanned<DurationMs>>,
    light: Option<Spanned<DurationMs>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakGlassSettings {
    group: Spanned<String>,
}

/// What a file of a pack is, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Settings,
    Schema,
    Rules,
    Entities,
    CatalogJson(&'a str),
    CatalogToml(&'a str),
    Cases,
    /// For people: documentation, and files of the tools they use.
    Aside,
    Unknown,
}

/// A pack while its files are read.
struct Reader<'a> {
    texts: BTreeMap<&'a str, &'a str>,
    pack: Pack,
    errors: Vec<Finding>,
}

impl Pack {
    /// Reads every file; all that is wrong is reported at once.
    pub fn parse(source: &PackSource) -> Result<Self, Vec<Finding>> {
        let mut reader = Reader {
            texts: source.texts()?,
            pack: Self::empty(&source.name),
            errors: Vec::new(),
        };
        reader.settings();
        let files: Vec<_> = reader
            .texts
            .iter()
            .map(|(path, text)| Place::new(path, text))
            .collect();
        for place in files {
            reader.file(place);
        }
        reader.pack.texts = reader
            .texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        reader.pack.rules.sort_by(|left, right| left.id.cmp(&right.id));
        reader.pack.tools.sort_by(|left, right| left.id.cmp(&right.id));
        if reader.errors.is_empty() {
            Ok(reader.pack)
        } else {
            Err(reader.errors)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rules, by id.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Its tools, by id.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = &Tool> {
        self.tools.iter()
    }

    /// Who may answer holds, by group.
    pub const fn groups(&self) -> &BTreeMap<String, Group> {
        &self.groups
    }

    /// What it lets users, agents, tools and tasks use up.
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// The labels an enforcer must have to run this pack.
    pub const fn selectors(&self) -> &BTreeMap<String, String> {
        &self.selectors
    }

    /// Whether an enforcer with these labels runs this pack: each selector names a label and its value. No selector: every
    /// enforcer does.
    pub fn selects(&self, labels: &[(String, String)]) -> bool {
        let has = |(key, value): (&String, &String)| labels.iter().any(|(k, v)| k == key && v == value);
        self.selectors.iter().all(has)
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            selectors: BTreeMap::new(),
            full_bound_ms: None,
            light_bound_ms: None,
            groups: BTreeMap::new(),
            group_spans: BTreeMap::new(),
            break_glass: None,
            budgets: Vec::new(),
            budget_spans: Vec::new(),
            rules: Vec::new(),
            tools: Vec::new(),
            cases: Vec::new(),
            entities: None,
            schemas: Vec::new(),
            texts: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// A file that findings point into.
    pub(super) fn place<'a>(&'a self, file: &'a str) -> Place<'a> {
        Place::new(file, self.texts.get(file).map_or("", String::as_str))
    }
}

impl Reader<'_> {
    fn settings(&mut self) {
        let Some(text) = self.texts.get("checkrein.toml") else {
            let place = Place::new("checkrein.toml", "");
            let help = "a pack says at least `namespace = \"org\"` there; `checkrein policy init` writes one";
            self.errors
                .push(place.whole("the pack has no `checkrein.toml`", help));
            return;
        };
        let place = Place::new("checkrein.toml", text);
        let settings: Settings = match toml::from_str(text) {
            Ok(settings) => settings,
            Err(error) => {
                let at = error.span().unwrap_or_default();
                let help = "it may hold `namespace`, `[selectors]`, `[bounds]`, `[groups]`, `[break_glass]` and `[[budget]]`";
                self.errors
                    .push(place.error(at, error.message().trim_end(), help));
                return;
            }
        };
        if settings.namespace.get_ref() != "org" {
            let message = format!("the namespace `{}` does not exist", settings.namespace.get_ref());
            self.errors
                .push(place.error(settings.namespace.span(), message, "write `namespace = \"org\"`"));
        }
        self.pack.selectors = settings.selectors;
        self.pack.full_bound_ms = self.bound(place, settings.bounds.full, BOUNDS_DEFAULT.full_ms);
        self.pack.light_bound_ms = self.bound(place, settings.bounds.light, BOUNDS_DEFAULT.light_ms);
        let glass = settings.break_glass.map(|glass| glass.group);
        for (name, written) in settings.groups {
            let (mut group, spans, findings) = written.read(place, &name);
            group.break_glass = glass.as_ref().map(|glass| glass.get_ref().clone());
            self.errors.extend(findings);
            self.pack.group_spans.insert(name.get_ref().clone(), spans);
            self.pack.groups.insert(name.into_inner(), group);
        }
        self.pack.break_glass = glass.map(|glass| (glass.get_ref().clone(), glass.span()));
        let (budgets, findings) = budget::read(place, settings.budgets);
        (self.pack.budgets, self.pack.budget_spans) = budgets.into_iter().unzip();
        self.errors.extend(findings);
    }

    /// A bound that the pack sets. One that would loosen the default is shown: it will not do what it says.
    fn bound(&mut self, place: Place<'_>, set: Option<Spanned<DurationMs>>, default_ms: u64) -> Option<u64> {
        let set = set?;
        let asked = *set.get_ref();
        if asked.0 > default_ms {
            let most = DurationMs(default_ms);
            let message =
                format!("the bound `{asked}` has no effect: policy older than `{most}` never decides");
            let help = format!("a pack may only ask for less than `{most}`; write less, or remove the line");
            self.pack.warnings.push(place.warning(set.span(), message, help));
        }
        Some(asked.0)
    }

    fn file(&mut self, place: Place<'_>) {
        match kind(place.file) {
            Kind::Settings | Kind::Aside => {}
            Kind::Schema => match PackSchema::parse(place) {
                Ok(schema) => self.pack.schemas.push(schema),
                Err(findings) => self.errors.extend(findings),
            },
            Kind::Entities => self.pack.entities = Some(place.text.to_owned()),
            Kind::Rules => {
                let (rules, findings) = Rule::parse_file(place);
                self.pack.rules.extend(rules);
                self.errors.extend(findings);
            }
            Kind::Cases => match Case::parse_file(place) {
                Ok(cases) => self.pack.cases.extend(cases),
                Err(finding) => self.errors.push(finding),
            },
            Kind::CatalogJson(name) => self.catalog(name, place),
            Kind::CatalogToml(name) => {
                if !self.texts.contains_key(format!("catalog/{name}.json").as_str()) {
                    let help = "put the tools there as MCP's `tools/list` gives them";
                    self.errors
                        .push(place.whole(format!("there is no `catalog/{name}.json`"), help));
                }
            }
            Kind::Unknown => {
                let help = "a pack has `checkrein.toml`, `*.cedarschema`, `catalog/*.json` and `.toml`, `*.cedar` (`labels.cedar` labels results), \
                            `entities.json` and `tests/*.yaml`";
                self.pack
                    .warnings
                    .push(place.whole_warning("this file is not read", help));
            }
        }
    }

    fn catalog(&mut self, name: &str, json: Place<'_>) {
        if !is_name(name) {
            let help = "rename it: letters, digits, `-` and `_`";
            self.errors
                .push(json.whole(format!("`{name}` can't be the name of a catalog"), help));
            return;
        }
        let path = format!("catalog/{name}.toml");
        let Some(text) = self.texts.get(path.as_str()) else {
            let help = format!("say in `{path}` what its tools are");
            self.pack
                .warnings
                .push(json.whole_warning("none of these tools is catalogued", help));
            return;
        };
        match CatalogFile::parse(name, json, Place::new(&path, text)) {
            Ok(catalog) => {
                self.pack.tools.extend(catalog.tools);
                self.pack.warnings.extend(catalog.warnings);
            }
            Err(findings) => self.errors.extend(findings),
        }
    }
}

/// Whether a file means anything to a pack.
pub(super) fn is_read(path: &str) -> bool {
    !matches!(kind(path), Kind::Aside | Kind::Unknown)
}

fn kind(path: &str) -> Kind<'_> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
    match (folder, stem, extension) {
        _ if path.split('/').any(|part| part.starts_with('.')) => Kind::Aside,
        (_, _, "md" | "txt") | (_, "LICENSE" | "CODEOWNERS" | "Makefile", "") => Kind::Aside,
        ("", "checkrein", "toml") => Kind::Settings,
        ("", "entities", "json") => Kind::Entities,
        (_, _, "cedarschema") => Kind::Schema,
        (_, _, "cedar") => Kind::Rules,
        ("catalog", name, "json") => Kind::CatalogJson(name),
        ("catalog", name, "toml") => Kind::CatalogToml(name),
        ("tests", _, "yaml" | "yml") => Kind::Cases,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests;
