//! What every room's edge shares: reading requests strictly, and saying no in a way that helps.
//!
//! `Status` is built here, in the rooms' `api.rs`, in `caller.rs`, and where a room answers a stream itself (the fleet's
//! `session.rs`, the policies' `fetch.rs`); nowhere else. A policy's deny is never one.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use checkrein_shared::id::ProofId;
use checkrein_shared::policy::Reversibility;
use checkrein_shared::wire::{InvalidMessage, reversibility_from_wire};
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use tracing::error;

use crate::database::{DatabaseError, is_good_key};

/// A page has at most this many rows.
const PAGE_ROWS_MAX: u32 = 1_000;
/// A page has this many rows if nobody says.
const PAGE_ROWS_DEFAULT: u32 = 50;
/// Text that people type has at most this many bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4 << 10;

/// How long a caller is asked to wait before it asks a busy or absent database again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Names the domain of our error reasons.
const ERROR_DOMAIN: &str = "checkrein";

/// A field that can't be used, and why.
pub(crate) fn bad_field(field: &str, why: impl Into<String>) -> Status {
    let why = why.into();
    let details = ErrorDetails::with_bad_request(vec![FieldViolation::new(field, why.clone())]);
    Status::with_error_details(tonic::Code::InvalidArgument, format!("{field}: {why}"), details)
}

/// The proof of possession that an enforcer was shown; none if nothing is said.
pub(crate) fn proof_id(id: &str) -> Result<Option<ProofId>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    id.parse()
        .map(Some)
        .map_err(|error| bad_field("proof_id", format!("{error}")))
}

/// The class of a tool that is about to be released; whoever does not say is counted as the worst there is.
pub(crate) fn class_or_worst(class: u32) -> Result<Reversibility, Status> {
    let class = reversibility_from_wire(class).map_err(|error| bad_message(&error))?;
    Ok(class.unwrap_or(Reversibility::Irreversible))
}

/// A state in which the request makes no sense, with a word for machines.
pub(crate) fn precondition(reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, []);
    Status::with_error_details(tonic::Code::FailedPrecondition, message.into(), details)
}

/// Nothing of that name.
pub(crate) fn not_found(what: &str, name: &str) -> Status {
    Status::not_found(format!("there is no {what} `{name}`"))
}

/// What a caller is told of our own trouble: whether to try again, and nothing of the inside, which is logged.
pub(crate) fn database_trouble(trouble: &DatabaseError) -> Status {
    if let DatabaseError::KeyReused(_) = trouble {
        return bad_field("idempotency_key", trouble.to_string());
    }
    error!(error = trouble as &dyn Error, "database");
    if trouble.is_passing() {
        let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
        let message = "the database can't do it now; try again with the same idempotency key";
        return Status::with_error_details(tonic::Code::Unavailable, message, details);
    }
    Status::internal("the control plane could not do it; its log says why")
}

/// The same of a search, or a count, that may take only so long: what to ask instead, if it took longer.
pub(crate) fn too_much(trouble: &DatabaseError, instead: &str) -> Status {
    if trouble.is_cut_off() {
        return precondition(
            "TOO_MUCH",
            format!("that looks at more than is looked at for one answer: {instead}"),
        );
    }
    database_trouble(trouble)
}

/// A message that means nothing.
pub(crate) fn bad_message(error: &InvalidMessage) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The key that makes a mutation safe to repeat.
pub(crate) fn idempotency_key(key: &str) -> Result<&str, Status> {
    if is_good_key(key) && !key.contains(char::is_control) {
        Ok(key)
    } else {
        Err(bad_field(
            "idempotency_key",
            "expected 1 to 128 bytes without control characters, the same for every try of one request",
        ))
    }
}

/// Text that people typed.
pub(crate) fn text<'a>(field: &str, text: &'a str) -> Result<&'a str, Status> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(bad_field(
            field,
            format!("{} bytes are more than the {TEXT_BYTES_MAX} allowed", text.len()),
        ));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(bad_field(field, "control characters are not allowed"));
    }
    Ok(text)
}

/// Text that an enforcer passes on from packs and calls: as it is, within its bound, and without the one character that the
/// database can't hold.
pub(crate) fn stored_text(field: &str, text: &str, bytes_max: usize) -> Result<(), Status> {
    if text.len() > bytes_max {
        let why = format!("{} bytes are more than the {bytes_max} allowed", text.len());
        return Err(bad_field(field, why));
    }
    if text.contains('\0') {
        return Err(bad_field(field, "the character U+0000 is not allowed"));
    }
    Ok(())
}

/// How many rows to give.
pub(crate) fn page_rows(asked: u32) -> i64 {
    let rows = if asked == 0 {
        PAGE_ROWS_DEFAULT
    } else {
        asked.min(PAGE_ROWS_MAX)
    };
    i64::from(rows)
}

/// After which row a page begins, as the token of the one before it says: a moment and an id. None: it is the first.
pub(crate) fn page_after<T: FromStr>(token: &str) -> Result<Option<(u64, T)>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parts = token
        .split_once('.')
        .and_then(|(ms, id)| Some((ms.parse().ok()?, id.parse().ok()?)));
    parts
        .map(Some)
        .ok_or_else(|| bad_field("page_token", "not a token of an earlier page"))
}

/// The token of the next page, if this one is full.
pub(crate) fn next_page<T>(rows: &[T], asked: u32, token: impl Fn(&T) -> String) -> String {
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= page_rows(asked));
    rows.last().filter(|_| is_full).map(token).unwrap_or_default()
}
