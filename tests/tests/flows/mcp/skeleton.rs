//! A catalog to begin with, of real servers.

use std::path::{Path, PathBuf};

use checkrein_tests::{Binaries, WAIT_MAX};
use tokio::process::Command;
use tokio::time::timeout;

use super::{http, server, stateless};

const CONFIG: &str = r#"
control_plane = ["https://127.0.0.1:7443"]
directory = "state"
certificate = "certificate.pem"
key = "key.pem"
ca = "ca.pem"
root_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
"#;

pub(super) async fn wrote(name: &str, out: &Path, command: &[PathBuf]) -> (bool, String) {
    let mut of = vec!["--name".into(), name.into(), "--".into()];
    of.extend_from_slice(command);
    wrote_of(out, &of).await
}

async fn wrote_of(out: &Path, arguments: &[PathBuf]) -> (bool, String) {
    let mut catalog: Command = Binaries::build().await.unwrap().checkrein_enforcer();
    catalog
        .env("CHECKREIN_GRANT", "secret")
        .args(["catalog", "--out"])
        .arg(out)
        .args(arguments);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_is_written_down_as_it_is_over_stdio() {
    let place = tempfile::tempdir().unwrap();
    let (_server, url) = http::upstream().await;
    let (there, here) = (place.path().join("http"), place.path().join("stdio"));
    let (is_written, said) = wrote_of(&there, &at("everything", &url)).await;
    assert!(is_written && said.contains("13 tools"), "{said}");
    let (is_written, said) = wrote("everything", &here, &server("everything", Path::new("stdio"))).await;
    assert!(is_written, "{said}");
    for file in ["everything.json", "everything.toml"] {
        let read = |of: &Path| std::fs::read_to_string(of.join(file)).unwrap();
        assert_eq!(read(&there), read(&here));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_handshake_is_written_down_too() {
    let place = tempfile::tempdir().unwrap();
    let (_server, url) = stateless::server().await;
    let (is_written, said) = wrote_of(place.path(), &at("modern", &url)).await;
    assert!(is_written && said.contains("5 tools"), "{said}");
    let written = std::fs::read_to_string(place.path().join("modern.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    let defined: serde_json::Value = serde_json::from_str(&stateless::catalog(&url).await).unwrap();
    let defined = defined["tools"].as_array().unwrap();
    assert_eq!(&written["tools"].as_array().unwrap()[..defined.len()], defined);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_servers_of_a_config_are_written_down_or_none() {
    let place = tempfile::tempdir().unwrap();
    let (_server, url) = http::upstream().await;
    let one = format!("[[mcp.upstream]]\nname = \"there\"\nurl = \"{url}\"\n");
    let command = serde_json::json!(server("everything", Path::new("stdio")));
    let two = format!("[[mcp.upstream]]\nname = \"here\"\ncommand = {command}\n");
    let three = "[[mcp.upstream]]\nname = \"nobody\"\nurl = \"http://127.0.0.1:1/mcp\"\n";
    let (config, out) = (place.path().join("enforcer.toml"), place.path().join("catalog"));
    let of = ["--config".into(), config.clone()];

    std::fs::write(&config, format!("{CONFIG}{one}{two}{three}")).unwrap();
    let (is_written, said) = wrote_of(&out, &of).await;
    assert!(!is_written && said.contains("`nobody`"), "{said}");
    assert!(!out.exists());

    std::fs::write(&config, format!("{CONFIG}{one}{two}")).unwrap();
    let (is_written, said) = wrote_of(&out, &of).await;
    assert!(is_written, "{said}");
    let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
    assert_eq!(read("here.json"), read("there.json"));
    assert_eq!(read("here.toml"), read("there.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_over_http_and_is_no_server_is_said_to_be_none() {
    let place = tempfile::tempdir().unwrap();
    let (_server, url) = http::upstream().await;
    let elsewhere = url.replace("/mcp", "/elsewhere");
    for (url, why) in [
        (&*elsewhere, "404 Not Found"),
        ("http://127.0.0.1:1/mcp", "refused"),
        ("mcp.acme.example", "no http or https URL"),
    ] {
        let (is_written, said) = wrote_of(place.path(), &at("none", url)).await;
        assert!(!is_written && said.contains(why), "{said}");
        assert!(!place.path().join("none.json").exists());
    }
}

fn at(name: &str, url: &str) -> [PathBuf; 4] {
    ["--name", name, "--upstream", url].map(PathBuf::from)
}
