//! What can't be read, signed or narrowed says what it is, where, and what to do.

use clap::Parser;

use super::{CHILD, Home, NOW_MS};
use crate::cli::Cli;

/// `task delegate` to the child, all of the grant but for these words.
fn delegate<'a>(holder: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let needed = [
        "delegate", "--grant", "grant", "--key", "own.key", "--agent", CHILD, holder,
    ];
    [&needed[..], words].concat()
}

async fn holder(home: &Home) -> String {
    format!("--holder={}", home.public("child.key").await.to_base64())
}

#[tokio::test]
async fn each_dimension_that_would_be_wider_is_named_with_what_there_is() {
    let home = Home::new().await;
    let holder = holder(&home).await;
    home.writes(
        "wide.json",
        r#"{"bank/send_money": {"amount": {"constraint_type": "range", "max": 501}}}"#,
    );
    for (words, wrong, there_is) in [
        (&["--tool", "files/*"][..], "a tool", "bank/send_money, mail/*"),
        (&["--tool", "bank/*"], "a tool", "bank/send_money, mail/*"),
        (&["--scope", "wide.json"], "an argument", "task inspect"),
        (&["--data", "secret"], "data", "pii, public"),
        (&["--calls", "61"], "budget", "60 calls"),
        (&["--risk", "low"], "lower risk", "75"),
        (
            &["--depth", "2"],
            "more often",
            "2 times in a row, of which this is one",
        ),
        (&["--named", "FR76"], "names values", "GB29NWBK60161331926819"),
        (&["--expires-in", "11m"], "holds before or after", "in 10 min"),
    ] {
        let refused = home.fails(&delegate(&holder, words)).await;
        assert!(
            refused.contains(wrong) && refused.contains(there_is),
            "{words:?}: {refused}"
        );
    }
    let words = [
        "delegate", "--grant", "grant", "--key", "own.key", "--agent", CHILD,
    ];
    let refused = home.fails(&words).await;
    assert!(
        refused.contains("--holder") && refused.contains("task key"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_a_child_may_not_pass_on_stays_where_it_is() {
    let home = Home::new().await;
    let holder = holder(&home).await;
    let child = home.types(&delegate(&holder, &[])).await.unwrap();
    home.writes("grant", &child.out);
    let words = delegate(&holder, &[]).into_iter().map(|word| match word {
        "own.key" => "child.key",
        other => other,
    });
    let refused = home.fails(&words.collect::<Vec<_>>()).await;
    assert!(
        refused.contains("may not be passed on") && refused.contains("--depth"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_expired_grant_one_without_a_key_and_another_key_sign_nothing() {
    let home = Home::new().await;
    let holder = holder(&home).await;
    let prove = [
        "prove",
        "--grant",
        "grant",
        "--key",
        "own.key",
        "--tool",
        "mail/send",
        "--arguments",
        "{}",
    ];
    let own = home.public("own.key").await;
    let other = home.public("child.key").await;
    for (key, expires_ms, wrong) in [
        (
            Some(own.clone()),
            NOW_MS - 500,
            "the grant expired; start a new task",
        ),
        (None, NOW_MS + 600_000, "--holder PUBLIC_KEY"),
        (Some(other), NOW_MS + 600_000, &own.to_base64()),
    ] {
        home.writes_grant(|grant| {
            grant.holder = key;
            grant.expires_ms = expires_ms;
        });
        for words in [&delegate(&holder, &[])[..], &prove] {
            let refused = home.fails(words).await;
            assert!(refused.contains(wrong), "{words:?}: {refused}");
        }
    }
}

#[tokio::test]
async fn without_a_key_the_control_plane_is_asked() {
    let home = Home::new().await;
    let words = ["delegate", "--grant", "grant", "--agent", CHILD];
    let error = home.types(&words).await.expect_err("there is no client config");
    assert_eq!(error.code(), "invalid_config", "{error}");
}

#[tokio::test]
async fn a_file_that_is_missing_is_no_key_or_is_too_long_is_named() {
    let home = Home::new().await;
    home.writes("ecdsa.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    home.writes("cut.key", &home.text("own.key")[..60]);
    home.writes("empty.key", "");
    home.writes("long.key", &"x".repeat(17 << 10));
    for (file, wrong) in [
        ("missing.key", "can't read `"),
        ("ecdsa.key", "not an Ed25519 private key"),
        ("cut.key", "`checkrein task key FILE` makes one"),
        ("empty.key", "`checkrein task key FILE` makes one"),
        ("long.key", "longer than any key"),
    ] {
        let words = [
            "prove",
            "--grant",
            "grant",
            "--key",
            file,
            "--tool",
            "mail/send",
            "--arguments",
            "{}",
        ];
        for words in [&["key", "--show", file][..], &words] {
            let refused = home.fails(words).await;
            assert!(
                refused.contains(wrong) && refused.contains(file),
                "{file}: {refused}"
            );
        }
    }
    let refused = home.fails(&["key", "missing/new.key"]).await;
    assert!(
        refused.contains("can't write `") && refused.contains("missing/new.key"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_grant_that_cant_be_read_says_which_token_it_is() {
    let home = Home::new().await;
    let holder = holder(&home).await;
    let root = home.text("grant").trim().to_owned();
    let child = home.types(&delegate(&holder, &[])).await.unwrap();
    let (_, child) = child.out.trim().split_once('~').unwrap();
    let long = "x".repeat((256 << 10) + 3);
    for (text, wrong) in [
        (String::new(), "token 1 of 1"),
        ("hello".to_owned(), "token 1 of 1"),
        ("~".to_owned(), "token 1 of 2"),
        (format!("{root}~"), "token 2 of 2"),
        (format!("~{root}"), "token 1 of 2"),
        (format!("{root}~garbage"), "token 2 of 2"),
        (format!("{root}~{root}"), "token 2 of 2"),
        (child.to_owned(), "token 1 of 1"),
        (format!("{root}~{child}~{child}"), "token 3 of 3"),
        (long, "longer than any grant"),
    ] {
        home.writes("grant", &text);
        let refused = home.fails(&["inspect", "--grant", "grant"]).await;
        let shown = text.chars().take(20).collect::<String>();
        assert!(
            refused.contains(wrong) && refused.contains("/grant`"),
            "{shown}: {refused}"
        );
    }
    std::fs::write(home.path("grant"), [0xff, 0xfe]).unwrap();
    home.fails(&["inspect", "--grant", "grant"]).await;
    std::fs::remove_file(home.path("grant")).unwrap();
    let refused = home.fails(&["inspect", "--grant", "grant"]).await;
    assert!(refused.contains("can't read `"), "{refused}");
}

#[tokio::test]
async fn arguments_that_are_no_object_or_can_be_read_in_two_ways_prove_nothing() {
    let home = Home::new().await;
    home.writes("list.json", "[]");
    for arguments in ["", "[]", "5", "{", r#"{"a":1,"a":2}"#, "@list.json"] {
        let words = [
            "prove",
            "--grant",
            "grant",
            "--key",
            "own.key",
            "--tool",
            "mail/send",
            "--arguments",
            arguments,
        ];
        let refused = home.fails(&words).await;
        assert!(refused.contains("one JSON object"), "{arguments}: {refused}");
    }
}

#[test]
fn what_is_not_understood_is_bad_usage() {
    for words in [
        "key",
        "inspect",
        "inspect --grant",
        "delegate --grant g --key k",
        "delegate --grant g --key k --agent search",
        "delegate --grant g --key k --agent spiffe://acme.example/operator/olga",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --holder short",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --calls 0",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --calls 1 --single-use",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --depth 9",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --data pii --no-data",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --scope missing.json",
        "delegate --grant g --key k --agent spiffe://acme.example/agent/a --expires-in 0s",
        "prove --grant g --key k --tool bank/pay",
        "prove --grant g --key k --tool bank/* --arguments {}",
        "prove --grant g --tool bank/pay --arguments {}",
    ] {
        let line = ["checkrein", "task"].into_iter().chain(words.split(' '));
        let error = Cli::try_parse_from(line).expect_err(words);
        assert_eq!(error.exit_code(), 2, "{words}: {error}");
    }
}
