//! What becomes of a set of situations, or of a quantity, as inputs rise.

/// Both: it does not depend on them. Neither: nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trend {
    /// What is in the set stays in it; the quantity never falls.
    pub(super) grows: bool,
    /// What is outside of it stays outside; the quantity never rises.
    pub(super) shrinks: bool,
}

impl Trend {
    pub(super) const STEADY: Self = Self::new(true, true);
    pub(super) const UNKNOWN: Self = Self::new(false, false);
    pub(super) const RISING: Self = Self::new(true, false);
    pub(super) const FALLING: Self = Self::new(false, true);

    const fn new(grows: bool, shrinks: bool) -> Self {
        Self { grows, shrinks }
    }

    /// Of the complement of the set; of the quantity negated.
    pub(super) const fn flipped(self) -> Self {
        Self::new(self.shrinks, self.grows)
    }

    /// Of the intersection, and of the union, of two sets; of the sum of two quantities.
    pub(super) const fn with(self, other: Self) -> Self {
        Self::new(self.grows && other.grows, self.shrinks && other.shrinks)
    }

    /// Of a set that two ways of looking at it say something about.
    pub(super) const fn or_shown(self, other: Self) -> Self {
        Self::new(self.grows || other.grows, self.shrinks || other.shrinks)
    }

    /// Of the situations in which the first quantity is less than the other.
    pub(super) const fn less(self, other: Self) -> Self {
        self.flipped().with(other)
    }
}
