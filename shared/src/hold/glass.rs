//! Broken glass: two people let something happen over the heads of those who did not answer, and somebody looks at it later.

use crate::identity::SpiffeId;

/// One of those who wanted the glass broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Who.
    pub approver: SpiffeId,
    /// Why.
    pub reason: String,
    /// When, by the database's clock.
    pub broken_ms: u64,
}

/// What somebody found who looked at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub by: SpiffeId,
    /// Whether it was right.
    pub finding: Finding,
    /// Why.
    pub reason: String,
    /// When, by the database's clock; 0 until it is written down.
    pub reviewed_ms: u64,
}

/// Whether it was right to break the glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It was.
    Justified,
    /// It was not.
    Unjustified,
}

impl Finding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Justified, Self::Unjustified];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::Unjustified => "unjustified",
        }
    }

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.as_str() == word)
    }
}
