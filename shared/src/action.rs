//! What an agent asks to do: one tool with its effective arguments, inside a task.
//!
//! **Invariant**: arguments are parsed once. What rules read, what is hashed, what people are shown and what is
//! forwarded are the same values; what can't be read in exactly one way (a member twice, a number no double would keep)
//! is refused or keeps its own text.

mod json;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use thiserror::Error;

pub use json::{InvalidArguments, Json, Number};

use crate::id::TaskId;
use crate::identity::SpiffeId;

/// Arguments may have at most this many bytes.
pub const ARGUMENT_BYTES_MAX: usize = 1 << 20;
/// Arguments may be nested this deep.
pub const ARGUMENT_DEPTH_MAX: usize = 64;

/// SHA-256, of an action, a bundle, a segment or a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sha256(pub [u8; 32]);

/// The arguments of one call: a JSON object, numbers kept as they were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    members: Vec<(String, Json)>,
}

/// One call of one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// `<catalog>/<tool>`.
    pub tool: String,
    /// What it is called with.
    pub arguments: Arguments,
    /// The caller's own name for this call.
    pub call_id: String,
}

/// Masks secret arguments, the same way everywhere in one installation, so that equal values stay equal and no value
/// can be read. Lives in memory; never printed.
#[derive(Clone)]
pub struct MaskingKey(hmac::Key);

/// The bytes that people see and that the hash covers: canonical JSON with secret arguments masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedArguments(pub String);

/// Everything that makes an action this action. Its hash is what an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionIdentity {
    /// The task inside which it happens.
    pub task: TaskId,
    /// Who acts.
    pub agent: SpiffeId,
    /// Who passed the grant on to it, root first.
    pub delegated_by: Vec<SpiffeId>,
    /// For whom.
    pub user: String,
    /// With what.
    pub tool: String,
    /// The tool's definition when it was catalogued: a changed tool is another action.
    pub definition: Sha256,
    /// How.
    pub arguments: MaskedArguments,
}

/// A digest of the wrong length.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a SHA-256 of 32 bytes, found {0}")]
pub struct InvalidSha256(usize);

impl Sha256 {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The digest of several byte strings, one after the other.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// As tokens spell it: base64url without padding.
    pub fn to_base64(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// As bytes on the wire.
    pub fn to_bytes(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<&[u8]> for Sha256 {
    type Error = InvalidSha256;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidSha256> {
        bytes.try_into().map(Self).map_err(|_| InvalidSha256(bytes.len()))
    }
}

impl Arguments {
    /// Parses JSON text, strictly: one object, no member twice, within [`ARGUMENT_BYTES_MAX`] and [`ARGUMENT_DEPTH_MAX`].
    pub fn parse(text: &[u8]) -> Result<Self, InvalidArguments> {
        json::parse_object(text).map(|members| Self { members })
    }

    /// No arguments.
    pub const fn none() -> Self {
        Self { members: Vec::new() }
    }

    /// The members in canonical order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let at = self
            .members
            .binary_search_by(|(member, _)| member.as_str().cmp(name))
            .ok()?;
        self.members.get(at).map(|(_, value)| value)
    }

    /// Canonical JSON: members sorted by name, no white space, numbers as they were written.
    pub fn canonical(&self) -> String {
        self.write(|_, value, out| value.write_canonical(out))
    }

    /// Canonical JSON with the values of secret members replaced by `{"masked":"<HMAC-SHA256 of path and value>"}`.
    pub fn masked(&self, key: &MaskingKey, secret: &[String]) -> MaskedArguments {
        MaskedArguments(self.write(|name, value, out| {
            if secret.iter().any(|hidden| hidden == name) {
                out.push_str("{\"masked\":\"");
                out.push_str(&key.mask(name, value));
                out.push_str("\"}");
            } else {
                value.write_canonical(out);
            }
        }))
    }

    fn write(&self, mut value_of: impl FnMut(&str, &Json, &mut String)) -> String {
        let mut out = String::with_capacity(256);
        out.push('{');
        for (at, (name, value)) in self.members.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            json::write_string(name, &mut out);
            out.push(':');
            value_of(name, value, &mut out);
        }
        out.push('}');
        out
    }
}

impl MaskingKey {
    /// From the bytes the session carries.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A hash of something else, which nobody makes without the key.
    pub(crate) fn begin(&self) -> hmac::Context {
        hmac::Context::with_key(&self.0)
    }

    fn mask(&self, path: &str, value: &Json) -> String {
        let mut text = String::new();
        value.write_canonical(&mut text);
        let mut context = self.begin();
        context.update(&length(path));
        context.update(path.as_bytes());
        context.update(text.as_bytes());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Sha256(tag).to_string()
    }
}

impl fmt::Debug for MaskingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskingKey(…)")
    }
}

impl ActionIdentity {
    /// The hash an approval is bound to: SHA-256 over the fields, each after its length, under a version tag.
    pub fn sha256(&self) -> Sha256 {
        let task = self.task.to_string();
        let fields: [&[u8]; 7] = [
            b"checkrein.action.v1",
            task.as_bytes(),
            self.agent.as_str().as_bytes(),
            self.user.as_bytes(),
            self.tool.as_bytes(),
            &self.definition.0,
            self.arguments.0.as_bytes(),
        ];
        // Last, because there is any number of them: nothing follows that could be taken for one more.
        let delegators = self.delegated_by.iter().map(|agent| agent.as_str().as_bytes());
        let mut context = digest::Context::new(&digest::SHA256);
        for field in fields.into_iter().chain(delegators) {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Sha256(bytes)
    }
}

fn length(text: &str) -> [u8; 8] {
    (text.len() as u64).to_be_bytes()
}

#[cfg(test)]
mod tests;
