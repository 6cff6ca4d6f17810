//! Grants that were verified before: a signature is checked once per token and key set.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{Grant, InvalidGrant};
use checkrein_shared::key::KeySet;

/// So many tokens are remembered; full: all are forgotten and verified anew.
const GRANTS_MAX: usize = 4_096;

/// By the hash of the token; only good ones.
#[derive(Debug, Default)]
pub(super) struct VerifiedGrants {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    key_set_version: u64,
    by_token: HashMap<Sha256, Arc<Grant>>,
}

impl VerifiedGrants {
    /// The grant of a token that a key in use signed.
    pub(super) fn verify(&self, token: &str, keys: &KeySet) -> Result<Arc<Grant>, InvalidGrant> {
        let name = Sha256::of(token.as_bytes());
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.key_set_version != keys.version {
                known.by_token.clear();
                known.key_set_version = keys.version;
            }
            if let Some(grant) = known.by_token.get(&name) {
                return Ok(Arc::clone(grant));
            }
        }
        let grant = Arc::new(Grant::verify(token, &keys.grant)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_token.len() >= GRANTS_MAX {
            known.by_token.clear();
        }
        // Another key set may have come meanwhile: then this one is not remembered under it.
        if known.key_set_version == keys.version {
            known.by_token.insert(name, Arc::clone(&grant));
        }
        Ok(grant)
    }
}
