//! `checkrein-enforcer catalog`: a server's tools as it defines them, and what each may be, for a person to look at.
//!
//! **Invariant**: what a server hints at its tools is written down as a suggestion, and where it hints at nothing the worst is suggested;
//! a file that is there is never written over, and of several servers all are written down or none.

mod suggest;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use checkrein_enforcer::{Config, Inventory, Remote, ServerName, Whereabouts};
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::wrap::of_config;

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// What the catalog is to call the server
    #[arg(long, required_unless_present = "config")]
    name: Option<ServerName>,
    /// A server over HTTP, instead of one that is started
    #[arg(long, value_name = "URL", requires = "name", conflicts_with = "command")]
    upstream: Option<String>,
    /// The CA of that server's certificate, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_ca: Option<PathBuf>,
    /// What to show that server, a line `Name: value` each
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_headers: Option<PathBuf>,
    /// All servers that this enforcer's config names under `[[mcp.upstream]]`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "upstream", "command"])]
    config: Option<PathBuf>,
    /// Where to write `NAME.json` and `NAME.toml`; a pack's `catalog` directory
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    out: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// What starts the server
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// One server, and the two files about it.
struct Server {
    name: ServerName,
    whereabouts: Whereabouts,
    files: [PathBuf; 2],
}

/// Asks the servers, and writes two files for each.
pub(crate) fn run(catalog: Catalog) -> anyhow::Result<ExitCode> {
    let (out, json) = (catalog.out.clone(), catalog.json);
    let servers: Vec<Server> = named(catalog)?
        .into_iter()
        .map(|(name, whereabouts)| Server {
            files: ["json", "toml"].map(|kind| out.join(format!("{name}.{kind}"))),
            name,
            whereabouts,
        })
        .collect();
    if let Some(there) = servers
        .iter()
        .flat_map(|one| &one.files)
        .find(|file| file.exists())
    {
        bail!(
            "`{}` is there; move it away, or name another directory with `--out`",
            there.display()
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = servers.iter().map(async |one| {
        let found = Inventory::of(&one.whereabouts).await;
        found.with_context(|| format!("the server `{}` does not say what it has", one.name))
    });
    let found = runtime.block_on(try_join_all(asked))?;
    std::fs::create_dir_all(&out).with_context(|| format!("can't make `{}`", out.display()))?;
    for (server, found) in servers.iter().zip(&found) {
        write_new(&server.files[0], &suggest::definitions(found))?;
        write_new(&server.files[1], &suggest::entries(found))?;
    }
    tell(&servers, &found, json);
    Ok(ExitCode::SUCCESS)
}

/// The servers that are meant.
fn named(catalog: Catalog) -> anyhow::Result<Vec<(ServerName, Whereabouts)>> {
    if let Some(file) = &catalog.config {
        let config = Config::load(file).with_context(|| format!("can't use `{}`", file.display()))?;
        if config.mcp.upstream.is_empty() {
            bail!("`{}` names no server under `[[mcp.upstream]]`", file.display());
        }
        return config.mcp.upstream.iter().map(of_config).collect();
    }
    let Some(name) = catalog.name else {
        bail!("give `--name`, or `--config` with a file that names servers");
    };
    let whereabouts = match catalog.upstream {
        Some(url) => Whereabouts::At(Remote {
            name: name.clone(),
            url,
            ca: catalog.upstream_ca,
            headers: catalog.upstream_headers,
        }),
        None if catalog.command.is_empty() => {
            bail!("say where the server is: what starts it after `--`, or its URL with `--upstream`")
        }
        None => Whereabouts::Started(catalog.command),
    };
    Ok(vec![(name, whereabouts)])
}

fn tell(servers: &[Server], found: &[Inventory], json: bool) {
    let told = servers.iter().zip(found);
    if json {
        let told = told.map(|(server, found)| {
            let files = server.files.each_ref().map(|file| file.display().to_string());
            json!({"name": server.name.as_str(), "tools": found.tools.len(), "methods": found.methods.len(), "files": files})
        });
        println!("{}", json!({"servers": told.collect::<Vec<_>>()}));
        return;
    }
    for (server, found) in told {
        println!(
            "{} tools and {} methods of `{}` stand in {} and {}.",
            found.tools.len(),
            found.methods.len(),
            server.name,
            server.files[0].display(),
            server.files[1].display()
        );
    }
    println!(
        "The second file is a suggestion: look at each entry, and say what the tool is. Then: checkrein policy check"
    );
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("can't write `{}`", path.display()))
}
