//! How sensitive data is: four labels that have an order.
//!
//! **Invariant**: a task is as sensitive as the most sensitive data that was released in it.

use std::fmt;

use crate::label::Label;

/// How much harm it does if the wrong people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Sensitivity {
    /// None.
    #[default]
    Public,
    /// It stays in the house.
    Internal,
    /// It stays with those who need it.
    Confidential,
    /// It stays where it is.
    Restricted,
}

impl Sensitivity {
    /// Every one of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Confidential, Self::Restricted];

    /// As packs and ledgers write it: it is a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }

    /// The one of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// As rules compare it: 0 is public, 3 restricted.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// The highest among labels; public, if none says.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a Label>) -> Self {
        let named = labels.into_iter().filter_map(|label| Self::named(label.as_str()));
        named.max().unwrap_or_default()
    }

    /// The label that stands for it; none stands for what is public.
    pub fn label(self) -> Option<Label> {
        (self > Self::Public)
            .then(|| self.as_str().parse().ok())
            .flatten()
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
