//! The one who stands at the gate: decides locally, journals before it answers, holds what people must see.
//!
//! A library first; `checkrein-enforcer` is a thin binary over it.
//!
//! ```text
//! control plane --follow--> Snapshots, LastKnownGood, Freshness, Holds
//!                                |
//!   agent --surface--> gate: weigh --> confirm | hold --> journal --> answer
//!                                                            |
//! control plane <--upload-------------------------------- segments
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `config` | one TOML struct, checked whole |
//! | `gate`, `hold` | the verdict: weighed, confirmed or held, recorded, answered |
//! | `journal` | records on disk, in a chain, and home |
//! | `follow`, `policy` | the session with the control plane; what it announces, verified |
//! | `snapshot`, `freshness` | what decides, and how old it is |
//! | `ledger` | what is known of what tasks have done |
//! | `directory`, `last_known_good` | what survives a restart |
//! | `control_plane`, `identity`, `tls` | whom to ask, as whom, over what |
//! | `child` | programs that are started here |
//! | `join` | how it gets its identity with a token |
//! | `surface` | protocols; each only translates |
//! | `measure` | for benchmarks, in no ordinary build |
//!
//! **Invariant**: only the gate decides, and whatever is missing or broken makes it deny.

mod child;
mod config;
mod control_plane;
mod directory;
mod enforcer;
#[cfg(test)]
mod fixture;
mod follow;
mod freshness;
mod gate;
mod hold;
mod identity;
mod join;
mod journal;
mod last_known_good;
mod ledger;
#[cfg(feature = "measure")]
mod measure;
mod moment;
mod policy;
mod slices;
mod snapshot;
mod status;
mod surface;
mod tls;

pub use child::{Child, exit_code};
pub use config::{
    AgentFrom, ArgumentSource, AuthZen, AuthZenAction, AuthZenResource, AuthZenSubject, Config, Gateway,
    GatewayRoute, InProcess, InvalidConfig, InvalidPattern, InvalidRootKey, JOURNAL_BYTES_MIN, JournalBounds,
    Mcp, McpUpstream, OAuth, OAuthClient, RequestPattern, RootKey, Spiffe, Tcp, UnixSocket,
};
pub use control_plane::InvalidReplica;
pub use directory::DirectoryError;
pub use enforcer::{Enforcer, EnforcerError};
pub use gate::{
    Answer, CALL_ID_BYTES_MAX, CompleteError, Decided, Denied, Found, Gate, GateError, Held, Permit, Request,
    RunError, TOOL_BYTES_MAX, Unlabelled, WAIT_MAX,
};
pub use identity::{IdentityError, NoSvid};
pub use join::{JoinError, join};
pub use journal::JournalError;
pub use last_known_good::LastKnownGoodError;
#[cfg(feature = "measure")]
pub use measure::{Decoded, SeenGrants, SeenLedgers};
pub use status::{NotReached, Status};
pub use surface::mcp::{
    DoorError, GrantSource, InvalidServerName, Inventory, InventoryError, McpDoor, McpError, NoGrant,
    Proxied, Remote, ServerName, Together, Whereabouts, Wrapped,
};
pub use surface::{Listening, SurfaceError, Surfaces};
pub use tls::TlsError;
