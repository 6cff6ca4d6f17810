//! Packs for tests: from directories under `fixtures/`, and from files given in place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Bundle, Finding, Pack, PackSource, compose};

/// A pack under `fixtures/`.
pub(super) fn payments() -> PackSource {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/fixtures/payments");
    let mut files = BTreeMap::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    PackSource {
        name: "payments".to_owned(),
        files,
    }
}

/// A pack of these files; `checkrein.toml` need not be among them.
pub(super) fn source(name: &str, files: &[(&str, &str)]) -> PackSource {
    let mut all = BTreeMap::from([("checkrein.toml".to_owned(), b"namespace = \"org\"\n".to_vec())]);
    all.extend(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())),
    );
    PackSource {
        name: name.to_owned(),
        files: all,
    }
}

/// A pack of these files that parses.
pub(super) fn pack(name: &str, files: &[(&str, &str)]) -> Pack {
    Pack::parse(&source(name, files)).unwrap_or_else(|findings| panic!("{}", rendered(&findings)))
}

/// What a pack of these files is refused for.
pub(super) fn refusal(files: &[(&str, &str)]) -> Vec<Finding> {
    Pack::parse(&source("pack", files)).err().unwrap_or_default()
}

/// Packs, composed and opened.
pub(super) fn bundle(packs: &[&Pack]) -> Bundle {
    compose(packs).unwrap().open().unwrap()
}

pub(super) fn rendered(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.rendered.as_str()).collect()
}
