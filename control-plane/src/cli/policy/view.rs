//! Packs and findings for scripts. Names are stable.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use checkrein_proto::policy::v1 as wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::policy::{CaseResult, Finding, Severity};
use serde::Serialize;

use crate::cli::output::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct RevisionView {
    pack: String,
    revision: u64,
    generation: u64,
    source_sha256: Option<String>,
    pushed_by: String,
    pushed_at: Option<String>,
    note: String,
    rules: u32,
    tools: u32,
}

/// A file: as text if it is, else as base64.
#[derive(Debug, Serialize)]
pub(super) struct FileView {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FindingView {
    severity: &'static str,
    file: String,
    line: u32,
    column: u32,
    message: String,
    help: String,
}

/// How a case came out.
#[derive(Debug, Serialize)]
pub(super) struct CaseView {
    name: String,
    file: String,
    passed: bool,
    expected: String,
    found: String,
    reason: String,
}

impl RevisionView {
    pub(super) fn of(revision: &wire::PackRevision) -> Self {
        Self {
            pack: revision.pack.clone(),
            revision: revision.revision,
            generation: revision.generation,
            source_sha256: Sha256::try_from(&*revision.source_sha256)
                .ok()
                .map(|sha| sha.to_string()),
            pushed_by: revision.pushed_by.clone(),
            pushed_at: rfc3339(revision.pushed_unix_ms),
            note: revision.note.clone(),
            rules: revision.rules,
            tools: revision.tools,
        }
    }
}

impl FileView {
    pub(super) fn of(file: &wire::PackFile) -> Self {
        let text = String::from_utf8(file.content.to_vec()).ok();
        let base64 = text.is_none().then(|| STANDARD.encode(&file.content));
        Self {
            path: file.path.clone(),
            text,
            base64,
        }
    }
}

impl FindingView {
    pub(super) fn of(finding: &wire::Finding) -> Self {
        Self {
            severity: match finding.severity() {
                wire::Severity::Error => "error",
                wire::Severity::Warning => "warning",
                wire::Severity::Unspecified => "unrecognised",
            },
            file: finding.file.clone(),
            line: finding.line,
            column: finding.column,
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            file: finding.file.clone(),
            line: finding.line,
            column: finding.column,
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

impl CaseView {
    pub(super) fn of(case: &CaseResult) -> Self {
        Self {
            name: case.name.clone(),
            file: case.file.clone(),
            passed: case.passed,
            expected: case.expected.clone(),
            found: case.found.clone(),
            reason: case.reason.clone(),
        }
    }
}
