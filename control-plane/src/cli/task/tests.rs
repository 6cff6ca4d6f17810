//! What is typed of a task's data is what is asked for, and what is shown.

use checkrein_proto::task::v1::{LabelSource, Ledger, Task, TaskLabel, UsedTool};
use clap::Parser;

use super::*;
use crate::cli::output::Paint;
use crate::cli::{Cli, Command as Verb};

fn typed(words: &[&str]) -> Result<StartArgs, clap::Error> {
    let needed = "checkrein task start --user alice --agent spiffe://a.example/agent/b --tool crm/*";
    let cli = Cli::try_parse_from(needed.split(' ').chain(words.iter().copied()))?;
    let Verb::Task(Args {
        command: Way::Online(Command::Start(args)),
    }) = cli.command
    else {
        panic!("another verb");
    };
    Ok(*args)
}

fn labels(words: &[&str]) -> DataScope {
    DataScope {
        labels: words.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn data_is_any_what_is_named_or_none_at_all() {
    let asked = |words: &[&str]| {
        let args = typed(words).unwrap();
        data(&args.data, args.no_data)
    };
    assert_eq!(asked(&[]), None);
    assert_eq!(
        asked(&["--data", "pii", "--data", "public"]),
        Some(labels(&["pii", "public"]))
    );
    assert_eq!(asked(&["--no-data"]), Some(labels(&[])));
    for wrong in [
        &["--data", "pii", "--no-data"][..],
        &["--data", "PII"],
        &["--data", ""],
        &["--data", "pii,public"],
        &["--data", "*"],
    ] {
        assert_eq!(typed(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn a_task_shows_the_data_that_it_may_touch() {
    let task = |data| Task {
        data,
        ..Task::default()
    };
    let shown = |data| card(&task(data), 0, Paint::new(false));
    assert!(!shown(None).contains("may touch"));
    let line = |data| {
        let card: String = shown(data);
        card.lines()
            .find(|line| line.contains("may touch"))
            .map(str::trim)
            .map(ToOwned::to_owned)
    };
    assert!(
        line(Some(labels(&["pii", "public"])))
            .unwrap()
            .ends_with("  pii, public")
    );
    assert!(line(Some(labels(&[]))).unwrap().ends_with("  no data"));
    let json = |data| serde_json::to_value(TaskView::of(&task(data))).unwrap()["data"].clone();
    assert_eq!(json(None), json!(null));
    assert_eq!(json(Some(labels(&[]))), json!([]));
    assert_eq!(json(Some(labels(&["pii"]))), json!(["pii"]));
}

#[test]
fn a_task_shows_what_it_did_and_which_call_brought_what_it_carries() {
    let used = |tool: &str, times| UsedTool {
        tool: tool.to_owned(),
        times,
        last_used_unix_ms: 60_000,
    };
    let task = Task {
        ledger: Some(Ledger {
            values_lost: false,
            spent: Vec::new(),
            revision: 3,
            labels: vec!["pii".to_owned()],
            calls: 3,
            used: vec![used("bank/pay", 1), used("crm/look", 2)],
            reversibility: 4,
        }),
        labels: vec![TaskLabel {
            label: "pii".to_owned(),
            source: LabelSource::Result.into(),
            decision_id: "decision_1".to_owned(),
            tool: "crm/look".to_owned(),
            agent: "spiffe://a.example/agent/b".to_owned(),
            enforcer: "edge".to_owned(),
            added_unix_ms: 60_000,
        }],
        ..Task::default()
    };
    let shown = card(&task, 120_000, Paint::new(false));
    for said in [
        "3 calls, at most irreversible",
        "bank/pay, once 60 s ago",
        "crm/look, 2 times, last 60 s ago",
        "pii, which the result of a call of crm/look by spiffe://a.example/agent/b through edge brought 60 s ago (decision_1)",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let json = serde_json::to_value(TaskView::of(&task)).unwrap();
    assert_eq!(json["ledger"]["used"][1]["times"], json!(2));
    assert_eq!(json["ledger"]["reversibility"], json!("irreversible"));
    assert_eq!(json["ledger"]["labels"][0]["tool"], json!("crm/look"));

    let idle = Task {
        ledger: Some(Ledger::default()),
        ..Task::default()
    };
    assert!(card(&idle, 0, Paint::new(false)).contains("nothing yet"));
    let listed = serde_json::to_value(TaskView::of(&Task::default())).unwrap();
    assert_eq!(listed.get("ledger"), None, "a list does not say");
}

#[test]
fn a_label_is_not_lifted_without_naming_it_and_saying_why() {
    let typed = |rest: &str| {
        let words = format!("checkrein task declassify task_1{rest}");
        Cli::try_parse_from(words.split(' ').map(ToOwned::to_owned))
    };
    assert!(typed(" --label pii --label finance --reason checked").is_ok());
    for wrong in [
        "",
        " --label pii",
        " --reason checked",
        " --label PII --reason checked",
        " --label pii --reason checked --grant-only --json",
    ] {
        assert_eq!(typed(wrong).unwrap_err().exit_code(), 2, "{wrong}");
    }
}
