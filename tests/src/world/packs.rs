//! Policies for tests.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use checkrein_shared::policy::{Finding, Pack, PackSource};

/// The pack in `tests/packs/payments`.
pub fn payments() -> Result<PackSource> {
    read(
        "payments",
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/payments"),
    )
}

/// The same with more rules.
pub fn payments_with(rules: &str) -> Result<PackSource> {
    let mut pack = payments()?;
    let file = pack.files.get_mut("rules.cedar").context("rules.cedar")?;
    file.extend_from_slice(b"\n");
    file.extend_from_slice(rules.as_bytes());
    Ok(pack)
}

/// A pack directory.
pub fn read(name: &str, directory: &Path) -> Result<PackSource> {
    let mut files = BTreeMap::new();
    collect(directory, "", &mut files)?;
    Ok(PackSource {
        name: name.to_owned(),
        files,
    })
}

/// A pack directory, and the pack in it, named after the directory.
pub fn open(directory: &Path) -> Result<(PackSource, Pack)> {
    let whole = directory
        .canonicalize()
        .with_context(|| format!("reading `{}`", directory.display()))?;
    let name = whole
        .file_name()
        .context("the pack is a directory with a name")?
        .to_string_lossy();
    let source = read(&name, &whole)?;
    match Pack::parse(&source) {
        Ok(pack) => Ok((source, pack)),
        Err(findings) => bail!("the pack can't be used:\n{}", rendered(&findings)),
    }
}

fn rendered(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.rendered.as_str()).collect()
}

fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}
