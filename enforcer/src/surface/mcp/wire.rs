//! JSON-RPC on lines: one message a line, read once, and passed on as it came.
//!
//! **Invariant**: a message has one reading. An object in which a member stands twice, also in other capitals (some servers take
//! them for one), or an envelope with a member that JSON-RPC does not name, is no message. No line is longer than
//! [`LINE_BYTES_MAX`], and one that is costs no other line anything.

use std::fmt;
use std::io;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::answers::{INVALID_REQUEST, NOT_JSON};

/// A line may have at most this many bytes.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;
/// So much of either end of a longer one is kept, to tell which call it answers.
const EDGE_BYTES: usize = 256;
/// An id that is a text may have at most this many bytes.
const ID_BYTES_MAX: usize = 256;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// One that was too long, and how it began and ended.
    TooLong { head: Vec<u8>, tail: Vec<u8> },
    /// Bytes that are no UTF-8.
    NotText,
}

/// Reads lines, each within the bound.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
}

/// By which a request and its answer find each other. A number and a text are never the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

/// One message, read as far as is needed to know whose it is.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Request {
        id: Id,
        method: String,
        params: Option<&'a RawValue>,
    },
    Notification {
        method: String,
        params: Option<&'a RawValue>,
    },
    Response {
        id: Id,
        answer: Answered<'a>,
    },
}

/// What a response says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answered<'a> {
    Result(&'a RawValue),
    Error(&'a RawValue),
}

/// The members of an object, as they stand, each with its own bytes.
#[derive(Debug)]
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

/// A line that is no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum InvalidMessage {
    #[error("a line may have at most {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the line is not UTF-8")]
    NotText,
    #[error("the line is not JSON: {0}")]
    Syntax(String),
    #[error("batches are not taken; send each message on a line of its own")]
    Batch,
    #[error("a message is a JSON object")]
    NotAnObject,
    #[error("member `{0}` stands twice, or differs from another only in capitals; send it once")]
    Twice(String),
    #[error("a message has no member `{0}`")]
    Unexpected(String),
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    #[error("an id is a whole number or a text of at most {ID_BYTES_MAX} bytes")]
    Id,
    #[error("`method` must be a text")]
    Method,
    #[error("a message is a request, a notification, or a response with either `result` or `error`")]
    Kind,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
        }
    }

    /// The next line; none when there are no more. Empty ones are passed over.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut tail = Vec::new();
        loop {
            let buffer = self.reader.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(finish(line, tail));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if line.len() > LINE_BYTES_MAX {
                tail.extend_from_slice(part);
                let surplus = tail.len().saturating_sub(EDGE_BYTES);
                tail.drain(..surplus);
            }
            let taken = end.map_or(part.len(), |end| end + 1);
            self.reader.consume(taken);
            if end.is_none() {
                continue;
            }
            if let Some(line) = finish(std::mem::take(&mut line), std::mem::take(&mut tail)) {
                return Ok(Some(line));
            }
        }
    }
}

impl Line {
    /// Its text, if it is one.
    pub(super) fn text(self) -> Result<String, InvalidMessage> {
        match self {
            Self::Text(text) => Ok(text),
            Self::TooLong { .. } => Err(InvalidMessage::TooLong),
            Self::NotText => Err(InvalidMessage::NotText),
        }
    }
}

impl InvalidMessage {
    /// As JSON-RPC numbers it.
    pub(super) const fn code(&self) -> i64 {
        match self {
            Self::NotText | Self::Syntax(_) => NOT_JSON,
            _ => INVALID_REQUEST,
        }
    }
}

/// What a line is, now that all of it is known; none, if it is empty.
fn finish(mut line: Vec<u8>, tail: Vec<u8>) -> Option<Line> {
    if line.len() > LINE_BYTES_MAX {
        line.truncate(EDGE_BYTES);
        return Some(Line::TooLong { head: line, tail });
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    Some(String::from_utf8(line).map_or(Line::NotText, Line::Text))
}

/// Writes one line, whole.
pub(super) async fn write_line(writer: &mut (impl AsyncWrite + Unpin), mut line: String) -> io::Result<()> {
    line.push('\n');
    writer.write_all(line.as_bytes()).await?;
    writer.flush().await
}

impl<'a> Message<'a> {
    /// What a response gives, and to which request; none: it is an error, or no response.
    pub(super) fn result(line: &'a str) -> Option<(Id, &'a RawValue)> {
        match Self::parse(line) {
            Ok(Self::Response {
                id,
                answer: Answered::Result(result),
            }) => Some((id, result)),
            _ => None,
        }
    }

    /// Reads a line.
    pub(super) fn parse(line: &'a str) -> Result<Self, InvalidMessage> {
        let members = Members::parse(line)?;
        let (mut id, mut method, mut params) = (None, None, None);
        let (mut version, mut result, mut error) = (None, None, None);
        for (name, value) in members.0 {
            match name.as_str() {
                "jsonrpc" => version = Some(value),
                "id" => id = Some(Id::parse(value.get()).ok_or(InvalidMessage::Id)?),
                "method" => method = Some(text(value).ok_or(InvalidMessage::Method)?),
                "params" => params = Some(value),
                "result" => result = Some(value),
                "error" => error = Some(value),
                _ => return Err(InvalidMessage::Unexpected(shown(&name))),
            }
        }
        if version.and_then(text).as_deref() != Some("2.0") {
            return Err(InvalidMessage::Version);
        }
        match (id, method, params, result, error) {
            (Some(id), Some(method), params, None, None) => Ok(Self::Request { id, method, params }),
            (None, Some(method), params, None, None) => Ok(Self::Notification { method, params }),
            (Some(id), None, None, Some(result), None) => Ok(Self::Response {
                id,
                answer: Answered::Result(result),
            }),
            (Some(id), None, None, None, Some(error)) => Ok(Self::Response {
                id,
                answer: Answered::Error(error),
            }),
            _ => Err(InvalidMessage::Kind),
        }
    }
}

impl Id {
    /// From its JSON text.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        if raw.starts_with('"') {
            let text: String = serde_json::from_str(raw).ok()?;
            return (text.len() <= ID_BYTES_MAX).then_some(Self::Text(text));
        }
        let number: i64 = raw.parse().ok()?;
        // `-0` and `+1` have another spelling, and a peer that takes the text for the id would not find it again.
        (number.to_string() == raw).then_some(Self::Number(number))
    }

    /// The last one that stands in these bytes: whom a line answers that can't be read whole.
    pub(super) fn at_the_edge_of(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (_, after) = text.rsplit_once("\"id\":")?;
        let after = after.trim_start();
        let end = match after.strip_prefix('"') {
            Some(rest) => rest.find('"')? + 2,
            None => after.find(|c: char| !(c.is_ascii_digit() || c == '-'))?,
        };
        Self::parse(&after[..end])
    }
}

impl fmt::Display for Id {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
        }
    }
}

impl<'a> Members<'a> {
    /// Reads an object, and refuses one with two readings.
    pub(super) fn parse(text: &'a str) -> Result<Self, InvalidMessage> {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => {}
            Some(b'[') if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
                return Err(InvalidMessage::Batch);
            }
            _ => {
                let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text);
                return Err(match parsed {
                    Ok(_) => InvalidMessage::NotAnObject,
                    Err(error) => InvalidMessage::Syntax(error.to_string()),
                });
            }
        }
        let members: Self =
            serde_json::from_str(text).map_err(|error| InvalidMessage::Syntax(error.to_string()))?;
        let mut names: Vec<String> = members.0.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(InvalidMessage::Twice(shown(&pair[0]))),
            None => Ok(members),
        }
    }

    /// The value of a member.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| *value)
    }

    /// The object with this value under a name, in place of what stands there or after the others, which stay as they came.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let is_new = self.get(name).is_none();
        let others = self.0.iter().map(|(member, given)| {
            let given = if member == name { value } else { given.get() };
            (member.as_str(), given)
        });
        object(others.chain(is_new.then_some((name, value))))
    }

    /// The object without these, and with these others at its end.
    pub(super) fn without(&self, names: &[&str], others: &[(String, String)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(member, _)| !names.contains(&member.as_str()));
        let kept = kept.map(|(member, value)| (member.as_str(), value.get()));
        object(kept.chain(others.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }
}

/// An object of these members, whose values are JSON.
fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> = members
        .map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A text, if this is one.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A message on one line, as it goes on: JSON holds ends of lines only between its parts.
pub(super) fn on_one_line(text: String) -> String {
    // One at a time: the standard library looks for a single one many bytes at once.
    if text.contains('\n') || text.contains('\r') {
        return text.replace(['\n', '\r'], " ");
    }
    text
}

/// A name that is safe to show.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The revision that an answer to `initialize` says.
pub(super) fn revision(answer: &str) -> Option<String> {
    let (_, result) = Message::result(answer)?;
    let result = Members::parse(result.get()).ok()?;
    result.get("protocolVersion").and_then(text)
}

#[cfg(test)]
mod tests;
