//! How often somebody may try to sign in.
//!
//! **Invariant**: there is a bound for each address and one for all together, and a bound to how many addresses are remembered;
//! when that is reached, new ones share what is left of the bound for all. The addresses of one IPv6 network, of which anybody
//! has as many as they like, are one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

/// Within this time …
const WINDOW_MS: u64 = 60_000;
/// … so many tries of one address,
const TRIES_MAX: u32 = 20;
/// and so many of all together.
const TRIES_OF_ALL_MAX: u32 = 600;
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4_096;

/// Too many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("somebody tried to sign in too often; wait a minute, and try again")]
pub(in crate::console) struct TooOften;

/// Counts tries.
#[derive(Debug, Clone, Default)]
pub(in crate::console) struct Limit(Arc<Mutex<Tries>>);

#[derive(Debug, Default)]
struct Tries {
    since_ms: u64,
    of_all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Limit {
    /// Counts one try from this address, or refuses it.
    pub(in crate::console) fn try_once(&self, address: IpAddr, now_ms: u64) -> Result<(), TooOften> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms.saturating_sub(tries.since_ms) >= WINDOW_MS {
            *tries = Tries {
                since_ms: now_ms,
                ..Tries::default()
            };
        }
        tries.count(network(address))
    }
}

impl Tries {
    fn count(&mut self, address: IpAddr) -> Result<(), TooOften> {
        if self.of_all >= TRIES_OF_ALL_MAX {
            return Err(TooOften);
        }
        if self.by_address.len() < ADDRESSES_MAX || self.by_address.contains_key(&address) {
            let tries = self.by_address.entry(address).or_default();
            if *tries >= TRIES_MAX {
                return Err(TooOften);
            }
            *tries += 1;
        }
        self.of_all += 1;
        Ok(())
    }
}

/// Of an IPv6 address the 64 bits that are its network's.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests;
