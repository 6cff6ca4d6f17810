//! One command of a POSIX shell: a program and its words.
//!
//! A command line is made of blanks, words of harmless characters, and quotes without anything that expands inside
//! them. That much every shell reads alike; all the rest of its language (expansion, substitution, redirection, operators,
//! globs, comments, escapes, lines) is refused. No crate does this: those for splitting words read comments and
//! lines as part of the language.
//!
//! **Invariant**: an admitted line runs one program that is listed, and its arguments are admitted each. What the program makes
//! of them is not known here: a program that runs others (`env`, `find`, `git`) needs `arguments` that say which.

use serde_json::{Value, json};

use super::json::{parse_within, write};
use super::member::{Budget, Members, wrong};
use super::{Constraint, InvalidConstraint, Refused, met};
use crate::action::Json;

/// What stands for itself outside quotes, beside letters and digits.
const PLAIN: &[u8] = b"_-+=:,./@";

/// Programs, and what their arguments must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    programs: Vec<String>,
    /// Each argument meets it. None: there may be no argument.
    arguments: Option<Box<Constraint>>,
}

impl Command {
    pub(super) fn read(members: &mut Members<'_>, budget: &mut Budget) -> Result<Self, InvalidConstraint> {
        let programs = budget.texts("programs", members.take("programs")?)?;
        let is_program = |name: &String| {
            let is_plain = name.bytes().all(|byte| is_plain(byte) && byte != b'=');
            is_plain && !name.is_empty() && !name.starts_with('-')
        };
        if !programs.iter().all(is_program) {
            return Err(wrong(
                "programs",
                "each must be the name or path of a program, as it is typed",
            ));
        }
        let arguments = members.optional("arguments");
        let arguments = arguments.map(|json| parse_within(json, budget).map(Box::new));
        let arguments = arguments.transpose()?;
        Ok(Self { programs, arguments })
    }

    pub(super) fn write(&self) -> Value {
        let mut command = json!({"constraint_type": "shell", "programs": self.programs});
        if let Some(arguments) = &self.arguments {
            command["arguments"] = write(arguments);
        }
        command
    }

    pub(super) fn admits(&self, line: &str) -> Result<(), Refused> {
        let words = words(line)?;
        let (program, arguments) = words.split_first().ok_or(Refused("there is no command"))?;
        // A quoted first word is no keyword and no alias; so is one that is listed and harmless.
        met(
            self.programs.contains(program),
            "the program is not one of those that are allowed",
        )?;
        let Some(constraint) = &self.arguments else {
            return met(arguments.is_empty(), "the program may have no arguments");
        };
        arguments
            .iter()
            .try_for_each(|word| constraint.admits(&Json::String(word.clone())))
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        let programs = self.programs.iter().all(|it| parent.programs.contains(it));
        let arguments = match (&self.arguments, &parent.arguments) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(child), Some(parent)) => child.narrows(parent),
        };
        programs && arguments
    }
}

/// The words of a line, as every shell would split it.
fn words(line: &str) -> Result<Vec<String>, Refused> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(' ');
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_start_matches(' ');
    }
    Ok(words)
}

/// The word at the beginning, and what follows it.
fn word(text: &str) -> Result<(String, &str), Refused> {
    // Some shells replace `=name` by where that program is.
    met(
        !text.starts_with('='),
        "a word begins in a way that some shells expand",
    )?;
    let (mut word, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next().filter(|first| *first != ' ') {
        let quoted = ['\'', '"'].contains(&first).then(|| rest[1..].split_once(first));
        let (part, after) = match quoted {
            Some(Some((part, after))) => (part, after),
            Some(None) => return Err(Refused("a quote is not closed")),
            None => rest.split_at(rest.find(['\'', '"', ' ']).unwrap_or(rest.len())),
        };
        met(
            is_literal(part, first),
            "the command has something a shell may expand, or more than one command",
        )?;
        word.push_str(part);
        rest = after;
    }
    Ok((word, rest))
}

/// Whether a shell leaves this as it is, within such quotes or without.
fn is_literal(part: &str, quote: char) -> bool {
    let is_text = |c: char| !c.is_control();
    match quote {
        '\'' => part.chars().all(is_text),
        '"' => part
            .chars()
            .all(|c| is_text(c) && !['$', '`', '\\', '!'].contains(&c)),
        _ => part.bytes().all(is_plain),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || PLAIN.contains(&byte)
}
