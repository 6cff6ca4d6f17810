//! Grants that were verified before: the signatures of what is presented are checked once per key set.
//!
//! Looked up by the first letters of the last token's own signature, and believed only if the whole chain of tokens is the one
//! that was verified. A hash over it would do as well, and cost more than the rest of the look-up.
//!
//! **Invariant**: what is remembered was signed by a key of the set it is remembered under, and never takes more than
//! [`REMEMBERED_BYTES_MAX`], however many grants live. What was forgotten is verified anew.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::grant::{Chain, InvalidGrant};
use checkrein_shared::key::KeySet;

/// Chains of tokens and the grants read from them may take so much, roughly.
const REMEMBERED_BYTES_MAX: usize = 64 << 20;
/// What a chain takes beside its text and as much again for what was read from it.
const ENTRY_BYTES: usize = 512;
/// An Ed25519 signature in base64url.
const SIGNATURE_CHARS: usize = 86;
/// Letters of it that it is known by: 96 bits. Nobody makes two signatures that begin alike, and who did would only have them
/// verified in turns.
const KNOWN_BY_CHARS: usize = 16;

/// Only good ones.
#[derive(Debug, Default)]
pub(crate) struct VerifiedGrants {
    known: Mutex<Known>,
}

/// Two generations: what was not asked for while the young one filled is forgotten with the old.
#[derive(Debug, Default)]
struct Known {
    key_set_version: u64,
    young: BySignature,
    young_bytes: usize,
    old: BySignature,
}

/// How a signature begins. Short, so that many are looked up without leaving the processor's nearest memory.
type Signature = [u8; KNOWN_BY_CHARS];

type BySignature = HashMap<Signature, Remembered>;

#[derive(Debug)]
struct Remembered {
    presented: Box<str>,
    chain: Arc<Chain>,
}

impl VerifiedGrants {
    /// The chain whose root a key in use signed.
    pub(crate) fn verify(&self, presented: &str, keys: &KeySet) -> Result<Arc<Chain>, InvalidGrant> {
        let last: &[u8; SIGNATURE_CHARS] =
            presented.as_bytes().last_chunk().ok_or(InvalidGrant::Malformed)?;
        let signature = *last.first_chunk().ok_or(InvalidGrant::Malformed)?;
        if let Some(chain) = self.known(keys).find(&signature, presented) {
            return Ok(chain);
        }
        let chain = Arc::new(Chain::verify(presented, &keys.grant)?);
        self.known(keys).remember(signature, presented, &chain);
        Ok(chain)
    }

    /// What is known under this key set; nothing yet, if another was in use.
    fn known(&self, keys: &KeySet) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.key_set_version != keys.version {
            *known = Known {
                key_set_version: keys.version,
                ..Known::default()
            };
        }
        known
    }
}

impl Known {
    fn find(&mut self, signature: &Signature, presented: &str) -> Option<Arc<Chain>> {
        let is_it = |remembered: &&Remembered| *remembered.presented == *presented;
        if let Some(remembered) = self.young.get(signature).filter(is_it) {
            return Some(Arc::clone(&remembered.chain));
        }
        let remembered = self.old.remove(signature)?;
        let found = is_it(&&remembered).then(|| Arc::clone(&remembered.chain));
        if found.is_some() {
            self.put(*signature, remembered);
        }
        found
    }

    fn remember(&mut self, signature: Signature, presented: &str, chain: &Arc<Chain>) {
        let (presented, chain) = (presented.into(), Arc::clone(chain));
        self.put(signature, Remembered { presented, chain });
    }

    fn put(&mut self, signature: Signature, remembered: Remembered) {
        let bytes = remembered.presented.len() * 2 + ENTRY_BYTES;
        if self.young_bytes + bytes > REMEMBERED_BYTES_MAX / 2 {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(signature, remembered).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests;
