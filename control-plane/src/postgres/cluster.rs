//! The data directory: one owner, one major version.
//!
//! The major version is part of its name, because the files of one can't be read by another. A locked file beside it says
//! that it has an owner; the lock goes with the process that holds it, however that ends.
//!
//! **Invariant**: a cluster's directory appears whole or not at all, and nobody but the holder of its lock starts a server
//! on it or removes it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::account::Account;
use super::binaries::{Binaries, Wanted};
use super::{Durability, Home, Options, PostgresError, SUPERUSER, bounded, build, io_error};

/// How long a server whose owner has died may take to end.
const ORPHAN_LIMIT: Duration = Duration::from_secs(20);
const INITDB_LIMIT: Duration = Duration::from_mins(2);

/// Where root keeps clusters whose directory the server's account can't enter.
const ELSEWHERE: &str = "/var/lib/checkrein";
/// A socket's path has at most 107 bytes, and ours end in `/checkrein-pg-XXXXXX/.s.PGSQL.5432`.
const SOCKET_BASE_BYTES_MAX: usize = 70;
const RUNTIME_PREFIX: &str = "checkrein-pg-";
const CLUSTER_PREFIX: &str = "postgres-";
const UNFINISHED_PREFIX: &str = ".postgres-";
const LOCK: &str = "postgres.lock";
const DATA: &str = "data";

/// A cluster that is ours alone until this is dropped.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) account: Account,
    pub(super) binaries: Binaries,
    /// The server's files.
    pub(super) data: PathBuf,
    pub(super) durability: Durability,
    /// The socket and the log; the data too, if that is temporary. Removed when this is dropped.
    pub(super) runtime: TempDir,
    _locks: Vec<File>,
}

impl Cluster {
    /// Takes the cluster, making it if there is none.
    pub(super) fn open(options: &Options) -> Result<Self, PostgresError> {
        let account = Account::choose()?;
        let base = runtime_base(account);
        sweep(&base);
        let runtime =
            TempDir::with_prefix_in(RUNTIME_PREFIX, &base).map_err(io_error("make a directory in", &base))?;
        let mut locks = vec![lock(runtime.path())?];
        let (binaries, data) = match &options.home {
            Home::Temporary => {
                let binaries = binaries(options, account, Wanted::Any)?;
                let data = runtime.path().join(DATA);
                make(&data)?;
                initdb(options, &binaries, account, &data)?;
                (binaries, data)
            }
            Home::Directory(directory) => {
                locks.push(own(directory)?);
                kept(options, account, directory)?
            }
        };
        let account = account.owning(&data);
        account.give(runtime.path())?;
        end_orphan(&data)?;
        Ok(Self {
            account,
            binaries,
            data,
            durability: options.durability,
            runtime,
            _locks: locks,
        })
    }
}

/// The process that serves this data directory, if one does: a server's working directory is its data.
pub(super) fn postmaster(data: &Path) -> Option<u32> {
    let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: u32 = file.lines().next()?.trim().parse().ok()?;
    let serves = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (serves == fs::canonicalize(data).ok()?).then_some(pid)
}

fn binaries(options: &Options, account: Account, wanted: Wanted) -> Result<Binaries, PostgresError> {
    match options.search.find(account, wanted)? {
        Some(found) => {
            options.progress.say(&format!(
                "using Postgres {} in {}",
                found.major,
                found.directory.display()
            ));
            Ok(found)
        }
        None => build::install(&options.search, account, wanted, &options.progress),
    }
}

/// Makes a directory ours, if it is nobody's.
fn own(directory: &Path) -> Result<File, PostgresError> {
    make(directory)?;
    let lock = lock(directory)?;
    for unfinished in named(directory, UNFINISHED_PREFIX)? {
        let path = directory.join(unfinished);
        fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
    }
    Ok(lock)
}

/// The cluster of a directory that is ours.
fn kept(options: &Options, account: Account, directory: &Path) -> Result<(Binaries, PathBuf), PostgresError> {
    // The server's programs run from the root of the file system: there a name means nothing that is only good from here.
    let directory = &*fs::canonicalize(directory).map_err(io_error("find", directory))?;
    let found = named(directory, CLUSTER_PREFIX)?;
    let majors: Vec<u32> = found
        .iter()
        .filter_map(|name| name[CLUSTER_PREFIX.len()..].parse().ok())
        .collect();
    let wanted = match majors[..] {
        [] => Wanted::Any,
        [major] => Wanted::Major(major),
        _ => {
            return Err(PostgresError::SeveralClusters {
                path: directory.to_owned(),
                found,
            });
        }
    };
    let binaries = binaries(options, account, wanted)?;
    let data = directory.join(format!("{CLUSTER_PREFIX}{}", binaries.major));
    if wanted == Wanted::Any {
        create(options, &binaries, account, directory, &data)?;
    }
    let data = fs::canonicalize(&data).map_err(io_error("find", &data))?;
    Ok((binaries, data))
}

/// Makes a cluster beside its place, or where the account can reach it, and puts it or a link to it there last of all.
fn create(
    options: &Options,
    binaries: &Binaries,
    account: Account,
    directory: &Path,
    place: &Path,
) -> Result<(), PostgresError> {
    let here = account.enters(directory);
    let parent = if here { directory } else { Path::new(ELSEWHERE) };
    let prefix = if here { UNFINISHED_PREFIX } else { CLUSTER_PREFIX };
    if !here {
        fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        options.progress.say(&format!(
            "keeping the database under {ELSEWHERE}, because its account can't enter {}",
            directory.display()
        ));
    }
    let fresh = TempDir::with_prefix_in(prefix, parent).map_err(io_error("make a directory in", parent))?;
    initdb(options, binaries, account, fresh.path())?;
    let placed = if here {
        fs::rename(fresh.path(), place)
    } else {
        symlink(fresh.path(), place)
    };
    placed.map_err(io_error("make", place))?;
    let _ = fresh.keep();
    Ok(())
}

/// Runs `initdb` on an empty directory.
fn initdb(
    options: &Options,
    binaries: &Binaries,
    account: Account,
    data: &Path,
) -> Result<(), PostgresError> {
    options
        .progress
        .say(&format!("making a database cluster in {}", data.display()));
    account.give(data)?;
    if let Some(parent) = data.parent().filter(|_| options.home == Home::Temporary) {
        account.give(parent)?;
    }
    let mut initdb = account.command(binaries.directory.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(data)
        .args(["--username", SUPERUSER, "--auth", "trust"]);
    initdb.args(["--no-locale", "--encoding", "UTF8", "--data-checksums"]);
    if options.durability == Durability::Throwaway {
        initdb.arg("--no-sync");
    }
    bounded::run(&mut initdb, INITDB_LIMIT).map(drop)
}

/// Waits for a server whose owner died, which ends by itself, and clears away what one that was killed left behind.
fn end_orphan(data: &Path) -> Result<(), PostgresError> {
    bounded::poll(ORPHAN_LIMIT, || postmaster(data).is_none().then_some(())).ok_or_else(|| {
        PostgresError::InUse {
            path: data.to_owned(),
        }
    })?;
    let file = data.join("postmaster.pid");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &file)(error)),
        _ => Ok(()),
    }
}

/// A directory for sockets that the account can enter: short, and with nothing in it that a connection string or a setting
/// would read as the end of a path.
fn runtime_base(account: Account) -> PathBuf {
    let usual = std::env::temp_dir();
    let bytes = usual.as_os_str().as_bytes();
    let plain = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte));
    if plain && bytes.len() <= SOCKET_BASE_BYTES_MAX && account.enters(&usual) {
        usual
    } else {
        PathBuf::from("/tmp")
    }
}

/// Removes what owners that were killed left behind. What can't be removed is somebody else's, and stays.
fn sweep(base: &Path) {
    for name in named(base, RUNTIME_PREFIX).unwrap_or_default() {
        let directory = base.join(name);
        let Ok(file) = File::open(directory.join(LOCK)) else {
            continue;
        };
        let abandoned = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if abandoned && postmaster(&directory.join(DATA)).is_none() {
            let _ = fs::remove_dir_all(&directory);
        }
    }
}

/// Takes the lock of a directory. A new lock is held before it can be seen by its name.
fn lock(directory: &Path) -> Result<File, PostgresError> {
    let path = directory.join(LOCK);
    let there = OpenOptions::new().write(true).open(&path);
    let file = match there {
        Ok(file) => file,
        Err(_) => tempfile::NamedTempFile::new_in(directory)
            .and_then(|new| {
                flock(new.as_file(), FlockOperation::NonBlockingLockExclusive)?;
                Ok(new.persist(&path)?)
            })
            .map_err(io_error("make", &path))?,
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| PostgresError::InUse {
        path: directory.to_owned(),
    })?;
    Ok(file)
}

/// Makes a directory that only we can enter, unless it is there.
fn make(directory: &Path) -> Result<(), PostgresError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(io_error("make", directory))
}

/// The directories in this one whose names begin so.
fn named(directory: &Path, prefix: &str) -> Result<Vec<String>, PostgresError> {
    let entries = fs::read_dir(directory).map_err(io_error("list", directory))?;
    let names = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(prefix)).collect())
}
