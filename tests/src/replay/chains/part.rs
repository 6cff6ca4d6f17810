//! What is played of each pair: the harm, the twin, and the harm's last call in a task of its own.

use std::fmt;

use super::story::{Domain, Pair, Story};

/// One task to play.
#[derive(Debug, Clone)]
pub struct Part {
    /// The domain of its pair.
    pub domain: String,
    /// The name of its pair.
    pub id: String,
    /// Which of the pair.
    pub which: Which,
    /// To whom the task is passed on.
    pub passed_on: Vec<String>,
    /// What is done in it.
    pub story: Story,
}

/// Which of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What does harm.
    Harm,
    /// What does none.
    Twin,
    /// Only the last call of the harm: whatever stops it here was not the chain.
    Alone,
}

/// Of every pair of these domains the three parts, in order.
pub fn parts(domains: &[Domain]) -> Vec<Part> {
    let pairs = domains
        .iter()
        .flat_map(|domain| domain.pairs.iter().map(move |pair| (domain, pair)));
    pairs
        .flat_map(|(domain, pair)| Which::ALL.map(|which| Part::of(&domain.domain, pair, which)))
        .collect()
}

impl Which {
    const ALL: [Self; 3] = [Self::Harm, Self::Twin, Self::Alone];
}

impl Part {
    fn of(domain: &str, pair: &Pair, which: Which) -> Self {
        let mut story = match which {
            Which::Harm | Which::Alone => pair.harm.clone(),
            Which::Twin => pair.twin.clone(),
        };
        if which == Which::Alone {
            story.steps.drain(..story.steps.len().saturating_sub(1));
        }
        Self {
            domain: domain.to_owned(),
            id: pair.id.clone(),
            which,
            passed_on: pair.passed_on.clone(),
            story,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.which {
            Which::Harm => "harm",
            Which::Twin => "twin",
            Which::Alone => "last call alone",
        };
        write!(f, "{}/{} ({which})", self.domain, self.id)
    }
}
