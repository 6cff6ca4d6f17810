//! What is typed of a task's data is what is asked for, and what is shown.

use checkrein_proto::task::v1::Task;
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
    Ok(args)
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
