//! The command line: a file, and a flag or a variable for each of its values.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use checkrein_enforcer::{Config, ServerName};
use checkrein_shared::identity::JoinWord;
use clap::{Args, Parser, Subcommand};
use toml::{Table, Value};

use crate::hook::Hook;
use crate::lease::Run;
use crate::skeleton::Catalog;

/// Where SPIFFE says the address of the Workload API is found (SPIFFE Workload Endpoint, section 4).
const SPIFFE_ENDPOINT_SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

/// Decides, beside your service, whether an AI agent may do what it is about to do.
#[derive(Debug, Parser)]
#[command(
    name = "checkrein-enforcer",
    version,
    after_help = "Start:\n  checkrein fleet add payments-1 --agent spiffe://acme.example/agent/billing   (writes enforcer.toml, certificate and key)\n  checkrein-enforcer serve --config payments-1/enforcer.toml\n\nAgents then ask the GateService on the socket the file names: Authorize before a call, Complete after it.\nWithout its control plane the enforcer goes on from the policy it kept; what needs a fresh word is denied by name.\n\nLogs go to stderr; CHECKREIN_LOG=debug shows more."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Guards until it is told to stop (SIGTERM or SIGINT)
    Serve(Box<Serve>),
    /// Stands before an MCP server: started by a client in its place, or over HTTP; every call is decided
    #[command(
        after_help = "In the configuration of an MCP client, in place of the server:\n  { \"command\": \"checkrein-enforcer\",\n    \"args\": [\"mcp\", \"--config\", \"/etc/checkrein/files/enforcer.toml\", \"--name\", \"files\", \"--grant\", \"/run/agent.grant\",\n             \"--\", \"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem\", \"/srv/files\"] }\n\nThe config is one that `checkrein fleet add NAME --in-process AGENT` wrote; each wrapped server needs one of its own.\nThe server's tool `read_file` is `files/read_file` in the catalog and in a task's scope; its resources and prompts are\n`files/resources/read`, `files/prompts/get` and so on. A tool that the catalog lists with another definition is denied.\nWhat waits for people longer than `--wait` is answered as pending; the same call with the same arguments picks it up.\n\nBefore a server over HTTP:\n  checkrein-enforcer mcp --config files/enforcer.toml --name files --grant agent.grant --listen 127.0.0.1:7801 --upstream http://127.0.0.1:3001/mcp\nOn an address of this machine clients use the URL that is printed: it holds a secret, and whoever knows it is taken for the agent that\nthe config names. On any other, clients show their agent's certificate. A header `Checkrein-Grant` wins over `--grant`.\n\nBefore several servers, which are one to their clients: name each under `[[mcp.upstream]]` in the config, and leave `--name` out.\nThe tool `read_file` of `files` is `files__read_file` to the client then, and `files/read_file` in the catalog, as ever."
    )]
    Mcp(Box<Mcp>),
    /// Writes down what an MCP server has, as a catalog to begin with
    #[command(
        after_help = "Example:\n  checkrein-enforcer catalog --name files --out mypack/catalog -- npx -y @modelcontextprotocol/server-filesystem /srv\n  $EDITOR mypack/catalog/files.toml\n  checkrein policy check mypack\n  checkrein-enforcer catalog --name crm --out mypack/catalog --upstream https://crm.acme.example/mcp\n  checkrein-enforcer catalog --config files-and-crm/enforcer.toml --out mypack/catalog\n\n`files.json` holds the tools as the server defines them: one that it defines otherwise later is another tool. `files.toml` suggests\nwhat each is, from the server's own hints; a tool without any is taken for the worst."
    )]
    Catalog(Box<Catalog>),
    /// Answers a coding agent before it uses a tool (`PreToolUse` of Claude Code), and hears what came of it
    #[command(
        after_help = "In the settings of the agent (.claude/settings.json), with an enforcer that runs beside it:\n  { \"hooks\": {\n      \"PreToolUse\":         [ { \"hooks\": [ { \"type\": \"command\", \"timeout\": 90, \"command\":\n        \"checkrein-enforcer hook --socket /run/user/1000/checkrein.sock --grant ~/.checkrein/agent.grant\" } ] } ],\n      \"PostToolUse\":        [ … the same … ],\n      \"PostToolUseFailure\": [ … the same … ] } }\n\nThe agent's tool `Bash` is `code/Bash` in the catalog and in a task's scope; `mcp__files__read_file` is `files/read_file`.\nIts sub-agents' tools are asked about in the same way. What waits for people longer than `--wait` is denied for now, and the same\nuse later finds the answer; give the hook a longer `timeout` than that. If nobody can be asked, the tool is not used (exit code 2)."
    )]
    Hook(Box<Hook>),
    /// Runs one command as one action: permitted before it starts, ended when what it was permitted under ends
    #[command(
        after_help = "Example:\n  checkrein-enforcer run --socket gate.sock --grant nightly.grant --tool ops/backup -- pg_dump -Fc payments -f /backup/payments\n\nRules see `program`, `arguments`, `line` and `directory`. The exit code is the command's own, or 77: it was denied, or what it was\npermitted under ended; 75: it waits for people, and the same again finds the answer; 69: nobody could be asked."
    )]
    Run(Box<Run>),
    /// Get an identity with a token from `checkrein fleet enrol`; writes key, certificate and config
    #[command(
        after_help = "Example:\n  checkrein-enforcer join checkrein-join-1.eyJpZCI6…\n  checkrein-enforcer serve --config edge-1/enforcer.toml\n\nThe token is used once. If the answer was lost, type the same again.\nThe list of processes shows what is typed here; `-` in its place reads the token from standard input."
    )]
    Join(Join),
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// What `checkrein fleet enrol` printed; `-`: read it from standard input
    #[arg(allow_hyphen_values = true)]
    pub(crate) token: JoinWord,
    /// Where to write [default: a directory of the enforcer's name]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// What the catalog calls the server; without it the servers are those of `[[mcp.upstream]]` in the config
    #[arg(long)]
    pub(crate) name: Option<ServerName>,
    /// The grant that `checkrein task start --grant-only` gave; read for each call. Without it: `CHECKREIN_GRANT` holds the grant
    /// itself
    #[arg(long, value_name = "FILE")]
    pub(crate) grant: Option<PathBuf>,
    /// How many seconds a call waits for people before its client is told so; clients give up after 60, many of them
    #[arg(long, value_name = "SECONDS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) wait: u64,
    /// Listen here for clients over HTTP, before the server of `--upstream` or those of the config; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", conflicts_with = "command")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the server is that `--listen` stands before
    #[arg(long, value_name = "URL", requires_all = ["listen", "name"])]
    pub(crate) upstream: Option<String>,
    /// The CA of that server's certificate, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// What to show that server, a line `Name: value` each; clients' own `Authorization` is never passed on
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub(crate) upstream_headers: Option<PathBuf>,
    /// Print the line that says where it listens as JSON
    #[arg(long, requires = "listen")]
    pub(crate) json: bool,
    /// What starts the server
    #[arg(last = true, requires = "name", value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print the line that says it is ready as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A flag wins over its variable, and that over the file.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The file `checkrein fleet add` wrote; relative paths in it are relative to it
    #[arg(
        long,
        env = "CHECKREIN_ENFORCER_CONFIG",
        value_name = "FILE",
        default_value = "enforcer.toml"
    )]
    config: PathBuf,
    /// A replica of the control plane; may be given several times
    #[arg(
        long,
        env = "CHECKREIN_CONTROL_PLANE",
        value_name = "URL",
        value_delimiter = ','
    )]
    control_plane: Vec<String>,
    /// Where the journal and the last known good policy live
    #[arg(long, env = "CHECKREIN_DIRECTORY", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The enforcer's certificate chain, PEM
    #[arg(long, env = "CHECKREIN_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, env = "CHECKREIN_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// The CA of the control plane and the agents, PEM
    #[arg(long, env = "CHECKREIN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The Workload API's socket, `unix:///run/spire/agent.sock`, which gives certificate, key and CA instead of files
    /// [default, where no file is named either: `SPIFFE_ENDPOINT_SOCKET`]
    #[arg(long, env = "CHECKREIN_SPIFFE_SOCKET", value_name = "URL")]
    spiffe_socket: Option<String>,
    /// The pinned root public key, 64 hex digits
    #[arg(long, env = "CHECKREIN_ROOT_KEY", value_name = "HEX")]
    root_key: Option<String>,
    /// Listen for agents with certificates
    #[arg(long, env = "CHECKREIN_TCP_ADDRESS", value_name = "IP:PORT")]
    tcp_address: Option<String>,
    /// The agent this process itself acts for
    #[arg(long, env = "CHECKREIN_IN_PROCESS_AGENT", value_name = "SPIFFE-ID")]
    in_process_agent: Option<String>,
    /// Where people find the control plane's console, for links to what waits for them
    #[arg(long, env = "CHECKREIN_CONSOLE_URL", value_name = "URL")]
    console_url: Option<String>,
    /// How much the journal may hold; full, it denies
    #[arg(long, env = "CHECKREIN_JOURNAL_MAX_BYTES", value_name = "BYTES")]
    journal_max_bytes: Option<u64>,
}

impl Settings {
    /// The file, with what flags and variables say instead.
    pub(crate) fn read(&self) -> anyhow::Result<Config> {
        self.read_where(std::env::var(SPIFFE_ENDPOINT_SOCKET).ok())
    }

    /// The same, where this is the socket of the machine's Workload API.
    fn read_where(&self, machine_socket: Option<String>) -> anyhow::Result<Config> {
        let overrides = self.overrides()?;
        if overrides.is_empty() && machine_socket.is_none() {
            return Ok(Config::load(&self.config)?);
        }
        let mut table = match std::fs::read_to_string(&self.config) {
            Ok(text) => text
                .parse::<Table>()
                .with_context(|| format!("can't understand `{}`", self.config.display()))?,
            // Everything may have been said by flags; what was not is missed below, by name.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("can't read `{}`", self.config.display()));
            }
        };
        merge(&mut table, overrides);
        // A machine may say it to every process: what was configured for this one is never replaced by it.
        let has_identity = ["certificate", "key", "ca", "spiffe"]
            .iter()
            .any(|name| table.contains_key(*name));
        if let (false, Some(socket)) = (has_identity, machine_socket) {
            table.insert("spiffe".into(), section("socket", Value::String(socket)));
        }
        Ok(Config::from_table(
            table,
            self.config.parent().unwrap_or(Path::new("")),
        )?)
    }

    fn overrides(&self) -> anyhow::Result<Table> {
        let mut table = Table::new();
        if !self.control_plane.is_empty() {
            let urls = self.control_plane.iter().cloned().map(Value::String).collect();
            table.insert("control_plane".into(), Value::Array(urls));
        }
        let paths = [
            ("directory", &self.directory),
            ("certificate", &self.certificate),
            ("key", &self.key),
            ("ca", &self.ca),
        ];
        for (name, path) in paths {
            if let Some(path) = path {
                // A path on the command line is relative to where the command is typed.
                let path = std::path::absolute(path)?.into_os_string().into_string();
                let path = path.map_err(|path| anyhow::anyhow!("`{}` is not UTF-8", path.display()))?;
                table.insert(name.into(), Value::String(path));
            }
        }
        if let Some(root_key) = &self.root_key {
            table.insert("root_key".into(), Value::String(root_key.clone()));
        }
        if let Some(url) = &self.console_url {
            table.insert("console_url".into(), Value::String(url.clone()));
        }
        let sections = [
            ("spiffe", "socket", self.spiffe_socket.clone().map(Value::String)),
            ("tcp", "address", self.tcp_address.clone().map(Value::String)),
            (
                "in_process",
                "agent",
                self.in_process_agent.clone().map(Value::String),
            ),
            (
                "journal",
                "max_bytes",
                self.journal_max_bytes
                    .map(|bytes| i64::try_from(bytes).map(Value::Integer))
                    .transpose()?,
            ),
        ];
        for (in_section, name, value) in sections {
            if let Some(value) = value {
                table.insert(in_section.into(), section(name, value));
            }
        }
        Ok(table)
    }
}

/// A section of one value.
fn section(name: &str, value: Value) -> Value {
    Value::Table(Table::from_iter([(name.to_owned(), value)]))
}

/// Puts the values of one table over those of another, sections member by member.
fn merge(under: &mut Table, over: Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Table(section)), Value::Table(values)) => merge(section, values),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
