//! Why a bundle will not run.

use thiserror::Error;

use crate::action::Sha256;

/// Where on its way a bundle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Signature, key, digest or length.
    Verify,
    /// Contents.
    Decode,
    /// It decides otherwise than the control plane did.
    SelfTest,
}

/// A bundle that will not run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// Signed by a key that is not in the key set.
    #[error("the bundle is signed by `{0}`, which is not a bundle key in use")]
    UnknownKey(String),
    /// Changed, or forged.
    #[error("the bundle's signature does not match")]
    Signature,
    /// The manifest is not one.
    #[error("the bundle's manifest can't be read: {0}")]
    Manifest(String),
    /// Another version of the format.
    #[error("bundles of format {0} are not readable by this version; upgrade the enforcer")]
    Format(u32),
    /// A segment that was not given.
    #[error("segment {0} is missing; fetch it again")]
    MissingSegment(Sha256),
    /// A segment whose bytes are not those that were signed.
    #[error("segment {0} does not have the bytes that were signed; fetch it again")]
    ChangedSegment(Sha256),
    /// A segment that can't be read.
    #[error("a segment of pack `{pack}` can't be read: {why}")]
    Segment {
        /// The pack it was compiled from.
        pack: String,
        /// What is wrong.
        why: String,
    },
    /// The same thing in two packs.
    #[error("{kind} `{name}` is in the bundle twice")]
    Twice {
        /// What it is: a tool, a rule.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// Entities that don't fit together.
    #[error("the entities don't fit together: {0}")]
    Entities(String),
    /// A verdict that is not the control plane's.
    #[error("this bundle does not decide here as it did in the control plane, first in `{0}`")]
    SelfTest(String),
}

impl BundleError {
    /// Where on its way the bundle was refused.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::UnknownKey(_) | Self::Signature | Self::MissingSegment(_) | Self::ChangedSegment(_) => {
                Stage::Verify
            }
            Self::Manifest(_)
            | Self::Format(_)
            | Self::Segment { .. }
            | Self::Twice { .. }
            | Self::Entities(_) => Stage::Decode,
            Self::SelfTest(_) => Stage::SelfTest,
        }
    }
}
