//! What every command says of itself, held to a file a person has read.

pub(super) mod calls;
mod fake;

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory, Parser};

use super::Cli;

/// Set it to write the file anew, and read the difference before you commit it.
const REWRITE: &str = "CHECKREIN_REWRITE_HELP";

#[test]
fn help_is_what_was_agreed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/help.txt");
    let mut help = String::new();
    write_help(&["checkrein"], &Cli::command(), &mut help);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, &help).unwrap();
    }
    let agreed = std::fs::read_to_string(&path).unwrap();
    assert!(
        help == agreed,
        "help changed; {REWRITE}=1 writes {} anew",
        path.display()
    );
}

#[test]
fn every_command_at_the_end_of_a_path_teaches_with_an_example() {
    let mut command = Cli::command();
    command.build();
    each_leaf(&command, &mut |leaf| {
        let example = leaf.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(
            example.contains("checkrein"),
            "`{}` has no example",
            leaf.get_name()
        );
    });
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_stand_before_or_after_the_verb() {
    for line in [
        &["checkrein", "--json", "hold", "list"][..],
        &["checkrein", "hold", "list", "--json"],
        &["checkrein", "hold", "--json", "list"],
    ] {
        assert!(Cli::try_parse_from(line).unwrap().global.json);
    }
}

#[test]
fn what_is_not_understood_is_bad_usage() {
    for line in [
        &["checkrein"][..],
        &["checkrein", "hold", "deny", "hold_1"],
        &["checkrein", "hold", "list", "--state", "sleeping"],
        &["checkrein", "hold", "list", "--limit", "0"],
        &[
            "checkrein",
            "task",
            "start",
            "--user",
            "alice",
            "--agent",
            "spiffe://acme.example/agent/a",
        ],
        &[
            "checkrein",
            "task",
            "start",
            "--user",
            "alice",
            "--agent",
            "billing",
            "--tool",
            "bank/pay",
        ],
        &[
            "checkrein",
            "task",
            "start",
            "--user",
            "a",
            "--agent",
            "spiffe://a/agent/b",
            "--tool",
            "pay",
        ],
        &["checkrein", "fleet", "add", "billing", "--label", "payments"],
        &["checkrein", "fleet", "identity", "enforcer", "billing"],
        &["checkrein", "policy", "push", "payments", "--dry-run", "--wait"],
    ] {
        let error = Cli::try_parse_from(line).expect_err(&line.join(" "));
        assert_eq!(error.exit_code(), 2, "{}", line.join(" "));
    }
}

/// The help of a command and of those below it, as `--help` prints it.
fn write_help(path: &[&str], command: &Command, out: &mut String) {
    let line = [path, &["--help"]].concat();
    let help = Cli::try_parse_from(&line).expect_err("help ends a command");
    write!(out, "$ {}\n{help}\n", line.join(" ")).unwrap();
    for sub in command.get_subcommands() {
        write_help(&[path, &[sub.get_name()]].concat(), sub, out);
    }
}

fn each_leaf(command: &Command, check: &mut impl FnMut(&Command)) {
    if !command.has_subcommands() {
        check(command);
    }
    command.get_subcommands().for_each(|sub| each_leaf(sub, check));
}
