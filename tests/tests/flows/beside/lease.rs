//! One command is one action: it starts when it is permitted, and ends with what permitted it.

use std::path::Path;

use checkrein_proto::decision::v1::OutcomeResult;
use checkrein_tests::WAIT_MAX;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Said, Scene, runs};

/// A directory with a program that stands in for `pg_dump`: this script.
fn program(script: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pg_dump");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn backup(scene: &Scene, place: &Path, to: &str) -> Command {
    let mut command = scene.command("run");
    let path = format!("{}:/usr/bin:/bin", place.display());
    command
        .args([
            "--wait",
            "0",
            "--tool",
            "ops/backup",
            "--",
            "pg_dump",
            "payments",
            "-f",
            to,
        ])
        .env("PATH", path)
        .current_dir(place);
    command
}

async fn backs_up(scene: &Scene, place: &Path, to: &str) -> Said {
    runs(backup(scene, place, to), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_when_it_is_permitted_and_the_record_says_how_it_ended() {
    let scene = Scene::set(&["ops/*"]).await;
    let place = program("echo \"dumped $1\"; test -z \"$CHECKREIN_GRANT\" || echo leaked");
    let mut command = backup(&scene, place.path(), "/backup/payments");
    command.env("CHECKREIN_GRANT", "secret");
    let said = runs(command, "").await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "dumped payments\n"),
        "{said:?}"
    );
    let place = program("exit 3");
    assert_eq!(
        backs_up(&scene, place.path(), "/backup/payments").await.code,
        Some(3)
    );
    let outcomes = scene.outcomes("ops/backup", 2).await;
    assert_eq!(outcomes[1].0, OutcomeResult::Done);
    assert_eq!(outcomes[0], (OutcomeResult::Failed, "it ended with 3".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_permitted_does_not_start() {
    let mut scene = Scene::set(&["ops/*"]).await;
    let place = program("touch started");
    let started = place.path().join("started");
    let mut other = scene.command("run");
    other
        .args(["--tool", "ops/backup", "--", "touch", "started"])
        .current_dir(place.path());
    assert_eq!(runs(other, "").await.code, Some(77), "it is no backup");
    let said = backs_up(&scene, place.path(), "/tmp/payments").await;
    assert_eq!(said.code, Some(75), "{said:?}");
    assert!(said.err.contains("waits for approval by owners"), "{said:?}");
    assert!(!started.exists());
    scene.approves().await;
    assert!(!started.exists(), "an approval alone does nothing");
    assert_eq!(
        backs_up(&scene, place.path(), "/tmp/payments").await.code,
        Some(0)
    );
    assert!(started.exists());
    std::fs::remove_file(&started).unwrap();
    let again = backs_up(&scene, place.path(), "/tmp/payments").await;
    assert_eq!(again.code, Some(75), "it is another run: {again:?}");
    scene.kill().await;
    assert_eq!(
        backs_up(&scene, place.path(), "/backup/payments").await.code,
        Some(69)
    );
    assert!(!started.exists());
}

/// Starts a backup that would never end, and returns once it runs.
async fn endless(scene: &Scene, place: &TempDir) -> tokio::process::Child {
    let child = backup(scene, place.path(), "/backup/payments")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let started = place.path().join("started");
    let runs = async {
        while !started.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT_MAX, runs).await.unwrap();
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_task_and_what_it_started_ends_with_it() {
    let scene = Scene::set(&["ops/*"]).await;
    let place = program("(sleep 1000; touch survived) & touch started; wait");
    let mut child = endless(&scene, &place).await;
    scene.operator.end(&scene.task).await.unwrap();
    let ended = timeout(WAIT_MAX, child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(77));
    let outcomes = scene.outcomes("ops/backup", 1).await;
    assert_eq!(outcomes[0].0, OutcomeResult::Unknown);
    let left = Command::new("pgrep")
        .arg("-f")
        .arg("sleep 1000")
        .output()
        .await
        .unwrap();
    let mine = String::from_utf8(left.stdout).unwrap();
    assert!(mine.lines().all(|pid| !is_in(pid, place.path())), "{mine}");
}

/// Whether a process runs in this directory.
fn is_in(pid: &str, place: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == place)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_running_ends_with_its_lease() {
    let scene = Scene::set(&["ops/*"]).await;
    // It keeps its output open for as long as it lives.
    let place = program("sleep 1000 & exit 0");
    assert_eq!(
        backs_up(&scene, place.path(), "/backup/payments").await.code,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_can_not_be_started_is_said_not_to_have_been() {
    let scene = Scene::set(&["ops/*"]).await;
    let place = tempfile::tempdir().unwrap();
    let mut command = backup(&scene, place.path(), "/backup/payments");
    command.env("PATH", place.path());
    let said = runs(command, "").await;
    assert_eq!(said.code, Some(69), "{said:?}");
    let (result, detail) = scene.outcomes("ops/backup", 1).await.remove(0);
    assert_eq!(result, OutcomeResult::Failed);
    assert!(detail.contains("not started"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_enforcer_is_killed_is_ended_because_nobody_would_say_when() {
    let mut scene = Scene::set(&["ops/*"]).await;
    let place = program("touch started; exec sleep 1000");
    let mut child = endless(&scene, &place).await;
    scene.kill().await;
    let ended = timeout(WAIT_MAX, child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(77));
}
