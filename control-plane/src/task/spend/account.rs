//! The arithmetic of one budget in one window.
//!
//! **Invariant**: what is reserved was free; nothing is lost and nothing appears: an amount is spent, reserved or unknown until it is
//! returned. More than the limit is spent only by what a tool really used beyond what was reserved for it.

use checkrein_shared::ledger::AMOUNT_MAX;

/// What became of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::task) struct Account {
    /// Used up by calls that have ended.
    pub(in crate::task) spent: u64,
    /// Held for calls under way.
    pub(in crate::task) reserved: u64,
    /// Held for calls whose end nobody knows.
    pub(in crate::task) unknown: u64,
}

/// Whether an amount can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task) enum Room {
    /// Now.
    Free,
    /// Not now, but if calls under way give back enough.
    Busy,
    /// No more.
    UsedUp,
}

/// What becomes of an amount that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task) enum End {
    /// So much was used up.
    Settled(u64),
    /// It was not used.
    Returned,
    /// Nobody knows.
    Unknown,
}

/// Where an amount is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task) enum Held {
    /// For a call under way.
    Reserved,
    /// For one whose end nobody knows.
    Unknown,
}

impl Account {
    /// All that can't be had.
    pub(in crate::task) const fn taken(&self) -> u64 {
        self.spent
            .saturating_add(self.reserved)
            .saturating_add(self.unknown)
    }

    /// Whether this amount can be had under this limit.
    pub(in crate::task) const fn room(&self, amount: u64, limit: u64) -> Room {
        if self.taken().saturating_add(amount) <= limit {
            Room::Free
        } else if self.taken().saturating_sub(self.reserved).saturating_add(amount) <= limit {
            Room::Busy
        } else {
            Room::UsedUp
        }
    }

    /// Holds an amount for which there is room.
    pub(in crate::task) fn reserve(&mut self, amount: u64) {
        self.reserved = self.reserved.saturating_add(amount).min(AMOUNT_MAX);
    }

    /// Ends the holding of an amount.
    pub(in crate::task) fn close(&mut self, held: Held, amount: u64, end: End) {
        match held {
            Held::Reserved => self.reserved = self.reserved.saturating_sub(amount),
            Held::Unknown => self.unknown = self.unknown.saturating_sub(amount),
        }
        match end {
            End::Settled(actual) => self.spent = self.spent.saturating_add(actual).min(AMOUNT_MAX),
            End::Returned => {}
            End::Unknown => self.unknown = self.unknown.saturating_add(amount).min(AMOUNT_MAX),
        }
    }
}

#[cfg(test)]
mod tests;
