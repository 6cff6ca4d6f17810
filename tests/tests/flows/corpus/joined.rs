//! No surface is left out: whatever asks the gate, and whatever stands beside the surfaces, is of one that is asked here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Surface;

/// What surfaces are made of, and decides nothing: who calls, over what, and whether it is the same call again.
const PARTS: [&str; 7] = [
    "surface/again.rs",
    "surface/bearer.rs",
    "surface/body.rs",
    "surface/caller.rs",
    "surface/encrypted.rs",
    "surface/gateway.rs",
    "surface/incoming.rs",
];
/// How the gate is asked.
const ASKS: [&str; 3] = [".authorize(", "asking.decide(", ".run_reading("];
/// The gate itself asks itself.
const GATE: &str = "gate";

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../enforcer/src")
}

/// Every file under a directory, by its path in `src`.
fn files(directory: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![src().join(directory)]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(src()).unwrap();
                found.push(inside.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn is_test(file: &str) -> bool {
    ["tests", "fuzz", "fixture"]
        .iter()
        .any(|word| file.contains(word))
        || file == "measure.rs"
}

/// Where the surfaces are written that the corpus goes through.
fn joined() -> BTreeSet<&'static str> {
    Surface::ALL
        .into_iter()
        .flat_map(Surface::files)
        .copied()
        .collect()
}

#[test]
fn whoever_asks_the_gate_is_a_surface_that_the_corpus_goes_through() {
    let asks = |file: &String| {
        let text = std::fs::read_to_string(src().join(file)).unwrap();
        ASKS.iter().any(|asks| text.contains(asks))
    };
    let of_gate = |file: &str| file.starts_with(&format!("{GATE}/"));
    let asking: Vec<String> = files("").into_iter().filter(asks).collect();
    let unknown: Vec<&String> = asking
        .iter()
        .filter(|file| !is_test(file) && !of_gate(file) && !joined().contains(file.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "join the corpus (`Surface` in `flows/corpus.rs`): {unknown:?}"
    );
    for surface in Surface::ALL {
        let asks = |file: &&str| asking.iter().any(|asking| asking == file);
        assert!(surface.files().iter().any(asks), "{surface:?} asks nobody");
    }
}

#[test]
fn whatever_stands_among_the_surfaces_is_one_of_the_corpus_or_a_part_of_them() {
    let known: BTreeSet<&str> = joined().into_iter().chain(PARTS).collect();
    let is_child =
        |file: &String| ["surface", "surface/gateway"].contains(&file.rsplit_once('/').unwrap_or_default().0);
    let unknown: Vec<String> = files("surface")
        .into_iter()
        .filter(is_child)
        .filter(|file| !is_test(file) && !known.contains(file.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "join the corpus (`Surface` in `flows/corpus.rs`): {unknown:?}"
    );
}
