//! A text of one form: a glob, or a regular expression.
//!
//! A glob has one special character, `*`: any run of any characters, and no other stands for more than itself. Both are
//! matched by the crate `regex`, which needs time linear in the text whatever the pattern (and which Cedar brings anyway),
//! within a bound of what a compiled pattern may take.
//!
//! **Invariant**: the whole text matches or it is refused; there is no search inside it.

use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};

use super::member::{Members, text, wrong};
use super::{InvalidConstraint, Refused, met};

/// A compiled pattern may take this many bytes, and so may what matching it remembers.
const COMPILED_BYTES_MAX: usize = 256 << 10;
/// A regular expression may nest this deep.
const NEST_MAX: u32 = 32;

/// A form that a text must have.
#[derive(Debug, Clone)]
pub struct Pattern {
    form: Form,
    compiled: Regex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Glob(String),
    Regex(String),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// From a glob.
    pub fn glob(glob: &str) -> Result<Self, InvalidConstraint> {
        let literals: Vec<_> = glob.split('*').map(regex::escape).collect();
        let compiled = compile("glob", &literals.join("(?s:.*)"))?;
        let form = Form::Glob(glob.to_owned());
        Ok(Self { form, compiled })
    }

    /// From a regular expression, which the whole text must match.
    pub fn regex(expression: &str) -> Result<Self, InvalidConstraint> {
        // Alone first: it must not end the group that anchors it.
        compile("regex", expression)?;
        let compiled = compile("regex", &format!("(?:{expression})"))?;
        let form = Form::Regex(expression.to_owned());
        Ok(Self { form, compiled })
    }

    pub(super) fn read(members: &mut Members<'_>) -> Result<Self, InvalidConstraint> {
        match (members.optional("glob"), members.optional("regex")) {
            (Some(glob), None) => Self::glob(text("glob", glob)?),
            (None, Some(expression)) => Self::regex(text("regex", expression)?),
            (None, None) => Err(InvalidConstraint::MissingMember("pattern".into(), "glob")),
            (Some(_), Some(_)) => Err(wrong("glob", "a pattern is a `glob` or a `regex`, not both")),
        }
    }

    pub(super) fn write(&self) -> Value {
        match &self.form {
            Form::Glob(glob) => json!({"constraint_type": "pattern", "glob": glob}),
            Form::Regex(expression) => json!({"constraint_type": "pattern", "regex": expression}),
        }
    }

    pub(super) fn admits(&self, text: &str) -> Result<(), Refused> {
        met(
            self.compiled.is_match(text),
            "the text has not the form that is allowed",
        )
    }

    /// The same form; or of two globs, a parent that only says how a text begins or ends, as the child says too.
    pub(super) fn narrows(&self, parent: &Self) -> bool {
        let (Form::Glob(child), Form::Glob(glob)) = (&self.form, &parent.form) else {
            return self == parent;
        };
        let is_plain = |text: &str| !text.contains('*');
        let begins = glob.strip_suffix('*').filter(|prefix| is_plain(prefix));
        let ends = glob.strip_prefix('*').filter(|suffix| is_plain(suffix));
        self == parent
            || begins.is_some_and(|prefix| child.starts_with(prefix))
            || ends.is_some_and(|suffix| child.ends_with(suffix))
    }
}

fn compile(name: &'static str, expression: &str) -> Result<Regex, InvalidConstraint> {
    RegexBuilder::new(&format!(r"\A{expression}\z"))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build()
        .map_err(|error| wrong(name, format!("{error}")))
}
