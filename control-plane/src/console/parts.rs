//! What many pages are made of: moments, links that keep what was asked, and names in short.

use tonic::{Code, Status};
use url::form_urlencoded::Serializer;

use crate::words::{relative, rfc3339, visible};

/// A moment that is told as seen from now.
#[derive(Debug, Default)]
pub(super) struct Moment {
    /// For machines, and for whoever wants it exactly.
    pub at: String,
    /// For people.
    pub said: String,
}

impl Moment {
    pub(super) fn of(at_ms: u64, now_ms: u64) -> Self {
        Self {
            at: rfc3339(at_ms).unwrap_or_default(),
            said: relative(at_ms, now_ms),
        }
    }
}

/// The address of a page with what was asked of it; what is empty is left out.
pub(super) fn link(path: &str, asked: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(asked.iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// An identity by its last part: the whole of it stands where one thing is shown.
pub(super) fn short(id: &str) -> String {
    visible(id.rsplit('/').next().unwrap_or(id))
}

/// Names one beside another.
pub(super) fn listed(names: &[String]) -> String {
    names
        .iter()
        .map(|name| visible(name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What belongs to a thing and is not there, or is nothing for this person: the page does without.
pub(super) fn if_shown<T>(answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => Ok(None),
        Err(status) => Err(status),
    }
}

#[cfg(test)]
mod tests;
