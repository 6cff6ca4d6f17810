//! The contract: one module per package, generated from `checkrein/**.proto` at build time, and the interface of another whose
//! gateways ask us.
//!
//! **Invariant**: no logic. Meaning lives in `checkrein-shared`, which turns these messages into domain types.

/// What was generated of one package.
macro_rules! generated {
    ($(#[$doc:meta])* $name:ident, $package:expr) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::pedantic,
            clippy::allow_attributes,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

/// One noun of the contract, in its first version.
macro_rules! package {
    ($noun:ident) => {
        #[doc = concat!("`checkrein.", stringify!($noun), ".v1`")]
        pub mod $noun {
            generated!(
                /// The first version of this package.
                v1,
                concat!("checkrein.", stringify!($noun), ".v1")
            );
        }
    };
}

package!(decision);
package!(fleet);
package!(hold);
package!(policy);
package!(task);

generated!(
    /// `envoy.service.auth.v3`, of Envoy
    ext_authz,
    "envoy.service.auth.v3"
);
generated!(
    /// `agentgateway.dev.ext_mcp`, of agentgateway
    ext_mcp,
    "agentgateway.dev.ext_mcp"
);

/// What those interfaces say in JSON.
pub use prost_types::{Struct, Value, value};
