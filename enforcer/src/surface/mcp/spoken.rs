//! Which era is spoken on one connection: its client says so, with what it asks for.
//!
//! **Invariant**: `initialize` decides for good. Before it each request is of the revision that it says itself, and one of a revision
//! that is not spoken here is no request.

use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;

use super::methods::Era;
use super::stateless::{Envelope, NotOfIt};

/// The era, as far as it is known.
#[derive(Debug)]
pub(super) struct Spoken(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    era: Era,
    is_decided: bool,
}

impl Spoken {
    /// This one; none: the client decides.
    pub(super) fn new(era: Option<Era>) -> Self {
        Self(Mutex::new(State {
            era: era.unwrap_or(Era::Handshake),
            is_decided: era.is_some(),
        }))
    }

    /// What is spoken now.
    pub(super) fn now(&self) -> Era {
        // Nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).era
    }

    /// Whether that stays so.
    pub(super) fn is_decided(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_decided
    }

    /// Which era a request of the client is of.
    pub(super) fn hears(&self, method: &str, params: Option<&RawValue>) -> Result<Era, NotOfIt> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_decided {
            return Ok(state.era);
        }
        let envelope = Envelope::of(params);
        if envelope.revision.is_some() {
            envelope.check()?;
            state.era = Era::Stateless;
        } else if method == "initialize" {
            *state = State {
                era: Era::Handshake,
                is_decided: true,
            };
        } else if state.era == Era::Stateless {
            envelope.check()?;
        }
        Ok(state.era)
    }
}

#[cfg(test)]
mod tests;
