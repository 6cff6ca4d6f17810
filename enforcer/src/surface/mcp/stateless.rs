//! What is different from the revision 2026-07-28 on, in which no request knows of another.
//!
//! **Invariant**: a result is changed in two places at most: that it is complete is said where the server did not say what it is, and
//! what was decided for one caller is kept for nobody else.

use super::methods::Era;
use super::wire::{Answered, Members, Message};

/// The revision.
pub(super) const REVISION: &str = "2026-07-28";
/// Where a request says its revision.
pub(super) const SAYS_REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// The parameters with which we ask a server for its tools ourselves.
pub(super) fn listing(era: Era, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
    let meta = (era == Era::Stateless).then(|| {
        let capabilities = "io.modelcontextprotocol/clientCapabilities";
        format!(r#""_meta":{{"{SAYS_REVISION}":"{REVISION}","{capabilities}":{{}}}}"#)
    });
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
    let Ok(Message::Response {
        answer: Answered::Result(result),
        ..
    }) = Message::parse(line)
    else {
        return None;
    };
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
