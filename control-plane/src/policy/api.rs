//! `PolicyService` on the wire.

mod change;

use bytes::Bytes;
use checkrein_proto::policy::v1 as wire;
use checkrein_proto::policy::v1::policy_service_server::PolicyService;
use checkrein_shared::action::Sha256;
use checkrein_shared::policy::{ComposeError, Finding, PackSource, Severity};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{PackRevision, Policies, PolicyError, Push, store};
use crate::api::{bad_field, database_trouble, idempotency_key, next_page, not_found, page_rows, text};
use crate::caller::Caller;
use crate::database::FeedName;

/// A pack has at most this many files.
const FILES_MAX: usize = 512;
/// And at most this many bytes in them.
const PACK_BYTES_MAX: usize = 4 << 20;
/// Findings told in a refusal, each cut to this many characters.
const FINDINGS_SHOWN_MAX: usize = 5;
const FINDING_CHARS_MAX: usize = 300;
/// A pack's name has at most this many bytes.
const NAME_BYTES_MAX: usize = 64;

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn push(
        &self,
        request: Request<wire::PushRequest>,
    ) -> Result<Response<wire::PushResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let source = parse_source(request.pack, request.files)?;
        let asked = ("push", &source.name, source.sha256(), &request.note);
        let push = Push {
            by: caller.id,
            note: text("note", &request.note)?.to_owned(),
            key: idempotency_key(&request.idempotency_key)?.to_owned(),
            request: Sha256::of(format!("{asked:?}").as_bytes()),
            validate_only: request.validate_only,
            source,
        };
        let pushed = self.push(push).await?;
        Ok(Response::new(wire::PushResponse {
            revision: Some((&pushed.revision).into()),
            findings: pushed.findings.iter().map(encode_finding).collect(),
            enforcers: pushed.enforcers,
        }))
    }

    async fn rollback(
        &self,
        request: Request<wire::RollbackRequest>,
    ) -> Result<Response<wire::RollbackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        text("pack", &request.pack)?;
        // What was asked, not what it comes to: asked again, the revision before the current one is another.
        let asked = ("rollback", &request.pack, request.to_revision, &request.note);
        let push = Push {
            by: caller.id,
            note: text("note", &request.note)?.to_owned(),
            key: idempotency_key(&request.idempotency_key)?.to_owned(),
            request: Sha256::of(format!("{asked:?}").as_bytes()),
            validate_only: false,
            source: PackSource {
                name: request.pack.clone(),
                files: [].into(),
            },
        };
        let pushed = self.rollback(&request.pack, request.to_revision, push).await?;
        let revision = Some((&pushed.revision).into());
        Ok(Response::new(wire::RollbackResponse {
            revision,
            enforcers: pushed.enforcers,
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let request = request.into_inner();
        text("pack", &request.pack)?;
        let before = match request.page_token.as_str() {
            "" => u64::MAX,
            _ if request.pack.is_empty() => u64::MAX,
            token => token
                .parse()
                .map_err(|_| bad_field("page_token", "not a token of an earlier page"))?,
        };
        let tx = self
            .database
            .begin("policy.list")
            .await
            .map_err(|error| database_trouble(&error))?;
        let rows = page_rows(request.page_size);
        let listed = match request.pack.as_str() {
            "" => store::list_heads(&tx, &request.page_token, rows).await,
            pack => store::list_revisions(&tx, pack, before, rows).await,
        };
        let revisions = listed.map_err(|error| database_trouble(&error))?;
        let generation = tx
            .revision(FeedName::Policy)
            .await
            .map_err(|error| database_trouble(&error))?;
        let next_page_token = next_page(&revisions, request.page_size, |last| {
            if request.pack.is_empty() {
                last.pack.clone()
            } else {
                last.revision.to_string()
            }
        });
        let revisions = revisions.iter().map(Into::into).collect();
        Ok(Response::new(wire::ListResponse {
            revisions,
            next_page_token,
            generation,
        }))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let request = request.into_inner();
        text("pack", &request.pack)?;
        let tx = self
            .database
            .begin("policy.show")
            .await
            .map_err(|error| database_trouble(&error))?;
        let found = store::find(&tx, &request.pack, request.revision)
            .await
            .map_err(|error| database_trouble(&error))?;
        let (revision, source) = found.ok_or_else(|| not_found("pack", &request.pack))?;
        let file = |(path, content): (String, Vec<u8>)| wire::PackFile {
            path,
            content: Bytes::from(content),
        };
        let files = source.files.into_iter().map(file).collect();
        Ok(Response::new(wire::ShowResponse {
            revision: Some((&revision).into()),
            files,
        }))
    }

    async fn diff(
        &self,
        request: Request<wire::DiffRequest>,
    ) -> Result<Response<wire::DiffResponse>, Status> {
        let request = request.into_inner();
        text("pack", &request.pack)?;
        let change = self
            .diff(&request.pack, request.from_revision, request.to_revision)
            .await?;
        Ok(Response::new((&change).into()))
    }

    async fn usage(
        &self,
        request: Request<wire::UsageRequest>,
    ) -> Result<Response<wire::UsageResponse>, Status> {
        let request = request.into_inner();
        text("pack", &request.pack)?;
        let usage = self
            .usage(&request.pack, request.since_unix_ms, request.until_unix_ms)
            .await
            .map_err(change::usage_refused)?;
        Ok(Response::new((&usage).into()))
    }
}

impl From<PolicyError> for Status {
    fn from(error: PolicyError) -> Self {
        let message = error.to_string();
        match error {
            PolicyError::Refused(findings)
            | PolicyError::Unfit { findings, .. }
            | PolicyError::Compose {
                source: ComposeError::Findings(findings),
                ..
            } => refused(message, &findings),
            PolicyError::TestsFail(_) => Self::failed_precondition(cut(&message)),
            PolicyError::Compose { source, .. } => Self::invalid_argument(format!("{message}: {source}")),
            PolicyError::NoPack(_) | PolicyError::NoRevision { .. } => Self::not_found(message),
            PolicyError::Contended => Self::aborted(message),
            PolicyError::CutOff(_) => Self::internal(message),
            PolicyError::Database(error) => database_trouble(&error),
        }
    }
}

impl From<&PackRevision> for wire::PackRevision {
    fn from(revision: &PackRevision) -> Self {
        Self {
            pack: revision.pack.clone(),
            revision: revision.revision,
            generation: revision.generation.0,
            source_sha256: revision.source_sha256.to_bytes(),
            pushed_by: revision.pushed_by.to_string(),
            pushed_unix_ms: revision.pushed_ms,
            note: revision.note.clone(),
            rules: revision.rules,
            tools: revision.tools,
        }
    }
}

fn parse_source(name: String, files: Vec<wire::PackFile>) -> Result<PackSource, Status> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
        return Err(bad_field(
            "pack",
            "a pack's name is lower-case letters, digits and dashes",
        ));
    }
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    if files.len() > FILES_MAX || bytes > PACK_BYTES_MAX {
        return Err(bad_field(
            "files",
            format!("a pack has at most {FILES_MAX} files and {PACK_BYTES_MAX} bytes"),
        ));
    }
    let mut source = PackSource {
        name,
        files: [].into(),
    };
    for file in files {
        let is_good =
            !file.path.starts_with('/') && file.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_good
            || source
                .files
                .insert(file.path.clone(), file.content.to_vec())
                .is_some()
        {
            return Err(bad_field(
                "files",
                format!("`{}` is no relative path, or stands twice", file.path),
            ));
        }
    }
    Ok(source)
}

/// A status travels in headers, so only the first findings do; `policy check` shows them all.
fn refused(message: String, findings: &[Finding]) -> Status {
    let place = |finding: &Finding| format!("{}:{}:{}", finding.file, finding.line, finding.column);
    let violation = |finding: &Finding| FieldViolation::new(place(finding), cut(&finding.message));
    let shown = &findings[..findings.len().min(FINDINGS_SHOWN_MAX)];
    let details = ErrorDetails::with_bad_request(shown.iter().map(violation).collect::<Vec<_>>());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn cut(text: &str) -> String {
    text.chars().take(FINDING_CHARS_MAX).collect()
}

fn encode_finding(finding: &Finding) -> wire::Finding {
    let severity = match finding.severity {
        Severity::Error => wire::Severity::Error,
        Severity::Warning => wire::Severity::Warning,
    };
    wire::Finding {
        severity: severity.into(),
        file: finding.file.clone(),
        line: finding.line,
        column: finding.column,
        message: finding.message.clone(),
        help: finding.help.clone(),
        rendered: finding.rendered.clone(),
    }
}
