//! Which files are refused, and that none shows a secret.

use std::path::Path;

use super::super::Notifications;

/// 24 bytes, as `openssl rand -base64 24` gives them.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SLACK: &str = "https://hooks.slack.com/services/T000/B000/very-secret";

fn read(text: &str) -> Result<Notifications, String> {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("good.secret", &format!("{SECRET}\n"));
    write("short.secret", "whsec_AAAA\n");
    write("slack.url", SLACK);
    write("password", "very-secret");
    write("notifications.toml", text);
    let path = directory.path().join("notifications.toml");
    Notifications::read(&path).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(behind) = source {
            text = format!("{text}: {behind}");
            source = behind.source();
        }
        text
    })
}

#[test]
fn all_forms_are_read_and_no_secret_is_shown() {
    let read = read(
        r#"
        console_url = "https://checkrein.acme.example/"
        remind_before = "5m"
        [webhook.pager]
        url = "https://pager.acme.example/hooks"
        secret_files = ["good.secret"]
        groups = ["treasury"]
        events = ["hold.opened", "hold.reminder"]
        allow_internal = ["10.0.0.0/8"]
        [slack.risk]
        url_file = "slack.url"
        [teams.ops]
        url_file = "slack.url"
        [email.desk]
        server = "smtp.acme.example"
        user = "checkrein"
        password_file = "password"
        from = "Checkrein <checkrein@acme.example>"
        to = ["desk@acme.example"]
        "#,
    )
    .unwrap();
    assert_eq!(
        read.said(),
        [
            "pager (webhook at pager.acme.example, for treasury)",
            "risk (slack at hooks.slack.com, for all groups)",
            "ops (teams at hooks.slack.com, for all groups)",
            "desk (email at smtp.acme.example, for all groups)",
        ]
    );
    let shown = format!("{read:?}");
    assert!(
        !shown.contains("very-secret") && !shown.contains("MfKQ9r8G"),
        "{shown}"
    );
}

#[test]
fn the_sample_file_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("pager.secret", SECRET),
        ("slack.url", SLACK),
        ("teams.url", "https://teams.example/very-secret"),
        ("smtp.password", "very-secret"),
        (
            "sample.toml",
            include_str!("../../../../deploy/notifications.toml"),
        ),
    ];
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let sample = Notifications::read(&directory.path().join("sample.toml")).unwrap();
    assert_eq!(sample.said().len(), 4);
}

#[test]
fn what_can_not_be_used_is_refused_with_what_to_do() {
    let webhook = |rest: &str| format!("[webhook.pager]\n{rest}\n");
    let good = "secret_files = [\"good.secret\"]\nurl = \"https://a.example\"\n";
    let email = "server = \"smtp.acme.example\"\nfrom = \"a@acme.example\"\nto = [\"b@acme.example\"]\n";
    let cases = [
        ("[webhook.Pager]\n".to_owned() + good, "a name is of lower-case"),
        (
            webhook("url = \"https://a.example\"\nsecret_files = []"),
            "name 1 to 4 files",
        ),
        (
            webhook("url = \"https://a.example\"\nsecret_files = [\"short.secret\"]"),
            "24 to 64 random bytes",
        ),
        (
            webhook("url = \"https://a.example\"\nsecret_files = [\"none.secret\"]"),
            "can't read",
        ),
        (
            webhook("url = \"http://a.example\"\nsecret_files = [\"good.secret\"]"),
            "allow_internal",
        ),
        (
            webhook("url = \"https://me@a.example\"\nsecret_files = [\"good.secret\"]"),
            "without user",
        ),
        (
            webhook(&format!("{good}events = [\"hold.open\"]")),
            "`hold.open` is no event",
        ),
        (
            webhook(&format!("{good}allow_internal = [\"10\"]")),
            "not a network",
        ),
        (webhook(&format!("{good}secret = \"x\"")), "does not say"),
        (
            format!("{}[slack.pager]\nurl_file = \"slack.url\"\n", webhook(good)),
            "of one channel only",
        ),
        (
            format!("[email.a]\n{email}tls = \"none\"\n"),
            "on this machine only",
        ),
        (format!("[email.a]\n{email}user = \"x\"\n"), "go together"),
        (
            format!(
                "[email.a]\n{}",
                email.replace("b@acme.example", "b@acme\\r\\nBcc: e@evil.example")
            ),
            "not an address",
        ),
        ("console_url = \"javascript:alert(1)\"".to_owned(), "console_url"),
        ("remind_before = \"0s\"".to_owned(), "remind_before"),
    ];
    for (text, why) in cases {
        let refused = read(&text).unwrap_err();
        assert!(
            refused.contains(why) && refused.contains("notifications.toml"),
            "{text}: {refused}"
        );
    }
    assert!(Notifications::read(Path::new("/nowhere")).is_err());
}
