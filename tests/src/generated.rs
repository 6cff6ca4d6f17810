//! A generated organisation: tools, teams and as many rules as are asked for, with calls that its rules permit.
//!
//! Rules are the ones people write: a team may use a tool within limits, may not beyond them, waits for people far beyond;
//! and a handful that hold for everybody. The last value of every rule's id is its number, the first a mark of the caller's
//! choice, so that a verdict shows which organisation it came from.
//!
//! **Invariant**: the same size and mark give the same files, and every call is permitted, in the light tier.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use checkrein_shared::action::Arguments;
use checkrein_shared::policy::PackSource;
use serde_json::{Value, json};

/// So many tools.
pub const TOOLS: usize = 100;
/// So many teams, with [`AGENTS_PER_TEAM`] each.
pub const TEAMS: usize = 20;
/// So many agents in a team.
pub const AGENTS_PER_TEAM: usize = 5;
/// So many different calls.
pub const CALLS: usize = 256;
/// Who calls: the first agent of the first team.
pub const AGENT: &str = "spiffe://acme.example/agent/desk-00-0";
/// For whom.
pub const USER: &str = "alice";
/// Where.
pub const ENVIRONMENT: &str = "production";

/// Rules for everybody, at most; one in ten at the smallest sizes.
const EVERYBODY: [&str; 5] = [
    r#"forbid (principal, action in Action::"write", resource) unless { context.environment == "production" };"#,
    r#"forbid (principal, action in Action::"write", resource) when { context.input.account like "closed-*" };"#,
    r#"forbid (principal, action in Action::"read", resource) when { context.input.region == "embargoed" };"#,
    r#"forbid (principal, action, resource) when { context.policy_age > duration("1d") };"#,
    r#"forbid (principal, action in Action::"write", resource) when { context.input.tags.contains("frozen") };"#,
];

/// Files and calls.
#[derive(Debug, Clone)]
pub struct Generated {
    /// As it is pushed.
    pub pack: PackSource,
    /// `rules.cedar` of it.
    pub rules: String,
    /// `entities.json` of it.
    pub entities: Value,
    /// What its rules permit.
    pub calls: Vec<Call>,
}

/// A call that is permitted.
#[derive(Debug, Clone)]
pub struct Call {
    /// `desk/tool_007`.
    pub tool: String,
    /// As an agent gives them.
    pub arguments: Arguments,
    /// The same, as JSON.
    pub json: Value,
    /// It changes nothing.
    pub is_read: bool,
}

/// What a generated rule says of one team and one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    May,
    MayNot,
    Waits,
}

/// A rule of one team and one tool.
#[derive(Debug, Clone, Copy)]
struct TeamRule {
    tool: usize,
    team: usize,
    kind: Kind,
}

impl Generated {
    /// An organisation of so many rules; their ids begin with the mark.
    pub fn new(rules: usize, mark: &str) -> Result<Self> {
        let entities = entities();
        let text = text(rules, mark)?;
        let files = BTreeMap::from([
            ("checkrein.toml".to_owned(), settings().into_bytes()),
            ("schema.cedarschema".to_owned(), b"entity Account;\n".to_vec()),
            ("catalog/desk.json".to_owned(), serde_json::to_vec(&tools())?),
            ("catalog/desk.toml".to_owned(), effects()?.into_bytes()),
            ("entities.json".to_owned(), serde_json::to_vec(&entities)?),
            ("rules.cedar".to_owned(), text.clone().into_bytes()),
        ]);
        Ok(Self {
            pack: PackSource {
                name: "generated".to_owned(),
                files,
            },
            rules: text,
            entities,
            calls: calls(rules)?,
        })
    }
}

impl TeamRule {
    /// The rules go round the tools, then round the teams, then again.
    const fn nth(at: usize) -> Self {
        let (tool, layer) = (at % TOOLS, at / TOOLS);
        let kind = match (tool + layer + layer / TEAMS * 3) % 10 {
            0..=6 => Kind::May,
            7 | 8 => Kind::MayNot,
            _ => Kind::Waits,
        };
        Self {
            tool,
            team: layer % TEAMS,
            kind,
        }
    }

    fn write(self, out: &mut String, id: &str) -> std::fmt::Result {
        let Self { tool, team, kind } = self;
        let scope = format!(
            "(principal in Team::\"team-{team:02}\", action == Action::\"desk/{}\", resource)",
            tool_name(tool)
        );
        match kind {
            Kind::May => writeln!(
                out,
                "@id(\"{id}\")\npermit {scope}\nwhen {{ context.input.amount <= {} && context.environment == \"production\" && \
                 context.input.region != \"elsewhere\" }};",
                5_000 + tool
            ),
            Kind::MayNot => writeln!(
                out,
                "@id(\"{id}\")\n@reason(\"too much for this desk\")\nforbid {scope}\nwhen {{ context.input.amount > 900000 && \
                 !context.arguments_from_intent.contains(\"account\") }};"
            ),
            Kind::Waits => writeln!(
                out,
                "@id(\"{id}\")\n@hold(\"desk\")\n@reason(\"somebody must look at this\")\nforbid {scope}\nwhen {{ \
                 context.input.amount > 800000 || context.input.tags.contains(\"review\") }};"
            ),
        }
    }
}

/// Says so, in words a pack can be read by: tools alternate between reading and writing.
pub fn is_read(tool: usize) -> bool {
    tool.is_multiple_of(2)
}

/// The tools' ids, with the groups each is in.
pub fn actions() -> impl Iterator<Item = (String, [&'static str; 2])> {
    (0..TOOLS).map(|tool| {
        let groups = if is_read(tool) {
            ["read", "read_only"]
        } else {
            ["write", "reversible"]
        };
        (format!("desk/{}", tool_name(tool)), groups)
    })
}

fn everybody(rules: usize) -> usize {
    EVERYBODY.len().min(rules / 10)
}

fn text(rules: usize, mark: &str) -> Result<String> {
    let mut out = String::with_capacity(rules * 256);
    let everybody = everybody(rules);
    for (at, rule) in EVERYBODY.iter().take(everybody).enumerate() {
        writeln!(out, "@id(\"{mark}-{at:05}\")\n{rule}")?;
    }
    for at in everybody..rules {
        TeamRule::nth(at - everybody).write(&mut out, &format!("{mark}-{at:05}"))?;
    }
    Ok(out)
}

/// Calls of the tools that the first team may use, in turn, each with other arguments.
fn calls(rules: usize) -> Result<Vec<Call>> {
    let team_rules = (0..rules - everybody(rules)).map(TeamRule::nth);
    let mut tools: Vec<usize> = team_rules
        .filter(|rule| rule.team == 0 && rule.kind == Kind::May)
        .map(|rule| rule.tool)
        .collect();
    tools.sort_unstable();
    tools.dedup();
    let call = |(at, tool): (usize, &usize)| {
        let json = json!({
            "account": format!("GB29NWBK6016133192{at:04}"),
            "amount": 1 + at % 5_000,
            "memo": format!("invoice {at} of the third quarter, as agreed on the phone with the accounts department"),
            "region": "eu-north",
            "tags": ["routine", "third-quarter", "invoice"],
        });
        Ok(Call {
            tool: format!("desk/{}", tool_name(*tool)),
            arguments: Arguments::parse(&serde_json::to_vec(&json)?)?,
            json,
            is_read: is_read(*tool),
        })
    };
    tools.iter().cycle().take(CALLS).enumerate().map(call).collect()
}

fn tool_name(tool: usize) -> String {
    format!("tool_{tool:03}")
}

fn settings() -> String {
    "namespace = \"org\"\n\n[groups]\ndesk = [\"spiffe://acme.example/approver/bob\"]\n".to_owned()
}

fn tools() -> Value {
    let tool = |tool| {
        json!({
            "name": tool_name(tool),
            "description": "Does one thing to one account.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "account": { "type": "string" },
                    "amount": { "type": "integer" },
                    "memo": { "type": "string" },
                    "region": { "type": "string" },
                    "tags": { "type": "array", "items": { "type": "string" } },
                },
                "required": ["account", "amount", "memo", "region", "tags"],
            },
        })
    };
    json!({ "tools": (0..TOOLS).map(tool).collect::<Vec<_>>() })
}

fn effects() -> Result<String> {
    let mut out = String::new();
    for tool in 0..TOOLS {
        let (effect, reversibility) = if is_read(tool) {
            ("read", "read_only")
        } else {
            ("write", "reversible")
        };
        writeln!(
            out,
            "[{}]\neffects = [\"{effect}\"]\nreversibility = \"{reversibility}\"\nresource = {{ type = \"Account\", id = \
             \"account\" }}\n",
            tool_name(tool)
        )?;
    }
    Ok(out)
}

fn entities() -> Value {
    let uid = |kind: &str, id: String| json!({ "type": kind, "id": id });
    let mut all = Vec::new();
    for team in 0..TEAMS {
        let name = format!("team-{team:02}");
        all.push(json!({ "uid": uid("Team", name.clone()), "attrs": {}, "parents": [] }));
        for agent in 0..AGENTS_PER_TEAM {
            let agent = format!("spiffe://acme.example/agent/desk-{team:02}-{agent}");
            let parents = [uid("Team", name.clone())];
            all.push(json!({ "uid": uid("Agent", agent), "attrs": {}, "parents": parents }));
        }
    }
    Value::Array(all)
}
