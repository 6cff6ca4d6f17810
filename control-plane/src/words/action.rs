//! What a person is about to approve: laid out for reading from the very bytes that are hashed.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::action::{ActionIdentity, Arguments, InvalidArguments, InvalidSha256, Json, Sha256};
use checkrein_shared::wire::InvalidMessage;
use thiserror::Error;

use super::visible;

/// So much of the arguments stands in a line of a list.
const BRIEF_CHARS_MAX: usize = 160;

/// Why an action can't be shown, and so must not be answered.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The hold names no action.
    #[error("the hold came without its action; not voted")]
    NoAction,
    /// The action can't be read.
    #[error("the held action can't be read; not voted")]
    Action(#[from] InvalidMessage),
    /// Its hash can't.
    #[error("the held action's hash can't be read; not voted")]
    Hash(#[from] InvalidSha256),
    /// Its arguments have more than one reading, or none.
    #[error("the held arguments can't be read in one way; not voted")]
    Arguments(#[from] InvalidArguments),
    /// What is shown is not what would be approved.
    #[error(
        "what is shown hashes to {computed}, but the control plane names {named}: what you see is not what would be \
         approved; not voted, tell whoever runs the control plane"
    )]
    HashMismatch {
        /// Of what is shown.
        computed: Sha256,
        /// What the control plane says it is.
        named: Sha256,
    },
}

/// A held action whose hash was recomputed here and is the one the control plane names.
#[derive(Debug)]
pub(crate) struct ShownAction {
    /// What is held.
    pub identity: ActionIdentity,
    /// Its hash.
    pub sha256: Sha256,
    /// The arguments, one member a line.
    pub arguments: String,
}

impl ShownAction {
    /// The arguments by name, in their order.
    pub(crate) fn members(&self) -> Result<Vec<(String, Json)>, Unreadable> {
        let arguments = Arguments::parse(self.identity.arguments.0.as_bytes())?;
        let members = arguments.members();
        Ok(members
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect())
    }

    /// Reads a hold's action and recomputes its hash.
    pub(crate) fn verify(hold: &wire::Hold) -> Result<Self, Unreadable> {
        let action = hold.action.clone().ok_or(Unreadable::NoAction)?;
        let named = Sha256::try_from(&*action.action_sha256)?;
        let identity = ActionIdentity::try_from(action)?;
        let arguments = pretty(identity.arguments.0.as_bytes())?;
        let sha256 = identity.sha256();
        if sha256 != named {
            return Err(Unreadable::HashMismatch {
                computed: sha256,
                named,
            });
        }
        Ok(Self {
            identity,
            sha256,
            arguments,
        })
    }
}

/// Arguments for reading: one member a line, numbers as they were written.
pub(crate) fn pretty(arguments: &[u8]) -> Result<String, Unreadable> {
    let arguments = Arguments::parse(arguments)?;
    let members = arguments.members().map(|(name, value)| (name, value.clone()));
    let object = Json::Object(members.map(|(name, value)| (name.to_owned(), value)).collect());
    let mut out = String::new();
    write_pretty(&object, 0, &mut out);
    Ok(out)
}

/// The arguments in a line: enough to tell one action from another, not to answer by.
pub(crate) fn brief(arguments: &[u8]) -> String {
    let Ok(arguments) = Arguments::parse(arguments) else {
        return "arguments that can't be read".to_owned();
    };
    let members = arguments.members().map(|(name, value)| {
        let value = if is_masked(value) {
            "(secret)".to_owned()
        } else {
            pretty_value(value)
        };
        format!("{name}: {value}")
    });
    let mut line = visible(&members.collect::<Vec<_>>().join(", "));
    if let Some((end, _)) = line.char_indices().nth(BRIEF_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A secret is shown as what stands for it.
pub(crate) fn is_masked(value: &Json) -> bool {
    matches!(value, Json::Object(members) if matches!(&members[..], [(name, _)] if name == "masked"))
}

/// One value for reading: text as it is, without quotes, and all else as JSON.
pub(crate) fn pretty_value(value: &Json) -> String {
    if let Json::String(text) = value {
        return text.clone();
    }
    let mut out = String::new();
    write_pretty(value, 0, &mut out);
    out
}

fn write_pretty(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            write_parts(('{', '}'), members, depth, out, |(name, value), out| {
                Json::String(name.clone()).write_canonical(out);
                out.push_str(": ");
                write_pretty(value, depth + 1, out);
            });
        }
        Json::Array(elements) if !elements.is_empty() => {
            write_parts(('[', ']'), elements, depth, out, |value, out| {
                write_pretty(value, depth + 1, out);
            });
        }
        simple => simple.write_canonical(out),
    }
}

fn write_parts<T>(
    (open, close): (char, char),
    parts: &[T],
    depth: usize,
    out: &mut String,
    write: impl Fn(&T, &mut String),
) {
    out.push(open);
    for (at, part) in parts.iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(depth + 1));
        write(part, out);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(close);
}
