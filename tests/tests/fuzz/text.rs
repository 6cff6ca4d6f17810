//! The constraints that read a text, one by one: what is admitted holds what the constraint says, by another reading.

use std::net::IpAddr;
use std::path::{Component, Path};
use std::process::Command;

use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::grant::constraint::Constraint;
use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};
use tonic::codegen::http::Uri;

use super::hostile;

/// So many admitted lines are given to a real shell.
const LINES_MAX: usize = 2_000;

fn constraint(text: &str) -> Constraint {
    let arguments = Arguments::parse(format!("{{\"it\":{text}}}").as_bytes()).unwrap();
    Constraint::parse(arguments.get("it").unwrap()).unwrap()
}

/// Runs a property over the texts that a constraint admits.
fn admitted(constraint_text: &str, corpus: &str, property: impl Fn(&str) -> TestCaseResult) {
    let constraint = constraint(constraint_text);
    let mut corpus = hostile::lines(corpus);
    let is_admitted = |input: &[u8]| match std::str::from_utf8(input) {
        Ok(text) => constraint.admits(&Json::String(text.to_owned())).is_ok(),
        Err(_) => false,
    };
    assert!(
        corpus.iter().any(|it| is_admitted(it)),
        "the corpus has nothing that is admitted"
    );
    corpus.push(Vec::new());
    hostile::run(&corpus, |input| {
        if is_admitted(input) {
            property(std::str::from_utf8(input).unwrap())?;
        }
        Ok(())
    });
}

#[test]
fn an_admitted_path_is_under_its_root_for_the_standard_library_too() {
    let constraint = r#"{"constraint_type":"path","root":"/data/reports"}"#;
    admitted(constraint, include_str!("corpus/path.txt"), |text| {
        let path = Path::new(text);
        prop_assert!(path.starts_with("/data/reports"));
        prop_assert!(
            path.components()
                .skip(1)
                .all(|part| matches!(part, Component::Normal(_)))
        );
        prop_assert!(!text.contains(['%', '\\', '\0', '~', '$']));
        Ok(())
    });
}

#[test]
fn an_admitted_url_has_its_host_for_another_parser_too() {
    let constraint = r#"{"constraint_type":"url","schemes":["https"],"hosts":["api.acme.example","*.cdn.example","203.0.113.7"],"ports":[443,8443],"paths":["/v1/"]}"#;
    admitted(constraint, include_str!("corpus/url.txt"), |text| {
        let before_fragment = text.split('#').next().unwrap_or_default();
        let Ok(uri) = before_fragment.parse::<Uri>() else {
            // Stricter than the web's rules about what a query may hold; the host was judged.
            return Ok(());
        };
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        prop_assert!(host == "api.acme.example" || host.ends_with(".cdn.example") || host == "203.0.113.7");
        prop_assert_eq!(
            uri.scheme_str().map(str::to_ascii_lowercase),
            Some("https".to_owned())
        );
        prop_assert!(matches!(uri.port_u16(), None | Some(443 | 8_443)));
        prop_assert!(uri.path().starts_with("/v1/"));
        prop_assert!(!uri.authority().unwrap().as_str().contains('@'));
        Ok(())
    });
}

#[test]
fn an_admitted_command_is_one_command_with_admitted_words_for_a_real_shell_too() {
    let constraint = r#"{"constraint_type":"shell","programs":["show"],"arguments":{"constraint_type":"not_one_of","excluded":["/etc/shadow"]}}"#;
    let lines = std::cell::RefCell::new(Vec::new());
    admitted(constraint, include_str!("corpus/shell.txt"), |text| {
        let mut lines = lines.borrow_mut();
        if lines.len() < LINES_MAX {
            lines.push(text.to_owned());
        }
        Ok(())
    });
    let lines = lines.into_inner();
    // Each call says how many words it got, and each of them; where it runs there is nothing that a glob would match.
    let show = "show() { printf 'call %s\\n' \"$#\"; for word; do printf 'word %s\\n' \"$word\"; done; }";
    let script = format!("{show}\n{}\n", lines.join("\n"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines.sh");
    std::fs::write(&file, script).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let ran = Command::new("sh")
        .arg(&file)
        .current_dir(empty.path())
        .env("HOME", "/etc/shadow")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && ran.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(
        printed.lines().filter(|line| line.starts_with("call ")).count(),
        lines.len()
    );
    assert!(!printed.lines().any(|line| line == "word /etc/shadow"));
    assert_eq!(
        std::fs::read_dir(empty.path()).unwrap().count(),
        0,
        "a command left a file"
    );
}

#[test]
fn an_admitted_address_is_within_its_range_bit_by_bit() {
    let constraint = r#"{"constraint_type":"cidr","ranges":["10.1.0.0/16","2001:db8::/32"]}"#;
    admitted(constraint, include_str!("corpus/cidr.txt"), |text| {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "128"));
        let prefix: u32 = prefix.parse().unwrap();
        match address.parse().unwrap() {
            IpAddr::V4(address) => prop_assert!(address.octets()[..2] == [10, 1] && prefix >= 16),
            IpAddr::V6(address) => prop_assert!(address.segments()[..2] == [0x2001, 0xdb8] && prefix >= 32),
        }
        Ok(())
    });
}

#[test]
fn an_admitted_mail_address_is_one_and_ends_in_its_domain() {
    let constraint = r#"{"constraint_type":"email_domain","domains":["acme.example"]}"#;
    admitted(constraint, include_str!("corpus/email.txt"), |text| {
        let (local, domain) = text.rsplit_once('@').unwrap();
        prop_assert!(domain.eq_ignore_ascii_case("acme.example"));
        prop_assert!(!local.is_empty() && local.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert!(!local.contains(['@', '%', '!', '"', ',', ';', ':', '<', '>', '(', ')', '[', '\\']));
        Ok(())
    });
}

#[test]
fn an_admitted_statement_is_one_that_names_no_other_table_and_writes_nothing() {
    let constraint = r#"{"constraint_type":"sql","dialect":"postgres","statements":["select"],"tables":["orders","items"]}"#;
    admitted(constraint, include_str!("corpus/sql.txt"), |text| {
        // Every second piece is inside a string: there is no escape.
        let outside: String = text
            .split('\'')
            .step_by(2)
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        prop_assert!(
            ![";", "--", "/*", "\\", "$$"]
                .iter()
                .any(|mark| outside.contains(mark))
        );
        let is_mark = |c: char| !(c.is_alphanumeric() || c == '_');
        let words: Vec<_> = outside.split(is_mark).filter(|word| !word.is_empty()).collect();
        let after_from = words
            .windows(2)
            .filter(|pair| ["from", "join"].contains(&pair[0]));
        let may_follow = ["orders", "items", "select", "t", "u", "lateral", "values"];
        for pair in after_from {
            prop_assert!(
                may_follow.contains(&pair[1])
                    || words.contains(&"distinct")
                    || words.contains(&"extract")
                    || words.contains(&"trim")
                    || words.contains(&"substring"),
                "{}",
                text
            );
        }
        prop_assert!(!words.contains(&"into"));
        Ok(())
    });
}

#[test]
fn a_text_of_an_admitted_form_begins_and_ends_as_the_glob_does() {
    admitted(
        r#"{"constraint_type":"pattern","glob":"acme/*.git"}"#,
        include_str!("corpus/pattern.txt"),
        |text| {
            prop_assert!(text.starts_with("acme/") && text.strip_suffix(".git").is_some());
            prop_assert!(text.len() >= "acme/.git".len());
            Ok(())
        },
    );
    admitted(
        r#"{"constraint_type":"pattern","regex":"acme/[a-z]+[.]git"}"#,
        include_str!("corpus/pattern.txt"),
        |text| {
            let name = text
                .strip_prefix("acme/")
                .and_then(|rest| rest.strip_suffix(".git"));
            prop_assert!(
                name.is_some_and(
                    |name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
                )
            );
            Ok(())
        },
    );
}
