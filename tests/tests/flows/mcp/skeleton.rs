//! A catalog to begin with, of real servers.

use std::path::{Path, PathBuf};

use checkrein_tests::{Binaries, WAIT_MAX};
use tokio::process::Command;
use tokio::time::timeout;

use super::server;

pub(super) async fn wrote(name: &str, out: &Path, command: &[PathBuf]) -> (bool, String) {
    let mut catalog: Command = Binaries::build().await.unwrap().checkrein_enforcer();
    catalog
        .env("CHECKREIN_GRANT", "secret")
        .args(["catalog", "--name", name, "--out"])
        .arg(out)
        .arg("--")
        .args(command);
    let output = timeout(WAIT_MAX, catalog.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_has_is_written_down_as_a_pack_that_can_be_checked_and_never_over_another() {
    // A pack's name begins with a letter.
    let place = tempfile::Builder::new().prefix("pack-").tempdir().unwrap();
    let out = place.path().join("catalog");
    let root = place.path().canonicalize().unwrap();
    let servers = [("filesystem", 14, &*root), ("everything", 13, Path::new("stdio"))];
    for (name, tools, argument) in servers {
        // One that hears of our variables does not begin.
        let check = r#"test -z "$CHECKREIN_GRANT" && exec "$@""#;
        let mut command = ["sh", "-c", check, "sh"].map(PathBuf::from).to_vec();
        command.extend(server(name, argument));
        let (is_written, said) = wrote(name, &out, &command).await;
        assert!(is_written && said.contains(&format!("{tools} tools")), "{said}");
    }
    let toml = std::fs::read_to_string(out.join("filesystem.toml")).unwrap();
    assert!(
        toml.contains("[read_text_file]\neffects = [\"read\"]\nreversibility = \"read_only\""),
        "{toml}"
    );
    assert!(
        toml.contains("[write_file]\neffects = [\"read\", \"write\", \"destroy\"]"),
        "{toml}"
    );

    std::fs::write(place.path().join("checkrein.toml"), "namespace = \"org\"\n").unwrap();
    let rules = "@id(\"all\")\npermit (principal, action, resource);\n";
    std::fs::write(place.path().join("rules.cedar"), rules).unwrap();
    let mut check = Binaries::build().await.unwrap().checkrein();
    let checked = check
        .args(["policy", "check"])
        .arg(place.path())
        .output()
        .await
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    std::fs::write(out.join("filesystem.toml"), "mine").unwrap();
    let (is_written, said) = wrote("filesystem", &out, &server("filesystem", &root)).await;
    assert!(!is_written && said.contains("is there"), "{said}");
    assert_eq!(
        std::fs::read_to_string(out.join("filesystem.toml")).unwrap(),
        "mine"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_server_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("catalog");
    for command in [&["true"][..], &["echo", "hello"], &["/nowhere/at/all"]] {
        let command: Vec<PathBuf> = command.iter().map(PathBuf::from).collect();
        let (is_written, said) = wrote("none", &out, &command).await;
        assert!(!is_written, "{said}");
        assert!(!out.join("none.json").exists() && !out.join("none.toml").exists());
    }
}
