//! What is different from the revision 2026-07-28 on, in which no request knows of another.
//!
//! **Invariant**: a result is changed in two places at most: that it is complete is said where the server did not say what it is, and
//! what was decided for one caller is kept for nobody else.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answers::{INVALID_PARAMS, UNKNOWN_REVISION};
use super::methods::Era;
use super::wire::{Members, Message, shown, text};

/// The revision.
pub(super) const REVISION: &str = "2026-07-28";
/// Where a request says its revision.
pub(super) const SAYS_REVISION: &str = "io.modelcontextprotocol/protocolVersion";
/// And what its client can do.
pub(super) const SAYS_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What a request says of itself, beside what it asks for.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) revision: Option<String>,
    has_capabilities: bool,
}

/// Why a request is none of this revision.
#[derive(Debug)]
pub(super) struct NotOfIt {
    pub(super) code: i64,
    pub(super) words: String,
    pub(super) data: Option<Value>,
}

impl Envelope {
    /// Reads the parameters.
    pub(super) fn of(params: Option<&RawValue>) -> Self {
        let read = || {
            let params = Members::parse(params?.get()).ok()?;
            let meta = Members::parse(params.get("_meta")?.get()).ok()?;
            let capabilities = meta.get(SAYS_CAPABILITIES);
            Some(Self {
                revision: meta.get(SAYS_REVISION).and_then(text),
                has_capabilities: capabilities.is_some_and(|has| has.get().starts_with('{')),
            })
        };
        read().unwrap_or_default()
    }

    /// Whether it says all that a request of this revision must say.
    pub(super) fn check(&self) -> Result<(), NotOfIt> {
        let unsaid = |name: &str| NotOfIt {
            code: INVALID_PARAMS,
            words: format!("`params._meta` must have a member `{name}`"),
            data: None,
        };
        match &self.revision {
            None => Err(unsaid(SAYS_REVISION)),
            Some(revision) if revision != REVISION => Err(NotOfIt {
                code: UNKNOWN_REVISION,
                words: format!("the revision is not spoken here; {REVISION} is"),
                data: Some(json!({ "supported": [REVISION], "requested": shown(revision) })),
            }),
            Some(_) if !self.has_capabilities => Err(unsaid(SAYS_CAPABILITIES)),
            Some(_) => Ok(()),
        }
    }
}

/// The parameters with which we ask a server for its tools ourselves.
pub(super) fn listing(era: Era, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
    let meta = (era == Era::Stateless)
        .then(|| format!(r#""_meta":{{"{SAYS_REVISION}":"{REVISION}","{SAYS_CAPABILITIES}":{{}}}}"#));
    let members: Vec<String> = cursor.into_iter().chain(meta).collect();
    format!("{{{}}}", members.join(","))
}

/// An answer to something that was decided, as this revision has it.
pub(super) fn complete(line: String) -> String {
    let Some(Places {
        start,
        says_type,
        scope,
    }) = result(&line)
    else {
        return line;
    };
    let mut changed = String::with_capacity(line.len() + 32);
    let kind = if says_type {
        ""
    } else if line[start..].trim_start().starts_with('}') {
        r#""resultType":"complete""#
    } else {
        r#""resultType":"complete","#
    };
    changed.push_str(&line[..start]);
    changed.push_str(kind);
    match scope {
        Some((from, to)) => {
            changed.push_str(&line[start..from]);
            changed.push_str(r#""private""#);
            changed.push_str(&line[to..]);
        }
        None => changed.push_str(&line[start..]),
    }
    changed
}

/// Places in a line with a result.
struct Places {
    /// Where its members begin.
    start: usize,
    /// Whether it says what it is.
    says_type: bool,
    /// Where it says who else may keep it.
    scope: Option<(usize, usize)>,
}

fn result(line: &str) -> Option<Places> {
    let (_, result) = Message::result(line)?;
    let members = Members::parse(result.get()).ok()?;
    let place = |text: &str| text.as_ptr().addr() - line.as_ptr().addr();
    let scope = members.get("cacheScope").map(|scope| {
        let from = place(scope.get());
        (from, from + scope.get().len())
    });
    Some(Places {
        start: place(result.get()) + 1,
        says_type: members.get("resultType").is_some(),
        scope,
    })
}

#[cfg(test)]
mod tests;
