//! Parts that do not come up say why.

use super::*;

async fn shell(script: &str, log: PathBuf) -> Result<Part, DemoError> {
    Part::start("the shell", Path::new("sh"), &["-c", script], &[], log).await
}

#[tokio::test]
async fn a_part_that_ends_before_it_is_ready_is_named_with_the_last_of_its_log() {
    let home = tempfile::tempdir().unwrap();
    let failed = shell("echo the port is taken >&2; exit 3", home.path().join("log"))
        .await
        .unwrap_err()
        .to_string();
    assert!(failed.contains("the shell"), "{failed}");
    assert!(failed.contains("exit status: 3"), "{failed}");
    assert!(failed.contains("the port is taken"), "{failed}");
}

#[tokio::test]
async fn a_part_is_ready_when_it_has_said_so() {
    let home = tempfile::tempdir().unwrap();
    let script = r#"echo '{"ready":true}'; exec sleep 60"#;
    let mut part = shell(script, home.path().join("log")).await.unwrap();
    assert_eq!(part.ready["ready"], true);
    part.kill().await.unwrap();
}
