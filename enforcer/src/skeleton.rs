//! `checkrein-enforcer catalog`: a server's tools as it defines them, and what each may be, for a person to look at.
//!
//! **Invariant**: what a server hints at its tools is written down as a suggestion, and where it hints at nothing the worst is suggested;
//! a file that is there is never written over.

mod suggest;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use checkrein_enforcer::{Inventory, ServerName};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// What the catalog is to call the server
    #[arg(long)]
    name: ServerName,
    /// Where to write `NAME.json` and `NAME.toml`; a pack's `catalog` directory
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    out: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// What starts the server
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Asks a server, and writes two files.
pub(crate) fn run(catalog: &Catalog) -> anyhow::Result<ExitCode> {
    let files = ["json", "toml"].map(|kind| catalog.out.join(format!("{}.{kind}", catalog.name)));
    if let Some(there) = files.iter().find(|file| file.exists()) {
        bail!(
            "`{}` is there; move it away, or name another directory with `--out`",
            there.display()
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(Inventory::of(&catalog.command))?;
    std::fs::create_dir_all(&catalog.out)
        .with_context(|| format!("can't make `{}`", catalog.out.display()))?;
    write_new(&files[0], &suggest::definitions(&found))?;
    write_new(&files[1], &suggest::entries(&found))?;
    let (tools, methods) = (found.tools.len(), found.methods.len());
    if catalog.json {
        let files = files.map(|file| file.display().to_string());
        println!(
            "{}",
            serde_json::json!({"tools": tools, "methods": methods, "files": files})
        );
    } else {
        println!(
            "{tools} tools and {methods} methods of the server stand in {} and {}.\nThe second file is a suggestion: look at each entry, \
             and say what the tool is. Then: checkrein policy check",
            files[0].display(),
            files[1].display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("can't write `{}`", path.display()))
}
