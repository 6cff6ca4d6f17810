//! A policy directory as files, before anything is understood.

use std::collections::BTreeMap;

use super::finding::{Finding, Place};
use crate::action::Sha256;

/// A pack may have at most this many files.
pub const PACK_FILES_MAX: usize = 1_000;
/// A pack's files may have at most this many bytes together.
pub const PACK_BYTES_MAX: usize = 16 << 20;
/// The name of a pack may have at most this many characters.
const NAME_CHARS_MAX: usize = 64;

/// A policy directory as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackSource {
    /// A pack keeps its name over its revisions.
    pub name: String,
    /// Path to bytes; paths are relative to the directory, with forward slashes.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl PackSource {
    /// The digest of name, paths and contents, each after its length.
    pub fn sha256(&self) -> Sha256 {
        let mut bytes = Vec::new();
        let mut push = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        push(b"checkrein.pack.v1");
        push(self.name.as_bytes());
        for (path, content) in &self.files {
            push(path.as_bytes());
            push(content);
        }
        Sha256::of(&bytes)
    }

    /// The files as text, or what is wrong with the directory as a whole.
    pub(super) fn texts(&self) -> Result<BTreeMap<&str, &str>, Vec<Finding>> {
        let mut findings = self.bounds();
        let mut texts = BTreeMap::new();
        for (path, content) in &self.files {
            let place = Place::new(path, "");
            if !is_relative(path) {
                findings.push(place.whole(
                    format!("`{path}` is not a path inside the pack"),
                    "paths are relative, with forward slashes, and never leave the directory",
                ));
            }
            match std::str::from_utf8(content) {
                Ok(text) => {
                    texts.insert(path.as_str(), text);
                }
                Err(_) if super::pack::is_read(path) => {
                    findings.push(place.whole("this file is not UTF-8 text", "save it as UTF-8"));
                }
                Err(_) => {}
            }
        }
        if findings.is_empty() {
            Ok(texts)
        } else {
            Err(findings)
        }
    }

    fn bounds(&self) -> Vec<Finding> {
        let place = Place::new("checkrein.toml", "");
        let mut findings = Vec::new();
        if !is_name(&self.name) {
            findings.push(place.whole(
                format!("`{}` can't be the name of a pack", self.name),
                format!("use at most {NAME_CHARS_MAX} of letters, digits, `-` and `_`, beginning with a letter or digit"),
            ));
        }
        if self.files.len() > PACK_FILES_MAX {
            findings.push(place.whole(
                format!(
                    "the pack has {} files; at most {PACK_FILES_MAX} are read",
                    self.files.len()
                ),
                "split it into several packs",
            ));
        }
        let bytes: usize = self.files.values().map(Vec::len).sum();
        if bytes > PACK_BYTES_MAX {
            findings.push(place.whole(
                format!("the pack has {bytes} bytes; at most {PACK_BYTES_MAX} are read"),
                "split it into several packs",
            ));
        }
        findings
    }
}

/// Whether a text can name a pack or a catalog.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty()
        && text.len() <= NAME_CHARS_MAX
        && text.chars().all(inner)
        && !text.starts_with(['-', '_'])
}

fn is_relative(path: &str) -> bool {
    !path.contains('\\') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
