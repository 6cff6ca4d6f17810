//! The contract: one module per package, generated from `checkrein/**.proto` at build time, and the interface of another whose
//! gateways ask us.
//!
//! **Invariant**: no logic. Meaning lives in `checkrein-shared`, which turns these messages into domain types.

/// An interface of somebody else.
macro_rules! foreign {
    ($name:ident, $package:literal) => {
        #[doc = concat!("`", $package, "`")]
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
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::pedantic,
            clippy::allow_attributes,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        pub mod $noun {
            /// The first version of this package.
            pub mod v1 {
                include!(concat!(
                    env!("OUT_DIR"),
                    "/checkrein.",
                    stringify!($noun),
                    ".v1.rs"
                ));
            }
        }
    };
}

package!(decision);
package!(fleet);
package!(hold);
package!(policy);
package!(task);

foreign!(ext_authz, "envoy.service.auth.v3");
foreign!(ext_mcp, "agentgateway.dev.ext_mcp");

/// What those interfaces say in JSON.
pub use prost_types::{Struct, Value, value};
