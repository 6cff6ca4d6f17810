//! What people are told: enough to know whether to look, and nothing that they could decide by without looking.
//!
//! **Invariant**: no argument of the action is in it, secret or not; the page that a message links to shows them to whoever may
//! see them. Text that agents, tools and packs wrote is one line without control characters, and bounded.

use checkrein_shared::id::NotificationId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Kind;
use crate::database::from_ms;

/// A name is cut after so many characters.
const NAME_CHARS_MAX: usize = 300;
/// Text is cut after so many.
const TEXT_CHARS_MAX: usize = 1_000;
/// So many names of a list are given.
const NAMES_MAX: usize = 20;

/// What is known of an event; kept with it, so that a later try says the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub hold: String,
    pub task: String,
    pub tool: String,
    pub agent: String,
    pub user: String,
    pub environment: String,
    /// Why it was held.
    pub reason: String,
    /// Who is asked.
    pub groups: Vec<String>,
    /// Until when; 0: nobody is asked any more.
    pub decide_by_ms: u64,
    /// Who answered.
    pub by: Vec<String>,
    /// What they said.
    pub said: String,
    /// The standing approval that this is about; empty: it is about the hold.
    pub standing: String,
    /// Why a group is told that no rule names, or who may act beside those that rules name.
    #[serde(default)]
    pub note: String,
}

/// One event, for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub id: NotificationId,
    pub kind: Kind,
    pub happened_ms: u64,
    pub facts: Facts,
    /// The page of the hold.
    pub link: Option<String>,
}

impl Facts {
    /// The same, harmless and short.
    pub(super) fn tidied(self) -> Self {
        let name = |text: String| one_line(&text, NAME_CHARS_MAX);
        let names = |names: Vec<String>| names.into_iter().take(NAMES_MAX).map(name).collect();
        Self {
            hold: self.hold,
            task: self.task,
            tool: name(self.tool),
            agent: name(self.agent),
            user: name(self.user),
            environment: name(self.environment),
            reason: one_line(&self.reason, TEXT_CHARS_MAX),
            groups: names(self.groups),
            decide_by_ms: self.decide_by_ms,
            by: names(self.by),
            said: one_line(&self.said, TEXT_CHARS_MAX),
            standing: self.standing,
            note: one_line(&self.note, TEXT_CHARS_MAX),
        }
    }
}

impl Message {
    /// The first line.
    pub(super) fn title(&self) -> String {
        if self.kind == Kind::Test {
            self.kind.title().to_owned()
        } else {
            format!("{}: {}", self.kind.title(), self.facts.tool)
        }
    }

    /// What there is to say, each with its name, in the order in which people read it.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let facts = &self.facts;
        let deadline = if facts.decide_by_ms == 0 {
            String::new()
        } else {
            rfc3339(facts.decide_by_ms)
        };
        let lines = [
            ("Tool", facts.tool.clone()),
            ("Agent", facts.agent.clone()),
            ("For", facts.user.clone()),
            ("In", facts.environment.clone()),
            ("Because", facts.reason.clone()),
            ("Asks", facts.groups.join(", ")),
            ("Note", facts.note.clone()),
            ("Answer by", deadline),
            ("By", facts.by.join(", ")),
            ("Saying", facts.said.clone()),
            ("Hold", facts.hold.clone()),
            ("Standing approval", facts.standing.clone()),
        ];
        lines.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// A moment as events and people read it.
pub(super) fn rfc3339(ms: u64) -> String {
    let moment: OffsetDateTime = from_ms(ms);
    moment.format(&Rfc3339).unwrap_or_default()
}

/// Text of others on one line: what could end the line, colour it, turn its direction or hide in it is replaced.
fn one_line(text: &str, chars_max: usize) -> String {
    let mut line: String = text.chars().take(chars_max).map(shown).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

fn shown(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{61c}'
        | '\u{fff9}'..='\u{fffb}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
