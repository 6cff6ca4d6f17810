//! A request as a gateway shows it, and which call it is.
//!
//! **Invariant**: what is decided is all of what the service gets. A body of which a part is missing, that was changed for us, or that a
//! service may read in another way is no body.

use checkrein_proto::ext_authz::AttributeContext;
use checkrein_proto::ext_authz::attribute_context::HttpRequest;
use serde_json::Value;

use super::Leads;
use super::answers::Refusal;
use crate::config::{RequestPattern, Target};
use crate::surface::mcp::posted::members;

/// A body may have at most this many bytes, as arguments may.
const BODY_BYTES_MAX: usize = 1 << 20;
/// By which Envoy says whether it shows all of a body. A client's own never gets here.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// A request.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) method: &'a str,
    http: &'a HttpRequest,
}

impl<'a> Seen<'a> {
    pub(super) fn of(attributes: &'a AttributeContext) -> Result<Self, Refusal> {
        let request = attributes.request.as_ref();
        let http = request.and_then(|request| request.http.as_ref());
        let http = http.ok_or_else(|| Refusal::new("no_request", "the gateway shows no HTTP request"))?;
        Ok(Self {
            method: &http.method,
            http,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.http.headers.get(name).map(String::as_str)
    }

    /// The call that this request is, if it is the one of this pattern.
    pub(super) fn call(&self, tool: &str, pattern: &RequestPattern) -> Result<Option<Leads>, Refusal> {
        let unread = |words: String| Refusal::new("unreadable", words);
        let target = Target::parse(&self.http.path).map_err(|error| unread(error.to_string()))?;
        let Some(found) = pattern.matches(self.method, &target) else {
            return Ok(None);
        };
        let text = |(name, value): (String, String)| format!("{}:{}", Value::from(name), Value::from(value));
        let mut parts: Vec<String> = found.into_iter().chain(target.query).map(text).collect();
        if let Some(body) = self.json()? {
            let object = members(body).map_err(|error| unread(format!("the body: {error}")));
            object?;
            let inside = body
                .trim()
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            parts.extend(
                inside
                    .map(str::trim)
                    .filter(|inside| !inside.is_empty())
                    .map(str::to_owned),
            );
        }
        let arguments = format!("{{{}}}", parts.join(","));
        members(&arguments).map_err(|error| {
            unread(format!(
                "an argument is given once, in the path, the query or the body: {error}"
            ))
        })?;
        Ok(Some(Leads::Http {
            tool: tool.to_owned(),
            arguments,
        }))
    }

    /// Whether it is sure that there is no body.
    pub(super) fn has_no_body(&self) -> bool {
        let says_none = match self.header("content-length") {
            Some(length) => length == "0",
            None => matches!(self.method, "GET" | "HEAD" | "DELETE" | "OPTIONS"),
        };
        let is_shown = !self.http.raw_body.is_empty() || !self.http.body.is_empty() || self.http.size > 0;
        says_none
            && !is_shown
            && self.header("transfer-encoding").is_none()
            && self.header(PARTIAL) != Some("true")
    }

    /// The body, JSON; none, if there is none.
    pub(super) fn json(&self) -> Result<Option<&'a str>, Refusal> {
        if self.has_no_body() {
            return Ok(None);
        }
        let body = self.whole()?;
        let unread = |words: &str| Refusal::new("unreadable", words);
        let kind = self
            .header("content-type")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let mut parts = kind.split(';').map(str::trim);
        let is_json = parts.next() == Some("application/json");
        let is_utf8 = parts.all(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            name.trim() != "charset" || value.trim().trim_matches('"') == "utf-8"
        });
        if !is_json || !is_utf8 {
            return Err(unread(
                "a body is `application/json` in UTF-8; nothing else is decided",
            ));
        }
        if self
            .header("content-encoding")
            .is_some_and(|encoding| encoding != "identity")
        {
            return Err(unread(
                "a body is sent without `content-encoding`; what is compressed is not decided",
            ));
        }
        let text = str::from_utf8(body).map_err(|_| unread("the body is not UTF-8"))?;
        Ok(Some(text))
    }

    fn whole(&self) -> Result<&'a [u8], Refusal> {
        let missing = |words: &str| Refusal::new("body_missing", words);
        let (body, size) = (&self.http.raw_body, self.http.size);
        if !self.http.body.is_empty() {
            return Err(missing(
                "the gateway shows the body as a text, which changes bytes; set `pack_as_bytes`",
            ));
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(Refusal::new(
                "body_too_large",
                format!(
                    "a body of {} bytes is longer than the {BODY_BYTES_MAX} allowed",
                    body.len()
                ),
            ));
        }
        if body.is_empty() {
            return Err(missing(
                "the gateway does not show the body; set `with_request_body`, or send `content-length: 0`",
            ));
        }
        let shown = i64::try_from(body.len()).unwrap_or(i64::MAX);
        let is_whole = match self.header(PARTIAL) {
            Some("false") => size <= shown,
            Some(_) => false,
            None => size == shown,
        };
        if !is_whole {
            return Err(missing(
                "the gateway shows a part of the body alone; what is not seen is not decided",
            ));
        }
        Ok(body)
    }
}
