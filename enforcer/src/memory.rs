//! What is remembered of calls from one start of this program to the next: small files in a directory of this user's.
//!
//! **Invariant**: nothing of a call's input or result is written down; what is forgotten makes nothing permitted.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_shared::action::Sha256;

/// Nobody says after this how a use ended, and a hold that waits as long is another call's.
const KEPT: Duration = Duration::from_hours(48);
/// So many files are looked at when the old ones are thrown away.
const SWEPT_MAX: usize = 512;
const OWNER_ONLY: u32 = 0o700;

/// A directory.
#[derive(Debug)]
pub(crate) struct Memory(PathBuf);

/// A call by the name under which its hold is found again.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    sameness: String,
    round: u64,
}

impl Memory {
    /// Opens it; nobody else may have it.
    pub(crate) fn open(directory: Option<&Path>) -> anyhow::Result<Self> {
        let directory = directory.map_or_else(usual, |directory| Ok(directory.to_owned()))?;
        let cant = || format!("can't remember calls in `{}`", directory.display());
        DirBuilder::new()
            .recursive(true)
            .mode(OWNER_ONLY)
            .create(&directory)
            .with_context(cant)?;
        let metadata = fs::metadata(&directory).with_context(cant)?;
        let is_ours = metadata.uid() == rustix::process::getuid().as_raw();
        if !is_ours || metadata.permissions().mode() & 0o077 != 0 {
            bail!(
                "`{}` is open to others; take it from them (chmod 700), or name another directory with `--state`",
                directory.display()
            );
        }
        let memory = Self(directory);
        memory.sweep();
        Ok(memory)
    }

    /// The name of the call that these texts make what it is; the same has the same, until people have answered.
    pub(crate) fn call(&self, same: &[&str]) -> anyhow::Result<Call> {
        let sameness = named(same);
        let round = match self.read(&format!("round-{sameness}"))? {
            Some(text) => text
                .trim()
                .parse()
                .context("what is remembered of earlier calls can't be read")?,
            None => 0,
        };
        Ok(Call {
            id: format!("again-{sameness}-{round}"),
            sameness,
            round,
        })
    }

    /// People have answered: the next that is the same is another call.
    pub(crate) fn over(&self, call: &Call) -> anyhow::Result<()> {
        self.write(&format!("round-{}", call.sameness), &(call.round + 1).to_string())
    }

    /// Keeps under which decision a call is made that these texts name.
    pub(crate) fn keep(&self, name: &[&str], decision_id: &str) -> anyhow::Result<()> {
        self.write(&format!("call-{}", named(name)), decision_id)
    }

    /// Under which decision a call was made; told once.
    pub(crate) fn take(&self, name: &[&str]) -> anyhow::Result<Option<String>> {
        let file = format!("call-{}", named(name));
        let found = self.read(&file)?;
        if found.is_some() {
            fs::remove_file(self.0.join(file)).context("can't forget a call that ended")?;
        }
        Ok(found)
    }

    fn read(&self, file: &str) -> anyhow::Result<Option<String>> {
        match fs::read_to_string(self.0.join(file)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can't read `{}`", self.0.join(file).display())),
        }
    }

    /// Whole or not at all: two events may come at once.
    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let place = self.0.join(file);
        let beside = self.0.join(format!(".{file}-{}", std::process::id()));
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &place));
        written.with_context(|| format!("can't write `{}`", place.display()))
    }

    /// Throws away what is old; it matters to nobody if that fails.
    fn sweep(&self) {
        let is_old = |entry: &fs::DirEntry| -> io::Result<bool> {
            let age = entry.metadata()?.modified()?.elapsed();
            Ok(age.is_ok_and(|age| age > KEPT))
        };
        let Ok(entries) = fs::read_dir(&self.0) else {
            return;
        };
        for entry in entries.flatten().take(SWEPT_MAX) {
            if is_old(&entry).unwrap_or(false) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

/// A name for some texts that holds none of them.
fn named(texts: &[&str]) -> String {
    let mut all = Vec::new();
    for text in texts {
        all.extend_from_slice(&(text.len() as u64).to_be_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    let mut name = Sha256::of(&all).to_string();
    name.truncate(40);
    name
}

fn usual() -> anyhow::Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty());
    let state = state.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").filter(|path| !path.is_empty())?;
        Some(Path::new(&home).join(".local/state"))
    });
    let state = state.context("there is no `HOME`; name a directory with `--state`")?;
    Ok(state.join("checkrein/calls"))
}
