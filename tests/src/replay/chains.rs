//! Chains: work whose every call is harmless, and whose whole does harm; each beside a twin that does none.
//!
//! ```text
//! Domain --parts--> Parts --Troupe::play--> Ends --toll--> Toll
//! ```
//!
//! A chain is one task of one or several agents, each behind an enforcer of its own. Every call is put to its agent's gate, and what
//! came back is told to it as a tool's caller would: content, size, and what was found in it. The first call that is not let
//! through ends the chain: nobody answers holds, and what would follow was to build on it.
//!
//! **Invariant**: harm and twin use the same tools, equally often; only what was read, what the user named, where a value came from or
//! what came first can tell them apart.

mod part;
mod story;
mod toll;
mod troupe;

pub use part::{Part, Which, parts};
pub use story::{Domain, Gave, InvalidDomain, Pair, Step, Story};
pub use toll::{Toll, Tolls, toll};
pub use troupe::{End, LEAD, Troupe};

#[cfg(test)]
mod tests;
