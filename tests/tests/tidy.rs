//! The rules of the house, read off the tree itself: which crate may know which, what files are called and how they begin.
//!
//! A rule that a machine can check is checked here, so that a review can be about the rest. Each test collects every
//! breach before it fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tree that can't be read fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Each crate, and which of the others it may know.
const MAY_KNOW: [(&str, &[&str]); 6] = [
    ("proto", &[]),
    ("shared", &["proto"]),
    ("shared/http", &["shared"]),
    ("control-plane", &["proto", "shared", "http"]),
    ("enforcer", &["proto", "shared", "http"]),
    ("tests", &["proto", "shared", "control-plane", "enforcer"]),
];
/// What `shared` is kept free of: a runtime, sockets, SQL.
const IMPURE: [&str; 11] = [
    "tokio",
    "async-std",
    "futures",
    "tonic",
    "hyper",
    "tower",
    "reqwest",
    "postgres",
    "deadpool",
    "sqlx",
    "rusqlite",
];
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 9] = [
    "manager", "helper", "helpers", "util", "utils", "common", "handler", "handlers", "misc",
];
/// Spelt in two halves, so that this file does not break its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("unimple", "mented!"),
];
const LINES_MAX: usize = 500;

#[test]
fn crates_know_each_other_in_one_direction_only() {
    let mut breaches = Vec::new();
    for (name, allowed) in MAY_KNOW {
        for (section, dependency, _) in dependencies(&manifest(name)) {
            let Some(other) = dependency.strip_prefix("checkrein-") else {
                continue;
            };
            if !allowed.contains(&other) {
                breaches.push(format!(
                    "{name}/Cargo.toml: [{section}] must not name {dependency}"
                ));
            }
        }
    }
    none(&breaches);
}

#[test]
fn shared_has_no_runtime_no_socket_and_no_sql() {
    let mut breaches = Vec::new();
    for (section, dependency, value) in dependencies(&manifest("shared")) {
        if dependency.split(['-', '_']).any(|part| IMPURE.contains(&part)) {
            breaches.push(format!("[{section}] names {dependency}"));
        }
        if dependency == "checkrein-proto" && value.get("features").is_some() {
            breaches.push(format!(
                "[{section}] asks {dependency} for more than its messages"
            ));
        }
    }
    none(&breaches);
}

#[test]
fn every_crate_is_listed_here_and_takes_its_lints_and_versions_from_the_workspace() {
    let workspace = parse(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
    assert_eq!(members, MAY_KNOW.map(|(name, _)| name));

    let mut breaches = Vec::new();
    for name in members {
        let manifest = manifest(name);
        let inherits =
            |value: Option<&Value>| value.and_then(|it| it.get("workspace")) == Some(&Value::Boolean(true));
        if !inherits(manifest.get("lints")) {
            breaches.push(format!("{name}/Cargo.toml: no `[lints] workspace = true`"));
        }
        for (section, dependency, value) in dependencies(&manifest) {
            if !inherits(Some(&value)) {
                breaches.push(format!(
                    "{name}/Cargo.toml: [{section}] {dependency} has a version of its own"
                ));
            }
        }
    }
    none(&breaches);
}

#[test]
fn every_source_file_begins_by_saying_what_it_is() {
    let mut breaches = Vec::new();
    for path in files(&["rs"]) {
        if !read(&path).starts_with("//!") {
            breaches.push(format!("{}: the first line is not `//! …`", shown(&path)));
        }
    }
    none(&breaches);
}

#[test]
fn a_file_is_named_after_what_is_in_it() {
    let mut breaches = Vec::new();
    for path in files(&["rs", "proto", "sql"]) {
        let stem = path.file_stem().unwrap().to_string_lossy();
        if stem == "mod" {
            breaches.push(format!("{}: write `foo.rs` beside `foo/`", shown(&path)));
        }
        if stem
            .split(['_', '-', '.'])
            .any(|word| EMPTY_NAMES.contains(&word))
        {
            breaches.push(format!("{}: the name says nothing", shown(&path)));
        }
    }
    none(&breaches);
}

#[test]
fn no_file_is_longer_than_a_person_reads_at_once() {
    let mut breaches = Vec::new();
    for path in files(&["rs", "proto", "sql"]) {
        let lines = read(&path).lines().count();
        if lines > LINES_MAX {
            breaches.push(format!("{}: {lines} lines, of at most {LINES_MAX}", shown(&path)));
        }
    }
    none(&breaches);
}

#[test]
fn nothing_is_left_for_later() {
    let mut breaches = Vec::new();
    for path in files(&["rs", "proto", "sql", "toml", "md", "yml", "yaml", "cedar", "sh"]) {
        for (number, line) in read(&path).lines().enumerate() {
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                breaches.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    none(&breaches);
}

#[test]
fn every_rpc_says_who_may_call_it() {
    let mut breaches = Vec::new();
    let mut rpcs = 0;
    for path in files(&["proto"]) {
        let mut comment = String::new();
        for line in read(&path).lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("//") {
                comment.push_str(text);
                continue;
            }
            if line.starts_with("rpc ") {
                rpcs += 1;
                if !names_caller(&comment) {
                    breaches.push(format!(
                        "{}: `{line}` does not end its comment with `Caller: ….`",
                        shown(&path)
                    ));
                }
            }
            comment.clear();
        }
    }
    assert!(rpcs > 0, "found no rpc at all: this test reads the wrong files");
    none(&breaches);
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let mut names = BTreeMap::new();
    for path in files(&["sql"])
        .into_iter()
        .filter(|path| path.parent().unwrap().ends_with("migrations"))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let number: Option<u32> = name
            .split_once('_')
            .filter(|(digits, _)| digits.len() == 4)
            .and_then(|(digits, _)| digits.parse().ok());
        let number = number.unwrap_or_else(|| panic!("`{name}` is not named `0001_<noun>.sql`"));
        let before = names.insert(number, name.clone());
        assert_eq!(before, None, "`{name}` has a number that is taken");
    }
    let numbers: Vec<u32> = names.into_keys().collect();
    let expected: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
}

/// The last sentence is `Caller: <who>.`
fn names_caller(comment: &str) -> bool {
    let last = comment.rsplit_once("Caller: ").map(|(_, who)| who);
    last.is_some_and(|who| {
        who.strip_suffix('.')
            .is_some_and(|who| !who.is_empty() && !who.contains(". "))
    })
}

fn none(breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> Table {
    read(path)
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(name: &str) -> Table {
    parse(&root().join(name).join("Cargo.toml"))
}

/// Section, name and value of each dependency, those of one target too.
fn dependencies(manifest: &Table) -> Vec<(String, String, Value)> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let mut found = Vec::new();
    for (table, section) in tables.flat_map(|table| SECTIONS.map(|section| (table, section))) {
        for (name, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            found.push((section.to_owned(), name.clone(), value.clone()));
        }
    }
    found
}

/// Every file of ours with one of these extensions. What is hidden, built or fetched is not ours.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().unwrap();
            if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) {
                continue;
            }
            let wanted = path
                .extension()
                .is_some_and(|it| extensions.iter().any(|wanted| it == *wanted));
            if kind.is_dir() {
                open.push(path);
            } else if wanted && kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
