//! Real agent work, replayed: what users ask for, what attackers slip in, and which of it goes through.
//!
//! ```text
//! Suite, Catalog --plan--> Runs --drive(decide)--> verdicts --tally--> Table, Table --> Report
//! ```
//!
//! A suite says which calls answer a user's request and which would give an attacker what he wants. Each request is replayed
//! alone, then under every injection that has calls to make, twice: with the injection's calls after the user's first, and
//! after the last. Nobody answers holds: a held call did not run.
//!
//! A corpus has conversations and no attackers. Each is replayed as one task that every turn amends with what the user said, and
//! the question is only what the pack costs them:
//!
//! ```text
//! Corpus --converse--> Judgements --friction--> Friction
//! ```
//!
//! Chains, in [`chains`], have several agents, and what tools gave them.
//!
//! **Invariant**: planning and tallying are pure and never look at verdicts and calls the wrong way round: what the user
//! named is read off the prompt alone, and a verdict comes from whoever decides, here or behind a real gate.

mod catalog;
pub mod chains;
mod conversation;
mod drive;
mod friction;
mod named;
mod plan;
mod report;
mod stage;
mod suite;
mod tally;

pub use catalog::Catalog;
pub use conversation::{Conversation, Corpus, LeftOut, OtherResults, Results, Turn};
pub use drive::drive;
pub use friction::{Friction, friction};
pub use named::{NAMED_BYTES_MAX, NAMED_MAX, named_values};
pub use plan::{By, Run, Scope, Setting, Step, plan};
pub use report::Report;
pub use stage::{Judgement, Stage};
pub use suite::{Call, Injection, Suite, UserTask};
pub use tally::{Table, tally};

#[cfg(test)]
mod tests;
