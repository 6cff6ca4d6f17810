//! Programs of others that tests run: `.ci/setup test` gets them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where this is, as `bin/node` or `peers/receivers`; it is there, or the error says how to get it.
pub fn installed(what: &str) -> Result<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/tools");
    let path = tools.join(what);
    let missing = || format!("`{}` is not there; run `.ci/setup test`", path.display());
    path.canonicalize().with_context(missing)
}
