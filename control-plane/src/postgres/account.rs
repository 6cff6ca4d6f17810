//! As whom the server runs. Postgres refuses root, so root lends it an account that owns nothing else of ours.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{PostgresError, bounded, io_error};

/// Accounts to lend, the first that exists.
const LENT: [&str; 2] = ["postgres", "nobody"];

/// Where the system's own programs are. Nothing of the caller's environment reaches the server.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CHECK: Duration = Duration::from_secs(10);

/// As whom the server and its tools run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// As we do.
    Ours,
    /// As somebody else: we are root.
    Lent { uid: u32, gid: u32 },
}

impl Account {
    /// The account for a new cluster.
    pub(super) fn choose() -> Result<Self, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let path = Path::new("/etc/passwd");
        let accounts = fs::read_to_string(path).map_err(io_error("read", path))?;
        LENT.iter()
            .find_map(|name| accounts.lines().find_map(|line| entry(line, name)))
            .ok_or(PostgresError::NoAccount)
    }

    /// The account for a cluster that is there: its owner, unless that is us or we can't be them.
    pub(super) fn owning(self, data: &Path) -> Self {
        match (self, fs::metadata(data)) {
            (Self::Lent { .. }, Ok(there)) if there.uid() != 0 => Self::Lent {
                uid: there.uid(),
                gid: there.gid(),
            },
            _ => self,
        }
    }

    /// A program to be run as this account, with an environment that says nothing.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // The caller's directory may be one this account can't enter.
        command.current_dir("/").env_clear();
        command.envs([("PATH", SYSTEM_PATH), ("LC_ALL", "C"), ("TZ", "UTC")]);
        if let Self::Lent { uid, gid } = self {
            // With an uid, the standard library drops root's supplementary groups too.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Whether this account can enter a directory, asked of the machine itself: modes, access lists and mounts count.
    pub(super) fn enters(self, directory: &Path) -> bool {
        let mut test = self.command("test");
        bounded::run(test.arg("-x").arg(directory), CHECK).is_ok()
    }

    /// Gives a path to this account.
    pub(super) fn give(self, path: &Path) -> Result<(), PostgresError> {
        match self {
            Self::Ours => Ok(()),
            Self::Lent { uid, gid } => chown(path, Some(uid), Some(gid)).map_err(io_error("hand over", path)),
        }
    }
}

/// `name:x:uid:gid:…`, if it is the one looked for. Root under another name is still root.
fn entry(line: &str, name: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let matches = fields.next() == Some(name);
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (matches && uid != 0).then_some(Account::Lent { uid, gid })
}
