//! Conversations: what a user asks for, turn by turn, and the calls that answer.
//!
//! **Invariant**: what a user has said by a turn is that turn's words and those before, never later ones.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::suite::Call;

/// A file of conversations. Other members of the file are its own business.
#[derive(Debug, Clone, Deserialize)]
pub struct Corpus {
    /// Its name.
    pub set: String,
    /// What could not be converted, and so is not replayed.
    pub left_out: Vec<LeftOut>,
    /// What can.
    pub conversations: Vec<Conversation>,
}

/// A conversation that is not in its file.
#[derive(Debug, Clone, Deserialize)]
pub struct LeftOut {
    /// How many calls it had.
    pub calls: usize,
}

/// One conversation: one task.
#[derive(Debug, Clone, Deserialize)]
pub struct Conversation {
    /// Its name.
    pub id: String,
    /// In order.
    pub turns: Vec<Turn>,
}

/// One turn.
#[derive(Debug, Clone, Deserialize)]
pub struct Turn {
    /// The user's own words.
    pub user: String,
    /// The calls that answer them, with the names of their catalogs.
    pub calls: Vec<Call>,
    /// What each of them gave, as far as it is known; [`Corpus::give`] fills it.
    #[serde(skip)]
    pub results: Vec<Option<Value>>,
}

/// A file of what the calls of a corpus gave.
#[derive(Debug, Clone, Deserialize)]
pub struct Results {
    /// The name of its set.
    pub set: String,
    /// In the order of the corpus.
    conversations: Vec<Given>,
}

#[derive(Debug, Clone, Deserialize)]
struct Given {
    id: String,
    turns: Vec<Vec<Option<Value>>>,
}

/// Results that are of other conversations.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the results are not those of the conversations in `{0}`; make both from the same package")]
pub struct OtherResults(String);

impl Results {
    /// Reads a file of results.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

impl Corpus {
    /// Reads a file of conversations.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Gives each call its result.
    pub fn give(&mut self, results: Results) -> Result<(), OtherResults> {
        let other = || OtherResults(self.set.clone());
        if results.set != self.set || results.conversations.len() != self.conversations.len() {
            return Err(other());
        }
        for (conversation, given) in self.conversations.iter().zip(&results.conversations) {
            let calls = conversation.turns.iter().map(|turn| turn.calls.len());
            if conversation.id != given.id || !calls.eq(given.turns.iter().map(Vec::len)) {
                return Err(other());
            }
        }
        for (conversation, given) in self.conversations.iter_mut().zip(results.conversations) {
            for (turn, results) in conversation.turns.iter_mut().zip(given.turns) {
                turn.results = results;
            }
        }
        Ok(())
    }
}

impl Conversation {
    /// The tools of its own calls: what an orchestrator would give that knows them.
    pub fn scope(&self) -> BTreeSet<&str> {
        self.calls().map(|call| call.tool.as_str()).collect()
    }

    /// Every call, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.turns.iter().flat_map(|turn| &turn.calls)
    }

    /// All that the user has said by this turn, counted from zero.
    pub fn said_by(&self, turn: usize) -> String {
        let said: Vec<_> = self
            .turns
            .iter()
            .take(turn + 1)
            .map(|turn| turn.user.as_str())
            .collect();
        said.join("\n")
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}
