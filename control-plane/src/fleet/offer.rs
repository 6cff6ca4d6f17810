//! What to offer an enforcer next: pure, so that it can be tested without a stream.
//!
//! **Invariant**: at most one offer is unanswered; what this build refused is not offered again; what it runs is not offered.

use std::collections::HashSet;

use checkrein_shared::action::Sha256;
use checkrein_shared::id::Generation;

/// What a stream knows of its enforcer.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers {
    running: Option<Sha256>,
    refused: HashSet<Sha256>,
    unanswered: Option<(u64, Offer)>,
    last_nonce: u64,
}

/// A bundle that was offered. What an answer says of it beside its nonce is not believed: this is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) generation: Generation,
    pub(super) digest: Sha256,
}

/// An answer that belongs to no offer of this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownNonce;

impl Offers {
    /// What the enforcer said it runs, and what its build refused before.
    pub(super) fn new(running: Option<Sha256>, refused: impl IntoIterator<Item = Sha256>) -> Self {
        Self {
            running,
            refused: refused.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The nonce to offer `newest` under, if it should be offered now.
    pub(super) fn offer(&mut self, newest: Offer) -> Option<u64> {
        let digest = newest.digest;
        if self.unanswered.is_some() || self.running == Some(digest) || self.refused.contains(&digest) {
            return None;
        }
        self.last_nonce += 1;
        self.unanswered = Some((self.last_nonce, newest));
        Some(self.last_nonce)
    }

    /// The enforcer runs what it was offered.
    pub(super) fn acked(&mut self, nonce: u64) -> Result<Offer, UnknownNonce> {
        let offer = self.answered(nonce)?;
        self.running = Some(offer.digest);
        Ok(offer)
    }

    /// The enforcer refused it.
    pub(super) fn nacked(&mut self, nonce: u64) -> Result<Offer, UnknownNonce> {
        let offer = self.answered(nonce)?;
        self.refused.insert(offer.digest);
        Ok(offer)
    }

    fn answered(&mut self, nonce: u64) -> Result<Offer, UnknownNonce> {
        match self.unanswered {
            Some((expected, offer)) if expected == nonce => {
                self.unanswered = None;
                Ok(offer)
            }
            _ => Err(UnknownNonce),
        }
    }
}

#[cfg(test)]
mod tests;
