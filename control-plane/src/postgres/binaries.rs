//! Where server binaries are, and whether they run.
//!
//! A `postgres` on the path may be a link into a directory that holds its `initdb`, or a wrapper beside none, so links
//! are followed and both programs are run, as the account that will run them, before a directory is chosen.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::account::Account;
use super::{PostgresError, bounded, build};

/// The major versions we are written for.
const MAJORS: std::ops::RangeInclusive<u32> = 15..=18;

const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Where to look for binaries, and where to put them.
#[derive(Debug, Clone)]
pub struct Search {
    /// A directory to take and no other (`CHECKREIN_PG_BIN`).
    pub named: Option<PathBuf>,
    /// Directories of programs, as in `PATH`: servers, and the registries' clients.
    pub path: OsString,
    /// Where Debian keeps them: `<major>/bin` under here.
    pub system: PathBuf,
    /// Where installed builds go; the first that the server's account can enter.
    pub caches: Vec<PathBuf>,
}

/// A directory whose `postgres` and `initdb` run and agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

/// Which major versions will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any we are written for.
    Any,
    /// The one that wrote the data.
    Major(u32),
}

impl Search {
    /// As this process' environment says.
    pub fn from_environment() -> Self {
        let directory = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let own = directory("XDG_CACHE_HOME").or_else(|| directory("HOME").map(|home| home.join(".cache")));
        // Root's own cache is in a home that the server's account can't enter.
        let shared = rustix::process::geteuid()
            .is_root()
            .then(|| PathBuf::from("/var/cache"));
        Self {
            named: directory("CHECKREIN_PG_BIN"),
            path: env::var_os("PATH").unwrap_or_default(),
            system: PathBuf::from("/usr/lib/postgresql"),
            caches: own
                .into_iter()
                .chain(shared)
                .map(|cache| cache.join("checkrein"))
                .collect(),
        }
    }

    /// The first directory that will do, if the machine has one.
    pub(super) fn find(&self, account: Account, wanted: Wanted) -> Result<Option<Binaries>, PostgresError> {
        if let Some(named) = &self.named {
            return match examine(named, account) {
                Ok(found) if wanted.accepts(found.major) => Ok(Some(found)),
                Ok(found) => Err(unusable(
                    named,
                    format!("it is version {}, not {wanted}", found.major),
                )),
                Err(reason) => Err(unusable(named, reason)),
            };
        }
        let found = self.candidates().into_iter().find_map(|directory| {
            let found = examine(&directory, account)
                .inspect_err(
                    |reason| tracing::debug!(directory = %directory.display(), reason, "passed over"),
                )
                .ok()?;
            wanted.accepts(found.major).then_some(found)
        });
        Ok(found)
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = env::split_paths(&self.path).collect();
        directories.extend(self.pg_config());
        directories.extend(self.system_directories());
        directories.extend(
            self.caches
                .iter()
                .map(|cache| build::directory(cache).join("bin")),
        );
        directories
    }

    /// Where the installed development files say the server is.
    fn pg_config(&self) -> Option<PathBuf> {
        let mut command = Command::new("pg_config");
        let said = bounded::run(command.arg("--bindir").env("PATH", &self.path), VERSION_LIMIT).ok()?;
        Some(PathBuf::from(said))
    }

    /// Debian's, the newest first.
    fn system_directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.system).into_iter().flatten().flatten();
        let mut majors: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        majors.sort_unstable_by(|one, other| other.cmp(one));
        majors
            .iter()
            .map(|major| self.system.join(major.to_string()).join("bin"))
            .collect()
    }
}

impl Wanted {
    pub(super) fn accepts(self, major: u32) -> bool {
        match self {
            Self::Any => MAJORS.contains(&major),
            Self::Major(wanted) => wanted == major,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "{} to {}", MAJORS.start(), MAJORS.end()),
            Self::Major(major) => write!(f, "{major}"),
        }
    }
}

/// Follows links, and runs both programs.
pub(super) fn examine(directory: &Path, account: Account) -> Result<Binaries, String> {
    let real = |name: &str| {
        let path = directory.join(name);
        fs::canonicalize(&path).map_err(|error| format!("`{}`: {error}", path.display()))
    };
    let server = real("postgres")?;
    let directory = server.parent().unwrap_or(directory);
    let major = major_of(&server, account)?;
    let initdb = major_of(&directory.join("initdb"), account)?;
    if major != initdb {
        return Err(format!("`postgres` is version {major} but `initdb` {initdb}"));
    }
    let directory = directory.to_owned();
    Ok(Binaries { directory, major })
}

/// Asks a program for its version: `postgres (PostgreSQL) 18.4` and the like.
fn major_of(program: &Path, account: Account) -> Result<u32, String> {
    let said = bounded::run(account.command(program).arg("--version"), VERSION_LIMIT)
        .map_err(|error| error.to_string())?;
    let major = said.split(") ").nth(1).and_then(|version| {
        let digits = version
            .find(|at: char| !at.is_ascii_digit())
            .unwrap_or(version.len());
        version.get(..digits)?.parse().ok()
    });
    major.ok_or_else(|| format!("`{}` says `{said}` for its version", program.display()))
}

fn unusable(path: &Path, reason: String) -> PostgresError {
    PostgresError::Unusable {
        path: path.to_owned(),
        reason,
    }
}
