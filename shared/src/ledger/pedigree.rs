//! Where values came from: what the results of a task's calls carried, by who is to be believed about it.
//!
//! Addresses, accounts, links, ids: what a result carries is fingerprinted with a key that is only in memory, so that the ledger
//! can say later that an argument is a value it has seen, and nobody can read from it which values those are.
//!
//! **Invariant**: a value is believed to come from a system of record only if it stood in what such a one gave, whole. What was too much
//! to remember of untrusted content makes every value suspect that nobody else vouches for.

use std::collections::BTreeSet;

use ring::hmac;
use serde::Deserialize;

use crate::action::{Arguments, Json, MaskingKey};
use crate::id::TaskId;

/// Of one result so many values are remembered.
pub const RESULT_VALUES_MAX: usize = 512;
/// Of a task so many.
pub const TASK_VALUES_MAX: usize = 8_192;
/// A call is asked about with at most so many values.
pub const ARGUMENT_VALUES_MAX: usize = 256;
/// At most so much of a result is looked through.
pub const RESULT_BYTES_MAX: usize = 1 << 20;
/// A value has at least so many characters: shorter ones stand everywhere.
const VALUE_CHARS_MIN: usize = 4;
/// And at most so many.
const VALUE_CHARS_MAX: usize = 512;
/// A word with so many digits is taken for the number of something.
const DIGITS_MIN: usize = 4;
/// What every fingerprint begins with, so that its hashes are no others'.
const TAG: &[u8] = b"checkrein.value.v1";

/// A value of a task, as the ledger keeps it: 96 bits of HMAC-SHA256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 12]);

/// Who is to be believed about a value that a tool gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// A system of record: it says what is so.
    Trusted,
    /// Anybody could have written it.
    Untrusted,
}

/// Values of one result or of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values {
    /// Each once, in the form in which they are compared.
    pub values: BTreeSet<String>,
    /// There were more.
    pub lost: bool,
}

/// What one result carried, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who is to be believed about it.
    pub trust: Trust,
    /// Its values.
    pub values: Vec<Fingerprint>,
    /// There were more, or nobody looked.
    pub lost: bool,
}

/// Where a value came from, as far as a ledger remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CameFrom {
    /// A system of record gave it.
    pub trusted: bool,
    /// It stood in untrusted content.
    pub untrusted: bool,
}

/// What is known of the values of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pedigree {
    /// Those that a system of record gave.
    pub trusted: BTreeSet<String>,
    /// Those that stood in untrusted content.
    pub untrusted: BTreeSet<String>,
    /// More stood in it than was remembered: any value could have.
    pub lost: bool,
}

impl Trust {
    /// As the catalog writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

impl Fingerprint {
    /// Of a value in a task: the same in every enforcer that has the key.
    pub fn of(key: &MaskingKey, task: TaskId, value: &str) -> Self {
        let mut context = key.begin();
        context.update(TAG);
        context.update(task.uuid().as_bytes());
        context.update(value.as_bytes());
        Self::cut(&context.sign())
    }

    fn cut(tag: &hmac::Tag) -> Self {
        let mut bytes = [0; 12];
        bytes.copy_from_slice(&tag.as_ref()[..12]);
        Self(bytes)
    }
}

impl Values {
    /// Of what a tool gave: the scalars of JSON, and whatever stands in their text that looks like a name for something.
    pub fn of_result(content: &[u8]) -> Self {
        let (content, is_cut) = match content.get(..RESULT_BYTES_MAX) {
            Some(start) if content.len() > RESULT_BYTES_MAX => (start, true),
            _ => (content, false),
        };
        let mut values = Self {
            lost: is_cut,
            ..Self::default()
        };
        match serde_json::from_slice::<serde_json::Value>(content) {
            Ok(json) => values.add_json(&json),
            Err(_) => values.add_text(&String::from_utf8_lossy(content), RESULT_VALUES_MAX),
        }
        values
    }

    /// Of the arguments of a call.
    pub fn of_arguments(arguments: &Arguments) -> Self {
        let mut values = Self::default();
        for (_, json) in arguments.members() {
            values.add_argument(json);
        }
        values
    }

    /// Of one argument.
    pub fn of_argument(json: &Json) -> Self {
        let mut values = Self::default();
        values.add_argument(json);
        values
    }

    fn add_argument(&mut self, json: &Json) {
        match json {
            Json::Null | Json::Bool(_) => {}
            Json::Number(number) => self.put(plain(number.as_str()), ARGUMENT_VALUES_MAX),
            Json::String(text) => self.add_text(text, ARGUMENT_VALUES_MAX),
            Json::Array(elements) => elements.iter().for_each(|element| self.add_argument(element)),
            Json::Object(members) => members.iter().for_each(|(_, member)| self.add_argument(member)),
        }
    }

    /// A tool of the MCP kind gives text in which JSON stands.
    fn add_json(&mut self, json: &serde_json::Value) {
        use serde_json::Value;
        match json {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.put(plain(&number.to_string()), RESULT_VALUES_MAX),
            Value::String(text) => match text.trim_start().as_bytes().first() {
                Some(b'{' | b'[') => match serde_json::from_str::<Value>(text) {
                    // No deeper: what stands in the text of the text is text.
                    Ok(inner) => self.add_flat(&inner),
                    Err(_) => self.add_text(text, RESULT_VALUES_MAX),
                },
                _ => self.add_text(text, RESULT_VALUES_MAX),
            },
            Value::Array(elements) => elements.iter().for_each(|element| self.add_json(element)),
            Value::Object(members) => members.values().for_each(|member| self.add_json(member)),
        }
    }

    fn add_flat(&mut self, json: &serde_json::Value) {
        use serde_json::Value;
        match json {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.put(plain(&number.to_string()), RESULT_VALUES_MAX),
            Value::String(text) => self.add_text(text, RESULT_VALUES_MAX),
            Value::Array(elements) => elements.iter().for_each(|element| self.add_flat(element)),
            Value::Object(members) => members.values().for_each(|member| self.add_flat(member)),
        }
    }

    /// The whole text, if it may be a value, and the words in it that name something.
    fn add_text(&mut self, text: &str, max: usize) {
        self.put(text, max);
        for word in text.split(is_between) {
            let word = word.trim_matches(is_around);
            if names_something(word) {
                self.put(word, max);
                if let Some(host) = host_of(word) {
                    self.put(host, max);
                }
            }
        }
    }

    fn put(&mut self, text: &str, max: usize) {
        let Some(value) = normal(text) else { return };
        if self.values.len() >= max && !self.values.contains(&value) {
            self.lost = true;
            return;
        }
        self.values.insert(value);
    }
}

impl CameFrom {
    /// As it is sent and kept.
    pub const fn bits(self) -> u8 {
        self.trusted as u8 | (self.untrusted as u8) << 1
    }

    /// What the bits say.
    pub const fn of_bits(bits: u8) -> Self {
        Self {
            trusted: bits & 1 != 0,
            untrusted: bits & 2 != 0,
        }
    }
}

impl Pedigree {
    /// Of values that were asked about, in that order. A value that nothing was said of could have come from anywhere.
    pub fn of(asked: Values, known: &[CameFrom], lost: bool) -> Self {
        let mut pedigree = Self {
            lost: lost || asked.lost || known.len() < asked.values.len(),
            ..Self::default()
        };
        for (value, from) in asked.values.into_iter().zip(known) {
            if from.trusted {
                pedigree.trusted.insert(value.clone());
            }
            if from.untrusted {
                pedigree.untrusted.insert(value);
            }
        }
        pedigree
    }

    /// Whether every value of an argument was given by a system of record, or is one that `named` says the user named.
    pub fn is_trusted(&self, json: &Json, named: impl Fn(&str) -> bool) -> bool {
        let mut whole = BTreeSet::new();
        scalars(json, &mut whole);
        let vouched =
            |value: &String| named(value) || normal(value).is_some_and(|value| self.trusted.contains(&value));
        !whole.is_empty() && whole.iter().all(vouched)
    }

    /// Whether a value in an argument stood in untrusted content, and the user did not name it.
    pub fn is_untrusted(&self, json: &Json, named: impl Fn(&str) -> bool) -> bool {
        let mut whole = BTreeSet::new();
        scalars(json, &mut whole);
        if whole.iter().all(|value| named(value)) {
            return false;
        }
        let values = Values::of_argument(json);
        let suspect =
            |value: &String| self.untrusted.contains(value) || (self.lost && !self.trusted.contains(value));
        values.lost || values.values.iter().filter(|value| !named(value)).any(suspect)
    }
}

/// The scalars of an argument, as they were written.
fn scalars(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => {
            found.insert(plain(number.as_str()).to_owned());
        }
        Json::String(text) => {
            found.insert(text.clone());
        }
        Json::Array(elements) => elements.iter().for_each(|element| scalars(element, found)),
        Json::Object(members) => members.iter().for_each(|(_, member)| scalars(member, found)),
    }
}

/// A value in the form in which it is compared: without the spaces around it, and in lower case. None: it is too short or too long to
/// say anything.
fn normal(text: &str) -> Option<String> {
    let text = text.trim();
    let chars = text.chars().count();
    (VALUE_CHARS_MIN..=VALUE_CHARS_MAX)
        .contains(&chars)
        .then(|| text.to_lowercase())
}

/// A number without the zeros that say nothing: `100.0` is `100`.
fn plain(number: &str) -> &str {
    if number.contains('.') && !number.contains(['e', 'E']) {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

/// What stands between words.
fn is_between(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '<' | '>' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|'
        )
}

/// What stands around a word and is no part of it.
fn is_around(c: char) -> bool {
    matches!(c, '.' | ':' | '!' | '?' | '*' | '_' | '#' | '=')
}

/// Whether a word is the address, link, account, number or host name of something.
fn names_something(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let dotted = || {
        let (_, last) = word.rsplit_once('.').unwrap_or_default();
        last.len() >= 2
            && last
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'/')
    };
    digits >= DIGITS_MIN || word.contains('@') || word.contains("://") || dotted()
}

/// The host of a link or of an address.
fn host_of(word: &str) -> Option<&str> {
    let rest = word.split_once("://").map(|(_, rest)| rest);
    let rest = rest.or_else(|| word.rsplit_once('@').map(|(_, host)| host))?;
    let end = rest.find(['/', '?', '#', ':']).unwrap_or(rest.len());
    let host = rest.get(..end)?;
    Some(host.rsplit_once('@').map_or(host, |(_, host)| host))
}

#[cfg(test)]
mod tests;
