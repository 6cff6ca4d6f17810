//! Policies for tests.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use checkrein_shared::policy::PackSource;

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
