//! Pure meaning: what policies, decisions, holds, grants and bundles *are*, for the control plane and the enforcer alike.
//!
//! | module | what it says |
//! |---|---|
//! | [`action`] | what an agent asks to do, and its hash |
//! | [`policy`] | packs, bundles, and the verdict |
//! | [`decision`] | verdicts, records and their chain |
//! | [`hold`] | the states of a waiting action |
//! | [`grant`] | a task's authority as a signed token |
//! | [`label`] | a kind of data: what tools yield, and tasks may touch |
//! | [`ledger`] | what a task has done so far |
//! | [`identity`], [`key`], [`id`], [`clock`] | who, signed by what, named how, when |
//! | [`token`] | signed JSON Web Tokens, and the keys that vouch for them |
//! | [`wire`] | the contract's messages to and from all of these |
//!
//! **Invariant**: no I/O. No runtime, no socket, no SQL; time and randomness only in `clock` and `id`.

pub mod action;
pub mod clock;
pub mod decision;
pub mod grant;
pub mod hold;
pub mod id;
pub mod identity;
pub mod key;
pub mod label;
pub mod ledger;
pub mod policy;
mod text;
pub mod token;
pub mod wire;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use id::Generation;
