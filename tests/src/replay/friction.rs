//! Friction: what a pack costs people who do nothing wrong.
//!
//! **Invariant**: every call of every conversation is counted once as permitted, held or denied, and what is not permitted is
//! listed by name.

use std::collections::BTreeMap;
use std::fmt;

use checkrein_shared::decision::Verdict;
use checkrein_shared::policy::{Pack, Tool};
use serde::Serialize;

use super::conversation::Conversation;
use super::stage::Judgement;

/// What came of one set of conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Friction {
    /// Conversations.
    pub conversations: usize,
    /// Of them: every call was permitted.
    pub untouched: usize,
    /// A call waits for people, and none is denied.
    pub waiting: usize,
    /// A call is denied.
    pub broken: usize,
    /// All calls.
    pub calls: Count,
    /// Calls by each effect of their tools: one that writes and sends is counted under both.
    pub by_effect: BTreeMap<String, Count>,
    /// Calls that are not permitted, by tool.
    pub by_tool: BTreeMap<String, Count>,
    /// Holds by the rule that asks for them; two rules may ask at once.
    pub held_by: BTreeMap<String, usize>,
    /// Conversation, tool and rules of what waits, and how many such calls there are.
    pub holds: BTreeMap<String, usize>,
    /// Conversation, tool and cause of what is denied, and how many such calls there are.
    pub denials: BTreeMap<String, usize>,
}

/// What came of some calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All of them.
    pub all: usize,
    /// Went through.
    pub permitted: usize,
    /// Wait for people.
    pub held: usize,
    /// Did not.
    pub denied: usize,
}

/// Counts what was decided about every call of these conversations, in their order.
pub fn friction(pack: &Pack, conversations: &[Conversation], judgements: &[Vec<Judgement>]) -> Friction {
    let tools: BTreeMap<&str, &Tool> = pack.tools().map(|tool| (tool.id.as_str(), tool)).collect();
    let mut friction = Friction::default();
    for (conversation, judgements) in conversations.iter().zip(judgements) {
        friction.conversation(judgements);
        for (call, judgement) in conversation.calls().zip(judgements) {
            let tool = tools.get(call.tool.as_str()).copied();
            friction.call(&call.tool, tool, judgement);
            let (stopped, why) = match judgement.verdict {
                Verdict::Permit => continue,
                Verdict::Hold => (&mut friction.holds, judgement.rules.join(" ")),
                Verdict::Deny => (&mut friction.denials, judgement.cause.to_string()),
            };
            let which = format!("{conversation} {} {why}", call.tool);
            *stopped.entry(which).or_default() += 1;
        }
    }
    friction.by_tool.retain(|_, count| count.permitted < count.all);
    friction
}

impl Friction {
    fn conversation(&mut self, judgements: &[Judgement]) {
        self.conversations += 1;
        *match judgements.iter().map(|judgement| judgement.verdict).max() {
            None | Some(Verdict::Permit) => &mut self.untouched,
            Some(Verdict::Hold) => &mut self.waiting,
            Some(Verdict::Deny) => &mut self.broken,
        } += 1;
    }

    fn call(&mut self, name: &str, tool: Option<&Tool>, judgement: &Judgement) {
        self.calls.add(judgement.verdict);
        self.by_tool
            .entry(name.to_owned())
            .or_default()
            .add(judgement.verdict);
        for effect in tool.into_iter().flat_map(|tool| &tool.effects) {
            self.by_effect
                .entry(effect.to_string())
                .or_default()
                .add(judgement.verdict);
        }
        if judgement.verdict == Verdict::Hold {
            for rule in &judgement.rules {
                *self.held_by.entry(rule.clone()).or_default() += 1;
            }
        }
    }
}

impl Count {
    fn add(&mut self, verdict: Verdict) {
        self.all += 1;
        *match verdict {
            Verdict::Permit => &mut self.permitted,
            Verdict::Hold => &mut self.held,
            Verdict::Deny => &mut self.denied,
        } += 1;
    }
}

impl fmt::Display for Friction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {} conversations: {} untouched, {} wait for people, {} have a call denied",
            self.conversations, self.untouched, self.waiting, self.broken
        )?;
        writeln!(
            f,
            "\n  {:<32}{:>7}{:>11}{:>7}{:>8}{:>16}",
            "", "calls", "permitted", "held", "denied", "held of 100"
        )?;
        row(f, "all", self.calls)?;
        for (effect, count) in &self.by_effect {
            row(f, effect, *count)?;
        }
        writeln!(f)?;
        for (tool, count) in &self.by_tool {
            row(f, tool, *count)?;
        }
        writeln!(f)?;
        for (rule, held) in &self.held_by {
            writeln!(f, "  {rule:<32}{held:>7} held")?;
        }
        if self.denials.is_empty() {
            writeln!(f, "  denied: none")?;
        }
        for (which, denied) in &self.denials {
            writeln!(f, "  {which:<56} {denied} denied")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: Count) -> fmt::Result {
    let per_mille = count.held * 1_000 / count.all.max(1);
    writeln!(
        f,
        "  {name:<32}{:>7}{:>11}{:>7}{:>8}{:>14}.{}",
        count.all,
        count.permitted,
        count.held,
        count.denied,
        per_mille / 10,
        per_mille % 10
    )
}

#[cfg(test)]
mod tests;
